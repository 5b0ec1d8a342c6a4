//! Transactions, built offline.
//!
//! Mechanism: [`Tx`] collects inputs and commands of one programmable transaction. Every object is named by an explicit
//! reference that was read before; the results of one call feed the next. The Walrus calls stand here with the
//! mutability that the contracts declare; any other call goes through [`Tx::call`].
//!
//! Must never: take inputs, commands, recipients or amounts from a server's answer. What a server can influence is which
//! *version* of an object is named (a wrong one fails) and the budget, which is capped.

use crate::chain::{ObjectInfo, Owner, SharedObject, WalrusState};
use crate::error::{ClientError, ClientResult};
use crate::wire::chain::{ENCODING_RS2, ObjectId, U256};
use crate::wire::message::Certificate;
use redstuff::VerifiedMetadata;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use sui_sdk_types::{
    Address, Argument, Command, GasPayment, Identifier, Input, MergeCoins, MoveCall, Mutability, ObjectReference,
    ProgrammableTransaction, Publish, SharedInput, SplitCoins, StructTag, Transaction, TransactionExpiration,
    TransactionKind, TransferObjects, TypeTag,
};

/// Largest transaction that the chain takes, in bytes.
pub const MAX_TRANSACTION_SIZE: usize = 128 * 1024;
/// Largest pure argument that the chain takes, in bytes.
pub const MAX_PURE_SIZE: usize = 16 * 1024;
const MAX_INPUTS: usize = 2000;
const MAX_COMMANDS: usize = 1000;

/// The clock object of every Sui chain.
pub const CLOCK: SharedObject = SharedObject { id: ObjectId::from_static("0x6"), initial_version: 1 };

/// What is registered for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobParams {
    /// The blob's id.
    pub blob_id: U256,
    /// The root of its sliver hashes.
    pub root_hash: U256,
    /// Its unencoded length in bytes.
    pub size: u64,
    /// Whether it may be deleted before its storage ends.
    pub deletable: bool,
}

impl BlobParams {
    /// For the blob that this metadata describes.
    pub fn new(metadata: &VerifiedMetadata, deletable: bool) -> Self {
        Self {
            blob_id: (*metadata.blob_id()).into(),
            root_hash: U256(*metadata.root_hash().as_bytes()),
            size: metadata.unencoded_length(),
            deletable,
        }
    }
}

/// The wallet's WAL in a transaction.
struct Wal {
    /// Everything else.
    all: Argument,
    /// What may be spent.
    payment: Argument,
}

/// One transaction under construction.
pub struct Tx {
    state: Arc<WalrusState>,
    sender: Address,
    objects: HashMap<ObjectId, ObjectInfo>,
    wal: Option<Wal>,
    inputs: Vec<Input>,
    shared: HashMap<ObjectId, u16>,
    owned: HashMap<ObjectId, u16>,
    commands: Vec<Command>,
}

impl Tx {
    /// An empty transaction of `sender`. `objects` are the ones that [`Tx::object`] may name.
    pub fn new(state: Arc<WalrusState>, sender: Address, objects: Vec<ObjectInfo>) -> Self {
        Self {
            state,
            sender,
            objects: objects.into_iter().map(|object| (object.id, object)).collect(),
            wal: None,
            inputs: Vec::new(),
            shared: HashMap::new(),
            owned: HashMap::new(),
            commands: Vec::new(),
        }
    }

    /// The state that this transaction is built for.
    pub fn state(&self) -> &Arc<WalrusState> {
        &self.state
    }

    /// Who signs.
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// What was read about an object that was asked for.
    pub fn info(&self, id: &ObjectId) -> ClientResult<&ObjectInfo> {
        self.objects.get(id).ok_or_else(|| {
            ClientError::Invalid(format!("object {id} is not among the objects that the transaction asked for"))
        })
    }

    fn input(&mut self, input: Input) -> ClientResult<u16> {
        if self.inputs.len() >= MAX_INPUTS {
            return Err(ClientError::Invalid(format!("a transaction has at most {MAX_INPUTS} inputs")));
        }
        self.inputs.push(input);
        u16::try_from(self.inputs.len() - 1).map_err(|_| ClientError::Invalid("too many inputs".to_owned()))
    }

    fn command(&mut self, command: Command) -> ClientResult<Argument> {
        if self.commands.len() >= MAX_COMMANDS {
            return Err(ClientError::Invalid(format!("a transaction has at most {MAX_COMMANDS} commands")));
        }
        self.commands.push(command);
        u16::try_from(self.commands.len() - 1)
            .map(Argument::Result)
            .map_err(|_| ClientError::Invalid("too many commands".to_owned()))
    }

