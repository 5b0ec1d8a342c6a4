//! `0x2::{coin, balance, transfer, clock}` and `wal::wal`.

use sui_sdk_types::{Address, Owner, TypeTag};
use walrus_client::wire::abort;
use walrus_client::wire::chain::{Clock, Coin, ProtectedTreasury, TreasuryCap};

use super::Native;
use crate::chain::execute::{Call, Failure, Outcome, Session, broken, from_bytes};
use crate::chain::packages::Pkg;

pub(super) fn native(module: &str, name: &str) -> Option<Native> {
    Some(match (module, name) {
        ("clock", "timestamp_ms") => |call| {
            let clock: Clock = call.arg(0)?;
            call.ret(&clock.timestamp_ms)
        },
        ("balance", "value") => |call| {
            let value: u64 = call.arg(0)?;
            call.ret(&value)
        },
        ("balance", "zero") => |call| call.ret(&0u64),
        ("balance", "join") => balance_join,
        ("balance", "split") => balance_split,
        ("balance", "withdraw_all") => |call| {
            let value: u64 = call.arg(0)?;
            call.set(0, &0u64)?;
            call.ret(&value)
        },
        ("balance", "destroy_zero") => |call| {
            let value: u64 = call.arg(0)?;
            zero(value)
        },
        ("coin", "value") => |call| {
            let coin: Coin = call.arg(0)?;
            call.ret(&coin.balance)
        },
        ("coin", "zero") => |call| {
            let coin = Coin { id: call.session.new_id(), balance: 0 };
            call.ret(&coin)
        },
        ("coin", "destroy_zero") => |call| {
            let coin: Coin = call.arg(0)?;
            zero(coin.balance)?;
            call.session.delete_id(coin.id);
            Ok(())
        },
        ("coin", "join") => coin_join,
        ("coin", "split") => coin_split,
        ("coin", "into_balance") => |call| {
            let coin: Coin = call.arg(0)?;
            call.session.delete_id(coin.id);
            call.ret(&coin.balance)
        },
        ("coin", "from_balance") => |call| {
            let balance: u64 = call.arg(0)?;
            let coin = Coin { id: call.session.new_id(), balance };
            call.ret(&coin)
        },
        ("transfer", "public_transfer") => |call| {
            let to: Address = call.arg(1)?;
            place(call, Owner::Address(to))
        },
        // The version in which it becomes shared is filled in when the transaction is settled.
        ("transfer", "public_share_object") => |call| place(call, Owner::Shared(0)),
        ("transfer", "public_freeze_object") => |call| place(call, Owner::Immutable),
        ("wal", "total_supply") => |call| {
            let treasury: ProtectedTreasury = call.arg(0)?;
            let cap = treasury_cap(call.session, treasury.id)?;
            call.ret(&cap.total_supply)
        },
        ("wal", "burn") => |call| {
            let treasury: ProtectedTreasury = call.arg(0)?;
            let coin: Coin = call.arg(1)?;
            call.session.delete_id(coin.id);
            burn(call.session, treasury.id, coin.balance)
        },
        _ => return None,
    })
}

fn zero(balance: u64) -> Outcome<()> {
    if balance == 0 { Ok(()) } else { Err(in_balance(abort::balance::NON_ZERO)) }
}

fn in_balance(code: u64) -> Failure {
    Failure::Abort { pkg: Pkg::Sui, module: "balance", code }
}

/// `balance::split` on a number: what stays.
pub(super) fn pay(balance: u64, amount: u64) -> Outcome<u64> {
    balance.checked_sub(amount).ok_or_else(|| in_balance(abort::balance::NOT_ENOUGH))
}

/// `balance::join` on numbers.
pub(super) fn add(balance: u64, amount: u64) -> Outcome<u64> {
    balance.checked_add(amount).ok_or(Failure::Arithmetic)
}

fn balance_join(call: &mut Call<'_, '_>) -> Outcome<()> {
    let sum = add(call.arg(0)?, call.arg(1)?)?;
    call.set(0, &sum)?;
    call.ret(&sum)
}

fn balance_split(call: &mut Call<'_, '_>) -> Outcome<()> {
    let amount: u64 = call.arg(1)?;
    let rest = pay(call.arg(0)?, amount)?;
    call.set(0, &rest)?;
    call.ret(&amount)
}

fn coin_join(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut coin: Coin = call.arg(0)?;
    let other: Coin = call.arg(1)?;
    coin.balance = add(coin.balance, other.balance)?;
    call.session.delete_id(other.id);
    call.set(0, &coin)
}

fn coin_split(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut coin: Coin = call.arg(0)?;
    let amount: u64 = call.arg(1)?;
    coin.balance = pay(coin.balance, amount)?;
    let part = Coin { id: call.session.new_id(), balance: amount };
    call.set(0, &coin)?;
    call.ret(&part)
}

fn place(call: &mut Call<'_, '_>, owner: Owner) -> Outcome<()> {
    let tag = call.struct_targ(0)?;
    let contents = call.bytes(0)?.to_vec();
    call.session.place(owner, tag, contents)?;
    Ok(())
}

/// The name under which the treasury keeps its cap: type and BCS.
pub(crate) fn treasury_key(session: &Session<'_>) -> (TypeTag, &'static [u8]) {
    (session.tag(Pkg::Wal, "wal", "TreasuryCapKey", Vec::new()).into(), &[0])
}

fn treasury_cap(session: &mut Session<'_>, treasury: Address) -> Outcome<TreasuryCap> {
    let (name, key) = treasury_key(session);
    let cap = session.object_field(treasury, &name, key)?.ok_or_else(broken)?;
    from_bytes(&cap.contents)
}

/// Burns WAL: the supply falls.
pub(super) fn burn(session: &mut Session<'_>, treasury: Address, amount: u64) -> Outcome<()> {
    let mut cap = treasury_cap(session, treasury)?;
    cap.total_supply = pay(cap.total_supply, amount)?;
    session.rewrite(cap.id, &cap)
}
