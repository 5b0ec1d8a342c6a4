/// The Drive: the one on-chain object of a walrusfs filesystem, and its rules.
///
/// A Drive is an owned object. Whoever owns it controls the files, because every change of the tree is a call on it, and
/// controls their storage, because the storage pool is a dynamic object field that moves with it. Nothing here can be
/// read without a key: tree, label and keys are sealed by the client before they arrive.
///
/// What the module promises:
///
/// - *No lost update.* Every call names the sequence that its sender has seen; a stale sender aborts.
/// - *One writer at a time.* Every call of a writer names its holder id, which must have the lease. The same holder takes
///   its lease again at once, another only some time after its end, or by declaring that it steals it.
/// - *The pool stays.* A pool that was lent comes back within the same transaction: the receipt cannot be dropped, stored
///   or copied, and only the pool that was lent is accepted.
/// - *Bounded size.* Whatever the owner sends, the object stays far below the chain's limits.
///
/// What it assumes: that the chain lets only the owner pass `&mut Drive`. What it never does: look into the pool (its type is
/// a parameter, so this package compiles against no version of Walrus) or into anything sealed.
///
/// `contracts/scenarios.json` states these rules by example; its tests run against this module and against the Rust twin.
module walrusfs::drive;

use sui::clock::Clock;
use sui::dynamic_object_field as field;
use sui::event;

// === Aborts ===

/// `expected_sequence` is not the Drive's sequence: somebody committed in between.
const EWrongSequence: u64 = 0;
/// Nobody holds the lease.
const ENoLease: u64 = 1;
/// Another holder has the lease.
const ELeaseOfAnother: u64 = 2;
/// The pool is out on loan in this transaction.
const EPoolLent: u64 = 3;
/// The Drive's pool has another type.
const EPoolType: u64 = 4;
/// The receipt was made by another Drive.
const EWrongReceipt: u64 = 5;
/// The object given back is not the pool that was lent.
const EWrongPool: u64 = 6;
/// The uid is not 32 bytes.
const EUidLength: u64 = 7;
/// The holder's id is not 16 bytes.
const EHolderLength: u64 = 8;
/// The salt is not 32 bytes.
const ESaltLength: u64 = 9;
/// The label is longer than 512 bytes.
const ELabelSize: u64 = 10;
/// The seal is empty or longer than 1024 bytes.
const ESealSize: u64 = 11;
/// A key slot's body is empty or longer than 512 bytes.
const ESlotSize: u64 = 12;
/// More than 16 key slots, or none.
const ESlotCount: u64 = 13;
/// Key slots are not in ascending order of their index.
const ESlotOrder: u64 = 14;
/// No key slot has this index.
const ENoSuchSlot: u64 = 15;
/// The keyring is longer than 8 KiB.
const EKeyringSize: u64 = 16;
/// `log_drop` is more than the log has entries.
const ELogDrop: u64 = 17;
/// A log entry is empty.
const EEntryEmpty: u64 = 18;
/// One commit appends more than 15 KiB.
const EAppendSize: u64 = 19;
/// The log would be longer than 16 KiB.
const ELogSize: u64 = 20;
/// The root has no bytes.
const ERootEmpty: u64 = 21;

// === Limits ===

/// Bytes in a drive's uid.
const UID_BYTES: u64 = 32;
/// Bytes in a lease holder's id.
const HOLDER_BYTES: u64 = 16;
/// Bytes in a pack's salt.
const SALT_BYTES: u64 = 32;
/// Most bytes of a sealed label.
const MAX_LABEL: u64 = 512;
/// Most bytes of a seal.
const MAX_SEAL: u64 = 1024;
/// Most key slots.
const MAX_SLOTS: u64 = 16;
/// Most bytes of a key slot's body.
const MAX_SLOT: u64 = 512;
/// Most bytes of the keyring.
const MAX_KEYRING: u64 = 8192;
/// Most bytes that one commit appends, over all its entries (a pure argument of a transaction holds 16 KiB).
const MAX_APPEND: u64 = 15360;
/// Most bytes in the whole log (every transaction pays for the object's whole size).
const MAX_LOG: u64 = 16384;
/// How long a lease lasts after it was taken or renewed, milliseconds.
const LEASE_MS: u64 = 600000;
/// How long after its end another holder may take the lease over, milliseconds.
const GRACE_MS: u64 = 120000;

// === Objects ===