    /// A plain value: integers, booleans, addresses, byte vectors, strings, options and vectors of them.
    pub fn pure<T: Serialize + ?Sized>(&mut self, value: &T) -> ClientResult<Argument> {
        let bytes = bcs::to_bytes(value)
            .map_err(|error| ClientError::Invalid(format!("an argument cannot be serialized: {error}")))?;
        if bytes.len() > MAX_PURE_SIZE {
            return Err(ClientError::Invalid(format!(
                "an argument of {} bytes is larger than the {MAX_PURE_SIZE} bytes that the chain takes",
                bytes.len()
            )));
        }
        self.input(Input::Pure(bytes)).map(Argument::Input)
    }

    /// An object that the sender owns, at this version.
    pub fn owned(&mut self, reference: ObjectReference) -> ClientResult<Argument> {
        let id = *reference.object_id();
        if let Some(index) = self.owned.get(&id) {
            return Ok(Argument::Input(*index));
        }
        let index = self.input(Input::ImmutableOrOwned(reference))?;
        self.owned.insert(id, index);
        Ok(Argument::Input(index))
    }

    /// A shared object. It becomes mutable if any use of it in this transaction is.
    pub fn shared(&mut self, object: SharedObject, mutable: bool) -> ClientResult<Argument> {
        if let Some(&index) = self.shared.get(&object.id) {
            if mutable {
                self.inputs[usize::from(index)] =
                    Input::Shared(SharedInput::new(object.id, object.initial_version, Mutability::Mutable));
            }
            return Ok(Argument::Input(index));
        }
        let index = self.input(Input::Shared(SharedInput::new(object.id, object.initial_version, mutable)))?;
        self.shared.insert(object.id, index);
        Ok(Argument::Input(index))
    }

    /// An object that was asked for, owned, immutable or shared as it is. `mutable` matters for shared ones.
    pub fn object(&mut self, id: &ObjectId, mutable: bool) -> ClientResult<Argument> {
        let info = self.info(id)?;
        match info.owner {
            Owner::Address(owner) if owner != self.sender => {
                Err(ClientError::Invalid(format!("object {id} belongs to {owner}, not to the wallet {}", self.sender)))
            }
            Owner::Address(_) | Owner::Immutable => {
                let reference = info.reference();
                self.owned(reference)
            }
            Owner::Shared { initial_version } => self.shared(SharedObject { id: *id, initial_version }, mutable),
            Owner::Object(_) | Owner::Other => {
                Err(ClientError::Invalid(format!("object {id} lies inside another object and cannot be an input")))
            }
        }
    }

    /// The clock, as `&Clock`.
    pub fn clock(&mut self) -> ClientResult<Argument> {
        self.shared(CLOCK, false)
    }

    /// Calls a Move function. The result of a function with one return value is the argument itself; of one with
    /// several, [`nth`] of it.
    pub fn call(
        &mut self,
        package: ObjectId,
        module: &str,
        function: &str,
        type_arguments: Vec<TypeTag>,
        arguments: Vec<Argument>,
    ) -> ClientResult<Argument> {
        let identifier = |text: &str| {
            Identifier::new(text).map_err(|_| ClientError::Invalid(format!("{text:?} is no Move identifier")))
        };
        self.command(Command::MoveCall(MoveCall {
            package,
            module: identifier(module)?,
            function: identifier(function)?,
            type_arguments,
            arguments,
        }))
    }

    /// Splits amounts off a coin; the n-th new coin is [`nth`] of the result.
    pub fn split(&mut self, coin: Argument, amounts: &[u64]) -> ClientResult<Argument> {
        let amounts = amounts.iter().map(|amount| self.pure(amount)).collect::<ClientResult<Vec<_>>>()?;
        self.command(Command::SplitCoins(SplitCoins { coin, amounts }))
    }

    /// Merges coins into one.
    pub fn merge(&mut self, coin: Argument, coins_to_merge: Vec<Argument>) -> ClientResult<()> {
        self.command(Command::MergeCoins(MergeCoins { coin, coins_to_merge })).map(|_| ())
    }

    /// Gives objects to an address.
    pub fn transfer(&mut self, objects: Vec<Argument>, recipient: Address) -> ClientResult<()> {
        let address = self.pure(&recipient)?;
        self.command(Command::TransferObjects(TransferObjects { objects, address })).map(|_| ())
    }

    /// Publishes a package; the result is its upgrade capability.
    pub fn publish(&mut self, modules: Vec<Vec<u8>>, dependencies: Vec<ObjectId>) -> ClientResult<Argument> {
        self.command(Command::Publish(Publish { modules, dependencies }))
    }

    /// The gas coin, to split SUI from.
    pub fn gas(&self) -> Argument {
        Argument::Gas
    }

