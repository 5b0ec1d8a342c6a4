//! `walrusfs::drive`: the rules of `drive_rules` as Move calls. The pool is the Drive's dynamic object field `PoolKey()`.

use sui_sdk_types::{Address, StructTag, TypeTag};
use walrus_client::wire::chain::{Clock, U256};

use super::Native;
use crate::chain::execute::{Call, Failure, Live, Outcome, broken, id_of};
use crate::chain::packages::Pkg;
use crate::drive_rules::{self as rules, CreateArgs, Drive, Event, PoolField, Receipt};

pub(super) fn native(name: &str) -> Option<Native> {
    Some(match name {
        "create" => create,
        "root" => |call| {
            let blob_id: U256 = call.arg(0)?;
            let root = rules::root(blob_id.0, call.arg(1)?, call.arg(2)?, call.arg(3)?, call.arg(4)?);
            call.ret(&ruled(root)?)
        },
        "same_root" => |call| call.ret(&rules::same_root()),
        "acquire_lease" => |call| {
            let (sequence, steal, now) = (call.arg(1)?, call.arg(3)?, now(call, 4)?);
            let holder: Vec<u8> = call.arg(2)?;
            change(call, |drive| drive.acquire_lease(sequence, &holder, steal, now))
        },
        "renew_lease" => |call| {
            let (sequence, now) = (call.arg(1)?, now(call, 3)?);
            let holder: Vec<u8> = call.arg(2)?;
            change(call, |drive| drive.renew_lease(sequence, &holder, now))
        },
        "release_lease" => |call| {
            let sequence = call.arg(1)?;
            let holder: Vec<u8> = call.arg(2)?;
            change(call, |drive| drive.release_lease(sequence, &holder))
        },
        "take_pool" => take_pool,
        "put_pool" => put_pool,
        "replace_pool" => replace_pool,
        "commit" => commit,
        "add_slot" => |call| {
            let (sequence, now) = (call.arg(1)?, now(call, 8)?);
            let holder: Vec<u8> = call.arg(2)?;
            let (kind, index, key_epoch) = (call.arg(3)?, call.arg(4)?, call.arg(5)?);
            let (body, seal) = (call.arg(6)?, call.arg(7)?);
            change(call, |drive| drive.add_slot(sequence, &holder, kind, index, key_epoch, body, seal, now))
        },
        "remove_slot" => |call| {
            let (sequence, now) = (call.arg(1)?, now(call, 5)?);
            let holder: Vec<u8> = call.arg(2)?;
            let (index, seal) = (call.arg(3)?, call.arg(4)?);
            change(call, |drive| drive.remove_slot(sequence, &holder, index, seal, now))
        },
        "rotate_keys" => rotate_keys,
        "destroy" => destroy,
        _ => return None,
    })
}

/// A rule's abort as the chain's.
fn ruled<T>(result: Result<T, rules::Abort>) -> Outcome<T> {
    result.map_err(|abort| Failure::Abort { pkg: Pkg::Drive, module: abort.module, code: abort.code })
}

fn now(call: &Call<'_, '_>, index: usize) -> Outcome<u64> {
    call.arg::<Clock>(index).map(|clock| clock.timestamp_ms)
}

fn pool_key(call: &Call<'_, '_>) -> (TypeTag, &'static [u8]) {
    (call.session.tag(Pkg::Drive, "drive", "PoolKey", Vec::new()).into(), &[0])
}

/// What lies in the pool field, seen as the type argument at `targ`.
fn pool_field(call: &mut Call<'_, '_>, drive: &Drive, targ: usize) -> Outcome<PoolField> {
    let (name, key) = pool_key(call);
    let wanted = call.struct_targ(targ)?;
    Ok(match call.session.object_field(Address::new(drive.id), &name, key)? {
        None => PoolField::Empty,
        Some(live) if live.tag != wanted => PoolField::OtherType,
        Some(live) => PoolField::Holds(id_of(&live.contents).ok_or_else(broken)?.into_inner()),
    })
}

fn take_out(call: &mut Call<'_, '_>, drive: &Drive) -> Outcome<Live> {
    let (name, key) = pool_key(call);
    call.session.remove_object_field(Address::new(drive.id), &name, key)?.ok_or_else(broken)
}

fn put_in(call: &mut Call<'_, '_>, drive: &Drive, tag: StructTag, contents: Vec<u8>) -> Outcome<()> {
    let (name, key) = pool_key(call);
    call.session.add_object_field(Address::new(drive.id), &name, key, tag, contents)
}

fn emit(call: &mut Call<'_, '_>, event: &Event) -> Outcome<()> {
    let tag = call.session.tag(Pkg::Drive, "drive", event.name(), Vec::new());
    let contents = event.to_bcs().map_err(|_| broken())?;
    call.session.emit_bytes(tag, contents);
    Ok(())
}

