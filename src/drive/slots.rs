//! Ways to open the drive: what anyone can read of them, and their changes.
//!
//! A change of the slots is a new sealed state like a commit, with the same fence: the sequence that this machine has
//! verified, and its lease. So it must not be made beside a mount that writes: the mount's next commit would find a state
//! that it was not made from.

use super::client::DriveClient;
use super::object::{KeySlot, MAX_KEYRING};
use super::seal;
use crate::crypto::slots::{self, Argon2Cost, SlotKind, SlotPlace, SlotSecret};
use crate::crypto::{KeyRing, MasterKey};
use crate::error::{FsError, FsResult, Kind};
use crate::ids::KeyEpoch;

/// A key slot as anyone can see it: none of this needs a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotFacts {
    /// Names it for as long as it exists.
    pub index: u32,
    /// How it opens; `None` for a kind that this version does not know.
    pub kind: Option<SlotKind>,
    /// The key epoch whose master key it wraps.
    pub key_epoch: KeyEpoch,
    /// What one guess at its passphrase costs, where it has one that is well formed.
    pub cost: Option<Argon2Cost>,
}

impl DriveClient {
    /// The drive's key slots, ascending in index; no network.
    pub fn slots(&self) -> Vec<SlotFacts> {
        let facts = |slot: &KeySlot| SlotFacts {
            index: slot.index,
            kind: SlotKind::from_number(slot.kind),
            key_epoch: slot.key_epoch,
            cost: slots::cost(slot.kind, &slot.body).ok().flatten(),
        };
        self.state().object.keys.iter().map(facts).collect()
    }

    /// Whether `secret` opens the slot `index`. Of a passphrase this computes for about a second; no network.
    pub fn opens(&self, index: u32, secret: &SlotSecret) -> bool {
        let state = self.state();
        let Some(slot) = state.object.keys.iter().find(|slot| slot.index == index) else { return false };
        let place = SlotPlace { uid: state.uid(), index, key_epoch: slot.key_epoch };
        slot.kind == secret.kind() as u8 && slots::unwrap(slot.kind, &slot.body, place, secret).is_ok()
    }

    /// Adds a way to open the drive; answers its index. A passphrase slot stands on the chain for ever: say so to the user.
    pub async fn add_slot(&self, secret: &SlotSecret) -> FsResult<u32> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let state = self.refresh().await?;
        let keys = self.keys();
        let index = state.object.next_slot()?;
        let place = SlotPlace { uid: keys.uid(), index, key_epoch: keys.current() };
        let body = slots::wrap(keys.master(), place, secret, &*self.session.random)?;
        let slot = KeySlot { kind: secret.kind() as u8, index, key_epoch: keys.current(), body };
        let mut object = state.object.clone();
        object.keys.push(slot.clone());
        let next = self.seal_next(&state, object, &keys, self.random_tag())?;
        let sequence = state.object.sequence.0;
        self.run_sealed("the key slot could not be added", &state, &next, |tx, drive| {
            let arguments = vec![
                drive,
                tx.pure(&sequence)?,
                self.holder_argument(tx)?,
                tx.pure(&slot.kind)?,
                tx.pure(&slot.index)?,
                tx.pure(&slot.key_epoch.0)?,
                tx.pure(slot.body.as_slice())?,
                tx.pure(next.object.seal.as_slice())?,
                tx.clock()?,
            ];
            self.call(tx, "add_slot", arguments).map(drop)
        })
        .await?;
        Ok(index)
    }

    /// Removes the slot `index`; never the last. Whoever copied the slot before can still open what it opened: rotate the
    /// keys to keep new data from them.
    pub async fn remove_slot(&self, index: u32) -> FsResult<()> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let state = self.refresh().await?;
        let mut object = state.object.clone();
        object.keys.retain(|slot| slot.index != index);
        if object.keys.len() == state.object.keys.len() {
            return Err(FsError::new(Kind::Posix(libc::ENOENT), format!("the drive has no key slot {index}")));
        }
        if object.keys.is_empty() {
            return Err(FsError::new(
                Kind::Posix(libc::EPERM),
                "the last key slot cannot be removed: nothing would open the drive",
            ));
        }
        let next = self.seal_next(&state, object, &self.keys(), self.random_tag())?;
        let sequence = state.object.sequence.0;
        self.run_sealed("the key slot could not be removed", &state, &next, |tx, drive| {
            let arguments = vec![
                drive,
                tx.pure(&sequence)?,
                self.holder_argument(tx)?,
                tx.pure(&index)?,
                tx.pure(next.object.seal.as_slice())?,
                tx.clock()?,
            ];
            self.call(tx, "remove_slot", arguments).map(drop)
        })
        .await
    }

    /// Starts a new key epoch: a new master key, and a slot for each of `secrets` in place of all slots. Data sealed before
    /// stays readable to whoever had the old key.
    pub async fn rotate_keys(&self, secrets: &[SlotSecret]) -> FsResult<()> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let state = self.refresh().await?;
        let mut keys = KeyRing::clone(&self.keys());
        keys.rotate(MasterKey::generate(&*self.session.random))?;
        let first = state.object.next_slot()?;
        let mut object = state.object.clone();
        object.keys.clear();
        for (secret, index) in secrets.iter().zip(first..) {
            let place = SlotPlace { uid: keys.uid(), index, key_epoch: keys.current() };
            let body = slots::wrap(keys.master(), place, secret, &*self.session.random)?;
            object.keys.push(KeySlot { kind: secret.kind() as u8, index, key_epoch: keys.current(), body });
        }
        if object.keys.is_empty() {
            return Err(FsError::new(Kind::Posix(libc::EINVAL), "new keys need at least one slot"));
        }
        object.keyring = keys.chain()?;
        if object.keyring.len() > MAX_KEYRING {
            return Err(FsError::new(Kind::Internal, "the drive's keyring is full: no more key epochs fit"));
        }
        object.label = seal::seal_label(&keys, &state.label)?;
        let next = self.seal_next(&state, object, &keys, self.random_tag())?;
        let sequence = state.object.sequence.0;
        self.run_sealed("the keys could not be rotated", &state, &next, |tx, drive| {
            let slots = &next.object.keys;
            let kinds: Vec<u8> = slots.iter().map(|slot| slot.kind).collect();
            let indices: Vec<u32> = slots.iter().map(|slot| slot.index).collect();
            let bodies: Vec<&[u8]> = slots.iter().map(|slot| slot.body.as_slice()).collect();
            let arguments = vec![
                drive,
                tx.pure(&sequence)?,
                self.holder_argument(tx)?,
                tx.pure(&keys.current().0)?,
                tx.pure(&kinds)?,
                tx.pure(&indices)?,
                tx.pure(&bodies)?,
                tx.pure(next.object.keyring.as_slice())?,
                tx.pure(next.object.label.as_slice())?,
                tx.pure(next.object.seal.as_slice())?,
                tx.clock()?,
            ];
            self.call(tx, "rotate_keys", arguments).map(drop)
        })
        .await?;
        self.install_keys(keys);
        Ok(())
    }
}
