//! The rules of the Move module `walrusfs::drive`, natively.
//!
//! The local chain does not interpret bytecode: it runs these functions where a real chain runs
//! `contracts/walrusfs/sources/drive.move`. The two are kept equal by one table of scenarios
//! (`contracts/scenarios.json`), which drives the Move unit tests and the tests of this module.
//!
//! *Mechanism.* [`Drive`] has the BCS layout of the Move object. Each function is pure: it is given the object, the
//! arguments, the chain's clock and what lies in the object's dynamic field ([`PoolField`]), and answers with the event to emit or
//! the abort that a real chain would report. Checks come in the order of the Move source, so the same call with
//! several faults reports the same one, and an abort leaves the Drive as it was.
//!
//! *Assumes* that the caller enforces what the chain itself enforces in the real world: that the sender owns the
//! Drive, that a [`Receipt`] (a value without abilities) is consumed before the transaction ends, and that objects
//! returned by value are consumed.
//!
//! *Must never* know anything about Walrus: the pool is some object with an id.

mod call;
mod object;
#[cfg(test)]
mod scenarios;

pub use call::{FUNCTIONS, Function, Param};
pub use object::{
    Committed, Created, Destroyed, Drive, Event, KeySlot, KeysChanged, Lease, LeaseChanged, ObjectId, PoolReplaced,
    RootRef,
};

/// The Move module's name.
pub const MODULE: &str = "drive";

/// Bytes in a drive's uid.
pub const UID_BYTES: usize = 32;
/// Bytes in a lease holder's id.
pub const HOLDER_BYTES: usize = 16;
/// Bytes in a pack's salt.
pub const SALT_BYTES: usize = 32;
/// Most bytes of a sealed label.
pub const MAX_LABEL: usize = 512;
/// Most bytes of a seal.
pub const MAX_SEAL: usize = 1024;
/// Most key slots on a Drive.
pub const MAX_SLOTS: usize = 16;
/// Most bytes of a key slot's body.
pub const MAX_SLOT: usize = 512;
/// Most bytes of the keyring.
pub const MAX_KEYRING: usize = 8 * 1024;
/// Most bytes that one commit appends to the log, over all its entries.
pub const MAX_APPEND: usize = 15 * 1024;
/// Most bytes in the whole log.
pub const MAX_LOG: usize = 16 * 1024;
/// How long a lease lasts after it was taken or renewed, milliseconds.
pub const LEASE_MS: u64 = 10 * 60 * 1000;
/// How long after its expiry a lease may be taken over by another holder, milliseconds.
pub const GRACE_MS: u64 = 2 * 60 * 1000;

/// A Move abort: what the chain reports as module and code. Every code of the module is a constant here, in the
/// order of the Move source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("Move abort {code} in module {module}")]
pub struct Abort {
    /// Module name, always [`MODULE`].
    pub module: &'static str,
    /// The abort code.
    pub code: u64,
}