/// A filesystem.
public struct Drive has key, store {
    id: UID,
    /// Version of everything that the client stores under this Drive.
    format: u16,
    /// 32 random bytes that the client chose: every key and every associated data binds them.
    uid: vector<u8>,
    /// +1 with every sealed state.
    sequence: u64,
    /// Checkpoint of the tree.
    root: Option<RootRef>,
    /// Sealed changes since that checkpoint.
    log: vector<vector<u8>>,
    /// Sealed summary of this sequence: what a reader checks all other fields against.
    seal: vector<u8>,
    /// The master key, wrapped once per way to open the drive; ascending in index, never empty.
    keys: vector<KeySlot>,
    /// Older keys, each sealed under the next.
    keyring: vector<u8>,
    /// Who writes.
    writer: Option<Lease>,
    /// Sealed label.
    label: vector<u8>,
}

/// Where a checkpoint of the tree lies.
public struct RootRef has copy, drop, store {
    blob_id: u256,
    offset: u64,
    length: u32,
    salt: vector<u8>,
    key_epoch: u32,
}

/// The master key, wrapped for one way to open the drive.
public struct KeySlot has copy, drop, store {
    /// How it is wrapped; public, so that a client knows what to ask for. Not interpreted here.
    kind: u8,
    /// Names the slot: stays when other slots go.
    index: u32,
    /// The key epoch that the slot opens.
    key_epoch: u32,
    /// Parameters and wrapped key.
    body: vector<u8>,
}

/// The right to write, for a while.
public struct Lease has copy, drop, store {
    holder: vector<u8>,
    expires_at_ms: u64,
}

/// Name of the dynamic object field that holds the storage pool.
public struct PoolKey() has copy, drop, store;

/// Proof that a pool is lent. It has no abilities: only `put_pool` ends it, so a transaction cannot end while the
/// pool is away.
public struct Receipt {
    drive: ID,
    pool: ID,
}

// === Events ===

/// A new Drive.
public struct Created has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
    pool: ID,
}

/// A new sealed state of the tree.
public struct Committed has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
    new_root: bool,
}

/// The lease was taken, renewed by a call of its own, stolen or released.
public struct LeaseChanged has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
    writer: Option<Lease>,
}

/// Key slots were added, removed or rewritten.
public struct KeysChanged has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
}

/// Another storage pool took the place of the old one.
public struct PoolReplaced has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
    old: ID,
    new: ID,
}

/// The end of a Drive.
public struct Destroyed has copy, drop {
    drive: ID,
    uid: vector<u8>,
    sequence: u64,
    pool: ID,
}

// === Birth ===

/// A new Drive at sequence 0 with one key slot (index 0), nobody's lease, and `pool` for its storage.
public fun create<P: key + store>(
    format: u16,
    uid: vector<u8>,
    label: vector<u8>,
    slot_kind: u8,
    key_epoch: u32,
    slot: vector<u8>,
    seal: vector<u8>,
    pool: P,
    ctx: &mut TxContext,
): Drive {
    assert!(uid.length() == UID_BYTES, EUidLength);
    assert!(label.length() <= MAX_LABEL, ELabelSize);
    assert_slot(&slot);
    assert_seal(&seal);
    let mut drive = Drive {
        id: object::new(ctx),
        format,
        uid,
        sequence: 0,
        root: option::none(),
        log: vector[],
        seal,
        keys: vector[KeySlot { kind: slot_kind, index: 0, key_epoch, body: slot }],
        keyring: vector[],
        writer: option::none(),
        label,
    };
    let pool_id = object::id(&pool);
    field::add(&mut drive.id, PoolKey(), pool);
    event::emit(Created { drive: object::id(&drive), uid, sequence: 0, pool: pool_id });
    drive
}

/// What `commit` is given to set a new root.
public fun root(blob_id: u256, offset: u64, length: u32, salt: vector<u8>, key_epoch: u32): Option<RootRef> {
    assert!(length > 0, ERootEmpty);
    assert!(salt.length() == SALT_BYTES, ESaltLength);
    option::some(RootRef { blob_id, offset, length, salt, key_epoch })
}

/// What `commit` is given to leave the root as it is.
public fun same_root(): Option<RootRef> {
    option::none()
}

// === Lease ===

/// Takes the lease: at once when nobody or the same holder has it (so a writer that crashed goes on at once), from
/// another holder two minutes after its end, or with `steal`.
public fun acquire_lease(drive: &mut Drive, expected_sequence: u64, holder: vector<u8>, steal: bool, clock: &Clock) {
    drive.assert_sequence(expected_sequence);
    assert!(holder.length() == HOLDER_BYTES, EHolderLength);
    let now = clock.timestamp_ms();
    if (drive.writer.is_some()) {
        let lease = drive.writer.borrow();
        assert!(lease.holder == holder || steal || now >= lease.expires_at_ms + GRACE_MS, ELeaseOfAnother);
    };
    drive.renew(holder, clock);
    drive.emit_lease();
}

