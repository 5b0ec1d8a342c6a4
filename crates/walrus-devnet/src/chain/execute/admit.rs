//! The checks before execution, in the order of a real validator. A refused transaction changes nothing.

use std::collections::BTreeSet;

use sui_crypto::Verifier;
use sui_crypto::ed25519::Ed25519Verifier;
use sui_sdk_types::{
    Address, Argument, Command, Object, ObjectReference, Owner, SimpleSignature, StructTag, Transaction,
    TransactionExpiration, UserSignature,
};

use super::ptb::Origin;
use super::{CLOCK, Context, Mode, Refused, program};
use walrus_client::wire::chain::Coin;

/// MIST per unit of computation.
pub(crate) const REFERENCE_GAS_PRICE: u64 = 1000;
/// The highest budget, MIST.
pub(crate) const MAX_BUDGET: u64 = 50_000_000_000;
/// The most gas coins of one transaction.
pub(crate) const MAX_GAS_COINS: usize = 256;

const MAX_TRANSACTION_BYTES: usize = 128 * 1024;
const MAX_PURE_BYTES: usize = 16 * 1024;
const MAX_INPUTS: usize = 2048;
const MAX_COMMANDS: usize = 1024;
const MAX_ARGUMENTS: usize = 512;

/// An input that was looked up.
pub(crate) enum Input {
    Pure(Vec<u8>),
    Object(Box<Object>, Origin),
}

/// A transaction's inputs at the versions that it will run on.
pub(crate) struct Admitted {
    pub(crate) inputs: Vec<Input>,
    /// Gas coins; the first one pays.
    pub(crate) gas: Vec<Object>,
    /// Sum of the gas coins, MIST.
    pub(crate) gas_total: u64,
}

impl Admitted {
    /// Every object input, the gas coins included.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Object> {
        let inputs = self.inputs.iter().filter_map(|input| match input {
            Input::Object(object, _) => Some(object.as_ref()),
            Input::Pure(_) => None,
        });
        inputs.chain(&self.gas)
    }

    /// Inputs that get a new version whatever happens.
    pub(crate) fn mutable(&self) -> impl Iterator<Item = &Object> {
        let inputs = self.inputs.iter().filter_map(|input| match input {
            Input::Object(object, Origin::Owned(_) | Origin::SharedMut(_)) => Some(object.as_ref()),
            _ => None,
        });
        inputs.chain(&self.gas)
    }

    /// Shared inputs that are only read.
    pub(crate) fn read_only_shared(&self) -> impl Iterator<Item = &Object> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Object(object, Origin::ReadOnly) if matches!(object.owner(), Owner::Shared(_)) => {
                Some(object.as_ref())
            }
            _ => None,
        })
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Invalid(reason.into()))
}

fn inputs_invalid(reason: impl std::fmt::Display) -> Refused {
    Refused::Invalid(format!("Transaction execution failed due to issues with transaction inputs: {reason}"))
}

/// One valid ed25519 signature each of the sender and the gas owner.
pub(crate) fn check_signatures(transaction: &Transaction, signatures: &[UserSignature]) -> Result<(), Refused> {
    let mut wanted = BTreeSet::from([transaction.sender, transaction.gas_payment.owner]);
    if signatures.len() != wanted.len() {
        return invalid(format!(
            "Invalid user signature: expected {} signatures, found {}",
            wanted.len(),
            signatures.len()
        ));
    }
    let message = transaction.signing_digest();
    for signature in signatures {
        let UserSignature::Simple(SimpleSignature::Ed25519 { public_key, .. }) = signature else {
            return invalid("Invalid user signature: only ed25519 signatures are supported here");
        };
        let verified = Ed25519Verifier::new().verify(&message, signature);
        if let Err(error) = verified {
            return invalid(format!("Invalid user signature: {error}"));
        }
        let signer = public_key.derive_address();
        if !wanted.remove(&signer) {
            return invalid(format!("Invalid user signature: {signer} is neither the sender nor the gas owner"));
        }
    }
    Ok(())
}

