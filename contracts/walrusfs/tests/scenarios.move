// Generated from scenarios.json by contracts/test.sh update. Do not edit.
#[test_only, allow(unused_variable, unused_let_mut)]
module walrusfs::scenarios;

use std::hash::sha2_256;
use sui::clock;
use sui::event::num_events;
use sui::test_scenario;
use walrusfs::drive::{Self, Drive};

const ALICE: address = @0xa;
const BOB: address = @0xb;

public struct Pool has key, store { id: UID }
public struct OtherPool has key, store { id: UID }

fun fill(byte: u8, count: u64): vector<u8> {
    vector::tabulate!(count, |_| byte)
}

fun with_ids(bytes: vector<u8>, ids: vector<ID>): vector<u8> {
    let mut bytes = bytes;
    ids.do!(|id| bytes.append(id.to_bytes()));
    bytes
}

/// create refuses a short uid
#[test, expected_failure(abort_code = 7, location = walrusfs::drive)] // EUidLength
fun create_refuses_a_short_uid() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 31), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses a long uid
#[test, expected_failure(abort_code = 7, location = walrusfs::drive)] // EUidLength
fun create_refuses_a_long_uid() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 33), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses a label that is too long
#[test, expected_failure(abort_code = 10, location = walrusfs::drive)] // ELabelSize
fun create_refuses_a_label_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 513), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses an empty key slot
#[test, expected_failure(abort_code = 12, location = walrusfs::drive)] // ESlotSize
fun create_refuses_an_empty_key_slot() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, vector[], fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses a key slot that is too long
#[test, expected_failure(abort_code = 12, location = walrusfs::drive)] // ESlotSize
fun create_refuses_a_key_slot_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 513), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses an empty seal
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun create_refuses_an_empty_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), vector[], pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create refuses a seal that is too long
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun create_refuses_a_seal_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 1025), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    abort 999
}

/// create accepts everything at its limit
#[test]
fun create_accepts_everything_at_its_limit() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(65535, fill(1, 32), fill(2, 512), 255, 4294967295, fill(3, 512), fill(0, 1024), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(sha2_256(drive_a.state()) == x"1634a8d49760c79dc6421bb379be73fd2187df48e5013032d3160fc17dda2bb0");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a lease needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun a_lease_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(1, fill(170, 16), false, &clock);
    abort 999
}

/// a short holder id is refused
#[test, expected_failure(abort_code = 8, location = walrusfs::drive)] // EHolderLength
fun a_short_holder_id_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 15), false, &clock);
    abort 999
}

/// a long holder id is refused
#[test, expected_failure(abort_code = 8, location = walrusfs::drive)] // EHolderLength
fun a_long_holder_id_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 17), false, &clock);
    abort 999
}

/// an empty holder id is refused
#[test, expected_failure(abort_code = 8, location = walrusfs::drive)] // EHolderLength
fun an_empty_holder_id_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, vector[], true, &clock);
    abort 999
}

/// the same holder takes its lease again at once
#[test]
fun the_same_holder_takes_its_lease_again_at_once() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(5000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa483b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa483b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// another holder must wait while the lease runs
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun another_holder_must_wait_while_the_lease_runs() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    abort 999
}

/// another holder must wait when the lease has just ended
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun another_holder_must_wait_when_the_lease_has_just_ended() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(601000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    abort 999
}

/// another holder must wait to the last millisecond of the grace
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun another_holder_must_wait_to_the_last_millisecond_of_the_grace() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(720999);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    abort 999
}

/// another holder takes over two minutes after the end (until then)
#[test]
fun another_holder_takes_over_two_minutes_after_the_end_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(721000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb28281400000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2828140000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// another holder takes over two minutes after the end
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun another_holder_takes_over_two_minutes_after_the_end() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(721000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb28281400000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb2828140000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(721000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// another holder may steal at once, and the old one is out (until then)
#[test]
fun another_holder_may_steal_at_once_and_the_old_one_is_out_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), true, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb902f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb902f090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// another holder may steal at once, and the old one is out
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun another_holder_may_steal_at_once_and_the_old_one_is_out() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), true, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb902f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb902f090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.renew_lease(0, fill(170, 16), &clock);
    abort 999
}

