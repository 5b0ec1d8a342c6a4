//! Walking the records of a range of keys, loading what that needs.

use super::Subject;
use crate::error::FsResult;
use crate::tree::Fetch;
use crate::tree::record::{Key, Record, Space};
use std::ops::ControlFlow;

/// The first key after every key of an inode.
pub(super) fn after_inode(ino: crate::ids::Ino) -> Option<Key> {
    Some(Key { owner: ino.next()?, ..Key::first_of(Space::Files) })
}

/// Calls `visit` with every record of `from <= key < to` (`None`: to the end), in order.
pub(super) async fn each(
    subject: Subject<'_>,
    from: &Key,
    to: Option<&Key>,
    mut visit: impl FnMut(&Key, &Record),
) -> FsResult<()> {
    let mut from = from.clone();
    let mut seen: Option<Key> = None;
    let last = Key { owner: crate::ids::Ino(u64::MAX), num: u64::MAX, ..Key::first_of(Space::Files) };
    let to = to.unwrap_or(&last);
    loop {
        let scanned = subject.tree.scan(&from, to, &mut |key, record| {
            // A scan that goes on begins with the key that was visited last.
            if seen.as_ref() != Some(key) {
                visit(key, record);
                seen = Some(key.clone());
            }
            ControlFlow::Continue(())
        })?;
        let Fetch::Missing(addr) = scanned else { return Ok(()) };
        subject.tree.load(addr, subject.source, subject.keys).await?;
        if let Some(seen) = &seen {
            from.clone_from(seen);
        }
    }
}

/// The record of `key`.
pub(super) async fn get(subject: Subject<'_>, key: &Key) -> FsResult<Option<Record>> {
    loop {
        match subject.tree.get(key)? {
            Fetch::Ready(found) => return Ok(found),
            Fetch::Missing(addr) => subject.tree.load(addr, subject.source, subject.keys).await?,
        }
    }
}