/// A rule on the Drive in argument 0 that ends with an event.
fn change(call: &mut Call<'_, '_>, rule: impl FnOnce(&mut Drive) -> Result<Event, rules::Abort>) -> Outcome<()> {
    let mut drive: Drive = call.arg(0)?;
    let event = ruled(rule(&mut drive))?;
    call.set(0, &drive)?;
    emit(call, &event)
}

fn create(call: &mut Call<'_, '_>) -> Outcome<()> {
    let args = CreateArgs {
        format: call.arg(0)?,
        uid: call.arg(1)?,
        label: call.arg(2)?,
        slot_kind: call.arg(3)?,
        key_epoch: call.arg(4)?,
        slot: call.arg(5)?,
        seal: call.arg(6)?,
    };
    let contents = call.bytes(7)?.to_vec();
    let pool = id_of(&contents).ok_or_else(broken)?;
    let id = call.session.new_id();
    let (drive, event) = ruled(rules::create(id.into_inner(), pool.into_inner(), args))?;
    let tag = call.struct_targ(0)?;
    put_in(call, &drive, tag, contents)?;
    emit(call, &event)?;
    call.ret(&drive)
}

fn take_pool(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut drive: Drive = call.arg(0)?;
    let (sequence, now) = (call.arg(1)?, now(call, 3)?);
    let holder: Vec<u8> = call.arg(2)?;
    let field = pool_field(call, &drive, 0)?;
    let receipt = ruled(drive.take_pool(field, sequence, &holder, now))?;
    let pool = take_out(call, &drive)?;
    call.set(0, &drive)?;
    call.ret_bytes(pool.contents);
    call.ret(&receipt)
}

fn put_pool(call: &mut Call<'_, '_>) -> Outcome<()> {
    let drive: Drive = call.arg(0)?;
    let contents = call.bytes(1)?.to_vec();
    let given = id_of(&contents).ok_or_else(broken)?;
    let receipt: Receipt = call.arg(2)?;
    ruled(drive.put_pool(given.into_inner(), receipt))?;
    let tag = call.struct_targ(0)?;
    put_in(call, &drive, tag, contents)?;
    call.set(0, &drive)
}

fn replace_pool(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut drive: Drive = call.arg(0)?;
    let (sequence, now) = (call.arg(1)?, now(call, 4)?);
    let holder: Vec<u8> = call.arg(2)?;
    let contents = call.bytes(3)?.to_vec();
    let new = id_of(&contents).ok_or_else(broken)?;
    let field = pool_field(call, &drive, 0)?;
    let event = ruled(drive.replace_pool(field, new.into_inner(), sequence, &holder, now))?;
    let old = take_out(call, &drive)?;
    let tag = call.struct_targ(1)?;
    put_in(call, &drive, tag, contents)?;
    call.set(0, &drive)?;
    emit(call, &event)?;
    call.ret_bytes(old.contents);
    Ok(())
}

fn commit(call: &mut Call<'_, '_>) -> Outcome<()> {
    let mut drive: Drive = call.arg(0)?;
    let (sequence, now) = (call.arg(1)?, now(call, 7)?);
    let holder: Vec<u8> = call.arg(2)?;
    let (root, log_drop) = (call.arg(3)?, call.arg(4)?);
    let (log_append, seal) = (call.arg(5)?, call.arg(6)?);
    let (name, key) = pool_key(call);
    let field = match call.session.object_field(Address::new(drive.id), &name, key)? {
        None => PoolField::Empty,
        Some(live) => PoolField::Holds(id_of(&live.contents).ok_or_else(broken)?.into_inner()),
    };
    let event = ruled(drive.commit(field, sequence, &holder, root, log_drop, log_append, seal, now))?;
    call.set(0, &drive)?;
    emit(call, &event)
}

fn rotate_keys(call: &mut Call<'_, '_>) -> Outcome<()> {
    let (sequence, key_epoch, now) = (call.arg(1)?, call.arg(3)?, now(call, 10)?);
    let holder: Vec<u8> = call.arg(2)?;
    let (kinds, indices, bodies) = (call.arg(4)?, call.arg(5)?, call.arg(6)?);
    let (keyring, label, seal) = (call.arg(7)?, call.arg(8)?, call.arg(9)?);
    change(call, |drive| {
        drive.rotate_keys(sequence, &holder, key_epoch, kinds, indices, bodies, keyring, label, seal, now)
    })
}

fn destroy(call: &mut Call<'_, '_>) -> Outcome<()> {
    let drive: Drive = call.arg(0)?;
    let sequence = call.arg(1)?;
    let holder: Vec<u8> = call.arg(2)?;
    let field = pool_field(call, &drive, 0)?;
    let pool = take_out(call, &drive);
    let id = drive.id;
    let event = ruled(drive.destroy(field, sequence, &holder))?;
    call.session.delete_id(Address::new(id));
    emit(call, &event)?;
    call.ret_bytes(pool?.contents);
    Ok(())
}