/// renewing moves the end
#[test]
fun renewing_moves_the_end() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(300000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.renew_lease(0, fill(170, 16), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0bb0d00000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0bb0d0000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the holder may renew after the end while nobody else came
#[test]
fun the_holder_may_renew_after_the_end_while_nobody_else_came() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(5000000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.renew_lease(0, fill(170, 16), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa00735500000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0073550000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// renewing needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun renewing_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.renew_lease(0, fill(170, 16), &clock);
    abort 999
}

/// renewing needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun renewing_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.renew_lease(9, fill(170, 16), &clock);
    abort 999
}

/// released, the lease is free at once
#[test]
fun released_the_lease_is_free_at_once() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.release_lease(0, fill(170, 16));
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101000000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2001);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb912f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb912f090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// only the holder releases
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun only_the_holder_releases() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.release_lease(0, fill(187, 16));
    abort 999
}

/// releasing needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun releasing_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.release_lease(0, fill(170, 16));
    abort 999
}

/// releasing needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun releasing_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.release_lease(1, fill(170, 16));
    abort 999
}

/// a commit appends to the log, counts on and renews the lease
#[test]
fun a_commit_appends_to_the_log_counts_on_and_renews_the_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a commit with a root keeps the log that the root does not contain
#[test]
fun a_commit_with_a_root_keeps_the_log_that_the_root_does_not_contain() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::same_root(), 0, vector[fill(50, 256), fill(51, 1024)], fill(2, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"0d570a9c5d745e1415e96da1b7101703b08d5da7acf76c1c11006f9cdf4d9497");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101020000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(5000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(2, fill(170, 16), drive::root(0x2121212121212121212121212121212121212121212121212121212121212121, 77, 500, fill(34, 32), 0), 2, vector[fill(52, 256)], fill(3, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"d243aaa7ac9a427c2a332a9992ebe56f5b60bb5631a3a26e444409d2f759bcd0");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101030000000000000001", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 6
    s.next_tx(ALICE);
    clock.set_for_testing(6000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(3, fill(170, 16), drive::same_root(), 2, vector[], fill(4, 40), &clock);
    assert!(drive_a.state() == x"010020010101010101010101010101010101010101010101010101010101010101010104000000000000000121212121212121212121212121212121212121212121212121212121212121214d00000000000000f4010000202222222222222222222222222222222222222222222222222222222222222222000000000028040404040404040404040404040404040404040404040404040404040404040404040404040404040100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa303f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101040000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a stale writer aborts
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun a_stale_writer_aborts() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// of two commits on the same sequence the second aborts (until then)
#[test]
fun of_two_commits_on_the_same_sequence_the_second_aborts_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// of two commits on the same sequence the second aborts
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun of_two_commits_on_the_same_sequence_the_second_aborts() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(65, 256)], fill(1, 40), &clock);
    abort 999
}

/// a commit needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun a_commit_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a commit needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun a_commit_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(187, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a holder id that merely begins like the holder's is another
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun a_holder_id_that_merely_begins_like_the_holder_s_is_another() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 15), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a commit after the end of the lease goes through while nobody else came
#[test]
fun a_commit_after_the_end_of_the_lease_goes_through_while_nobody_else_came() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(99000000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa80c6ef05000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a commit while the pool is lent aborts
#[test, expected_failure(abort_code = 3, location = walrusfs::drive)] // EPoolLent
fun a_commit_while_the_pool_is_lent_aborts() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a commit needs a seal
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun a_commit_needs_a_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], vector[], &clock);
    abort 999
}

/// a commit refuses a seal that is too long
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun a_commit_refuses_a_seal_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 1025), &clock);
    abort 999
}

