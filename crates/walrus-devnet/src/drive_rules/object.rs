//! The Drive object and its events, in the field order of the Move structs (which is their BCS layout).

use serde::{Deserialize, Serialize};

/// The id of an object on the chain.
pub type ObjectId = [u8; 32];

/// `walrusfs::drive::Drive` (abilities key, store). The Walrus storage pool is its dynamic object field under the name
/// `PoolKey()` (BCS `00`, type `<package>::drive::PoolKey`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// The object's UID.
    pub id: ObjectId,
    /// Version of everything stored under this Drive.
    pub format: u16,
    /// 32 random bytes that every key derivation binds.
    pub uid: Vec<u8>,
    /// +1 with every sealed state.
    pub sequence: u64,
    /// Checkpoint of the tree.
    pub root: Option<RootRef>,
    /// Sealed changes since the checkpoint.
    pub log: Vec<Vec<u8>>,
    /// Sealed summary of this sequence.
    pub seal: Vec<u8>,
    /// The master key, wrapped once per way to open the drive; ascending in index.
    pub keys: Vec<KeySlot>,
    /// Older keys, each sealed under the next.
    pub keyring: Vec<u8>,
    /// Who writes.
    pub writer: Option<Lease>,
    /// Sealed label.
    pub label: Vec<u8>,
}

/// `walrusfs::drive::RootRef` (copy, drop, store): where a checkpoint of the tree lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRef {
    /// The blob, a u256 in BCS form (little-endian), the same 32 bytes as the blob id.
    pub blob_id: [u8; 32],
    /// Offset of the root's ciphertext in the blob, bytes.
    pub offset: u64,
    /// Sealed length of the root, bytes.
    pub length: u32,
    /// The pack's salt, 32 bytes.
    pub salt: Vec<u8>,
    /// The key epoch it is sealed under.
    pub key_epoch: u32,
}

/// `walrusfs::drive::KeySlot` (copy, drop, store): the master key wrapped for one way to open the drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    /// How it is wrapped; the contract does not interpret it.
    pub kind: u8,
    /// Names the slot; ascending, stays when other slots go.
    pub index: u32,
    /// The key epoch that it opens.
    pub key_epoch: u32,
    /// Parameters and wrapped key; the client's.
    pub body: Vec<u8>,
}

/// `walrusfs::drive::Lease` (copy, drop, store): the right to write, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// A random id, 16 bytes.
    pub holder: Vec<u8>,
    /// When it ends, milliseconds since the Unix epoch by the chain's clock.
    pub expires_at_ms: u64,
}

/// `walrusfs::drive::Created`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct Created {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
    pub pool: ObjectId,
}

/// `walrusfs::drive::Committed`: a new sealed state of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct Committed {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
    /// Whether the root was set.
    pub new_root: bool,
}

/// `walrusfs::drive::LeaseChanged`: taken, renewed by itself, stolen, or released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct LeaseChanged {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
    pub writer: Option<Lease>,
}

/// `walrusfs::drive::KeysChanged`: slots were added, removed or rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct KeysChanged {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
}

/// `walrusfs::drive::PoolReplaced`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct PoolReplaced {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
    pub old: ObjectId,
    pub new: ObjectId,
}

/// `walrusfs::drive::Destroyed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the Drive")]
pub struct Destroyed {
    pub drive: ObjectId,
    pub uid: Vec<u8>,
    pub sequence: u64,
    pub pool: ObjectId,
}

/// An event that a call emits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the event struct of its name")]
pub enum Event {
    Created(Created),
    Committed(Committed),
    LeaseChanged(LeaseChanged),
    KeysChanged(KeysChanged),
    PoolReplaced(PoolReplaced),
    Destroyed(Destroyed),
}

impl Event {
    /// Name of the event's Move struct, in module `drive`.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Created(_) => "Created",
            Event::Committed(_) => "Committed",
            Event::LeaseChanged(_) => "LeaseChanged",
            Event::KeysChanged(_) => "KeysChanged",
            Event::PoolReplaced(_) => "PoolReplaced",
            Event::Destroyed(_) => "Destroyed",
        }
    }

    /// The event's contents, BCS.
    pub fn to_bcs(&self) -> Result<Vec<u8>, bcs::Error> {
        match self {
            Event::Created(event) => bcs::to_bytes(event),
            Event::Committed(event) => bcs::to_bytes(event),
            Event::LeaseChanged(event) => bcs::to_bytes(event),
            Event::KeysChanged(event) => bcs::to_bytes(event),
            Event::PoolReplaced(event) => bcs::to_bytes(event),
            Event::Destroyed(event) => bcs::to_bytes(event),
        }
    }
}
