//! Resolving what a client left open in a transaction: versions of inputs, mutability of shared objects, gas.
//!
//! Mechanism: a message that is complete (BCS, or every field) is taken as it is. Otherwise each object input is looked up; whether
//! a shared object is mutable follows from its uses and the signatures of the functions called, never from what the caller says. Gas is
//! measured by executing against a coin that exists only in that execution.

use std::collections::BTreeSet;

use sui_rpc::proto::sui::rpc::v2 as proto;
use sui_rpc::proto::sui::rpc::v2::input::InputKind;
use sui_sdk_types::{
    Address, Argument, Command, Digest, GasPayment, Input, MoveStruct, Mutability, Object, ObjectData, ObjectReference,
    Owner, ProgrammableTransaction, SharedInput, StructTag, Transaction, TransactionEffects, TransactionExpiration,
    TransactionKind,
};
use tonic::Status;
use walrus_client::wire::chain::Coin;

use super::address;
use crate::chain::execute::{MAX_BUDGET, MAX_GAS_COINS, Mode, REFERENCE_GAS_PRICE, execute};
use crate::chain::executor::Rules;
use crate::chain::packages::{Packages, Passing, Type};
use crate::chain::store::{ObjectSource, Snapshot, StoreError};

/// The id of the coin that pays in simulations.
const MOCK_COIN: Address = Address::new([0xfa; 32]);
/// What a coin of this size has paid for its storage.
const COIN_REBATE: u64 = 988_000;

fn invalid(reason: impl std::fmt::Display) -> Status {
    Status::invalid_argument(reason.to_string())
}

/// The complete transaction that a message means, gas aside.
pub(super) fn resolve(
    message: &proto::Transaction,
    snapshot: &Snapshot,
    packages: &Packages,
) -> Result<Transaction, Status> {
    if message.bcs.is_some() {
        return Transaction::try_from(message).map_err(|error| invalid(format!("invalid transaction: {error}")));
    }
    if let Ok(complete) = Transaction::try_from(message) {
        return Ok(complete);
    }
    let sender = address("sender", message.sender.as_deref())?;
    let program = match message.kind.as_ref().and_then(|kind| kind.data.as_ref()) {
        Some(proto::transaction_kind::Data::ProgrammableTransaction(program)) => program,
        _ => return Err(invalid("only programmable transactions are supported")),
    };
    let commands = program
        .commands
        .iter()
        .map(Command::try_from)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(format!("invalid command: {error}")))?;
    for command in &commands {
        check_call(command, packages)?;
    }
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (index, input) in program.inputs.iter().enumerate() {
        inputs.push(resolve_input(index, input, &commands, snapshot, packages)?);
    }
    let payment = message.gas_payment.as_ref();
    let mut objects = Vec::new();
    for object in payment.map(|payment| payment.objects.as_slice()).unwrap_or_default() {
        objects.push(gas_object(object, snapshot)?);
    }
    let owner = match payment.and_then(|payment| payment.owner.as_deref()) {
        Some(owner) => address("gas_payment.owner", Some(owner))?,
        None => sender,
    };
    let expiration = match &message.expiration {
        None => TransactionExpiration::None,
        Some(expiration) if expiration.kind.unwrap_or(0) == 0 => TransactionExpiration::None,
        Some(expiration) => expiration.try_into().map_err(|error| invalid(format!("expiration: {error}")))?,
    };
    Ok(Transaction {
        kind: TransactionKind::ProgrammableTransaction(ProgrammableTransaction { inputs, commands }),
        sender,
        gas_payment: GasPayment {
            objects,
            owner,
            price: payment.and_then(|payment| payment.price).unwrap_or(REFERENCE_GAS_PRICE),
            budget: payment.and_then(|payment| payment.budget).unwrap_or(0),
        },
        expiration,
    })
}

fn check_call(command: &Command, packages: &Packages) -> Result<(), Status> {
    let Command::MoveCall(call) = command else { return Ok(()) };
    if packages.package(&call.package).is_none() {
        return Err(Status::not_found(format!("Object {} not found", call.package)));
    }
    match packages.function(&call.package, &call.module, &call.function) {
        Some(_) => Ok(()),
        None => Err(invalid(format!("unable to find {}::{}::{}", call.package, call.module, call.function))),
    }
}