/// a commit drops no more entries than there are
#[test, expected_failure(abort_code = 17, location = walrusfs::drive)] // ELogDrop
fun a_commit_drops_no_more_entries_than_there_are() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 1, vector[], fill(1, 40), &clock);
    abort 999
}

/// a commit refuses an impossible drop
#[test, expected_failure(abort_code = 17, location = walrusfs::drive)] // ELogDrop
fun a_commit_refuses_an_impossible_drop() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 18446744073709551615, vector[], fill(1, 40), &clock);
    abort 999
}

/// a commit refuses an empty entry
#[test, expected_failure(abort_code = 18, location = walrusfs::drive)] // EEntryEmpty
fun a_commit_refuses_an_empty_entry() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256), vector[]], fill(1, 40), &clock);
    abort 999
}

/// a commit appends no more than 15 KiB
#[test, expected_failure(abort_code = 19, location = walrusfs::drive)] // EAppendSize
fun a_commit_appends_no_more_than_15_i() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 15361)], fill(1, 40), &clock);
    abort 999
}

/// a commit appends no more than 15 KiB over all entries
#[test, expected_failure(abort_code = 19, location = walrusfs::drive)] // EAppendSize
fun a_commit_appends_no_more_than_15_i_over_all_entries() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 15360), fill(50, 1)], fill(1, 40), &clock);
    abort 999
}

/// the log holds 16 KiB and no more (until then)
#[test]
fun the_log_holds_16_i_and_no_more_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 15360)], fill(1, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"db402d6114e4293181183c7a358761d5b7ee3aad583067a9e2fa9415c099f810");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::same_root(), 0, vector[fill(50, 1024)], fill(2, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"9e8266d2896540a74b7f75e12fdc18de73dc2c95bf8220670002ba2410bdea94");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101020000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the log holds 16 KiB and no more
#[test, expected_failure(abort_code = 20, location = walrusfs::drive)] // ELogSize
fun the_log_holds_16_i_and_no_more() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 15360)], fill(1, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"db402d6114e4293181183c7a358761d5b7ee3aad583067a9e2fa9415c099f810");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::same_root(), 0, vector[fill(50, 1024)], fill(2, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"9e8266d2896540a74b7f75e12fdc18de73dc2c95bf8220670002ba2410bdea94");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101020000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(2, fill(170, 16), drive::same_root(), 0, vector[fill(51, 1)], fill(1, 40), &clock);
    abort 999
}

/// what is dropped makes room for what is appended
#[test]
fun what_is_dropped_makes_room_for_what_is_appended() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 15360)], fill(1, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"db402d6114e4293181183c7a358761d5b7ee3aad583067a9e2fa9415c099f810");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::same_root(), 0, vector[fill(50, 1024)], fill(2, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"9e8266d2896540a74b7f75e12fdc18de73dc2c95bf8220670002ba2410bdea94");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101020000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(5000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(2, fill(170, 16), drive::same_root(), 1, vector[fill(51, 15360)], fill(3, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"0baa872bbef6e07bdb4ab281cf9df081a2d8dda91f5cb66cea57ca5d182546ab");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101030000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a root of no bytes is refused
#[test, expected_failure(abort_code = 21, location = walrusfs::drive)] // ERootEmpty
fun a_root_of_no_bytes_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::root(0x2121212121212121212121212121212121212121212121212121212121212121, 77, 0, fill(34, 32), 0), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a root with a short salt is refused
#[test, expected_failure(abort_code = 9, location = walrusfs::drive)] // ESaltLength
fun a_root_with_a_short_salt_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::root(0x2121212121212121212121212121212121212121212121212121212121212121, 77, 500, fill(34, 31), 0), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a root with a long salt is refused
#[test, expected_failure(abort_code = 9, location = walrusfs::drive)] // ESaltLength
fun a_root_with_a_long_salt_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::root(0x2121212121212121212121212121212121212121212121212121212121212121, 77, 500, fill(34, 33), 0), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a root may be replaced
#[test]
fun a_root_may_be_replaced() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::root(0x2121212121212121212121212121212121212121212121212121212121212121, 77, 500, fill(34, 32), 0), 0, vector[], fill(1, 40), &clock);
    assert!(drive_a.state() == x"010020010101010101010101010101010101010101010101010101010101010101010101000000000000000121212121212121212121212121212121212121212121212121212121212121214d00000000000000f4010000202222222222222222222222222222222222222222222222222222222222222222000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000001", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(1, fill(170, 16), drive::root(0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff, 18446744073709551615, 4294967295, fill(34, 32), 4294967295), 0, vector[], fill(2, 40), &clock);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101020000000000000001ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff202222222222222222222222222222222222222222222222222222222222222222ffffffff0028020202020202020202020202020202020202020202020202020202020202020202020202020202020100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101020000000000000001", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the pool is lent and comes back, then the commit
#[test]
fun the_pool_is_lent_and_comes_back_then_the_commit() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// lending renews the lease and nothing else
#[test]
fun lending_renews_the_lease_and_nothing_else() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(9000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae84a0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the pool can be lent twice in one transaction, one after the other
#[test]
fun the_pool_can_be_lent_twice_in_one_transaction_one_after_the_other() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(9000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    let (pool_y, receipt_y) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_y, receipt_y);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae84a0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// lending needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun lending_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(1, fill(170, 16), &clock);
    abort 999
}

/// lending needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun lending_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    abort 999
}

/// lending needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun lending_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(187, 16), &clock);
    abort 999
}

