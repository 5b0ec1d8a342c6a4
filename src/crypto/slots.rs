//! Key slots: the master key wrapped once per way to open the drive (docs/format.md "Key slots").
//!
//! A slot stands on the Drive object, so everything in it is public for ever, also after it was removed. Its body:
//!
//! ```text
//! key file    version u8 = 1 |                                  salt 32 | nonce 24 | wrapped 48 | commitment 32
//! passphrase  version u8 = 1 | m u32 LE | t u32 LE | p u32 LE | salt 32 | nonce 24 | wrapped 48 | commitment 32
//! wallet      version u8 = 1 | ed25519 public key 32          | salt 32 | nonce 24 | wrapped 48 | commitment 32
//! ```
//!
//! `wrapped` is the master key under XChaCha20-Poly1305. The wrapping key is BLAKE3 `derive_key` over the slot's secret
//! (the key file's 32 bytes; Argon2id of the passphrase with the slot's salt), the salt and the drive's uid. The
//! associated data binds uid, kind, index, key epoch and everything in the body before the nonce, so a slot cannot be
//! moved, renumbered or given other parameters. After unwrapping, the master key must have the commitment in the
//! slot: no ciphertext opens to two different keys.
//!
//! Promises that no work is done on parameters outside [`Argon2Cost`]'s floor and ceiling: whoever writes the slot cannot make
//! a reader allocate or compute without bound. Assumes that the caller shows the user what a passphrase slot means
//! (an offline target for all time). Must never keep, print or log a secret: all are zeroized.
//!
//! The wallet slot's layout is reserved; this version neither writes nor opens one.

use super::aead::{Aead, LONG_NONCE as NONCE, TAG};
use super::keys::{MasterKey, derive};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, KeyEpoch};
use crate::seam::Random;
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const VERSION: u8 = 1;
const SALT: usize = 32;
const WRAPPED: usize = 48;
const COMMITMENT: usize = 32;

/// Fixed contexts of the wrapping keys; part of the format.
const KEY_FILE_CONTEXT: &str = "walrusfs 2026-11 v1 key file slot";
const PASSPHRASE_CONTEXT: &str = "walrusfs 2026-11 v1 passphrase slot";

/// First word of a key file: says to whoever finds the file what it is.
const KEY_FILE_MARK: &str = "walrusfs-key-1";

/// How a slot's secret is had. The discriminants stand on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotKind {
    /// A file with 32 random bytes.
    KeyFile = 0,
    /// A passphrase, through Argon2id.
    Passphrase = 1,
    /// A signature of an ed25519 wallet; reserved.
    Wallet = 2,
}

impl SlotKind {
    /// The kind with this number on the chain.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::KeyFile),
            1 => Some(Self::Passphrase),
            2 => Some(Self::Wallet),
            _ => None,
        }
    }

    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyFile => "key file",
            Self::Passphrase => "passphrase",
            Self::Wallet => "wallet",
        }
    }
}

/// The secret of a key file: 32 random bytes. One key file may open several drives.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyFile([u8; 32]);

impl KeyFile {
    /// New random bytes.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(*bytes)
    }

    /// The file's text: one line.
    pub fn to_text(&self) -> Zeroizing<String> {
        let hex = Zeroizing::new(hex::encode(self.0));
        Zeroizing::new(format!("{KEY_FILE_MARK} {}\n", *hex))
    }

    /// Reads the file's text. [`Kind::WrongKey`] when it is none.
    pub fn parse(text: &str) -> FsResult<Self> {
        let bad = || FsError::new(Kind::WrongKey, format!("not a key file: it must be one line `{KEY_FILE_MARK} HEX`"));
        let hex = text.trim_ascii().strip_prefix(KEY_FILE_MARK).ok_or_else(bad)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(hex.trim_ascii(), &mut *bytes).map_err(|_| bad())?;
        Ok(Self(*bytes))
    }
}

/// A passphrase.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(Vec<u8>);

/// Longest passphrase that is accepted, bytes.
const MAX_PASSPHRASE: usize = 1024;

/// Bits of entropy that a new passphrase must have by [`Passphrase::estimated_bits`].
pub const MIN_PASSPHRASE_BITS: u32 = 60;