/// Looks every input up and checks it.
pub(crate) fn admit(context: &Context<'_>, transaction: &Transaction, mode: Mode) -> Result<Admitted, Refused> {
    let Some(program) = program(transaction) else {
        return invalid("only programmable transactions can be executed");
    };
    check_limits(transaction)?;
    check_expiration(context, transaction)?;
    if mode == Mode::User {
        let gas = &transaction.gas_payment;
        if gas.price < REFERENCE_GAS_PRICE {
            return invalid(format!("Gas price {} under reference gas price {REFERENCE_GAS_PRICE}", gas.price));
        }
        if gas.budget > MAX_BUDGET {
            return invalid(format!("Gas budget {} is higher than the maximum {MAX_BUDGET}", gas.budget));
        }
        let least = gas.price.saturating_mul(super::settle::MIN_UNITS);
        if gas.budget < least {
            return invalid(format!("Gas budget {} is lower than the minimum {least}", gas.budget));
        }
    }
    let mut seen = BTreeSet::new();
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for input in &program.inputs {
        let input = admit_input(context, transaction, input, mode)?;
        if let Input::Object(object, _) = &input
            && !seen.insert(object.object_id())
        {
            return invalid(format!("Mutable object {} cannot appear more than once", object.object_id()));
        }
        inputs.push(input);
    }
    let (gas, gas_total) =
        if mode == Mode::User { admit_gas(context, transaction, &mut seen)? } else { (Vec::new(), 0) };
    Ok(Admitted { inputs, gas, gas_total })
}

fn check_limits(transaction: &Transaction) -> Result<(), Refused> {
    let Some(program) = program(transaction) else { return Ok(()) };
    let size = bcs::serialized_size(transaction).map_err(|error| Refused::Invalid(error.to_string()))?;
    if size > MAX_TRANSACTION_BYTES {
        return invalid(format!("serialized transaction of {size} bytes is over the limit {MAX_TRANSACTION_BYTES}"));
    }
    if program.inputs.len() > MAX_INPUTS || program.commands.len() > MAX_COMMANDS {
        return invalid(format!("more than {MAX_INPUTS} inputs or {MAX_COMMANDS} commands"));
    }
    if program.commands.is_empty() {
        return invalid("a transaction needs at least one command");
    }
    let arguments = |list: &[Argument]| list.len() > MAX_ARGUMENTS;
    let too_many = program.commands.iter().any(|command| match command {
        Command::MoveCall(call) => arguments(&call.arguments),
        Command::TransferObjects(transfer) => arguments(&transfer.objects),
        Command::SplitCoins(split) => arguments(&split.amounts),
        Command::MergeCoins(merge) => arguments(&merge.coins_to_merge),
        Command::MakeMoveVector(make) => arguments(&make.elements),
        _ => false,
    });
    if too_many {
        return invalid(format!("a command has more than {MAX_ARGUMENTS} arguments"));
    }
    Ok(())
}

fn check_expiration(context: &Context<'_>, transaction: &Transaction) -> Result<(), Refused> {
    let (min_epoch, max_epoch, min_time, max_time, chain) = match &transaction.expiration {
        TransactionExpiration::None => return Ok(()),
        TransactionExpiration::Epoch(last) => (None, Some(*last), None, None, None),
        TransactionExpiration::ValidDuring { min_epoch, max_epoch, min_timestamp, max_timestamp, chain, .. }
        | TransactionExpiration::Validity { min_epoch, max_epoch, min_timestamp, max_timestamp, chain, .. } => {
            (*min_epoch, *max_epoch, *min_timestamp, *max_timestamp, Some(chain))
        }
        _ => return invalid("unknown expiration"),
    };
    if chain.is_some_and(|chain| *chain != context.chain_id) {
        return invalid("the transaction is for another chain");
    }
    let early =
        min_epoch.is_some_and(|min| context.epoch < min) || min_time.is_some_and(|min| context.timestamp_ms < min);
    let late =
        max_epoch.is_some_and(|max| context.epoch > max) || max_time.is_some_and(|max| context.timestamp_ms > max);
    if early || late {
        return invalid(if late { "Transaction Expired" } else { "the transaction is not valid yet" });
    }
    Ok(())
}

