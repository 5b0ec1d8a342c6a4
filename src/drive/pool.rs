//! The drive's storage: what it costs, more of it, for longer, or a new one.

use super::client::DriveClient;
use super::failure::chain_error;
use super::session::Session;
use super::state::PoolState;
use crate::error::{FsError, FsResult, Kind};
use sui_sdk_types::Argument;
use walrus_client::chain::WalrusState;
use walrus_client::tx::Tx;

/// What a change of a drive's storage costs, computed from the chain's prices. Prices can change until it is paid; the
/// transaction spends at most this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// FROST (10^-9 WAL) to pay.
    pub frost: u64,
    /// Encoded bytes that are paid for.
    pub bytes: u64,
    /// Walrus epochs that they are paid for.
    pub epochs: u32,
    /// First Walrus epoch that is not paid afterwards.
    pub end_epoch: u32,
}

fn quote(walrus: &WalrusState, bytes: u64, epochs: u32, end_epoch: u32) -> FsResult<Quote> {
    let frost = walrus.storage_cost(bytes, epochs).map_err(|error| chain_error("cannot compute the price", error))?;
    Ok(Quote { frost, bytes, epochs, end_epoch })
}

/// Whether the network sells storage until `end_epoch`.
///
/// # Errors
/// [`Kind::Posix`] (`EINVAL`) when it does not; names the limit.
pub fn check_epochs(walrus: &WalrusState, end_epoch: u32) -> FsResult<()> {
    let last = walrus.epoch().saturating_add(walrus.max_epochs_ahead);
    if end_epoch > last {
        return Err(FsError::new(
            Kind::Posix(libc::EINVAL),
            format!(
                "the network sells storage at most {} epochs ahead, to epoch {last}; epoch {end_epoch} was asked for",
                walrus.max_epochs_ahead
            ),
        ));
    }
    Ok(())
}

impl Session {
    /// The price of a new drive with `capacity` encoded bytes for `epochs`.
    pub async fn quote_create(&self, capacity: u64, epochs: u32) -> FsResult<Quote> {
        let walrus = self.walrus().await?;
        if capacity == 0 || epochs == 0 {
            return Err(FsError::new(Kind::Posix(libc::EINVAL), "a drive needs some capacity for some epochs"));
        }
        let end = walrus.epoch().saturating_add(epochs);
        check_epochs(&walrus, end)?;
        quote(&walrus, capacity, epochs, end)
    }
}

impl DriveClient {
    /// The price of `epochs` more for the whole pool.
    pub async fn quote_extend(&self, epochs: u32) -> FsResult<Quote> {
        let walrus = self.session.walrus().await?;
        let pool = self.live_pool(&walrus).await?;
        if epochs == 0 {
            return Err(FsError::new(Kind::Posix(libc::EINVAL), "extending by no epochs changes nothing"));
        }
        let end = pool.end_epoch.saturating_add(epochs);
        check_epochs(&walrus, end)?;
        quote(&walrus, pool.capacity, epochs, end)
    }

