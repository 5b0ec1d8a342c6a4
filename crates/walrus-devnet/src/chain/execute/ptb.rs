//! The interpreter of programmable transactions.
//!
//! Mechanism: every argument names a location (input, gas coin, result) that holds at most one value. A command takes values out
//! (by value) or works on them in place (`&`, `&mut`). Move values are their BCS bytes with a type; native functions decode,
//! change and encode them. Promises: values move or copy as their abilities say; a value without `drop` that is left in a result
//! fails the transaction.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sui_sdk_types::{
    Address, Argument, Command, CommandArgumentError, ExecutionError, MoveCall, Owner, StructTag, TypeArgumentError,
    TypeTag,
};

use super::session::{Failure, Outcome, Session, broken, id_of, to_bytes};
use super::values::{Value, is_pure};
use crate::chain::packages::{Abilities, Function, Passing};
use walrus_client::wire::chain::Coin;

/// Where a value of a location comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Pure,
    Owned(Owner),
    SharedMut(Owner),
    ReadOnly,
    Gas(Owner),
    Result,
}

/// A place that arguments name.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) value: Option<Value>,
    pub(crate) origin: Origin,
}

/// A failure and the command that it happened in.
pub(crate) struct Failed {
    pub(crate) error: Failure,
    pub(crate) command: Option<usize>,
    /// The function that ran, for abort locations.
    pub(crate) function: Option<Box<(Address, Function)>>,
}

/// What a command gave back, for simulation.
#[derive(Default)]
pub(crate) struct CommandOutput {
    pub(crate) returned: Vec<(TypeTag, Vec<u8>)>,
    pub(crate) mutated: Vec<(Argument, TypeTag, Vec<u8>)>,
}

/// The machine: locations over a session.
pub(crate) struct Machine<'a> {
    pub(crate) session: Session<'a>,
    pub(crate) inputs: Vec<Location>,
    pub(crate) gas: Location,
    pub(crate) results: Vec<Vec<Location>>,
    pub(crate) outputs: Vec<CommandOutput>,
    /// Simulation without checks: values may be left over.
    pub(crate) lenient: bool,
}

fn argument(index: usize, kind: CommandArgumentError) -> Failure {
    let argument = u16::try_from(index).unwrap_or(u16::MAX);
    Failure::Execution(ExecutionError::CommandArgumentError { argument, kind })
}

/// A native call in progress: the arguments' bytes, in the order of the declaration without the transaction context.
pub(crate) struct Call<'c, 'a> {
    pub(crate) session: &'c mut Session<'a>,
    pub(crate) targs: &'c [TypeTag],
    args: Vec<Vec<u8>>,
    returns: Vec<Vec<u8>>,
}

impl Call<'_, '_> {
    /// The argument at `index`.
    pub(crate) fn arg<T: DeserializeOwned>(&self, index: usize) -> Outcome<T> {
        let bytes = self.bytes(index)?;
        bcs::from_bytes(bytes).map_err(|_| argument(index, CommandArgumentError::InvalidBcsBytes))
    }

    /// The argument's bytes.
    pub(crate) fn bytes(&self, index: usize) -> Outcome<&[u8]> {
        self.args.get(index).map(Vec::as_slice).ok_or_else(broken)
    }

    /// Changes what a `&mut` parameter refers to.
    pub(crate) fn set<T: Serialize>(&mut self, index: usize, value: &T) -> Outcome<()> {
        let bytes = to_bytes(value)?;
        *self.args.get_mut(index).ok_or_else(broken)? = bytes;
        Ok(())
    }

    /// Adds a result.
    pub(crate) fn ret<T: Serialize>(&mut self, value: &T) -> Outcome<()> {
        let bytes = to_bytes(value)?;
        self.returns.push(bytes);
        Ok(())
    }

    /// Adds a result that is BCS already.
    pub(crate) fn ret_bytes(&mut self, bytes: Vec<u8>) {
        self.returns.push(bytes);
    }