macro_rules! aborts {
    ($($(#[$doc:meta])* $name:ident = $move_name:literal = $code:literal;)*) => {
        impl Abort {
            $($(#[$doc])* pub const $name: Abort = Abort { module: MODULE, code: $code };)*
            /// Every abort with the name of its constant in the Move source.
            pub const ALL: &'static [(&'static str, Abort)] = &[$(($move_name, Abort::$name)),*];
        }
    };
}

aborts! {
    /// `expected_sequence` is not the Drive's sequence: somebody committed in between.
    WRONG_SEQUENCE = "EWrongSequence" = 0;
    /// Nobody holds the lease.
    NO_LEASE = "ENoLease" = 1;
    /// Another holder has the lease.
    LEASE_OF_ANOTHER = "ELeaseOfAnother" = 2;
    /// The pool is out on loan in this transaction.
    POOL_LENT = "EPoolLent" = 3;
    /// The Drive's pool has another type.
    POOL_TYPE = "EPoolType" = 4;
    /// The receipt was made by another Drive.
    WRONG_RECEIPT = "EWrongReceipt" = 5;
    /// The object given back is not the pool that was lent.
    WRONG_POOL = "EWrongPool" = 6;
    /// The uid is not 32 bytes.
    UID_LENGTH = "EUidLength" = 7;
    /// The holder's id is not 16 bytes.
    HOLDER_LENGTH = "EHolderLength" = 8;
    /// The salt is not 32 bytes.
    SALT_LENGTH = "ESaltLength" = 9;
    /// The label is longer than 512 bytes.
    LABEL_SIZE = "ELabelSize" = 10;
    /// The seal is empty or longer than 1024 bytes.
    SEAL_SIZE = "ESealSize" = 11;
    /// A key slot's body is empty or longer than 512 bytes.
    SLOT_SIZE = "ESlotSize" = 12;
    /// More than 16 key slots, or none.
    SLOT_COUNT = "ESlotCount" = 13;
    /// Key slots are not in ascending order of their index.
    SLOT_ORDER = "ESlotOrder" = 14;
    /// No key slot has this index.
    NO_SUCH_SLOT = "ENoSuchSlot" = 15;
    /// The keyring is longer than 8 KiB.
    KEYRING_SIZE = "EKeyringSize" = 16;
    /// `log_drop` is more than the log has entries.
    LOG_DROP = "ELogDrop" = 17;
    /// A log entry is empty.
    ENTRY_EMPTY = "EEntryEmpty" = 18;
    /// One commit appends more than 15 KiB.
    APPEND_SIZE = "EAppendSize" = 19;
    /// The log would be longer than 16 KiB.
    LOG_SIZE = "ELogSize" = 20;
    /// The root has no bytes.
    ROOT_EMPTY = "ERootEmpty" = 21;
}

/// What lies in the Drive's dynamic object field when a call begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolField {
    /// Nothing: the pool is lent in this transaction.
    Empty,
    /// An object of another type than the call's type argument.
    OtherType,
    /// An object of the call's type argument, with this id.
    Holds(ObjectId),
}

impl PoolField {
    fn present(self) -> Result<(), Abort> {
        if self == PoolField::Empty { Err(Abort::POOL_LENT) } else { Ok(()) }
    }

    fn typed(self) -> Result<ObjectId, Abort> {
        match self {
            PoolField::Empty => Err(Abort::POOL_LENT),
            PoolField::OtherType => Err(Abort::POOL_TYPE),
            PoolField::Holds(id) => Ok(id),
        }
    }
}

/// Proof that a pool is lent: a value without abilities, so a transaction that ends with one fails.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[must_use = "a transaction that ends with a receipt fails"]
pub struct Receipt {
    /// The Drive that lent.
    pub drive: ObjectId,
    /// The pool that was lent.
    pub pool: ObjectId,
}

/// What `drive::create` is given beside the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateArgs {
    /// Version of everything the client stores under this Drive.
    pub format: u16,
    /// The drive's random name, 32 bytes.
    pub uid: Vec<u8>,
    /// The sealed label.
    pub label: Vec<u8>,
    /// Kind of the first key slot.
    pub slot_kind: u8,
    /// The key epoch that the slot opens.
    pub key_epoch: u32,
    /// The first key slot's body; its index is 0.
    pub slot: Vec<u8>,
    /// The seal of sequence 0.
    pub seal: Vec<u8>,
}

fn check_uid(uid: &[u8]) -> Result<(), Abort> {
    if uid.len() == UID_BYTES { Ok(()) } else { Err(Abort::UID_LENGTH) }
}

fn check_label(label: &[u8]) -> Result<(), Abort> {
    if label.len() <= MAX_LABEL { Ok(()) } else { Err(Abort::LABEL_SIZE) }
}

fn check_seal(seal: &[u8]) -> Result<(), Abort> {
    if (1..=MAX_SEAL).contains(&seal.len()) { Ok(()) } else { Err(Abort::SEAL_SIZE) }
}

fn check_slot(body: &[u8]) -> Result<(), Abort> {
    if (1..=MAX_SLOT).contains(&body.len()) { Ok(()) } else { Err(Abort::SLOT_SIZE) }
}

/// `drive::create`: a new Drive at sequence 0, with one key slot of index 0, nobody's lease and the pool `pool`
/// (which the caller puts into the dynamic field). `id` is the new object's id.
pub fn create(id: ObjectId, pool: ObjectId, args: CreateArgs) -> Result<(Drive, Event), Abort> {
    check_uid(&args.uid)?;
    check_label(&args.label)?;
    check_slot(&args.slot)?;
    check_seal(&args.seal)?;
    let drive = Drive {
        id,
        format: args.format,
        uid: args.uid,
        sequence: 0,
        root: None,
        log: Vec::new(),
        seal: args.seal,
        keys: vec![KeySlot { kind: args.slot_kind, index: 0, key_epoch: args.key_epoch, body: args.slot }],
        keyring: Vec::new(),
        writer: None,
        label: args.label,
    };
    let event = Event::Created(Created { drive: id, uid: drive.uid.clone(), sequence: 0, pool });
    Ok((drive, event))
}

/// `drive::root`: what `commit` is given to set a new root. `blob_id` is the u256 in BCS form.
pub fn root(
    blob_id: [u8; 32],
    offset: u64,
    length: u32,
    salt: Vec<u8>,
    key_epoch: u32,
) -> Result<Option<RootRef>, Abort> {
    if length == 0 {
        return Err(Abort::ROOT_EMPTY);
    }
    if salt.len() != SALT_BYTES {
        return Err(Abort::SALT_LENGTH);
    }
    Ok(Some(RootRef { blob_id, offset, length, salt, key_epoch }))
}

