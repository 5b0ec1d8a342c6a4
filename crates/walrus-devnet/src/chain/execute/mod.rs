//! One transaction: admission, execution, effects.
//!
//! Mechanism: [`admit`] checks what a validator checks before executing (nothing changes if it refuses), [`run`] interprets the
//! commands over a session, [`settle`] turns the session's changes into written objects, gas and effects. A failed execution is
//! settled again from the inputs alone, so that only gas and versions change.

mod admit;
mod ptb;
mod session;
mod settle;
mod values;

use sui_sdk_types::{
    Address, BalanceChange, Command, Digest, Event, ExecutionError, ExecutionStatus, MoveLocation, Object,
    ProgrammableTransaction, Transaction, TransactionEffectsV2, TransactionKind,
};

pub(crate) use admit::{Admitted, MAX_BUDGET, MAX_GAS_COINS, REFERENCE_GAS_PRICE, admit, check_signatures};
pub(crate) use ptb::{Call, CommandOutput};
pub(crate) use session::{Failure, Live, Outcome, Session, abort, broken, ensure, from_bytes, id_of, to_bytes};

use super::packages::Packages;
use super::store::{ObjectSource, StoreError};
use ptb::{Failed, Location, Machine, Origin};
use values::Value;
use walrus_client::wire::chain::{Clock, Coin};

/// The shared clock object.
pub(crate) const CLOCK: Address = Address::from_static("0x6");

/// Why a transaction was not executed at all.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The transaction is wrong or stale.
    Invalid(String),
    /// Something that it names does not exist.
    NotFound(String),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How strict execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Signed by users: every rule.
    User,
    /// Simulation without checks: no gas, no ownership, leftovers allowed.
    Unchecked,
    /// A transaction of the chain itself: no gas, no ownership, privileged calls.
    System,
}

/// What the chain is at this moment.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn ObjectSource,
    pub(crate) packages: &'a Packages,
    pub(crate) chain_id: Digest,
    /// Sui's epoch, not Walrus's.
    pub(crate) epoch: u64,
    pub(crate) timestamp_ms: u64,
}

/// An executed transaction, not yet stored.
pub(crate) struct Executed {
    pub(crate) digest: Digest,
    pub(crate) effects: TransactionEffectsV2,
    pub(crate) events: Vec<Event>,
    pub(crate) written: Vec<Object>,
    pub(crate) removed: Vec<Address>,
    pub(crate) balance_changes: Vec<BalanceChange>,
    pub(crate) object_types: Vec<(Address, String)>,
    pub(crate) outputs: Vec<CommandOutput>,
}

/// The commands of a transaction that this chain can execute.
pub(crate) fn program(transaction: &Transaction) -> Option<&ProgrammableTransaction> {
    match &transaction.kind {
        TransactionKind::ProgrammableTransaction(program) | TransactionKind::ProgrammableSystemTransaction(program) => {
            Some(program)
        }
        _ => None,
    }
}

/// Admits and executes a transaction. Signatures are the caller's business.
pub(crate) fn execute(context: &Context<'_>, transaction: &Transaction, mode: Mode) -> Result<Executed, Refused> {
    let admitted = admit(context, transaction, mode)?;
    run(context, transaction, &admitted, mode)
}

