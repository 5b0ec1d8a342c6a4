//! `wal_exchange`: SUI against WAL at a fixed rate.

use walrus_client::wire::abort::wal_exchange as code;
use walrus_client::wire::chain::{Coin, Exchange, ExchangeRate, ObjectId};

use super::Native;
use super::framework::{add, pay};
use crate::chain::execute::{Call, Failure, Outcome};
use crate::chain::packages::Pkg;

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "exchange_all_for_wal" => |call| exchange(call, Side::Sui, true),
        "exchange_for_wal" => |call| exchange(call, Side::Sui, false),
        "exchange_all_for_sui" => |call| exchange(call, Side::Wal, true),
        "exchange_for_sui" => |call| exchange(call, Side::Wal, false),
        "add_wal" => |call| deposit(call, Side::Wal, false),
        "add_sui" => |call| deposit(call, Side::Sui, false),
        "add_all_wal" => |call| deposit(call, Side::Wal, true),
        "add_all_sui" => |call| deposit(call, Side::Sui, true),
        "withdraw_wal" => |call| withdraw(call, Side::Wal),
        "withdraw_sui" => |call| withdraw(call, Side::Sui),
        "set_exchange_rate" => set_rate,
        _ => return None,
    })
}

#[derive(Clone, Copy)]
enum Side {
    Wal,
    Sui,
}

impl Side {
    fn balance(self, exchange: &mut Exchange) -> &mut u64 {
        match self {
            Side::Wal => &mut exchange.wal,
            Side::Sui => &mut exchange.sui,
        }
    }

    fn other(self) -> Self {
        match self {
            Side::Wal => Side::Sui,
            Side::Sui => Side::Wal,
        }
    }
}

fn ensure(holds: bool, code: u64) -> Outcome<()> {
    if holds { Ok(()) } else { Err(Failure::Abort { pkg: Pkg::Exchange, module: "wal_exchange", code }) }
}

/// Takes `amount` (or all) from the coin argument at 1.
fn take(call: &mut Call<'_, '_>, all: bool) -> Outcome<u64> {
    let mut coin: Coin = call.arg(1)?;
    if all {
        call.session.delete_id(coin.id);
        return Ok(coin.balance);
    }
    let amount: u64 = call.arg(2)?;
    ensure(coin.balance >= amount, code::INSUFFICIENT_INPUT_BALANCE)?;
    coin.balance -= amount;
    call.set(1, &coin)?;
    Ok(amount)
}

fn exchange(call: &mut Call<'_, '_>, from: Side, all: bool) -> Outcome<()> {
    let mut exchange: Exchange = call.arg(0)?;
    let amount = take(call, all)?;
    let (times, by) = match from {
        Side::Sui => (exchange.rate.wal, exchange.rate.sui),
        Side::Wal => (exchange.rate.sui, exchange.rate.wal),
    };
    let out = amount.checked_mul(times).and_then(|out| out.checked_div(by)).ok_or(Failure::Arithmetic)?;
    let to = from.other();
    let held = *to.balance(&mut exchange);
    ensure(held >= out, code::INSUFFICIENT_FUNDS_IN_EXCHANGE)?;
    *to.balance(&mut exchange) = held - out;
    *from.balance(&mut exchange) = add(*from.balance(&mut exchange), amount)?;
    call.set(0, &exchange)?;
    let coin = Coin { id: call.session.new_id(), balance: out };
    call.ret(&coin)
}

fn deposit(call: &mut Call<'_, '_>, side: Side, all: bool) -> Outcome<()> {
    let mut exchange: Exchange = call.arg(0)?;
    let amount = if all {
        take(call, true)?
    } else {
        let mut coin: Coin = call.arg(1)?;
        let amount: u64 = call.arg(2)?;
        coin.balance = pay(coin.balance, amount)?;
        call.set(1, &coin)?;
        amount
    };
    *side.balance(&mut exchange) = add(*side.balance(&mut exchange), amount)?;
    call.set(0, &exchange)
}

fn withdraw(call: &mut Call<'_, '_>, side: Side) -> Outcome<()> {
    let mut exchange: Exchange = call.arg(0)?;
    let cap: ObjectId = call.arg(1)?;
    let amount: u64 = call.arg(2)?;
    ensure(cap == exchange.admin, code::UNAUTHORIZED_ADMIN_CAP)?;
    let held = *side.balance(&mut exchange);
    ensure(held >= amount, code::INSUFFICIENT_FUNDS_IN_EXCHANGE)?;
    *side.balance(&mut exchange) = held - amount;
    call.set(0, &exchange)?;
    let coin = Coin { id: call.session.new_id(), balance: amount };
    call.ret(&coin)
}

fn set_rate(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut exchange: Exchange = call.arg(0)?;
    let rate = ExchangeRate { wal: call.arg(1)?, sui: call.arg(2)? };
    let cap: ObjectId = call.arg(3)?;
    ensure(cap == exchange.admin, code::UNAUTHORIZED_ADMIN_CAP)?;
    ensure(rate.wal > 0 && rate.sui > 0, code::INVALID_EXCHANGE_RATE)?;
    exchange.rate = rate;
    call.set(0, &exchange)
}