    /// Pays for `epochs` more. `seen` is the quote that the user agreed to: nothing is paid when the price went up since, or
    /// when the pool was extended in the meantime.
    pub async fn extend(&self, seen: &Quote) -> FsResult<PoolState> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        self.refresh().await?;
        let now = self.quote_extend(seen.epochs).await?;
        agree(seen, &now)?;
        let epochs = now.epochs;
        let lent = move |tx: &mut Tx, pool: Argument| tx.extend_storage_pool(pool, epochs);
        self.with_pool(now.frost, "the storage could not be extended", lent).await?;
        self.paid_pool().await
    }

    /// The price of growing the pool to `capacity` encoded bytes in all, until its end.
    pub async fn quote_resize(&self, capacity: u64) -> FsResult<Quote> {
        let walrus = self.session.walrus().await?;
        let pool = self.live_pool(&walrus).await?;
        let more = capacity.checked_sub(pool.capacity).filter(|more| *more > 0).ok_or_else(|| {
            FsError::new(
                Kind::Posix(libc::EINVAL),
                format!("the drive has {} encoded bytes already; name a larger capacity", pool.capacity),
            )
        })?;
        quote(&walrus, more, pool.end_epoch.saturating_sub(walrus.epoch()), pool.end_epoch)
    }

    /// Buys the capacity of a quote by [`DriveClient::quote_resize`]; `seen` as for [`DriveClient::extend`].
    pub async fn resize(&self, seen: &Quote) -> FsResult<PoolState> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let state = self.refresh().await?;
        let now = self.quote_resize(state.pool.capacity.saturating_add(seen.bytes)).await?;
        agree(seen, &now)?;
        let bytes = now.bytes;
        let lent = move |tx: &mut Tx, pool: Argument| tx.increase_storage_pool(pool, bytes);
        self.with_pool(now.frost, "the capacity could not be bought", lent).await?;
        self.paid_pool().await
    }

    /// Puts a new, empty pool in place of one that has ended; the old one goes to the wallet. Everything that the drive
    /// refers to must be uploaded again.
    pub async fn replace_pool(&self, seen: &Quote) -> FsResult<PoolState> {
        let _one = self.changing.lock().await;
        self.settle().await?;
        let state = self.refresh().await?;
        let now = self.session.quote_create(seen.bytes, seen.epochs).await?;
        agree(seen, &now)?;
        let run = self.run(now.frost, |tx, drive| {
            let sequence = state.object.sequence.0;
            if !state.is_writer(&self.holder) {
                self.add_acquire(tx, drive, sequence, false)?;
            }
            let new = tx.create_storage_pool(now.bytes, now.epochs)?;
            let pool_type = tx.pool_type()?;
            let arguments = vec![drive, tx.pure(&sequence)?, self.holder_argument(tx)?, new, tx.clock()?];
            let types = vec![pool_type.clone(), pool_type];
            let old = tx.call(self.session.package, "drive", "replace_pool", types, arguments)?;
            let owner = tx.sender();
            tx.transfer(vec![old], owner)
        });
        run.await.map_err(|error| self.lease_error(error))?;
        self.install(self.leased(&state));
        self.paid_pool().await
    }

    /// The pool, when it has not ended.
    pub(super) async fn live_pool(&self, walrus: &WalrusState) -> FsResult<PoolState> {
        let pool = self.session.read_pool(&self.id).await?;
        if pool.end_epoch <= walrus.epoch() {
            return Err(FsError::new(
                Kind::PoolFull,
                format!(
                    "the drive's storage ended with epoch {}: it cannot be extended, and the nodes drop the data; unmount, \
                     and `walrusfs drive revive` stores what this machine still has in a new pool",
                    pool.end_epoch
                ),
            ));
        }
        Ok(pool)
    }

    async fn paid_pool(&self) -> FsResult<PoolState> {
        self.update_pool().await;
        Ok(self.state().pool)
    }
}

/// Nothing is paid that the user has not seen.
fn agree(seen: &Quote, now: &Quote) -> FsResult<()> {
    let same = seen.bytes == now.bytes && seen.epochs == now.epochs && seen.end_epoch == now.end_epoch;
    if same && now.frost <= seen.frost {
        return Ok(());
    }
    Err(FsError::new(
        Kind::Posix(libc::EAGAIN),
        format!(
            "the price or the drive's storage changed since it was shown ({} FROST to epoch {}, now {} FROST to epoch {}): \
             nothing was paid, ask again",
            seen.frost, seen.end_epoch, now.frost, now.end_epoch
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_paid_that_was_not_shown() {
        let seen = Quote { frost: 100, bytes: 10, epochs: 2, end_epoch: 9 };
        assert!(agree(&seen, &seen).is_ok());
        assert!(agree(&seen, &Quote { frost: 99, ..seen }).is_ok());
        for now in [
            Quote { frost: 101, ..seen },
            Quote { bytes: 11, ..seen },
            Quote { epochs: 3, ..seen },
            Quote { end_epoch: 11, ..seen },
        ] {
            assert_eq!(agree(&seen, &now).unwrap_err().kind(), Kind::Posix(libc::EAGAIN));
        }
    }
}