fn run(context: &Context<'_>, transaction: &Transaction, admitted: &Admitted, mode: Mode) -> Result<Executed, Refused> {
    let digest = transaction.digest();
    let session = || {
        let privileged = mode == Mode::System;
        Session::new(context.source, context.packages, digest, transaction.sender, privileged)
    };
    let mut machine = Machine {
        session: session(),
        inputs: Vec::new(),
        gas: Location { value: None, origin: Origin::Pure },
        results: Vec::new(),
        outputs: Vec::new(),
        lenient: mode == Mode::Unchecked,
    };
    load(context, transaction, admitted, &mut machine)?;
    let commands: &[Command] = program(transaction).map(|program| program.commands.as_slice()).unwrap_or_default();
    let failed = match machine.run(commands) {
        Ok(()) => {
            let outputs = std::mem::take(&mut machine.outputs);
            let settled = settle::settle(
                context,
                transaction,
                admitted,
                machine.session.finish(),
                ExecutionStatus::Success,
                commands.len(),
            )?;
            match settled {
                Ok(executed) => return Ok(Executed { outputs, ..executed }),
                Err(error) => Failed { error: Failure::Execution(error), command: None, function: None },
            }
        }
        Err(failed) => *failed,
    };
    let status = status(context, failed)?;
    let mut session = session();
    for object in admitted.mutable() {
        session.slot(object.object_id())?;
    }
    let settled = settle::settle(context, transaction, admitted, session.finish(), status, commands.len())?;
    settled.map_err(|error| Refused::Invalid(format!("cannot charge gas: {error:?}")))
}

/// Fills the machine's inputs and gas coin.
fn load(
    context: &Context<'_>,
    transaction: &Transaction,
    admitted: &Admitted,
    machine: &mut Machine<'_>,
) -> Result<(), Refused> {
    for input in &admitted.inputs {
        let location = match input {
            admit::Input::Pure(bytes) => Location { value: Some(Value::Pure(bytes.clone())), origin: Origin::Pure },
            admit::Input::Object(object, origin) => {
                let live = session::live(object)
                    .ok_or_else(|| Refused::Invalid(format!("{} is a package", object.object_id())))?;
                let mut contents = live.contents;
                if object.object_id() == CLOCK {
                    let clock = Clock { id: CLOCK, timestamp_ms: context.timestamp_ms };
                    contents = bcs::to_bytes(&clock).unwrap_or_default();
                }
                machine.session.slot(object.object_id())?;
                Location { value: Some(Value::object(live.tag, contents)), origin: *origin }
            }
        };
        machine.inputs.push(location);
    }
    for object in &admitted.gas {
        machine.session.slot(object.object_id())?;
    }
    if let Some(first) = admitted.gas.first() {
        let balance = admitted.gas_total.saturating_sub(transaction.gas_payment.budget);
        let coin = Coin { id: first.object_id(), balance };
        for rest in admitted.gas.iter().skip(1) {
            machine.session.slot(rest.object_id())?.now = None;
            machine.session.delete_id(rest.object_id());
        }
        machine.gas = Location {
            value: Some(Value::object(sui_sdk_types::StructTag::gas_coin(), bcs::to_bytes(&coin).unwrap_or_default())),
            origin: Origin::Gas(*first.owner()),
        };
    }
    Ok(())
}

/// The status that reports a failure.
fn status(context: &Context<'_>, failed: Failed) -> Result<ExecutionStatus, Refused> {
    let location = |pkg, module: &str| {
        let function = failed.function.as_deref().filter(|(_, f)| f.pkg == pkg && &*f.module == module);
        let called = failed.function.as_deref().filter(|(_, f)| f.pkg == pkg).map(|(package, _)| *package);
        Some(MoveLocation {
            package: called.unwrap_or_else(|| context.packages.ids.of(pkg)),
            module: sui_sdk_types::Identifier::new(module).ok()?,
            function: function.map_or(0, |(_, f)| f.index),
            instruction: 0,
            function_name: function.map(|(_, f)| f.name.clone()),
        })
    };
    let error = match failed.error {
        Failure::Store(error) => return Err(error.into()),
        Failure::Execution(error) => error,
        Failure::Abort { pkg, module, code } => match location(pkg, module) {
            Some(location) => ExecutionError::MoveAbort { location, code },
            None => ExecutionError::InvariantViolation,
        },
        Failure::Arithmetic => {
            let location = failed.function.as_deref().and_then(|(_, f)| location(f.pkg, &f.module));
            ExecutionError::MovePrimitiveRuntimeError { location }
        }
    };
    let command = failed.command.and_then(|index| u64::try_from(index).ok());
    Ok(ExecutionStatus::Failure { error, command })
}
