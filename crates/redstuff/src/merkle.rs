//! Merkle trees as Red Stuff builds them, and proofs that a symbol belongs to a sliver.
//!
//! A level with an odd number of nodes, unless it is the root, gets one *empty* node (32 zero bytes) at its end: the tree is
//! not padded to a power of two. An empty node is a tag of its own on the wire but hashes as zeros.

use crate::simd::blake::{self, Octet};
use crate::simd::{Backend, Simd};
use crate::wire::{Reader, put_uleb};
use crate::{Error, hash};
use std::slice::{from_mut, from_ref};

/// A node of a Merkle tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// No node: hashed as 32 zero bytes.
    Empty,
    /// The hash of a leaf or of two nodes.
    Digest([u8; 32]),
}

static ZEROS: [u8; 32] = [0; 32];

impl Node {
    /// The bytes that enter hashes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Node::Empty => &ZEROS,
            Node::Digest(digest) => digest,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.uleb()? {
            0 => Ok(Node::Empty),
            1 => reader.array().map(Node::Digest),
            _ => Err(reader.malformed("unknown kind of Merkle node")),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Empty => out.push(0),
            Node::Digest(digest) => {
                out.push(1);
                out.extend_from_slice(digest);
            }
        }
    }
}

/// The root of the tree over `count` leaves of one length.
pub(crate) fn root<'a>(simd: Simd, count: usize, leaf: impl Fn(usize) -> &'a [u8]) -> Node {
    if count == 0 {
        return Node::Empty;
    }
    Node::Digest(blake::root(simd, &mut blake::leaf_level(simd, count, leaf), count))
}

/// A whole tree in memory, for roots and proofs.
#[derive(Clone, Debug)]
pub struct MerkleTree {
    /// From the leaf hashes to the root; odd levels end in an empty node.
    levels: Vec<Vec<Node>>,
}

impl MerkleTree {
    /// The tree over `leaves`, each the content of one leaf; all have the same length.
    pub fn new<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::over(&leaves.into_iter().collect::<Vec<_>>())
    }

    fn over(leaves: &[&[u8]]) -> Self {
        let simd = Backend::detected().simd;
        let mut count = leaves.len();
        let mut octets = blake::leaf_level(simd, count, |i| leaves[i]);
        let mut levels = Vec::new();
        loop {
            let mut level: Vec<Node> = (0..count).map(|i| Node::Digest(octets[i / 8].digest(i % 8))).collect();
            if count <= 1 {
                levels.push(level);
                return Self { levels };
            }
            if count % 2 == 1 {
                level.push(Node::Empty);
            }
            levels.push(level);
            blake::halve(simd, &mut octets, count);
            count = count.div_ceil(2);
        }
    }

    /// The root; [`Node::Empty`] for a tree without leaves.
    pub fn root(&self) -> Node {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or(Node::Empty)
    }

    /// The proof for leaf `index`; `None` if there is no such leaf.
    pub fn proof(&self, index: usize) -> Option<MerkleProof> {
        let leaves = self.levels.first()?;
        if !matches!(leaves.get(index), Some(Node::Digest(_))) {
            return None;
        }
        let path = self.levels[..self.levels.len() - 1].iter().enumerate();
        Some(MerkleProof { path: path.map(|(height, level)| level[(index >> height) ^ 1]).collect() })
    }
}

/// The siblings on the way from a leaf to the root, leaf level first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleProof {
    path: Vec<Node>,
}

impl MerkleProof {
    /// True if `leaf` is leaf number `index` of the tree of at most `n_leaves` leaves whose root is `root`.
    pub fn verify(&self, root: &Node, leaf: &[u8], index: usize, n_leaves: usize) -> bool {
        let max = n_leaves.next_power_of_two().trailing_zeros() as usize;
        if self.path.len() > max || index >> self.path.len() != 0 {
            return false;
        }
        let mut node = hash::leaf(leaf);
        let mut position = index;
        for sibling in &self.path {
            node = if position.is_multiple_of(2) {
                hash::inner(&node, sibling.as_bytes())
            } else {
                hash::inner(sibling.as_bytes(), &node)
            };
            position >>= 1;
        }
        *root == Node::Digest(node)
    }

    /// [`verify`](Self::verify) of eight proofs of one path length for leaf number `index` of eight trees, in lanes: `true` where it holds.
    pub(crate) fn verify_eight(
        simd: Simd,
        proofs: [&Self; 8],
        roots: [&Node; 8],
        leaves: &[&[u8]; 8],
        index: usize,
        n_leaves: usize,
    ) -> [bool; 8] {
        let height = proofs[0].path.len();
        let max = n_leaves.next_power_of_two().trailing_zeros() as usize;
        if height > max || index >> height != 0 || proofs.iter().any(|proof| proof.path.len() != height) {
            return std::array::from_fn(|i| proofs[i].verify(roots[i], leaves[i], index, n_leaves));
        }
        let mut nodes = Octet::EMPTY;
        blake::leaves(simd, leaves, &mut nodes);
        for level in 0..height {
            let siblings = Octet::from_digests(std::array::from_fn(|i| proofs[i].path[level].as_bytes()));
            let mut parents = Octet::EMPTY;
            let (left, right) = if index >> level & 1 == 0 { (&nodes, &siblings) } else { (&siblings, &nodes) };
            blake::parents(simd, from_ref(left), from_ref(right), from_mut(&mut parents));
            nodes = parents;
        }
        std::array::from_fn(|i| *roots[i] == Node::Digest(nodes.digest(i)))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let count = reader.count(1)?;
        // No tree is higher than this, so a longer path is refused before anything is allocated for it.
        if count > 16 {
            return Err(reader.malformed("a Merkle proof is longer than any tree is high"));
        }
        let path = (0..count).map(|_| Node::read(reader)).collect::<Result<_, _>>()?;
        Ok(Self { path })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_uleb(out, self.path.len());
        for node in &self.path {
            node.write(out);
        }
    }
}