    /// The type argument at `index`, which must be a struct.
    pub(crate) fn struct_targ(&self, index: usize) -> Outcome<StructTag> {
        match self.targs.get(index) {
            Some(TypeTag::Struct(tag)) => Ok((**tag).clone()),
            _ => Err(broken()),
        }
    }
}

impl Machine<'_> {
    /// Runs the commands, then checks that nothing is left that must not be.
    pub(crate) fn run(&mut self, commands: &[Command]) -> Result<(), Box<Failed>> {
        for (index, command) in commands.iter().enumerate() {
            let mut function = None;
            let done = self.command(command, &mut function);
            done.map_err(|error| Box::new(Failed { error, command: Some(index), function }))?;
        }
        self.leftovers().map_err(|error| Box::new(Failed { error, command: None, function: None }))
    }

    fn command(&mut self, command: &Command, running: &mut Option<Box<(Address, Function)>>) -> Outcome<()> {
        let returned = match command {
            Command::MoveCall(call) => return self.move_call(call, running),
            Command::SplitCoins(split) => self.split(split.coin, &split.amounts)?,
            Command::MergeCoins(merge) => self.merge(merge.coin, &merge.coins_to_merge)?,
            Command::TransferObjects(transfer) => self.transfer(&transfer.objects, transfer.address)?,
            Command::MakeMoveVector(make) => self.make_vector(make.type_.as_ref(), &make.elements)?,
            _ => return Err(Failure::Execution(ExecutionError::FeatureNotYetSupported)),
        };
        self.push(returned, Vec::new());
        Ok(())
    }

    fn push(&mut self, returned: Vec<(TypeTag, Vec<u8>)>, mutated: Vec<(Argument, TypeTag, Vec<u8>)>) {
        self.outputs.push(CommandOutput { returned: returned.clone(), mutated });
        let location = |(ty, bytes)| Location { value: Some(Value::Typed { ty, bytes }), origin: Origin::Result };
        self.results.push(returned.into_iter().map(location).collect());
    }

    fn locate(&mut self, index: usize, arg: Argument) -> Outcome<&mut Location> {
        match arg {
            Argument::Gas => Ok(&mut self.gas),
            Argument::Input(input) => self
                .inputs
                .get_mut(usize::from(input))
                .ok_or_else(|| argument(index, CommandArgumentError::IndexOutOfBounds { index: input })),
            Argument::Result(result) => {
                let results = self
                    .results
                    .get_mut(usize::from(result))
                    .ok_or_else(|| argument(index, CommandArgumentError::IndexOutOfBounds { index: result }))?;
                match results.as_mut_slice() {
                    [one] => Ok(one),
                    _ => Err(argument(index, CommandArgumentError::InvalidResultArity { result })),
                }
            }
            Argument::NestedResult(result, subresult) => self
                .results
                .get_mut(usize::from(result))
                .ok_or_else(|| argument(index, CommandArgumentError::IndexOutOfBounds { index: result }))?
                .get_mut(usize::from(subresult))
                .ok_or_else(|| argument(index, CommandArgumentError::SecondaryIndexOutOfBounds { result, subresult })),
        }
    }

    fn abilities(&self, ty: &TypeTag) -> Abilities {
        self.session.packages.abilities(ty).unwrap_or_default()
    }

    /// Takes a value by value: moved, or copied if its type may be.
    fn take(&mut self, index: usize, arg: Argument, gas_allowed: bool) -> Outcome<Value> {
        let location = self.locate(index, arg)?;
        let origin = location.origin;
        let Some(value) = &location.value else {
            return Err(argument(index, CommandArgumentError::InvalidValueUsage));
        };
        let copyable = match value {
            Value::Pure(_) => return Ok(value.clone()),
            Value::Typed { ty, .. } => {
                let ty = ty.clone();
                self.abilities(&ty).copy
            }
        };
        match origin {
            Origin::ReadOnly if !copyable => return Err(argument(index, CommandArgumentError::InvalidObjectByValue)),
            Origin::SharedMut(_) => {
                return Err(argument(index, CommandArgumentError::ConsensusObjectOperationNotAllowed));
            }
            Origin::Gas(_) if !gas_allowed => {
                return Err(argument(index, CommandArgumentError::InvalidGasCoinUsage));
            }
            _ => {}
        }
        let location = self.locate(index, arg)?;
        let value = if copyable { location.value.clone() } else { location.value.take() };
        let value = value.ok_or_else(broken)?;
        if let (Origin::Owned(_) | Origin::Gas(_), Value::Typed { bytes, .. }) = (origin, &value)
            && let Some(id) = id_of(bytes)
        {
            self.session.take(id)?;
        }
        Ok(value)
    }

    /// The bytes of a value that is borrowed, with its type if it has one.
    fn borrow(&mut self, index: usize, arg: Argument, mutably: bool) -> Outcome<Value> {
        let location = self.locate(index, arg)?;
        if mutably && location.origin == Origin::ReadOnly {
            return Err(argument(index, CommandArgumentError::InvalidObjectByMutRef));
        }
        location.value.clone().ok_or_else(|| argument(index, CommandArgumentError::InvalidValueUsage))
    }

    fn write_back(&mut self, index: usize, arg: Argument, ty: TypeTag, bytes: Vec<u8>) -> Outcome<()> {
        self.locate(index, arg)?.value = Some(Value::Typed { ty, bytes });
        Ok(())
    }

    fn typed(index: usize, value: Value, ty: &TypeTag) -> Outcome<Vec<u8>> {
        match value {
            Value::Pure(bytes) if is_pure(ty, &bytes) => Ok(bytes),
            Value::Pure(_) => Err(argument(index, CommandArgumentError::InvalidBcsBytes)),
            Value::Typed { ty: found, bytes } if found == *ty => Ok(bytes),
            Value::Typed { .. } => Err(argument(index, CommandArgumentError::TypeMismatch)),
        }
    }

    fn coin(&mut self, index: usize, arg: Argument) -> Outcome<(TypeTag, Coin)> {
        match self.borrow(index, arg, true)? {
            Value::Typed { ty: TypeTag::Struct(tag), bytes } if tag.is_coin().is_some() => {
                let coin = bcs::from_bytes(&bytes).map_err(|_| broken())?;
                Ok((TypeTag::Struct(tag), coin))
            }
            _ => Err(argument(index, CommandArgumentError::TypeMismatch)),
        }
    }

    fn split(&mut self, arg: Argument, amounts: &[Argument]) -> Outcome<Vec<(TypeTag, Vec<u8>)>> {
        let (ty, mut coin) = self.coin(0, arg)?;
        let mut parts = Vec::with_capacity(amounts.len());
        for (index, amount) in amounts.iter().enumerate() {
            let amount = self.take(index + 1, *amount, false)?;
            let bytes = Self::typed(index + 1, amount, &TypeTag::U64)?;
            let amount: u64 = bcs::from_bytes(&bytes).map_err(|_| broken())?;
            coin.balance =
                coin.balance.checked_sub(amount).ok_or(Failure::Execution(ExecutionError::InsufficientCoinBalance))?;
            let part = Coin { id: self.session.new_id(), balance: amount };
            parts.push((ty.clone(), to_bytes(&part)?));
        }
        let bytes = to_bytes(&coin)?;
        self.write_back(0, arg, ty, bytes)?;
        Ok(parts)
    }

    fn merge(&mut self, arg: Argument, sources: &[Argument]) -> Outcome<Vec<(TypeTag, Vec<u8>)>> {
        let (ty, mut coin) = self.coin(0, arg)?;
        for (index, source) in sources.iter().enumerate() {
            if *source == arg {
                return Err(argument(index + 1, CommandArgumentError::CannotMoveBorrowedValue));
            }
            let value = self.take(index + 1, *source, false)?;
            let merged: Coin = bcs::from_bytes(&Self::typed(index + 1, value, &ty)?).map_err(|_| broken())?;
            coin.balance = coin
                .balance
                .checked_add(merged.balance)
                .ok_or(Failure::Execution(ExecutionError::CoinBalanceOverflow))?;
            self.session.delete_id(merged.id);
        }
        let bytes = to_bytes(&coin)?;
        self.write_back(0, arg, ty, bytes)?;
        Ok(Vec::new())
    }

    fn transfer(&mut self, objects: &[Argument], address: Argument) -> Outcome<Vec<(TypeTag, Vec<u8>)>> {
        let to = self.take(objects.len(), address, false)?;
        let to = Self::typed(objects.len(), to, &TypeTag::Address)?;
        let to = Address::from_bytes(&to).map_err(|_| broken())?;
        for (index, object) in objects.iter().enumerate() {
            match self.take(index, *object, true)? {
                Value::Typed { ty, bytes } => {
                    let abilities = self.abilities(&ty);
                    let (TypeTag::Struct(tag), true, true) = (ty, abilities.key, abilities.store) else {
                        return Err(Failure::Execution(ExecutionError::InvalidTransferObject));
                    };
                    self.session.place(Owner::Address(to), *tag, bytes)?;
                }
                Value::Pure(_) => return Err(argument(index, CommandArgumentError::TypeMismatch)),
            }
        }
        Ok(Vec::new())
    }

    fn make_vector(&mut self, ty: Option<&TypeTag>, elements: &[Argument]) -> Outcome<Vec<(TypeTag, Vec<u8>)>> {
        let mut item = ty.cloned();
        let mut bytes = Vec::new();
        let count = u32::try_from(elements.len()).map_err(|_| broken())?;
        // A vector is its length as ULEB128, then its items.
        let mut left = count;
        while left >= 0x80 {
            bytes.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        bytes.push((left & 0x7f) as u8);
        for (index, element) in elements.iter().enumerate() {
            let value = self.take(index, *element, false)?;
            let ty = match (&item, &value) {
                (Some(ty), _) => ty.clone(),
                (None, Value::Typed { ty, .. }) if self.abilities(ty).key => ty.clone(),
                _ => return Err(argument(index, CommandArgumentError::InvalidMakeMoveVecNonObjectArgument)),
            };
            bytes.extend(Self::typed(index, value, &ty)?);
            item = Some(ty);
        }
        let item = item.ok_or(Failure::Execution(ExecutionError::TypeArgumentError {
            type_argument: 0,
            kind: TypeArgumentError::TypeNotFound,
        }))?;
        Ok(vec![(TypeTag::Vector(Box::new(item)), bytes)])
    }

    fn move_call(&mut self, call: &MoveCall, running: &mut Option<Box<(Address, Function)>>) -> Outcome<()> {
        let packages = self.session.packages;
        let function = packages
            .function(&call.package, &call.module, &call.function)
            .ok_or(Failure::Execution(ExecutionError::FunctionNotFound))?;
        *running = Some(Box::new((call.package, function.clone())));
        self.check_type_arguments(call, function)?;
        let params: Vec<_> = function.passed().collect();
        if params.len() != call.arguments.len() {
            return Err(Failure::Execution(ExecutionError::ArityMismatch));
        }
        let mut args = Vec::with_capacity(params.len());
        let mut types = Vec::with_capacity(params.len());
        for (index, ((passing, ty), arg)) in params.iter().zip(&call.arguments).enumerate() {
            let ty = ty.fill(&call.type_arguments).ok_or_else(broken)?;
            let clashes = |(other, (theirs, _)): (&Argument, &&(Passing, _))| {
                same_place(*other, *arg) && (*passing == Passing::RefMut || *theirs == Passing::RefMut)
            };
            if call.arguments.iter().zip(&params).take(index).any(clashes) {
                return Err(argument(index, CommandArgumentError::CannotMoveBorrowedValue));
            }
            let value = match passing {
                Passing::Value => self.take(index, *arg, false)?,
                Passing::Ref => self.borrow(index, *arg, false)?,
                Passing::RefMut => self.borrow(index, *arg, true)?,
            };
            args.push(Self::typed(index, value, &ty)?);
            types.push(ty);
        }
        self.session.caller = (call.package, call.module.clone());
        let mut native = Call { session: &mut self.session, targs: &call.type_arguments, args, returns: Vec::new() };
        (function.native)(&mut native)?;
        let Call { args, returns, .. } = native;
        let mut mutated = Vec::new();
        for (index, (((passing, _), arg), (ty, bytes))) in
            params.iter().zip(&call.arguments).zip(types.into_iter().zip(args)).enumerate()
        {
            if *passing == Passing::RefMut {
                mutated.push((*arg, ty.clone(), bytes.clone()));
                self.write_back(index, *arg, ty, bytes)?;
            }
        }
        if returns.len() != function.returns.len() {
            return Err(broken());
        }
        let fill = |(ty, bytes): (&crate::chain::packages::Type, Vec<u8>)| {
            Ok((ty.fill(&call.type_arguments).ok_or_else(broken)?, bytes))
        };
        let returned = function.returns.iter().zip(returns).map(fill).collect::<Outcome<Vec<_>>>()?;
        self.push(returned, mutated);
        Ok(())
    }

    fn check_type_arguments(&self, call: &MoveCall, function: &Function) -> Outcome<()> {
        if call.type_arguments.len() != function.type_params.len() {
            return Err(Failure::Execution(ExecutionError::TypeArityMismatch));
        }
        for (index, (ty, constraint)) in call.type_arguments.iter().zip(&function.type_params).enumerate() {
            let error = |kind| {
                let type_argument = u16::try_from(index).unwrap_or(u16::MAX);
                Failure::Execution(ExecutionError::TypeArgumentError { type_argument, kind })
            };
            let has = self.session.packages.abilities(ty).ok_or_else(|| error(TypeArgumentError::TypeNotFound))?;
            let fits = (!constraint.copy || has.copy)
                && (!constraint.drop || has.drop)
                && (!constraint.store || has.store)
                && (!constraint.key || has.key);
            if !fits {
                return Err(error(TypeArgumentError::ConstraintNotSatisfied));
            }
        }
        Ok(())
    }

    /// Puts objects that are still in inputs back to their owners and refuses left-over results without `drop`.
    fn leftovers(&mut self) -> Outcome<()> {
        let gas = std::mem::replace(&mut self.gas, Location { value: None, origin: Origin::Pure });
        for location in std::mem::take(&mut self.inputs).into_iter().chain([gas]) {
            let owner = match location.origin {
                Origin::Owned(owner) | Origin::SharedMut(owner) | Origin::Gas(owner) => owner,
                Origin::Pure | Origin::ReadOnly | Origin::Result => continue,
            };
            if let Some(Value::Typed { ty: TypeTag::Struct(tag), bytes }) = location.value {
                self.session.place(owner, *tag, bytes)?;
            }
        }
        for (result, values) in std::mem::take(&mut self.results).into_iter().enumerate() {
            for (subresult, location) in values.into_iter().enumerate() {
                let Some(Value::Typed { ty, .. }) = location.value else { continue };
                if !self.abilities(&ty).drop && !self.lenient {
                    return Err(Failure::Execution(ExecutionError::UnusedValueWithoutDrop {
                        result: u16::try_from(result).unwrap_or(u16::MAX),
                        subresult: u16::try_from(subresult).unwrap_or(u16::MAX),
                    }));
                }
            }
        }
        Ok(())
    }
}

fn same_place(a: Argument, b: Argument) -> bool {
    let place = |arg| match arg {
        Argument::Result(result) => Argument::NestedResult(result, 0),
        other => other,
    };
    place(a) == place(b)
}