/// `drive::same_root`: what `commit` is given to leave the root as it is.
pub fn same_root() -> Option<RootRef> {
    None
}

impl Drive {
    fn check_sequence(&self, expected: u64) -> Result<(), Abort> {
        if self.sequence == expected { Ok(()) } else { Err(Abort::WRONG_SEQUENCE) }
    }

    fn check_writer(&self, holder: &[u8]) -> Result<(), Abort> {
        match &self.writer {
            None => Err(Abort::NO_LEASE),
            Some(lease) if lease.holder != holder => Err(Abort::LEASE_OF_ANOTHER),
            Some(_) => Ok(()),
        }
    }

    fn renew(&mut self, holder: &[u8], now_ms: u64) {
        self.writer = Some(Lease { holder: holder.to_vec(), expires_at_ms: now_ms.saturating_add(LEASE_MS) });
    }

    /// Everything that a new sealed state does: the next sequence, its seal, and the lease renewed.
    fn advance(&mut self, holder: &[u8], seal: Vec<u8>, now_ms: u64) {
        self.sequence = self.sequence.saturating_add(1);
        self.seal = seal;
        self.renew(holder, now_ms);
    }

    fn keys_changed(&self) -> Event {
        Event::KeysChanged(KeysChanged { drive: self.id, uid: self.uid.clone(), sequence: self.sequence })
    }

    fn lease_changed(&self) -> Event {
        Event::LeaseChanged(LeaseChanged {
            drive: self.id,
            uid: self.uid.clone(),
            sequence: self.sequence,
            writer: self.writer.clone(),
        })
    }

    /// `drive::acquire_lease`: at once when nobody or the same holder has it; from another holder
    /// [`GRACE_MS`] after its expiry, or with `steal`.
    pub fn acquire_lease(
        &mut self,
        expected_sequence: u64,
        holder: &[u8],
        steal: bool,
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        if holder.len() != HOLDER_BYTES {
            return Err(Abort::HOLDER_LENGTH);
        }
        if let Some(lease) = &self.writer {
            let free = lease.holder == holder || steal || now_ms >= lease.expires_at_ms.saturating_add(GRACE_MS);
            if !free {
                return Err(Abort::LEASE_OF_ANOTHER);
            }
        }
        self.renew(holder, now_ms);
        Ok(self.lease_changed())
    }