fn gas_object(object: &proto::ObjectReference, snapshot: &Snapshot) -> Result<ObjectReference, Status> {
    let id = address("gas_payment.objects", object.object_id.as_deref())?;
    let found = snapshot.object(&id)?.ok_or_else(|| Status::not_found(format!("Object {id} not found")))?;
    same_version(&found, object.version, object.digest.as_deref())?;
    Ok(ObjectReference::new(id, found.version(), found.digest()))
}

fn same_version(object: &Object, version: Option<u64>, digest: Option<&str>) -> Result<(), Status> {
    let id = object.object_id();
    if version.is_some_and(|version| version != object.version()) {
        return Err(invalid(format!(
            "provided version doesn't match, provided: {} actual: {} (object {id})",
            version.unwrap_or_default(),
            object.version()
        )));
    }
    let digest: Option<Digest> =
        digest.map(str::parse).transpose().map_err(|error| invalid(format!("digest: {error}")))?;
    match digest {
        Some(digest) if digest != object.digest() => {
            Err(invalid(format!("provided digest doesn't match, provided: {digest} (object {id})")))
        }
        _ => Ok(()),
    }
}

fn resolve_input(
    index: usize,
    input: &proto::Input,
    commands: &[Command],
    snapshot: &Snapshot,
    packages: &Packages,
) -> Result<Input, Status> {
    if let Some(bytes) = &input.pure {
        return Ok(Input::Pure(bytes.to_vec()));
    }
    if input.literal.is_some() {
        return Err(invalid("literal inputs are not supported: give BCS"));
    }
    if input.kind() == InputKind::FundsWithdrawal || input.funds_withdrawal.is_some() {
        return Err(invalid("withdrawals from address balances are not supported: address balances are 0"));
    }
    if input.kind() == InputKind::Receiving {
        return Err(invalid("receiving objects is not supported"));
    }
    let id = address("object_id", input.object_id.as_deref())?;
    let object = snapshot.object(&id)?.ok_or_else(|| Status::not_found(format!("Object {id} not found")))?;
    match object.owner() {
        Owner::Address(_) | Owner::Immutable => {
            same_version(&object, input.version, input.digest.as_deref())?;
            let reference = ObjectReference::new(id, object.version(), object.digest());
            Ok(Input::ImmutableOrOwned(reference))
        }
        Owner::Shared(initial) => {
            let mutable = is_mutable(index, commands, packages);
            Ok(Input::Shared(SharedInput::new(id, *initial, Mutability::from(mutable))))
        }
        Owner::Object(parent) => Err(invalid(format!("object {id} is a child of {parent}"))),
        _ => Err(invalid(format!("object {id} has an owner of an unknown kind"))),
    }
}

/// Whether any use of an input needs it mutable.
fn is_mutable(index: usize, commands: &[Command], packages: &Packages) -> bool {
    let it = |argument: &Argument| matches!(argument, Argument::Input(input) if usize::from(*input) == index);
    commands.iter().any(|command| match command {
        Command::MoveCall(call) => {
            let Some(function) = packages.function(&call.package, &call.module, &call.function) else {
                return false;
            };
            function.passed().zip(&call.arguments).any(|((passing, ty), argument)| {
                let needs = match passing {
                    Passing::RefMut => true,
                    Passing::Ref => false,
                    Passing::Value => matches!(ty, Type::Datatype { .. } | Type::Parameter(_)),
                };
                needs && it(argument)
            })
        }
        Command::SplitCoins(split) => it(&split.coin),
        Command::MergeCoins(merge) => it(&merge.coin) || merge.coins_to_merge.iter().any(it),
        Command::MakeMoveVector(make) => make.elements.iter().any(it),
        Command::TransferObjects(transfer) => transfer.objects.iter().any(it),
        _ => false,
    })
}

/// The state with one more coin, which pays for a simulation.
pub(super) struct WithMockCoin<'s> {
    snapshot: &'s Snapshot,
    coin: Object,
}

impl ObjectSource for WithMockCoin<'_> {
    fn object(&self, id: &Address) -> Result<Option<Object>, StoreError> {
        if *id == MOCK_COIN { Ok(Some(self.coin.clone())) } else { self.snapshot.object(id) }
    }
}

