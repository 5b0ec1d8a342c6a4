//! The chain: a small transport trait, its gRPC implementation, and what Walrus keeps there.
//!
//! Mechanism: [`ChainTransport`] is the seam (tests put faults under it); [`grpc::GrpcTransport`] speaks `sui.rpc.v2` to
//! one or more servers; [`Chain`] reads the Walrus state through it, as one consistent [`WalrusState`] that is cached and
//! refreshed.
//!
//! Assumes nothing about the servers' honesty beyond availability: no transaction is ever taken from them, only object
//! references, figures and verdicts. A server that lies about references makes transactions fail; one that lies about
//! the committee can deny service and nothing more, because blob ids and seals are checked elsewhere.

pub mod committee;
pub mod grpc;
mod remember;
mod state;

pub use committee::{Committee, Node};
pub use remember::Remembering;
pub(crate) use state::struct_tag;
pub use state::{Chain, Packages, SharedObject, WalrusState};

use crate::error::{ClientError, ClientResult, MoveAbort};
use crate::wire::chain::ObjectId;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sui_sdk_types::{Address, Digest, ObjectReference, StructTag, Transaction, TypeTag};

/// Who may use an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// The owner of this address.
    Address(Address),
    /// Another object (dynamic fields and children).
    Object(ObjectId),
    /// Everybody.
    Shared {
        /// The version at which the object was shared; part of every reference to it.
        initial_version: u64,
    },
    /// Nobody can change it.
    Immutable,
    /// An owner kind that this client does not use.
    Other,
}

/// One object as the chain reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its id.
    pub id: ObjectId,
    /// Its version.
    pub version: u64,
    /// The digest of that version.
    pub digest: Digest,
    /// Its owner.
    pub owner: Owner,
    /// Its Move type; `None` for packages.
    pub object_type: Option<StructTag>,
    /// BCS of the Move struct.
    pub contents: Bytes,
    /// The transaction that made this version, where the chain says it.
    pub previous_transaction: Option<Digest>,
}

impl ObjectInfo {
    /// The reference that a transaction names for this version.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference::new(self.id, self.version, self.digest)
    }

    /// Decodes the contents; every byte must belong to `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> ClientResult<T> {
        bcs::from_bytes(&self.contents).map_err(|error| {
            ClientError::bad(
                format!("object {}", self.id),
                format!("its contents are not a {}: {error}", std::any::type_name::<T>()),
            )
        })
    }

    /// Whether its type is `module::name` of any package.
    pub fn is_type(&self, module: &str, name: &str) -> bool {
        self.object_type.as_ref().is_some_and(|tag| tag.module().as_str() == module && tag.name().as_str() == name)
    }
}

/// A page-free answer to "which epoch is it and what does gas cost".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasInfo {
    /// The chain's own epoch (not the Walrus epoch).
    pub epoch: u64,
    /// MIST per unit of gas.
    pub reference_price: u64,
}

/// Where a type of a package was first defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeOrigin {
    /// Module.
    pub module: String,
    /// Type.
    pub name: String,
    /// The package id that the type carries.
    pub package: ObjectId,
}

/// What one execution cost, in MIST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GasCost {
    /// For computing.
    pub computation: u64,
    /// For storing objects.
    pub storage: u64,
    /// Given back for objects changed or deleted.
    pub rebate: u64,
}

impl GasCost {
    /// What the gas coin loses at most before the rebate comes back.
    pub fn before_rebate(&self) -> u64 {
        self.computation.saturating_add(self.storage)
    }
}

/// One object that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedObject {
    /// Its id.
    pub id: ObjectId,
    /// Whether the transaction made it.
    pub created: bool,
    /// Version and digest afterwards; `None` when it was deleted or wrapped.
    pub output: Option<(u64, Digest)>,
    /// Its owner afterwards.
    pub owner: Option<Owner>,
    /// Its type, where the chain says it.
    pub object_type: Option<String>,
}