/// a lent pool cannot be lent again
#[test, expected_failure(abort_code = 3, location = walrusfs::drive)] // EPoolLent
fun a_lent_pool_cannot_be_lent_again() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let (pool_y, receipt_y) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    abort 999
}

/// the pool is lent only as what it is
#[test, expected_failure(abort_code = 4, location = walrusfs::drive)] // EPoolType
fun the_pool_is_lent_only_as_what_it_is() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<OtherPool>(0, fill(170, 16), &clock);
    abort 999
}

/// another pool is not taken back
#[test, expected_failure(abort_code = 6, location = walrusfs::drive)] // EWrongPool
fun another_pool_is_not_taken_back() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_z = Pool { id: object::new(s.ctx()) };
    let pool_id_z = object::id(&pool_z);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_z, receipt_x);
    abort 999
}

/// a pool is not taken back with the receipt of another Drive
#[test, expected_failure(abort_code = 5, location = walrusfs::drive)] // EWrongReceipt
fun a_pool_is_not_taken_back_with_the_receipt_of_another_rive() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let pool_q = Pool { id: object::new(s.ctx()) };
    let pool_id_q = object::id(&pool_q);
    let drive_b = drive::create<Pool>(1, fill(11, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_q, s.ctx());
    let id_b = object::id(&drive_b);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000", vector[pool_id_q]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    drive_b.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b00000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f090000000000", vector[]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let (pool_y, receipt_y) = drive_b.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_y);
    abort 999
}

/// two pools cannot change places
#[test, expected_failure(abort_code = 5, location = walrusfs::drive)] // EWrongReceipt
fun two_pools_cannot_change_places() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let pool_q = Pool { id: object::new(s.ctx()) };
    let pool_id_q = object::id(&pool_q);
    let drive_b = drive::create<Pool>(1, fill(11, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_q, s.ctx());
    let id_b = object::id(&drive_b);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000", vector[pool_id_q]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    drive_b.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b00000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f090000000000", vector[]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let (pool_y, receipt_y) = drive_b.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_y, receipt_y);
    abort 999
}