impl Passphrase {
    /// The passphrase in `text`, without the newline at its end.
    pub fn new(text: &str) -> FsResult<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.len() > MAX_PASSPHRASE {
            return Err(FsError::new(Kind::WrongKey, format!("a passphrase has 1 to {MAX_PASSPHRASE} bytes")));
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// A cautious guess at the work of an attacker who knows how people choose passphrases, as a power of two.
    ///
    /// Letters within a word count 2.6 bits (a word of five letters out of a list of 7776), other characters what their
    /// class holds, and a character that repeats or continues the one before it counts 1.
    pub fn estimated_bits(&self) -> u32 {
        let mut tenths = 0u32;
        let mut before: Option<(u8, i16)> = None;
        let mut seen = [0u8; 256];
        for &byte in &self.0 {
            let step = before.map(|(last, _)| i16::from(byte) - i16::from(last));
            let continues = step.is_some_and(|step| {
                step == 0 || (step.abs() == 1 && before.is_some_and(|(_, last_step)| last_step == step))
            });
            let worth = match byte {
                _ if continues => 10,
                b'a'..=b'z' | b'A'..=b'Z' => 26,
                b'0'..=b'9' => 33,
                _ => 40,
            };
            let count = &mut seen[usize::from(byte)];
            *count = count.saturating_add(1);
            // A character that has come often already says little about the next place.
            tenths = tenths.saturating_add(if *count > 6 { worth / 2 } else { worth });
            before = Some((byte, step.unwrap_or(0)));
        }
        tenths / 10
    }

    fn check_strength(&self) -> FsResult<()> {
        let bits = self.estimated_bits();
        if bits < MIN_PASSPHRASE_BITS {
            return Err(FsError::new(
                Kind::WrongKey,
                format!(
                    "the passphrase is too weak (about {bits} bits, {MIN_PASSPHRASE_BITS} are needed): the slot stands on a \
                     public chain and can be attacked for ever; use at least six random words"
                ),
            ));
        }
        Ok(())
    }
}

/// The cost of Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Argon2Cost {
    /// What new slots use: 256 MiB, 4 passes.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, passes: 4, lanes: 1 };
    /// The least that is accepted: 64 MiB, 3 passes.
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The most that is accepted: 1 GiB, 16 passes, 4 lanes.
    pub const CEILING: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 4 };

    fn check(self) -> FsResult<Params> {
        let (low, high) = (Self::FLOOR, Self::CEILING);
        let within = (low.memory_kib..=high.memory_kib).contains(&self.memory_kib)
            && (low.passes..=high.passes).contains(&self.passes)
            && (low.lanes..=high.lanes).contains(&self.lanes);
        let refused = || {
            FsError::new(
                Kind::WrongKey,
                format!(
                    "a passphrase slot asks for {} KiB of memory, {} passes and {} lanes: outside what is accepted ({} to {} KiB, \
                     {} to {} passes, 1 to {} lanes), so nothing was computed; use another slot",
                    self.memory_kib,
                    self.passes,
                    self.lanes,
                    low.memory_kib,
                    high.memory_kib,
                    low.passes,
                    high.passes,
                    high.lanes
                ),
            )
        };
        if !within {
            return Err(refused());
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| refused())
    }
}

/// What opens a slot.
pub enum SlotSecret {
    /// A key file's bytes.
    KeyFile(KeyFile),
    /// A passphrase, and the cost that a new slot for it gets (an existing slot names its own).
    Passphrase(Passphrase, Argon2Cost),
}

impl SlotSecret {
    /// The kind of slot that it opens.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::KeyFile(_) => SlotKind::KeyFile,
            Self::Passphrase(..) => SlotKind::Passphrase,
        }
    }
}

impl std::fmt::Debug for SlotSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotSecret({})", self.kind().name())
    }
}

/// Where a slot stands: what its associated data binds beside its own body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPlace {
    /// The drive.
    pub uid: DriveUid,
    /// The slot's index on the Drive.
    pub index: u32,
    /// The key epoch whose master key it wraps.
    pub key_epoch: KeyEpoch,
}

impl SlotPlace {
    fn associated(&self, kind: SlotKind, head: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(41 + head.len());
        out.extend_from_slice(&self.uid.0);
        out.push(kind as u8);
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.key_epoch.0.to_le_bytes());
        out.extend_from_slice(head);
        out
    }
}