/// How a transaction changed what one address has of one coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceChange {
    /// Whose.
    pub owner: Address,
    /// The coin's type, inside `Coin<>`.
    pub coin: TypeTag,
    /// What came in, or went out when negative, gas included; in the coin's smallest unit.
    pub amount: i128,
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// The transaction's digest.
    pub digest: Digest,
    /// `None` when it succeeded.
    pub failure: Option<Failure>,
    /// What it cost.
    pub gas: GasCost,
    /// The objects it changed; on failure only versions moved.
    pub changed: Vec<ChangedObject>,
    /// The balances it changed, as the server says: for accounts that people read, and for nothing else. Not stored.
    #[serde(skip)]
    pub balances: Vec<BalanceChange>,
}

impl Effects {
    /// The error of a failed transaction.
    pub fn check(&self) -> ClientResult<()> {
        match &self.failure {
            None => Ok(()),
            Some(Failure::Abort(abort)) => Err(ClientError::Abort(abort.clone())),
            Some(Failure::Other(reason)) => Err(ClientError::Execution { reason: reason.clone() }),
        }
    }

    /// The package that it published.
    pub fn published(&self) -> Option<ObjectId> {
        let package = |object: &&ChangedObject| object.created && object.object_type.as_deref() == Some("package");
        self.changed.iter().find(package).map(|object| object.id)
    }

    /// The objects it made of type `module::name` (any package).
    pub fn created<'a>(&'a self, module: &'a str, name: &'a str) -> impl Iterator<Item = &'a ChangedObject> + 'a {
        self.changed.iter().filter(move |object| {
            object.created
                && object
                    .object_type
                    .as_deref()
                    .and_then(|text| text.parse::<StructTag>().ok())
                    .is_some_and(|tag| tag.module().as_str() == module && tag.name().as_str() == name)
        })
    }
}

/// Why an execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A Move function aborted.
    Abort(MoveAbort),
    /// Anything else, as the chain describes it.
    Other(String),
}

/// What came of sending a transaction to one server.
#[derive(Debug)]
pub enum SendOutcome {
    /// It was executed; these effects are final.
    Final(Effects),
    /// The server refused it. That proves nothing about other servers.
    Refused(String),
    /// No usable answer: it may or may not be executed.
    Unknown(String),
}

/// How to ask the chain. All calls may be repeated; none of them builds or signs anything.
pub trait ChainTransport: Send + Sync + 'static {
    /// Current versions of objects, in the order asked; `None` where there is none.
    fn objects<'a>(&'a self, ids: &'a [ObjectId]) -> BoxFuture<'a, ClientResult<Vec<Option<ObjectInfo>>>>;

    /// What every configured server says about one object, for readers that trust no single server.
    fn object_everywhere<'a>(&'a self, id: &'a ObjectId) -> BoxFuture<'a, Vec<ClientResult<Option<ObjectInfo>>>>;

    /// All objects of `owner` whose type is `object_type` (without parameters: every instantiation).
    fn owned_objects<'a>(
        &'a self,
        owner: &'a Address,
        object_type: &'a StructTag,
    ) -> BoxFuture<'a, ClientResult<Vec<ObjectInfo>>>;

    /// The ids of all dynamic fields of an object or table.
    fn fields<'a>(&'a self, parent: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<ObjectId>>>;

    /// The chain's epoch and reference gas price.
    fn gas_info(&self) -> BoxFuture<'_, ClientResult<GasInfo>>;

    /// The type origins of a package.
    fn type_origins<'a>(&'a self, package: &'a ObjectId) -> BoxFuture<'a, ClientResult<Vec<TypeOrigin>>>;

    /// The first type argument of parameter `index` of a function: how the type of WAL is discovered.
    fn parameter_type_argument<'a>(
        &'a self,
        package: &'a ObjectId,
        module: &'a str,
        function: &'a str,
        index: usize,
    ) -> BoxFuture<'a, ClientResult<String>>;

    /// Executes a complete transaction without effect.
    fn simulate<'a>(&'a self, transaction: &'a Transaction) -> BoxFuture<'a, ClientResult<Effects>>;

    /// Sends signed bytes. Idempotent: the same bytes have the same digest.
    fn execute<'a>(&'a self, transaction: &'a [u8], signature: &'a [u8]) -> BoxFuture<'a, SendOutcome>;

    /// The effects of a transaction, if this server knows it.
    fn effects<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, ClientResult<Option<Effects>>>;
}