/// two Drives lend at the same time
#[test]
fun two_rives_lend_at_the_same_time() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let pool_q = Pool { id: object::new(s.ctx()) };
    let pool_id_q = object::id(&pool_q);
    let drive_b = drive::create<Pool>(1, fill(11, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_q, s.ctx());
    let id_b = object::id(&drive_b);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000", vector[pool_id_q]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    drive_b.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_b) == with_ids(x"200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b00000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa902f090000000000", vector[]));
    transfer::public_transfer(drive_b, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(9000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let mut drive_b = s.take_from_sender_by_id<Drive>(id_b);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let (pool_y, receipt_y) = drive_b.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    drive_b.put_pool(pool_y, receipt_y);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae84a0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(drive_b.state() == x"0100200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaae84a0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, ALICE);
    transfer::public_transfer(drive_b, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a new pool takes the place of the old
#[test]
fun a_new_pool_takes_the_place_of_the_old() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, Pool>(0, fill(170, 16), pool_n, &clock);
    let Pool { id } = pool_o;
    id.delete();
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::PoolReplaced>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p, pool_id_n]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(5000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa483b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the new pool may have another type (until then)
#[test]
fun the_new_pool_may_have_another_type_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = OtherPool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, OtherPool>(0, fill(170, 16), pool_n, &clock);
    let Pool { id } = pool_o;
    id.delete();
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::PoolReplaced>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p, pool_id_n]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// the new pool may have another type
#[test, expected_failure(abort_code = 4, location = walrusfs::drive)] // EPoolType
fun the_new_pool_may_have_another_type() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = OtherPool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, OtherPool>(0, fill(170, 16), pool_n, &clock);
    let Pool { id } = pool_o;
    id.delete();
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::PoolReplaced>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p, pool_id_n]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    abort 999
}

/// replacing needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun replacing_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, Pool>(1, fill(170, 16), pool_n, &clock);
    abort 999
}

/// replacing needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun replacing_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, Pool>(0, fill(170, 16), pool_n, &clock);
    abort 999
}

/// replacing needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun replacing_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<Pool, Pool>(0, fill(187, 16), pool_n, &clock);
    abort 999
}

/// a lent pool cannot be replaced
#[test, expected_failure(abort_code = 3, location = walrusfs::drive)] // EPoolLent
fun a_lent_pool_cannot_be_replaced() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let pool_o = drive_a.replace_pool<Pool, Pool>(0, fill(170, 16), pool_n, &clock);
    abort 999
}

/// the old pool is handed out only as what it is
#[test, expected_failure(abort_code = 4, location = walrusfs::drive)] // EPoolType
fun the_old_pool_is_handed_out_only_as_what_it_is() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_n = Pool { id: object::new(s.ctx()) };
    let pool_id_n = object::id(&pool_n);
    let pool_o = drive_a.replace_pool<OtherPool, Pool>(0, fill(170, 16), pool_n, &clock);
    abort 999
}

/// a slot is added with a new seal
#[test]
fun a_slot_is_added_with_a_new_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010200000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a removed slot leaves the others their index, and the last stays (until then)
#[test]
fun a_removed_slot_leaves_the_others_their_index_and_the_last_stays_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010200000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(1, fill(170, 16), 0, fill(2, 40), &clock);
    assert!(drive_a.state() == x"010020010101010101010101010101010101010101010101010101010101010101010102000000000000000000280202020202020202020202020202020202020202020202020202020202020202020202020202020201010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010200000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// a removed slot leaves the others their index, and the last stays
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun a_removed_slot_leaves_the_others_their_index_and_the_last_stays() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010200000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(1, fill(170, 16), 0, fill(2, 40), &clock);
    assert!(drive_a.state() == x"010020010101010101010101010101010101010101010101010101010101010101010102000000000000000000280202020202020202020202020202020202020202020202020202020202020202020202020202020201010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010200000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 5
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(2, fill(170, 16), 1, fill(3, 40), &clock);
    abort 999
}

/// adding a slot needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun adding_a_slot_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(1, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    abort 999
}

/// adding a slot needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun adding_a_slot_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    abort 999
}

/// adding a slot needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun adding_a_slot_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(187, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    abort 999
}

/// adding a slot needs a seal
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun adding_a_slot_needs_a_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), vector[], &clock);
    abort 999
}