/// Renews the lease; only its holder, ended or not, as long as nobody took it.
public fun renew_lease(drive: &mut Drive, expected_sequence: u64, holder: vector<u8>, clock: &Clock) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    drive.renew(holder, clock);
    drive.emit_lease();
}

/// Gives the lease back; only its holder.
public fun release_lease(drive: &mut Drive, expected_sequence: u64, holder: vector<u8>) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    drive.writer = option::none();
    drive.emit_lease();
}

// === Pool ===

/// Lends the pool until `put_pool` in the same transaction: every use of the storage is fenced like a commit.
public fun take_pool<P: key + store>(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    clock: &Clock,
): (P, Receipt) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    let pool = drive.remove_pool<P>();
    drive.renew(holder, clock);
    let receipt = Receipt { drive: object::id(drive), pool: object::id(&pool) };
    (pool, receipt)
}

/// Takes back what was lent.
public fun put_pool<P: key + store>(drive: &mut Drive, pool: P, receipt: Receipt) {
    let Receipt { drive: lender, pool: lent } = receipt;
    assert!(lender == object::id(drive), EWrongReceipt);
    assert!(lent == object::id(&pool), EWrongPool);
    field::add(&mut drive.id, PoolKey(), pool);
}

/// Installs a new pool, for example when the old one has expired, and hands out the old one.
public fun replace_pool<Old: key + store, New: key + store>(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    pool: New,
    clock: &Clock,
): Old {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    let old = drive.remove_pool<Old>();
    drive.renew(holder, clock);
    event::emit(PoolReplaced {
        drive: object::id(drive),
        uid: drive.uid,
        sequence: drive.sequence,
        old: object::id(&old),
        new: object::id(&pool),
    });
    field::add(&mut drive.id, PoolKey(), pool);
    old
}

// === Commit ===

/// The next state of the tree: sets the root when there is a new one, removes the first `log_drop` entries of the log (those
/// that the new root contains; commits may have gone on while it was uploaded), then appends `log_append`.
public fun commit(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    new_root: Option<RootRef>,
    log_drop: u64,
    log_append: vector<vector<u8>>,
    seal: vector<u8>,
    clock: &Clock,
) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    assert!(field::exists_(&drive.id, PoolKey()), EPoolLent);
    assert_seal(&seal);
    assert!(log_drop <= drive.log.length(), ELogDrop);
    let mut appended = 0;
    log_append.do_ref!(|entry| {
        assert!(!entry.is_empty(), EEntryEmpty);
        appended = appended + entry.length();
    });
    assert!(appended <= MAX_APPEND, EAppendSize);
    let mut log = vector[];
    let mut held = 0;
    log_drop.range_do!(drive.log.length(), |i| {
        held = held + drive.log[i].length();
        log.push_back(drive.log[i]);
    });
    assert!(held + appended <= MAX_LOG, ELogSize);
    log.append(log_append);
    drive.log = log;
    let is_new = new_root.is_some();
    if (is_new) drive.root = new_root;
    drive.advance(holder, seal, clock);
    event::emit(Committed {
        drive: object::id(drive),
        uid: drive.uid,
        sequence: drive.sequence,
        new_root: is_new,
    });
}

// === Keys ===

/// One more way to open the drive. `index` must be above every slot's.
public fun add_slot(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    kind: u8,
    index: u32,
    key_epoch: u32,
    body: vector<u8>,
    seal: vector<u8>,
    clock: &Clock,
) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    assert_seal(&seal);
    assert_slot(&body);
    let count = drive.keys.length();
    assert!(count < MAX_SLOTS, ESlotCount);
    assert!(drive.keys[count - 1].index < index, ESlotOrder);
    drive.keys.push_back(KeySlot { kind, index, key_epoch, body });
    drive.advance(holder, seal, clock);
    drive.emit_keys();
}

/// One way less to open the drive; never the last.
public fun remove_slot(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    index: u32,
    seal: vector<u8>,
    clock: &Clock,
) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    assert_seal(&seal);
    let at = drive.keys.find_index!(|slot| slot.index == index);
    assert!(at.is_some(), ENoSuchSlot);
    assert!(drive.keys.length() > 1, ESlotCount);
    drive.keys.remove(at.destroy_some());
    drive.advance(holder, seal, clock);
    drive.emit_keys();
}