    /// Makes the WAL coins of the wallet one and puts `frost` FROST of it aside for [`Tx::wal`]: the contracts take what
    /// things cost, and this is the most that they can take. What is left goes back when the transaction ends.
    pub fn use_wal(&mut self, coins: &[ObjectReference], frost: u64) -> ClientResult<()> {
        let mut arguments =
            coins.iter().map(|coin| self.owned(coin.clone())).collect::<ClientResult<Vec<_>>>()?.into_iter();
        let Some(all) = arguments.next() else { return Ok(()) };
        let rest: Vec<Argument> = arguments.collect();
        if !rest.is_empty() {
            self.merge(all, rest)?;
        }
        let payment = nth(self.split(all, &[frost])?, 0);
        self.wal = Some(Wal { all, payment });
        Ok(())
    }

    /// The WAL that may be spent, as the payments of the Walrus calls take it (`&mut Coin<WAL>`).
    pub fn wal(&self) -> ClientResult<Argument> {
        let wal = self.wal.as_ref().map(|wal| wal.payment);
        wal.ok_or_else(|| ClientError::Invalid("the transaction did not ask for WAL".to_owned()))
    }

    // ----- Walrus -----

    fn system(&mut self, mutable: bool) -> ClientResult<Argument> {
        let system = self.state.system;
        self.shared(system, mutable)
    }

    fn walrus(&mut self, function: &str, arguments: Vec<Argument>) -> ClientResult<Argument> {
        let package = self.state.packages.call;
        self.call(package, "system", function, Vec::new(), arguments)
    }

    /// The type `storage_pool::StoragePool`, as functions that take a pool of any type want it.
    pub fn pool_type(&self) -> ClientResult<TypeTag> {
        self.state.packages.type_of("storage_pool", "StoragePool").map(|tag| TypeTag::Struct(Box::new(tag)))
    }

    fn blob_arguments(&mut self, blob: &BlobParams) -> ClientResult<[Argument; 5]> {
        Ok([
            self.pure(&blob.blob_id)?,
            self.pure(&blob.root_hash)?,
            self.pure(&blob.size)?,
            self.pure(&ENCODING_RS2)?,
            self.pure(&blob.deletable)?,
        ])
    }

    fn certificate_arguments(&mut self, certificate: &Certificate) -> ClientResult<[Argument; 3]> {
        Ok([
            self.pure(certificate.signature.as_slice())?,
            self.pure(certificate.bitmap().as_slice())?,
            self.pure(certificate.message.as_slice())?,
        ])
    }