/// an empty slot is refused
#[test, expected_failure(abort_code = 12, location = walrusfs::drive)] // ESlotSize
fun an_empty_slot_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// a slot that is too long is refused
#[test, expected_failure(abort_code = 12, location = walrusfs::drive)] // ESlotSize
fun a_slot_that_is_too_long_is_refused() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 513), fill(1, 40), &clock);
    abort 999
}

/// a slot's index must be above the others
#[test, expected_failure(abort_code = 14, location = walrusfs::drive)] // ESlotOrder
fun a_slot_s_index_must_be_above_the_others() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 0, 0, fill(4, 160), fill(1, 40), &clock);
    abort 999
}

/// there are at most 16 slots (until then)
#[test]
fun there_are_at_most_16_slots_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], vector[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], vector[fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512)], fill(7, 8192), fill(8, 512), fill(1, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"a982cda62ebed85e1c14c6ab6879daba6cf6178198e3bdcd553071c44488c2d7");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// there are at most 16 slots
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun there_are_at_most_16_slots() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], vector[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], vector[fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512), fill(4, 512)], fill(7, 8192), fill(8, 512), fill(1, 40), &clock);
    assert!(sha2_256(drive_a.state()) == x"a982cda62ebed85e1c14c6ab6879daba6cf6178198e3bdcd553071c44488c2d7");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(1, fill(170, 16), 1, 16, 0, fill(4, 160), fill(1, 40), &clock);
    abort 999
}

/// removing a slot needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun removing_a_slot_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(1, fill(170, 16), 0, fill(1, 40), &clock);
    abort 999
}

/// removing a slot needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun removing_a_slot_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(0, fill(170, 16), 0, fill(1, 40), &clock);
    abort 999
}

/// removing a slot needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun removing_a_slot_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(0, fill(187, 16), 0, fill(1, 40), &clock);
    abort 999
}

/// removing a slot needs a seal
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun removing_a_slot_needs_a_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(0, fill(170, 16), 0, vector[], &clock);
    abort 999
}

/// a slot that is not there cannot be removed
#[test, expected_failure(abort_code = 15, location = walrusfs::drive)] // ENoSuchSlot
fun a_slot_that_is_not_there_cannot_be_removed() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(0, fill(170, 16), 5, fill(1, 40), &clock);
    abort 999
}

/// the only slot cannot be removed
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun the_only_slot_cannot_be_removed() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.remove_slot(0, fill(170, 16), 0, fill(1, 40), &clock);
    abort 999
}

/// keys rotate in one step
#[test]
fun keys_rotate_in_one_step() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.add_slot(0, fill(170, 16), 1, 1, 0, fill(4, 160), fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000028010101010101010101010101010101010101010101010101010101010101010101010101010101010200000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303010100000000000000a00104040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(1, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(2, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010200000000000000000028020202020202020202020202020202020202020202020202020202020202020202020202020202020200000000000100000078050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505010100000001000000a001060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606065007070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa60370900000000004008080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808080808");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::KeysChanged>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010200000000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    clock.destroy_for_testing();
    s.end();
}

/// rotating needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun rotating_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(1, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun rotating_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun rotating_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(187, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating needs a seal
#[test, expected_failure(abort_code = 11, location = walrusfs::drive)] // ESealSize
fun rotating_needs_a_seal() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), vector[], &clock);
    abort 999
}

