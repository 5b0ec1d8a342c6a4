//! All master keys of a drive by key epoch, and the one that seals new things.

use super::keys::{MasterKey, SubKey, context};
use super::seal::{Domain, SEAL_OVERHEAD, SealObserver, Sealing, epoch_of};
use super::unit::PackCipher;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::{DriveUid, KeyEpoch};
use crate::seam::Random;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// Length of one link of the sealed keyring: an older master key sealed under the next.
const LINK: usize = 32 + SEAL_OVERHEAD;

/// The keys of one drive. Shared as `Arc<KeyRing>`; rotation makes a new one.
#[derive(Clone)]
pub struct KeyRing {
    uid: DriveUid,
    current: KeyEpoch,
    keys: BTreeMap<KeyEpoch, Keys>,
    random: Arc<dyn Random>,
    observer: Option<Arc<dyn SealObserver>>,
}

/// The keys of one epoch. A sub-key is derived once: every change of a name or an attribute seals a frame of the journal.
#[derive(Clone)]
struct Keys {
    master: MasterKey,
    domains: [OnceLock<SubKey>; Domain::COUNT],
}

impl From<MasterKey> for Keys {
    fn from(master: MasterKey) -> Self {
        Self { master, domains: Default::default() }
    }
}

impl KeyRing {
    /// The ring of the drive `uid` whose current master key is `master`, of key epoch `current`.
    pub fn new(uid: DriveUid, current: KeyEpoch, master: MasterKey, random: Arc<dyn Random>) -> Self {
        Self { uid, current, keys: BTreeMap::from([(current, master.into())]), random, observer: None }
    }

    /// Reports every sealing to `observer`; for tests.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn SealObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The drive.
    pub fn uid(&self) -> DriveUid {
        self.uid
    }

    /// The key epoch that seals new things.
    pub fn current(&self) -> KeyEpoch {
        self.current
    }

    /// The master key of the current epoch, for wrapping it in a key slot.
    pub fn master(&self) -> &MasterKey {
        &self.keys[&self.current].master
    }