    /// `system::register_pooled_blob`: the blob takes its encoded size from the pool.
    pub fn register_pooled_blob(&mut self, pool: Argument, blob: &BlobParams) -> ClientResult<()> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let [id, root, size, encoding, deletable] = self.blob_arguments(blob)?;
        self.walrus("register_pooled_blob", vec![system, pool, id, root, size, encoding, deletable, wal]).map(|_| ())
    }

    /// `system::certify_pooled_blob`.
    pub fn certify_pooled_blob(
        &mut self,
        pool: Argument,
        blob_id: impl Into<U256>,
        certificate: &Certificate,
    ) -> ClientResult<()> {
        let system = self.system(false)?;
        let id = self.pure(&blob_id.into())?;
        let [signature, bitmap, message] = self.certificate_arguments(certificate)?;
        self.walrus("certify_pooled_blob", vec![system, pool, id, signature, bitmap, message]).map(|_| ())
    }

    /// `system::delete_pooled_blob`: frees its capacity in the pool.
    pub fn delete_pooled_blob(&mut self, pool: Argument, blob_id: impl Into<U256>) -> ClientResult<()> {
        let system = self.system(false)?;
        let id = self.pure(&blob_id.into())?;
        self.walrus("delete_pooled_blob", vec![system, pool, id]).map(|_| ())
    }

    /// `system::burn_expired_pooled_blob`.
    pub fn burn_expired_pooled_blob(&mut self, pool: Argument, blob_id: impl Into<U256>) -> ClientResult<()> {
        let system = self.system(false)?;
        let id = self.pure(&blob_id.into())?;
        self.walrus("burn_expired_pooled_blob", vec![system, pool, id]).map(|_| ())
    }

    /// `system::create_storage_pool`: `bytes` of encoded capacity for `epochs`, paid now. The result is the pool.
    pub fn create_storage_pool(&mut self, bytes: u64, epochs: u32) -> ClientResult<Argument> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let (bytes, epochs) = (self.pure(&bytes)?, self.pure(&epochs)?);
        self.walrus("create_storage_pool", vec![system, bytes, epochs, wal])
    }

    /// `system::extend_storage_pool` by `epochs`, paid now.
    pub fn extend_storage_pool(&mut self, pool: Argument, epochs: u32) -> ClientResult<()> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let epochs = self.pure(&epochs)?;
        self.walrus("extend_storage_pool", vec![system, pool, epochs, wal]).map(|_| ())
    }

    /// `system::increase_storage_pool_capacity` by `bytes` of encoded capacity until the pool's end, paid now.
    pub fn increase_storage_pool(&mut self, pool: Argument, bytes: u64) -> ClientResult<()> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let bytes = self.pure(&bytes)?;
        self.walrus("increase_storage_pool_capacity", vec![system, pool, bytes, wal]).map(|_| ())
    }

    /// `system::decrease_storage_pool_capacity_by_size`; the result is the `Storage` that was cut off.
    pub fn decrease_storage_pool(&mut self, pool: Argument, bytes: u64) -> ClientResult<Argument> {
        let system = self.system(false)?;
        let bytes = self.pure(&bytes)?;
        self.walrus("decrease_storage_pool_capacity_by_size", vec![system, pool, bytes])
    }

    /// `system::reserve_space`; the result is the `Storage`.
    pub fn reserve_space(&mut self, bytes: u64, epochs: u32) -> ClientResult<Argument> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let (bytes, epochs) = (self.pure(&bytes)?, self.pure(&epochs)?);
        self.walrus("reserve_space", vec![system, bytes, epochs, wal])
    }

    /// `system::register_blob` on a reservation; the result is the `Blob`.
    pub fn register_blob(&mut self, storage: Argument, blob: &BlobParams) -> ClientResult<Argument> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let [id, root, size, encoding, deletable] = self.blob_arguments(blob)?;
        self.walrus("register_blob", vec![system, storage, id, root, size, encoding, deletable, wal])
    }

    /// `system::certify_blob`.
    pub fn certify_blob(&mut self, blob: Argument, certificate: &Certificate) -> ClientResult<()> {
        let system = self.system(false)?;
        let [signature, bitmap, message] = self.certificate_arguments(certificate)?;
        self.walrus("certify_blob", vec![system, blob, signature, bitmap, message]).map(|_| ())
    }

    /// `system::extend_blob` by `epochs`, paid now.
    pub fn extend_blob(&mut self, blob: Argument, epochs: u32) -> ClientResult<()> {
        let wal = self.wal()?;
        let system = self.system(true)?;
        let epochs = self.pure(&epochs)?;
        self.walrus("extend_blob", vec![system, blob, epochs, wal]).map(|_| ())
    }

    /// `system::delete_blob`; the result is the `Storage` that it used.
    pub fn delete_blob(&mut self, blob: Argument) -> ClientResult<Argument> {
        let system = self.system(false)?;
        self.walrus("delete_blob", vec![system, blob])
    }

    /// `wal_exchange::exchange_all_for_wal`; `package` is the one in the exchange's type. The result is a WAL coin.
    pub fn exchange_all_for_wal(
        &mut self,
        exchange: SharedObject,
        package: ObjectId,
        sui: Argument,
    ) -> ClientResult<Argument> {
        let exchange = self.shared(exchange, true)?;
        self.call(package, "wal_exchange", "exchange_all_for_wal", Vec::new(), vec![exchange, sui])
    }

    /// Inputs that the sender owns: the ones that a competing transaction could take.
    pub fn owned_inputs(&self) -> impl Iterator<Item = &ObjectReference> {
        self.inputs.iter().filter_map(|input| match input {
            Input::ImmutableOrOwned(reference) => Some(reference),
            _ => None,
        })
    }

    /// The whole transaction.
    pub fn finish(mut self, gas: GasPayment, expiration: TransactionExpiration) -> ClientResult<Transaction> {
        if let Some(Wal { all, payment }) = self.wal.take() {
            self.merge(all, vec![payment])?;
        }
        let transaction = Transaction {
            kind: TransactionKind::ProgrammableTransaction(ProgrammableTransaction {
                inputs: self.inputs,
                commands: self.commands,
            }),
            sender: self.sender,
            gas_payment: gas,
            expiration,
        };
        let size = bcs::serialized_size(&transaction)
            .map_err(|error| ClientError::Invalid(format!("the transaction cannot be serialized: {error}")))?;
        if size > MAX_TRANSACTION_SIZE {
            return Err(ClientError::Invalid(format!(
                "a transaction of {size} bytes is larger than the {MAX_TRANSACTION_SIZE} bytes that the chain takes"
            )));
        }
        Ok(transaction)
    }
}

/// The n-th return value of a command that has several.
pub fn nth(result: Argument, n: u16) -> Argument {
    result.nested(n).unwrap_or(result)
}

/// A type from its parts, as type argument.
pub fn type_tag(package: ObjectId, module: &str, name: &str) -> ClientResult<TypeTag> {
    let tag: StructTag = crate::chain::struct_tag(package, module, name, Vec::new())?;
    Ok(TypeTag::Struct(Box::new(tag)))
}