/// A new key epoch: all slots rewritten, the keyring extended, the label sealed anew, in one step. The three lists are the
/// slots, one element of each list a slot.
public fun rotate_keys(
    drive: &mut Drive,
    expected_sequence: u64,
    holder: vector<u8>,
    key_epoch: u32,
    kinds: vector<u8>,
    indices: vector<u32>,
    bodies: vector<vector<u8>>,
    keyring: vector<u8>,
    label: vector<u8>,
    seal: vector<u8>,
    clock: &Clock,
) {
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    assert_seal(&seal);
    assert!(label.length() <= MAX_LABEL, ELabelSize);
    assert!(keyring.length() <= MAX_KEYRING, EKeyringSize);
    let count = kinds.length();
    assert!(count >= 1 && count <= MAX_SLOTS, ESlotCount);
    assert!(indices.length() == count && bodies.length() == count, ESlotCount);
    let mut keys = vector[];
    count.do!(|i| {
        assert_slot(&bodies[i]);
        assert!(i == 0 || indices[i - 1] < indices[i], ESlotOrder);
        keys.push_back(KeySlot { kind: kinds[i], index: indices[i], key_epoch, body: bodies[i] });
    });
    drive.keys = keys;
    drive.keyring = keyring;
    drive.label = label;
    drive.advance(holder, seal, clock);
    drive.emit_keys();
}

// === Death ===

/// The end of the Drive; its pool goes to the caller.
public fun destroy<P: key + store>(drive: Drive, expected_sequence: u64, holder: vector<u8>): P {
    let mut drive = drive;
    drive.assert_sequence(expected_sequence);
    drive.assert_writer(&holder);
    let pool = drive.remove_pool<P>();
    event::emit(Destroyed {
        drive: object::id(&drive),
        uid: drive.uid,
        sequence: drive.sequence,
        pool: object::id(&pool),
    });
    let Drive { id, .. } = drive;
    id.delete();
    pool
}

// === Rules ===

fun assert_sequence(drive: &Drive, expected: u64) {
    assert!(drive.sequence == expected, EWrongSequence);
}

/// The lease must be the holder's. Its end does not matter while nobody else has taken it.
fun assert_writer(drive: &Drive, holder: &vector<u8>) {
    assert!(drive.writer.is_some(), ENoLease);
    assert!(&drive.writer.borrow().holder == holder, ELeaseOfAnother);
}

fun assert_seal(seal: &vector<u8>) {
    assert!(!seal.is_empty() && seal.length() <= MAX_SEAL, ESealSize);
}

fun assert_slot(body: &vector<u8>) {
    assert!(!body.is_empty() && body.length() <= MAX_SLOT, ESlotSize);
}

fun remove_pool<P: key + store>(drive: &mut Drive): P {
    assert!(field::exists_(&drive.id, PoolKey()), EPoolLent);
    assert!(field::exists_with_type<PoolKey, P>(&drive.id, PoolKey()), EPoolType);
    field::remove(&mut drive.id, PoolKey())
}

fun renew(drive: &mut Drive, holder: vector<u8>, clock: &Clock) {
    drive.writer = option::some(Lease { holder, expires_at_ms: clock.timestamp_ms() + LEASE_MS });
}

/// What every new sealed state does.
fun advance(drive: &mut Drive, holder: vector<u8>, seal: vector<u8>, clock: &Clock) {
    drive.sequence = drive.sequence + 1;
    drive.seal = seal;
    drive.renew(holder, clock);
}

fun emit_lease(drive: &Drive) {
    event::emit(LeaseChanged {
        drive: object::id(drive),
        uid: drive.uid,
        sequence: drive.sequence,
        writer: drive.writer,
    });
}

fun emit_keys(drive: &Drive) {
    event::emit(KeysChanged { drive: object::id(drive), uid: drive.uid, sequence: drive.sequence });
}

// === Views for tests ===

#[test_only]
/// The Drive's BCS form after its id: what the scenarios compare.
public fun state(drive: &Drive): vector<u8> {
    after_id(std::bcs::to_bytes(drive), object::id(drive))
}

#[test_only]
/// The BCS form, after the Drive's id, of the only event of type `E` in this transaction.
public fun emitted<E: copy + drop>(drive: ID): vector<u8> {
    let events = event::events_by_type<E>();
    assert!(events.length() == 1);
    after_id(std::bcs::to_bytes(&events[0]), drive)
}

#[test_only]
fun after_id(bytes: vector<u8>, id: ID): vector<u8> {
    let mut bytes = bytes;
    let mut rest = vector[];
    while (bytes.length() > 32) rest.push_back(bytes.pop_back());
    assert!(bytes == id.to_bytes());
    rest.reverse();
    rest
}
