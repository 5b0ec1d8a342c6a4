//! What the Sui framework contributes: ids, collections, coins, dynamic fields.

#![expect(missing_docs, reason = "field names are the Move structs' own; units stand at the type")]

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeSeq};
use std::fmt;
use sui_sdk_types::{Address, TypeTag};

/// The id of an object, and any other 32-byte address.
pub type ObjectId = Address;

/// A Move `u256`: 32 bytes, little-endian. Blob ids and root hashes travel in this form, byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct U256(pub [u8; 32]);

impl From<[u8; 32]> for U256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<U256> for [u8; 32] {
    fn from(value: U256) -> Self {
        value.0
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U256({})", hex::encode(self.0))
    }
}

/// A group element or key that Move stores as `vector<u8>` of exactly `N` bytes (`Element<G1>` = 48,
/// `Element<UncompressedG1>` = 96, network keys = 33). Only the length is checked here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Debug for Element<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", hex::encode(self.0))
    }
}

impl<const N: usize> Serialize for Element<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&hex::encode(self.0));
        }
        let mut items = serializer.serialize_seq(Some(N))?;
        for byte in &self.0 {
            items.serialize_element(byte)?;
        }
        items.end()
    }
}

impl<'de, const N: usize> Deserialize<'de> for Element<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            hex::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?
        } else {
            Vec::<u8>::deserialize(deserializer)?
        };
        let found = bytes.len();
        bytes.try_into().map(Element).map_err(|_| de::Error::custom(format!("{found} bytes where {N} belong")))
    }
}

/// A compressed point of G1.
pub type G1 = Element<48>;
/// An uncompressed point of G1: x then y, big-endian, no flag bits.
pub type UncompressedG1 = Element<96>;

/// `0x2::vec_map::VecMap`: pairs in insertion order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VecMap<K, V> {
    pub contents: Vec<(K, V)>,
}

impl<K, V> Default for VecMap<K, V> {
    fn default() -> Self {
        Self { contents: Vec::new() }
    }
}

impl<K: PartialEq, V> VecMap<K, V> {
    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.contents.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value under `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.contents.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Puts a pair at the end; the old value of the key, which is removed, if it had one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.remove(&key);
        self.contents.push((key, value));
        old
    }

    /// Takes a pair out, keeping the order of the others.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.contents.iter().position(|(k, _)| k == key)?;
        Some(self.contents.remove(at).1)
    }
}

/// `0x2::vec_set::VecSet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VecSet<T> {
    pub contents: Vec<T>,
}

/// `0x2::table::Table`, `0x2::object_table::ObjectTable` and `0x2::bag::Bag`: the entries are dynamic fields of `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub id: ObjectId,
    pub size: u64,
}

/// `0x2::coin::Coin<T>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    pub id: ObjectId,
    pub balance: u64,
}

/// `0x2::coin::TreasuryCap<T>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreasuryCap {
    pub id: ObjectId,
    pub total_supply: u64,
}

/// `0x2::clock::Clock`, the shared object `0x6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub id: ObjectId,
    pub timestamp_ms: u64,
}

/// `0x2::package::UpgradeCap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeCap {
    pub id: ObjectId,
    pub package: ObjectId,
    pub version: u64,
    pub policy: u8,
}

/// `0x2::dynamic_field::Field<K, V>`: the object that holds one dynamic field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field<K, V> {
    pub id: ObjectId,
    pub name: K,
    pub value: V,
}

/// A Move struct without fields: one zero byte (its hidden `dummy_field`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyStruct {
    pub dummy_field: bool,
}

/// The id of the `Field` object that holds the dynamic field `name` (BCS) of type `name_type` under `parent`.
///
/// blake2b-256(`f0` ‖ parent ‖ u64 length of name ‖ name ‖ BCS of the type tag).
pub fn dynamic_field_id(parent: &ObjectId, name_type: &TypeTag, name_bcs: &[u8]) -> ObjectId {
    parent.derive_dynamic_child_id(name_type, name_bcs)
}

/// The id of the `Field` object behind a dynamic *object* field: its key type is wrapped, its value is the child's id.
pub fn dynamic_object_field_id(parent: &ObjectId, name_type: &TypeTag, name_bcs: &[u8]) -> ObjectId {
    let wrapper = sui_sdk_types::StructTag::new(
        Address::TWO,
        sui_sdk_types::Identifier::from_static("dynamic_object_field"),
        sui_sdk_types::Identifier::from_static("Wrapper"),
        vec![name_type.clone()],
    );
    parent.derive_dynamic_child_id(&TypeTag::Struct(Box::new(wrapper)), name_bcs)
}

/// The id of the `Field` object that holds the inner state of a versioned object (`System`, `Staking`, `StoragePool`).
pub fn versioned_field_id(parent: &ObjectId, version: u64) -> ObjectId {
    parent.derive_dynamic_child_id(&TypeTag::U64, &version.to_le_bytes())
}

/// The id of the `Field` object of an [`ExtendedField`](crate::wire::chain::ExtendedField); `original_package` is the
/// package that defined the type `extended_field::Key`.
pub fn extended_field_id(parent: &ObjectId, original_package: Address) -> ObjectId {
    let key = sui_sdk_types::StructTag::new(
        original_package,
        sui_sdk_types::Identifier::from_static("extended_field"),
        sui_sdk_types::Identifier::from_static("Key"),
        Vec::new(),
    );
    parent.derive_dynamic_child_id(&TypeTag::Struct(Box::new(key)), &[0])
}

impl From<redstuff::BlobId> for U256 {
    fn from(id: redstuff::BlobId) -> Self {
        Self(id.0)
    }
}

impl From<U256> for redstuff::BlobId {
    fn from(value: U256) -> Self {
        Self(value.0)
    }
}