/// rotating refuses a label that is too long
#[test, expected_failure(abort_code = 10, location = walrusfs::drive)] // ELabelSize
fun rotating_refuses_a_label_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 513), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses a keyring that is too long
#[test, expected_failure(abort_code = 16, location = walrusfs::drive)] // EKeyringSize
fun rotating_refuses_a_keyring_that_is_too_long() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 8193), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating needs a slot
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun rotating_needs_a_slot() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[], vector[], vector[], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses 17 slots
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun rotating_refuses_17_slots() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], vector[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], vector[fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1), fill(4, 1)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses an index too few
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun rotating_refuses_an_index_too_few() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses a body too many
#[test, expected_failure(abort_code = 13, location = walrusfs::drive)] // ESlotCount
fun rotating_refuses_a_body_too_many() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(4, 1), fill(4, 1), fill(4, 1)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses an empty slot
#[test, expected_failure(abort_code = 12, location = walrusfs::drive)] // ESlotSize
fun rotating_refuses_an_empty_slot() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[0, 1], vector[fill(5, 120), vector[]], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses equal indices
#[test, expected_failure(abort_code = 14, location = walrusfs::drive)] // ESlotOrder
fun rotating_refuses_equal_indices() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[1, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// rotating refuses falling indices
#[test, expected_failure(abort_code = 14, location = walrusfs::drive)] // ESlotOrder
fun rotating_refuses_falling_indices() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.rotate_keys(0, fill(170, 16), 1, vector[0, 1], vector[2, 1], vector[fill(5, 120), fill(6, 160)], fill(7, 80), fill(8, 64), fill(1, 40), &clock);
    abort 999
}

/// destroyed, the Drive hands out its pool (until then)
#[test]
fun destroyed_the_rive_hands_out_its_pool_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(0, fill(170, 16));
    let Pool { id } = pool_o;
    id.delete();
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Destroyed>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    clock.destroy_for_testing();
    s.end();
}

/// destroyed, the Drive hands out its pool
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun destroyed_the_rive_hands_out_its_pool() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(0, fill(170, 16));
    let Pool { id } = pool_o;
    id.delete();
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Destroyed>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    abort 999
}

/// destroying needs the current sequence
#[test, expected_failure(abort_code = 0, location = walrusfs::drive)] // EWrongSequence
fun destroying_needs_the_current_sequence() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(1, fill(170, 16));
    abort 999
}

/// destroying needs a lease
#[test, expected_failure(abort_code = 1, location = walrusfs::drive)] // ENoLease
fun destroying_needs_a_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(0, fill(170, 16));
    abort 999
}

/// destroying needs its own lease
#[test, expected_failure(abort_code = 2, location = walrusfs::drive)] // ELeaseOfAnother
fun destroying_needs_its_own_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(0, fill(187, 16));
    abort 999
}

/// a Drive whose pool is lent cannot be destroyed
#[test, expected_failure(abort_code = 3, location = walrusfs::drive)] // EPoolLent
fun a_rive_whose_pool_is_lent_cannot_be_destroyed() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    let pool_o = drive_a.destroy<Pool>(0, fill(170, 16));
    abort 999
}

/// the pool of a destroyed Drive is handed out only as what it is
#[test, expected_failure(abort_code = 4, location = walrusfs::drive)] // EPoolType
fun the_pool_of_a_destroyed_rive_is_handed_out_only_as_what_it_is() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<OtherPool>(0, fill(170, 16));
    abort 999
}

/// nobody but the owner takes the lease
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun nobody_but_the_owner_takes_the_lease() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(BOB);
    clock.set_for_testing(0);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), true, &clock);
    abort 999
}

/// nobody but the owner commits, even with the holder's id
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun nobody_but_the_owner_commits_even_with_the_holder_s_id() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(BOB);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// nobody but the owner lends the pool
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun nobody_but_the_owner_lends_the_pool() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(BOB);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    abort 999
}