fn admit_input(
    context: &Context<'_>,
    transaction: &Transaction,
    input: &sui_sdk_types::Input,
    mode: Mode,
) -> Result<Input, Refused> {
    match input {
        sui_sdk_types::Input::Pure(bytes) if bytes.len() > MAX_PURE_BYTES => {
            invalid(format!("pure argument of {} bytes is over the limit {MAX_PURE_BYTES}", bytes.len()))
        }
        sui_sdk_types::Input::Pure(bytes) => Ok(Input::Pure(bytes.clone())),
        sui_sdk_types::Input::ImmutableOrOwned(reference) => {
            let object = lookup(context, reference)?;
            let owner = *object.owner();
            match owner {
                Owner::Immutable => Ok(Input::Object(Box::new(object), Origin::ReadOnly)),
                Owner::Address(address) if address == transaction.sender || mode != Mode::User => {
                    Ok(Input::Object(Box::new(object), Origin::Owned(owner)))
                }
                Owner::Address(address) => Err(inputs_invalid(format!(
                    "object {} is owned by account address {address}, but the sender is {}",
                    reference.object_id(),
                    transaction.sender
                ))),
                Owner::Object(parent) => Err(inputs_invalid(format!(
                    "object {} is a child of {parent} and cannot be an input",
                    reference.object_id()
                ))),
                _ => Err(inputs_invalid(format!("object {} is shared", reference.object_id()))),
            }
        }
        sui_sdk_types::Input::Shared(shared) => {
            let id = shared.object_id();
            let object = context.source.object(&id)?.ok_or_else(|| inputs_invalid(format!("Object {id} not found")))?;
            let owner = *object.owner();
            if owner != Owner::Shared(shared.version()) {
                return Err(inputs_invalid(format!(
                    "object {id} is not shared at initial version {}",
                    shared.version()
                )));
            }
            let mutable = shared.mutability().is_mutable();
            if mutable && id == CLOCK && mode != Mode::System {
                return Err(inputs_invalid("the clock cannot be taken mutably"));
            }
            let origin = if mutable { Origin::SharedMut(owner) } else { Origin::ReadOnly };
            Ok(Input::Object(Box::new(object), origin))
        }
        sui_sdk_types::Input::Receiving(_) => invalid("receiving objects is not supported here"),
        sui_sdk_types::Input::FundsWithdrawal(_) => {
            invalid("withdrawals from address balances are not supported here: address balances are 0")
        }
        _ => invalid("unknown input"),
    }
}

/// An owned or immutable object at exactly the version and digest of the reference.
fn lookup(context: &Context<'_>, reference: &ObjectReference) -> Result<Object, Refused> {
    let id = reference.object_id();
    let object = context.source.object(id)?.ok_or_else(|| inputs_invalid(format!("Object {id} not found")))?;
    if object.version() != reference.version() {
        return Err(inputs_invalid(format!(
            "Object {id} version {} is not available for consumption, current version: {}",
            reference.version(),
            object.version()
        )));
    }
    if object.digest() != *reference.digest() {
        return Err(inputs_invalid(format!("Object {id} digest {} is not its digest", reference.digest())));
    }
    Ok(object)
}

fn admit_gas(
    context: &Context<'_>,
    transaction: &Transaction,
    seen: &mut BTreeSet<Address>,
) -> Result<(Vec<Object>, u64), Refused> {
    let payment = &transaction.gas_payment;
    if payment.objects.is_empty() {
        return invalid("no gas coin: address balances are 0 here");
    }
    if payment.objects.len() > MAX_GAS_COINS {
        return invalid(format!("more than {MAX_GAS_COINS} gas coins"));
    }
    let mut gas = Vec::with_capacity(payment.objects.len());
    let mut total = 0u64;
    for reference in &payment.objects {
        let object = lookup(context, reference)?;
        let id = object.object_id();
        if !seen.insert(id) {
            return invalid(format!("Mutable object {id} cannot appear more than once"));
        }
        if *object.owner() != Owner::Address(payment.owner) {
            return Err(inputs_invalid(format!("gas object {id} is not owned by {}", payment.owner)));
        }
        total = total
            .checked_add(sui_balance(&object).ok_or_else(|| inputs_invalid(format!("{id} is no SUI coin")))?)
            .ok_or_else(|| inputs_invalid("gas coins overflow"))?;
        gas.push(object);
    }
    if total < payment.budget {
        return Err(inputs_invalid(format!(
            "Balance of gas object {total} is lower than the needed amount: {}",
            payment.budget
        )));
    }
    Ok((gas, total))
}

/// The balance of a SUI coin.
fn sui_balance(object: &Object) -> Option<u64> {
    let data = object.as_struct()?;
    if *data.object_type() != StructTag::gas_coin() {
        return None;
    }
    bcs::from_bytes::<Coin>(data.contents()).ok().map(|coin| coin.balance)
}
