//! The tree's parsers on bytes of an attacker's choice: for `fuzz/targets` only.

use super::base::{Root, parse_log_entry};
use super::node::Node;
use super::record::Key;

/// `bytes` as a key, a node of a tree and of a run, a root, and the plaintext of a log entry.
///
/// # Panics
/// When something that was read is not written back as it was.
pub fn parse(bytes: &[u8]) {
    if let Ok(key) = Key::decode(bytes) {
        let mut again = Vec::new();
        key.encode(&mut again);
        assert_eq!(again, bytes);
    }
    for run in [false, true] {
        if let Ok(node) = Node::decode(bytes, run) {
            let mut again = Vec::new();
            match &node {
                Node::Leaf(entries) => assert!(Node::encode_leaf(entries, &mut again).is_ok()),
                Node::Index { level, children } => Node::encode_index(*level, children, &mut again),
            }
            assert_eq!(again, bytes);
            assert!(node.first_key().is_some_and(|first| node.child_towards(first).is_some() == (node.level() > 0)));
        }
    }
    if let Ok(root) = bcs::from_bytes::<Root>(bytes) {
        assert_eq!(bcs::to_bytes(&root).ok().as_deref(), Some(bytes));
    }
    let _ = parse_log_entry(bytes);
}