/// a transferred Drive is written, extended and cleaned by its new owner
#[test]
fun a_transferred_rive_is_written_extended_and_cleaned_by_its_new_owner() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    // transaction 4
    s.next_tx(BOB);
    clock.set_for_testing(3000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(187, 16), true, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb78330900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb7833090000000000", vector[]));
    transfer::public_transfer(drive_a, BOB);
    // transaction 5
    s.next_tx(BOB);
    clock.set_for_testing(4000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(187, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    drive_a.commit(0, fill(187, 16), drive::same_root(), 0, vector[fill(49, 256)], fill(1, 40), &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb60370900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Committed>(id_a) == with_ids(x"200101010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[]));
    transfer::public_transfer(drive_a, BOB);
    // transaction 6
    s.next_tx(BOB);
    clock.set_for_testing(5000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(1, fill(187, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010100000000000000000180023131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313131313128010101010101010101010101010101010101010101010101010101010101010101010101010101010100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb483b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    // transaction 7
    s.next_tx(BOB);
    clock.set_for_testing(6000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(1, fill(187, 16));
    let Pool { id } = pool_o;
    id.delete();
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Destroyed>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010100000000000000", vector[pool_id_p]));
    clock.destroy_for_testing();
    s.end();
}

/// the old owner of a transferred Drive writes no more (until then)
#[test]
fun the_old_owner_of_a_transferred_rive_writes_no_more_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    clock.destroy_for_testing();
    s.end();
}

/// the old owner of a transferred Drive writes no more
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun the_old_owner_of_a_transferred_rive_writes_no_more() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.commit(0, fill(170, 16), drive::same_root(), 0, vector[], fill(1, 40), &clock);
    abort 999
}

/// the old owner of a transferred Drive extends no more (until then)
#[test]
fun the_old_owner_of_a_transferred_rive_extends_no_more_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    clock.destroy_for_testing();
    s.end();
}

/// the old owner of a transferred Drive extends no more
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun the_old_owner_of_a_transferred_rive_extends_no_more() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let (pool_x, receipt_x) = drive_a.take_pool<Pool>(0, fill(170, 16), &clock);
    drive_a.put_pool(pool_x, receipt_x);
    abort 999
}

/// the old owner of a transferred Drive cleans no more (until then)
#[test]
fun the_old_owner_of_a_transferred_rive_cleans_no_more_until_then() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    clock.destroy_for_testing();
    s.end();
}

/// the old owner of a transferred Drive cleans no more
#[test, expected_failure(abort_code = ::sui::test_scenario::EObjectNotFound)]
fun the_old_owner_of_a_transferred_rive_cleans_no_more() {
    let mut s = test_scenario::begin(ALICE);
    let mut clock = clock::create_for_testing(s.ctx());
    // transaction 1
    s.next_tx(ALICE);
    clock.set_for_testing(0);
    let pool_p = Pool { id: object::new(s.ctx()) };
    let pool_id_p = object::id(&pool_p);
    let drive_a = drive::create<Pool>(1, fill(1, 32), fill(2, 64), 0, 0, fill(3, 120), fill(0, 40), pool_p, s.ctx());
    let id_a = object::id(&drive_a);
    assert!(drive_a.state() == x"0100200101010101010101010101010101010101010101010101010101010101010101000000000000000000002800000000000000000000000000000000000000000000000000000000000000000000000000000000010000000000000000007803030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030300004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::Created>(id_a) == with_ids(x"2001010101010101010101010101010101010101010101010101010101010101010000000000000000", vector[pool_id_p]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 2
    s.next_tx(ALICE);
    clock.set_for_testing(1000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    drive_a.acquire_lease(0, fill(170, 16), false, &clock);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 1);
    assert!(drive::emitted<drive::LeaseChanged>(id_a) == with_ids(x"20010101010101010101010101010101010101010101010101010101010101010100000000000000000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b090000000000", vector[]));
    transfer::public_transfer(drive_a, ALICE);
    // transaction 3
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    assert!(drive_a.state() == x"01002001010101010101010101010101010101010101010101010101010101010101010000000000000000000028000000000000000000000000000000000000000000000000000000000000000000000000000000000100000000000000000078030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303000110aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa82b0900000000004002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202");
    assert!(num_events() == 0);
    transfer::public_transfer(drive_a, BOB);
    // transaction 4
    s.next_tx(ALICE);
    clock.set_for_testing(2000);
    let mut drive_a = s.take_from_sender_by_id<Drive>(id_a);
    let pool_o = drive_a.destroy<Pool>(0, fill(170, 16));
    let Pool { id } = pool_o;
    id.delete();
    abort 999
}