/// The body of a new slot that opens with `secret`. [`Kind::WrongKey`] when the passphrase is too weak or the cost is
/// out of bounds.
pub fn wrap(master: &MasterKey, place: SlotPlace, secret: &SlotSecret, random: &dyn Random) -> FsResult<Vec<u8>> {
    let mut salt = [0; SALT];
    random.fill(&mut salt);
    let mut body = vec![VERSION];
    if let SlotSecret::Passphrase(passphrase, cost) = secret {
        passphrase.check_strength()?;
        for figure in [cost.memory_kib, cost.passes, cost.lanes] {
            body.extend_from_slice(&figure.to_le_bytes());
        }
    }
    body.extend_from_slice(&salt);
    let key = wrapping_key(secret, &salt, &place.uid)?;
    let mut nonce = [0; NONCE];
    random.fill(&mut nonce);
    let aad = place.associated(secret.kind(), &body);
    let mut wrapped = Zeroizing::new(*master.expose());
    let tag = Aead::long(&key, &nonce)
        .and_then(|cipher| cipher.seal(&aad, &mut *wrapped))
        .ok_or_else(|| FsError::new(Kind::Internal, "the master key could not be wrapped"))?;
    body.extend_from_slice(&nonce);
    body.extend_from_slice(&*wrapped);
    body.extend_from_slice(&tag);
    body.extend_from_slice(&master.commitment(&place.uid));
    Ok(body)
}

/// The master key in the slot `body` of kind `kind`. [`Kind::WrongKey`] when the secret does not open it (or the slot was
/// altered, which looks the same), is of another kind, or its cost is out of bounds; [`Kind::Corrupt`] when
/// the body is no slot.
pub fn unwrap(kind: u8, body: &[u8], place: SlotPlace, secret: &SlotSecret) -> FsResult<MasterKey> {
    let slot = Slot::parse(kind, body)?;
    if slot.kind != secret.kind() {
        return Err(FsError::new(
            Kind::WrongKey,
            format!("slot {} opens with a {}, not with a {}", place.index, slot.kind.name(), secret.kind().name()),
        ));
    }
    let refused = || {
        FsError::new(
            Kind::WrongKey,
            format!("the {} does not open slot {}, or the slot was altered", slot.kind.name(), place.index),
        )
    };
    let key = match (secret, slot.cost) {
        (SlotSecret::Passphrase(passphrase, _), Some(cost)) => passphrase_key(passphrase, cost, slot.salt, &place.uid)?,
        _ => wrapping_key(secret, slot.salt, &place.uid)?,
    };
    let aad = place.associated(slot.kind, slot.head);
    let (text, tag) = slot.wrapped.split_last_chunk::<TAG>().ok_or_else(refused)?;
    let mut opened = Zeroizing::new(<[u8; 32]>::try_from(text).map_err(|_| refused())?);
    if !Aead::long(&key, slot.nonce).is_some_and(|cipher| cipher.open(&aad, &mut *opened, *tag)) {
        return Err(refused());
    }
    let master = MasterKey::from_bytes(&opened);
    if master.commitment(&place.uid) != *slot.commitment {
        return Err(refused());
    }
    Ok(master)
}

/// What anyone can read in a slot's body: its Argon2id cost when it has one. For `drive info`.
pub fn cost(kind: u8, body: &[u8]) -> FsResult<Option<Argon2Cost>> {
    Ok(Slot::parse(kind, body)?.cost)
}

struct Slot<'a> {
    kind: SlotKind,
    cost: Option<Argon2Cost>,
    /// Everything before the nonce.
    head: &'a [u8],
    salt: &'a [u8; SALT],
    nonce: &'a [u8; NONCE],
    wrapped: &'a [u8],
    commitment: &'a [u8; COMMITMENT],
}

impl<'a> Slot<'a> {
    fn parse(kind: u8, body: &'a [u8]) -> FsResult<Self> {
        let kind = SlotKind::from_number(kind).ok_or_else(|| {
            FsError::new(Kind::WrongKey, format!("key slots of kind {kind} need a newer version of walrusfs"))
        })?;
        if kind == SlotKind::Wallet {
            return Err(FsError::new(Kind::WrongKey, "wallet slots are not supported by this version of walrusfs"));
        }
        let corrupt = || FsError::new(Kind::Corrupt, format!("a {} slot has not the form of one", kind.name()));
        Self::split(kind, body).ok_or_else(corrupt)
    }

    fn split(kind: SlotKind, body: &'a [u8]) -> Option<Self> {
        let (&version, mut rest) = body.split_first()?;
        if version != VERSION {
            return None;
        }
        let mut cost = None;
        if kind == SlotKind::Passphrase {
            let mut figure = || {
                let (bytes, more) = rest.split_first_chunk::<4>()?;
                rest = more;
                Some(u32::from_le_bytes(*bytes))
            };
            cost = Some(Argon2Cost { memory_kib: figure()?, passes: figure()?, lanes: figure()? });
        }
        let (salt, rest) = rest.split_first_chunk::<SALT>()?;
        let head = &body[..body.len() - rest.len()];
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (wrapped, commitment) = rest.split_at_checked(WRAPPED)?;
        Some(Self { kind, cost, head, salt, nonce, wrapped, commitment: commitment.try_into().ok()? })
    }
}