    /// `drive::renew_lease`: only its holder, expired or not.
    pub fn renew_lease(&mut self, expected_sequence: u64, holder: &[u8], now_ms: u64) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        self.renew(holder, now_ms);
        Ok(self.lease_changed())
    }

    /// `drive::release_lease`: only its holder.
    pub fn release_lease(&mut self, expected_sequence: u64, holder: &[u8]) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        self.writer = None;
        Ok(self.lease_changed())
    }

    /// `drive::take_pool`: lends the pool until [`Drive::put_pool`] in the same transaction, and renews the lease. The
    /// caller takes the object out of the dynamic field.
    pub fn take_pool(
        &mut self,
        pool: PoolField,
        expected_sequence: u64,
        holder: &[u8],
        now_ms: u64,
    ) -> Result<Receipt, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        let pool = pool.typed()?;
        self.renew(holder, now_ms);
        Ok(Receipt { drive: self.id, pool })
    }

    /// `drive::put_pool`: gives back what was lent. `given` is the id of the object given back, which the caller puts into
    /// the dynamic field (it is empty: a receipt exists only while the pool is away).
    pub fn put_pool(&self, given: ObjectId, receipt: Receipt) -> Result<(), Abort> {
        if receipt.drive != self.id {
            return Err(Abort::WRONG_RECEIPT);
        }
        if receipt.pool != given {
            return Err(Abort::WRONG_POOL);
        }
        Ok(())
    }

    /// `drive::replace_pool`: installs `new` and hands out the old one, whose id is in `old`. The caller moves the objects.
    pub fn replace_pool(
        &mut self,
        old: PoolField,
        new: ObjectId,
        expected_sequence: u64,
        holder: &[u8],
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        let old = old.typed()?;
        self.renew(holder, now_ms);
        Ok(Event::PoolReplaced(PoolReplaced {
            drive: self.id,
            uid: self.uid.clone(),
            sequence: self.sequence,
            old,
            new,
        }))
    }

    /// `drive::commit`: sets the root when there is a new one, removes the first `log_drop` entries of the log, then
    /// appends `log_append`; the next sequence, with its seal; the lease renewed.
    #[expect(clippy::too_many_arguments, reason = "the Move call has these arguments")]
    pub fn commit(
        &mut self,
        pool: PoolField,
        expected_sequence: u64,
        holder: &[u8],
        new_root: Option<RootRef>,
        log_drop: u64,
        log_append: Vec<Vec<u8>>,
        seal: Vec<u8>,
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        pool.present()?;
        check_seal(&seal)?;
        let drop = usize::try_from(log_drop).map_err(|_| Abort::LOG_DROP)?;
        let kept = self.log.get(drop..).ok_or(Abort::LOG_DROP)?;
        if log_append.iter().any(Vec::is_empty) {
            return Err(Abort::ENTRY_EMPTY);
        }
        let appended: usize = log_append.iter().map(Vec::len).sum();
        if appended > MAX_APPEND {
            return Err(Abort::APPEND_SIZE);
        }
        let held: usize = kept.iter().map(Vec::len).sum();
        if held + appended > MAX_LOG {
            return Err(Abort::LOG_SIZE);
        }
        self.log.drain(..drop);
        self.log.extend(log_append);
        let new = new_root.is_some();
        if new {
            self.root = new_root;
        }
        self.advance(holder, seal, now_ms);
        Ok(Event::Committed(Committed {
            drive: self.id,
            uid: self.uid.clone(),
            sequence: self.sequence,
            new_root: new,
        }))
    }

    /// `drive::add_slot`: one more way to open the drive; the next sequence. `index` must be above every slot's.
    #[expect(clippy::too_many_arguments, reason = "the Move call has these arguments")]
    pub fn add_slot(
        &mut self,
        expected_sequence: u64,
        holder: &[u8],
        kind: u8,
        index: u32,
        key_epoch: u32,
        body: Vec<u8>,
        seal: Vec<u8>,
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        check_seal(&seal)?;
        check_slot(&body)?;
        if self.keys.len() >= MAX_SLOTS {
            return Err(Abort::SLOT_COUNT);
        }
        if self.keys.last().is_some_and(|last| index <= last.index) {
            return Err(Abort::SLOT_ORDER);
        }
        self.keys.push(KeySlot { kind, index, key_epoch, body });
        self.advance(holder, seal, now_ms);
        Ok(self.keys_changed())
    }

    /// `drive::remove_slot`: one way less to open the drive, never the last; the next sequence.
    pub fn remove_slot(
        &mut self,
        expected_sequence: u64,
        holder: &[u8],
        index: u32,
        seal: Vec<u8>,
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        check_seal(&seal)?;
        let at = self.keys.iter().position(|slot| slot.index == index).ok_or(Abort::NO_SUCH_SLOT)?;
        if self.keys.len() == 1 {
            return Err(Abort::SLOT_COUNT);
        }
        self.keys.remove(at);
        self.advance(holder, seal, now_ms);
        Ok(self.keys_changed())
    }

    /// `drive::rotate_keys`: all slots rewritten for a new key epoch, the keyring extended, the label sealed anew; the next
    /// sequence. `kinds`, `indices` and `bodies` are the new slots, one element each.
    #[expect(clippy::too_many_arguments, reason = "the Move call has these arguments")]
    pub fn rotate_keys(
        &mut self,
        expected_sequence: u64,
        holder: &[u8],
        key_epoch: u32,
        kinds: Vec<u8>,
        indices: Vec<u32>,
        bodies: Vec<Vec<u8>>,
        keyring: Vec<u8>,
        label: Vec<u8>,
        seal: Vec<u8>,
        now_ms: u64,
    ) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        check_seal(&seal)?;
        check_label(&label)?;
        if keyring.len() > MAX_KEYRING {
            return Err(Abort::KEYRING_SIZE);
        }
        let count = kinds.len();
        if !(1..=MAX_SLOTS).contains(&count) || indices.len() != count || bodies.len() != count {
            return Err(Abort::SLOT_COUNT);
        }
        let mut keys: Vec<KeySlot> = Vec::with_capacity(count);
        for ((kind, index), body) in kinds.into_iter().zip(indices).zip(bodies) {
            check_slot(&body)?;
            if keys.last().is_some_and(|last| index <= last.index) {
                return Err(Abort::SLOT_ORDER);
            }
            keys.push(KeySlot { kind, index, key_epoch, body });
        }
        self.keys = keys;
        self.keyring = keyring;
        self.label = label;
        self.advance(holder, seal, now_ms);
        Ok(self.keys_changed())
    }

    /// `drive::destroy`: the end of the Drive; its pool goes to the caller, who takes it out of the dynamic field.
    pub fn destroy(self, pool: PoolField, expected_sequence: u64, holder: &[u8]) -> Result<Event, Abort> {
        self.check_sequence(expected_sequence)?;
        self.check_writer(holder)?;
        let pool = pool.typed()?;
        Ok(Event::Destroyed(Destroyed { drive: self.id, uid: self.uid, sequence: self.sequence, pool }))
    }
}