impl<'s> WithMockCoin<'s> {
    /// The state, and the transaction paid with the coin.
    pub(super) fn new(snapshot: &'s Snapshot, transaction: &Transaction) -> (Self, Transaction) {
        let payment = &transaction.gas_payment;
        let coin = Coin { id: MOCK_COIN, balance: u64::MAX / 2 };
        let contents = bcs::to_bytes(&coin).unwrap_or_default();
        // The contents begin with the id, so that there is a struct.
        let data = MoveStruct::new(StructTag::gas_coin(), true, 1, contents).map(ObjectData::Struct);
        let data = data.unwrap_or_else(|| {
            ObjectData::Package(sui_sdk_types::MovePackage {
                id: MOCK_COIN,
                version: 1,
                modules: Default::default(),
                type_origin_table: Vec::new(),
                linkage_table: Default::default(),
            })
        });
        let coin = Object::new(data, Owner::Address(payment.owner), Digest::ZERO, COIN_REBATE);
        let mut paid = transaction.clone();
        paid.gas_payment.objects = vec![ObjectReference::new(MOCK_COIN, 1, coin.digest())];
        if paid.gas_payment.budget == 0 {
            paid.gas_payment.budget = MAX_BUDGET;
        }
        (Self { snapshot, coin }, paid)
    }
}

/// Fills in the budget and the gas coins that the caller left open.
pub(super) fn select_gas(
    transaction: &mut Transaction,
    snapshot: &Snapshot,
    rules: &Rules,
    now_ms: u64,
) -> Result<(), Status> {
    if transaction.gas_payment.budget == 0 {
        transaction.gas_payment.budget = measure(transaction, snapshot, rules, now_ms)?;
    }
    if !transaction.gas_payment.objects.is_empty() {
        return Ok(());
    }
    let mut used = BTreeSet::new();
    if let TransactionKind::ProgrammableTransaction(program) = &transaction.kind {
        for input in &program.inputs {
            if let Input::ImmutableOrOwned(reference) = input {
                used.insert(*reference.object_id());
            }
        }
    }
    let owner = transaction.gas_payment.owner;
    let mut total = 0u64;
    for entry in snapshot.owned(&Owner::Address(owner), None)? {
        let (id, tag) = entry?;
        if tag != StructTag::gas_coin() || used.contains(&id) {
            continue;
        }
        let Some(object) = snapshot.object(&id)? else { continue };
        let coin = object.as_struct().and_then(|data| bcs::from_bytes::<Coin>(data.contents()).ok());
        total = total.saturating_add(coin.map_or(0, |coin| coin.balance));
        transaction.gas_payment.objects.push(ObjectReference::new(id, object.version(), object.digest()));
        if transaction.gas_payment.objects.len() == MAX_GAS_COINS {
            break;
        }
    }
    let budget = transaction.gas_payment.budget;
    if total < budget {
        return Err(invalid(format!(
            "Unable to perform gas selection due to insufficient SUI balance (in address balance or coins) for \
             account {owner} to satisfy required budget {budget}."
        )));
    }
    Ok(())
}

/// The budget that an execution needs, with room for a change of price or state.
fn measure(transaction: &Transaction, snapshot: &Snapshot, rules: &Rules, now_ms: u64) -> Result<u64, Status> {
    if !transaction.gas_payment.objects.is_empty() {
        let mut total = 0u64;
        for reference in &transaction.gas_payment.objects {
            let object = snapshot.object(reference.object_id())?;
            let coin = object
                .as_ref()
                .and_then(|object| object.as_struct())
                .and_then(|data| bcs::from_bytes::<Coin>(data.contents()).ok());
            total = total.saturating_add(coin.map_or(0, |coin| coin.balance));
        }
        let probe = measured(transaction, snapshot, rules, now_ms)?;
        return Ok(probe.min(total));
    }
    measured(transaction, snapshot, rules, now_ms)
}

fn measured(transaction: &Transaction, snapshot: &Snapshot, rules: &Rules, now_ms: u64) -> Result<u64, Status> {
    let (source, paid) = WithMockCoin::new(snapshot, transaction);
    let executed = execute(&rules.context(&source, now_ms), &paid, Mode::User)?;
    let effects = TransactionEffects::V2(Box::new(executed.effects));
    let gas = effects.gas_summary();
    let net = gas.computation_cost.saturating_add(gas.storage_cost).saturating_sub(gas.storage_rebate);
    let safety = transaction.gas_payment.price.saturating_mul(1000);
    Ok(gas.computation_cost.max(net).saturating_add(safety).min(MAX_BUDGET))
}