fn wrapping_key(secret: &SlotSecret, salt: &[u8; SALT], uid: &DriveUid) -> FsResult<Zeroizing<[u8; 32]>> {
    match secret {
        SlotSecret::KeyFile(file) => Ok(derive(KEY_FILE_CONTEXT, &[&file.0, salt, &uid.0])),
        SlotSecret::Passphrase(passphrase, cost) => passphrase_key(passphrase, *cost, salt, uid),
    }
}

fn passphrase_key(
    passphrase: &Passphrase,
    cost: Argon2Cost,
    salt: &[u8; SALT],
    uid: &DriveUid,
) -> FsResult<Zeroizing<[u8; 32]>> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.check()?);
    let mut stretched = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into(&passphrase.0, salt, &mut *stretched)
        .map_err(|error| FsError::new(Kind::Internal, format!("Argon2id failed: {error}")))?;
    Ok(derive(PASSPHRASE_CONTEXT, &[&stretched, salt, &uid.0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::SeededRandom;
    use std::time::Instant;

    const PLACE: SlotPlace = SlotPlace { uid: DriveUid([1; 32]), index: 3, key_epoch: KeyEpoch(2) };
    const GOOD: &str = "orbit velvet canoe thimble static ugly";

    fn passphrase(text: &str) -> SlotSecret {
        SlotSecret::Passphrase(Passphrase::new(text).unwrap(), Argon2Cost::FLOOR)
    }

    fn key_file(seed: u64) -> SlotSecret {
        SlotSecret::KeyFile(KeyFile::generate(&SeededRandom::new(seed)))
    }

    fn wrapped(secret: &SlotSecret) -> (MasterKey, Vec<u8>) {
        let random = SeededRandom::new(7);
        let master = MasterKey::generate(&random);
        let body = wrap(&master, PLACE, secret, &random).unwrap();
        (master, body)
    }

    fn kind_of(result: FsResult<MasterKey>) -> Kind {
        result.map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn both_kinds_open_with_their_secret_only() {
        let (one, two) = (key_file(1), key_file(2));
        let (master, body) = wrapped(&one);
        assert_eq!(body.len(), 137);
        assert_eq!(unwrap(0, &body, PLACE, &one).unwrap().expose(), master.expose());
        assert_eq!(kind_of(unwrap(0, &body, PLACE, &two)), Kind::WrongKey);
        let (right, wrong) = (passphrase(GOOD), passphrase("orbit velvet canoe thimble static uglY"));
        let (master, body) = wrapped(&right);
        assert_eq!(body.len(), 149);
        assert_eq!(unwrap(1, &body, PLACE, &right).unwrap().expose(), master.expose());
        assert_eq!(kind_of(unwrap(1, &body, PLACE, &wrong)), Kind::WrongKey);
        assert_eq!(kind_of(unwrap(1, &body, PLACE, &one)), Kind::WrongKey);
    }

    #[test]
    fn a_slot_opens_only_in_its_place() {
        let secret = key_file(1);
        let (_, body) = wrapped(&secret);
        for place in [
            SlotPlace { uid: DriveUid([2; 32]), ..PLACE },
            SlotPlace { index: 4, ..PLACE },
            SlotPlace { key_epoch: KeyEpoch(1), ..PLACE },
        ] {
            assert_eq!(kind_of(unwrap(0, &body, place, &secret)), Kind::WrongKey);
        }
    }

    #[test]
    fn no_bit_of_a_slot_can_be_changed() {
        let secret = key_file(1);
        let (_, body) = wrapped(&secret);
        for bit in 0..body.len() * 8 {
            let mut bad = body.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap(0, &bad, PLACE, &secret).is_err(), "bit {bit}");
        }
        for len in 0..body.len() {
            assert_eq!(kind_of(unwrap(0, &body[..len], PLACE, &secret)), Kind::Corrupt, "length {len}");
        }
        let long = [&body[..], &[0]].concat();
        assert_eq!(kind_of(unwrap(0, &long, PLACE, &secret)), Kind::Corrupt);
    }

    #[test]
    fn the_cost_of_a_passphrase_slot_is_bound() {
        let secret = passphrase(GOOD);
        let (_, body) = wrapped(&secret);
        assert_eq!(cost(1, &body).unwrap(), Some(Argon2Cost::FLOOR));
        let mut dearer = body;
        dearer[5..9].copy_from_slice(&4u32.to_le_bytes());
        assert_eq!(kind_of(unwrap(1, &dearer, PLACE, &secret)), Kind::WrongKey);
    }

    #[test]
    fn cost_out_of_bounds_is_refused_before_any_work() {
        let secret = passphrase(GOOD);
        let (_, body) = wrapped(&secret);
        let (low, high) = (Argon2Cost::FLOOR, Argon2Cost::CEILING);
        let bombs = [
            (high.memory_kib + 1, low.passes, 1),
            (u32::MAX, low.passes, 1),
            (low.memory_kib, high.passes + 1, 1),
            (low.memory_kib, u32::MAX, 1),
            (low.memory_kib, low.passes, high.lanes + 1),
            (low.memory_kib, low.passes, 0),
            (low.memory_kib - 1, low.passes, 1),
            (low.memory_kib, low.passes - 1, 1),
            (8, 1, 1),
        ];
        let start = Instant::now();
        for (memory, passes, lanes) in bombs {
            let mut bomb = body.clone();
            bomb[1..5].copy_from_slice(&memory.to_le_bytes());
            bomb[5..9].copy_from_slice(&passes.to_le_bytes());
            bomb[9..13].copy_from_slice(&lanes.to_le_bytes());
            let error = unwrap(1, &bomb, PLACE, &secret).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::WrongKey);
            assert!(error.to_string().contains("nothing was computed"), "{error}");
        }
        assert!(start.elapsed().as_millis() < 50, "work was done on refused parameters");
        let weak = Argon2Cost { passes: 1, ..Argon2Cost::FLOOR };
        let secret = SlotSecret::Passphrase(Passphrase::new(GOOD).unwrap(), weak);
        assert!(wrap(&MasterKey::from_bytes(&[0; 32]), PLACE, &secret, &SeededRandom::new(1)).is_err());
    }

    #[test]
    fn a_slot_that_opens_to_another_key_is_refused() {
        let secret = key_file(1);
        let (_, body) = wrapped(&secret);
        let mut bad = body;
        bad.truncate(bad.len() - COMMITMENT);
        bad.extend_from_slice(&MasterKey::from_bytes(&[9; 32]).commitment(&PLACE.uid));
        assert_eq!(kind_of(unwrap(0, &bad, PLACE, &secret)), Kind::WrongKey);
    }

    #[test]
    fn unknown_and_reserved_kinds_are_refused() {
        let secret = key_file(1);
        let (_, body) = wrapped(&secret);
        for kind in [2, 3, 255] {
            assert_eq!(kind_of(unwrap(kind, &body, PLACE, &secret)), Kind::WrongKey);
        }
    }

    #[test]
    fn weak_passphrases_make_no_slot() {
        let weak = [
            "hunter2",
            "correct horse",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnopqrstuvwxyz",
            "12345678901234567890",
        ];
        for text in weak {
            let secret = passphrase(text);
            let result = wrap(&MasterKey::from_bytes(&[0; 32]), PLACE, &secret, &SeededRandom::new(1));
            assert!(result.unwrap_err().to_string().contains("too weak"), "{text}");
        }
        for text in [GOOD, "q7#Lm2!vTz9@Kd4$Xw8%", "7f3k9-x2m8q-4t6wz-b5n1r"] {
            assert!(Passphrase::new(text).unwrap().check_strength().is_ok(), "{text}");
        }
        assert!(Passphrase::new("").is_err() && Passphrase::new("\n").is_err());
        assert!(Passphrase::new(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn key_files_round_trip_and_say_what_they_are() {
        let file = KeyFile::generate(&SeededRandom::new(1));
        let text = file.to_text();
        assert!(text.starts_with("walrusfs-key-1 ") && text.ends_with('\n'));
        assert_eq!(KeyFile::parse(&text).unwrap().0, file.0);
        for bad in ["", "walrusfs-key-1", "walrusfs-key-1 00", "walrusfs-key-2 00", &text.replace(' ', " zz")] {
            assert!(KeyFile::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn golden_slot() {
        let secret = SlotSecret::KeyFile(KeyFile([5; 32]));
        let body = wrap(&MasterKey::from_bytes(&[6; 32]), PLACE, &secret, &SeededRandom::new(0)).unwrap();
        assert_eq!(
            blake3::hash(&body).to_hex().as_str(),
            "3bfc3de9c754fe2a9fea3b7596ac36c6720520cbdf87c40cc1dfd702bb582a4c"
        );
        assert_eq!(unwrap(0, &body, PLACE, &secret).unwrap().expose(), &[6; 32]);
    }
}