    /// The source of randomness of this drive.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Adds the older keys from the Drive's sealed keyring (`KeyRing::chain`). [`Kind::Corrupt`] when a link does not
    /// open: the keyring is not of this drive or was altered.
    pub fn unchain(&mut self, chain: &[u8]) -> FsResult<()> {
        let broken = |epoch: KeyEpoch| {
            FsError::new(Kind::Corrupt, format!("the keyring's link below key epoch {epoch} does not open"))
        };
        let (links, rest) = chain.as_chunks::<LINK>();
        if !rest.is_empty() {
            return Err(FsError::new(Kind::Corrupt, "the keyring's length is not a whole number of links"));
        }
        let mut newer = self.current;
        for link in links {
            let older = newer.0.checked_sub(1).map(KeyEpoch).ok_or_else(|| broken(newer))?;
            if epoch_of(link) != Some(newer) {
                return Err(broken(newer));
            }
            let opened = Zeroizing::new(self.open(Domain::Keyring, &[], link).map_err(|_| broken(newer))?);
            let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| broken(newer))?;
            self.keys.insert(older, MasterKey::from_bytes(bytes).into());
            newer = older;
        }
        Ok(())
    }

    /// The sealed keyring for the Drive object: each older master key sealed under the next, newest first; empty in the
    /// first key epoch.
    pub fn chain(&self) -> FsResult<Vec<u8>> {
        let mut chain = Vec::new();
        let mut newer = self.current;
        while let Some((&older, Keys { master, .. })) = self.keys.range(..newer).next_back() {
            if older.next() != Some(newer) {
                return Err(FsError::new(Kind::Internal, format!("the key of epoch {newer} has no predecessor")));
            }
            chain.extend(self.seal_under(newer, Domain::Keyring, &[], master.expose())?);
            newer = older;
        }
        Ok(chain)
    }

    /// Starts the next key epoch with `master`; older keys stay for what they sealed.
    pub fn rotate(&mut self, master: MasterKey) -> FsResult<()> {
        let next = self.current.next().ok_or_else(|| FsError::new(Kind::Internal, "key epochs are used up"))?;
        self.keys.insert(next, master.into());
        self.current = next;
        Ok(())
    }

    /// 32 fresh random bytes: the salt of a pack.
    pub fn fresh_salt(&self) -> [u8; 32] {
        let mut salt = [0; 32];
        self.random.fill(&mut salt);
        salt
    }

    /// The cipher of the pack with this salt, sealed under `epoch`.
    pub fn pack_cipher(&self, epoch: KeyEpoch, salt: &[u8; 32]) -> FsResult<PackCipher> {
        let data_key = self.key(epoch)?.master.subkey(context::DATA, &self.uid);
        Ok(PackCipher::new(self.uid, epoch, &data_key, salt, self.observer.clone()))
    }

    /// Seals `plaintext` under the current key epoch with a fresh random nonce; adds [`SEAL_OVERHEAD`] bytes. `aad` must
    /// be given again to open it.
    pub fn seal(&self, domain: Domain, aad: &[u8], plaintext: &[u8]) -> FsResult<Vec<u8>> {
        self.seal_under(self.current, domain, aad, plaintext)
    }

    /// Opens what [`KeyRing::seal`] made. [`Kind::Corrupt`] when it is not what was sealed for this drive, domain and
    /// associated data; [`Kind::WrongKey`] when it names a key epoch that this ring does not have.
    pub fn open(&self, domain: Domain, aad: &[u8], sealed: &[u8]) -> FsResult<Vec<u8>> {
        let damaged = || FsError::new(Kind::Corrupt, format!("sealed bytes ({domain:?}) are not what was written"));
        let epoch = epoch_of(sealed).filter(|_| sealed.len() >= SEAL_OVERHEAD).ok_or_else(damaged)?;
        self.sealing(epoch, domain)?.open(aad, sealed).ok_or_else(damaged)
    }

    /// As [`KeyRing::seal`], appended to `out`; an error leaves `out` as it was.
    pub fn seal_to(&self, domain: Domain, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> FsResult<()> {
        self.seal_under_to(self.current, domain, aad, plaintext, out)
    }

    fn seal_under(&self, epoch: KeyEpoch, domain: Domain, aad: &[u8], plaintext: &[u8]) -> FsResult<Vec<u8>> {
        let mut out = Vec::with_capacity(plaintext.len().saturating_add(SEAL_OVERHEAD));
        self.seal_under_to(epoch, domain, aad, plaintext, &mut out)?;
        Ok(out)
    }

    fn seal_under_to(
        &self,
        epoch: KeyEpoch,
        domain: Domain,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> FsResult<()> {
        let mut nonce = [0; 24];
        self.random.fill(&mut nonce);
        let sealed = self.sealing(epoch, domain)?.seal_to(nonce, aad, plaintext, out);
        sealed.ok_or_else(|| FsError::new(Kind::Internal, format!("{} bytes cannot be sealed", plaintext.len())))
    }

    fn sealing(&self, epoch: KeyEpoch, domain: Domain) -> FsResult<Sealing<'_>> {
        let keys = self.key(epoch)?;
        let key = keys.domains[domain.index()].get_or_init(|| keys.master.subkey(domain.context(), &self.uid));
        Ok(Sealing { domain, uid: &self.uid, epoch, key, observer: self.observer.as_deref() })
    }

    fn key(&self, epoch: KeyEpoch) -> FsResult<&Keys> {
        self.keys.get(&epoch).ok_or_else(|| {
            FsError::new(
                Kind::WrongKey,
                format!(
                    "no key of epoch {epoch}: the drive's keys were rotated after this one was opened; open it again"
                ),
            )
        })
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("uid", &self.uid).field("current", &self.current).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::SeededRandom;
    use parking_lot::Mutex;
    use std::collections::HashSet;

    fn ring(seed: u64) -> KeyRing {
        let random = Arc::new(SeededRandom::new(seed));
        let master = MasterKey::generate(&*random);
        KeyRing::new(DriveUid([seed as u8; 32]), KeyEpoch(0), master, random)
    }

    const DOMAINS: [Domain; 6] =
        [Domain::Log, Domain::Seal, Domain::Label, Domain::Journal, Domain::Cache, Domain::Keyring];

    #[test]
    fn sealed_bytes_open_only_as_what_they_were_sealed_as() {
        let ring = ring(1);
        for domain in DOMAINS {
            let sealed = ring.seal(domain, b"where", b"what").unwrap();
            assert_eq!(sealed.len(), 4 + SEAL_OVERHEAD);
            assert_eq!(ring.open(domain, b"where", &sealed).unwrap(), b"what");
            assert_eq!(ring.open(domain, b"elsewhere", &sealed).unwrap_err().kind(), Kind::Corrupt);
            for other in DOMAINS.into_iter().filter(|other| *other != domain) {
                assert_eq!(ring.open(other, b"where", &sealed).unwrap_err().kind(), Kind::Corrupt);
            }
        }
    }

    #[test]
    fn any_flipped_bit_and_any_truncation_is_noticed() {
        let ring = ring(2);
        let sealed = ring.seal(Domain::Log, b"", b"twelve bytes").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open(Domain::Log, b"", &bad).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(ring.open(Domain::Log, b"", &sealed[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn a_drive_opens_nothing_of_another_with_the_same_master_key() {
        let random = Arc::new(SeededRandom::new(3));
        let master = MasterKey::generate(&*random);
        let one = KeyRing::new(DriveUid([1; 32]), KeyEpoch(0), master.clone(), random.clone());
        let two = KeyRing::new(DriveUid([2; 32]), KeyEpoch(0), master.clone(), random);
        let sealed = one.seal(Domain::Label, b"", b"name").unwrap();
        assert!(two.open(Domain::Label, b"", &sealed).is_err());
        assert_ne!(master.commitment(&one.uid()), master.commitment(&two.uid()));
    }

    #[test]
    fn rotation_keeps_older_epochs_readable_through_the_chain() {
        let mut ring = ring(4);
        let mut sealed = vec![ring.seal(Domain::Log, b"", b"epoch 0").unwrap()];
        for epoch in 1..4u8 {
            ring.rotate(MasterKey::from_bytes(&[epoch; 32])).unwrap();
            sealed.push(ring.seal(Domain::Log, b"", format!("epoch {epoch}").as_bytes()).unwrap());
        }
        let chain = ring.chain().unwrap();
        assert_eq!(chain.len(), 3 * LINK);
        let newest = MasterKey::from_bytes(&[3; 32]);
        let mut reopened = KeyRing::new(ring.uid(), KeyEpoch(3), newest, Arc::new(SeededRandom::new(5)));
        assert_eq!(reopened.open(Domain::Log, b"", &sealed[0]).unwrap_err().kind(), Kind::WrongKey);
        reopened.unchain(&chain).unwrap();
        for (epoch, sealed) in sealed.iter().enumerate() {
            assert_eq!(reopened.open(Domain::Log, b"", sealed).unwrap(), format!("epoch {epoch}").as_bytes());
        }
        let mut bad = chain.clone();
        bad[LINK + 40] ^= 1;
        let mut fresh =
            KeyRing::new(ring.uid(), KeyEpoch(3), MasterKey::from_bytes(&[3; 32]), Arc::new(SeededRandom::new(6)));
        assert_eq!(fresh.unchain(&bad).unwrap_err().kind(), Kind::Corrupt);
        assert_eq!(fresh.unchain(&chain[1..]).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn golden_seal() {
        let random = Arc::new(SeededRandom::new(0));
        let ring = KeyRing::new(DriveUid([0x11; 32]), KeyEpoch(2), MasterKey::from_bytes(&[0x22; 32]), random);
        let sealed = ring.seal(Domain::Log, b"aad", b"hello").unwrap();
        assert_eq!(
            hex::encode(sealed),
            "0200000071e0a99173564931c0b8acc52d2685a8e39c64dc52e3d02332e101a816d1ac0c82febad013727ac1e3dec6bce9"
        );
    }

    #[test]
    fn golden_unit() {
        let random = Arc::new(SeededRandom::new(0));
        let ring = KeyRing::new(DriveUid([0x11; 32]), KeyEpoch(2), MasterKey::from_bytes(&[0x22; 32]), random);
        let cipher = ring.pack_cipher(KeyEpoch(2), &[0x33; 32]).unwrap();
        let mut unit = b"hello".to_vec();
        let tag = cipher.seal_in_place(1, 48, 5, &mut unit).unwrap();
        unit.extend_from_slice(&tag);
        assert_eq!(hex::encode(&unit), "2a68851dde9a199021eacaa00f8d27a98bb1ca7f90");
        for (kind, offset, len) in [(2, 48, 5), (1, 49, 5), (1, 48, 6)] {
            assert!(!cipher.open_in_place(kind, offset, len, &mut unit.clone()), "{kind} {offset} {len}");
        }
        assert!(cipher.open_in_place(1, 48, 5, &mut unit));
        assert_eq!(unit, b"hello");
    }

    #[derive(Default)]
    struct Recorder(Mutex<HashSet<([u8; 32], Vec<u8>)>>, Mutex<usize>);

    impl SealObserver for Recorder {
        fn sealed(&self, key: [u8; 32], nonce: &[u8], _ciphertext: [u8; 32]) {
            *self.1.lock() += 1;
            self.0.lock().insert((key, nonce.to_vec()));
        }
    }

    #[test]
    fn the_observer_sees_every_sealing_with_its_own_key_and_nonce() {
        let recorder = Arc::new(Recorder::default());
        let ring = ring(7).observed_by(recorder.clone());
        for _ in 0..10 {
            ring.seal(Domain::Journal, b"", b"same").unwrap();
            let cipher = ring.pack_cipher(KeyEpoch(0), &ring.fresh_salt()).unwrap();
            assert!(cipher.seal_in_place(0, 48, 4, &mut [0; 4]).is_some());
        }
        assert_eq!((*recorder.1.lock(), recorder.0.lock().len()), (20, 20));
    }
}
