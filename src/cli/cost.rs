//! What a drive has cost so far.
//!
//! The chain tells what each transaction cost, not which drive it was for. So every process of this machine that pays for a drive
//! adds what it paid to the file `cost.json` beside the drive's journal. What other machines paid is not in it.

use super::home::{private_dir, write_private};
use super::output::{count, signed_coins, time};
use crate::seam::{Clock, SystemClock};
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use walrus_client::executor::{Executor, Paid};

/// Its name in the drive's folder.
const FILE: &str = "cost.json";

/// The longest file that is read, bytes: several times what is written.
const MAX_FILE: u64 = 4096;

/// What this machine has paid for a drive. Below zero when more came back (for deleted objects) than was paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Since when that is known, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Transactions.
    pub transactions: u64,
    /// MIST (a billionth of a SUI), gas included.
    pub mist: i64,
    /// FROST (a billionth of a WAL).
    pub frost: i64,
}

impl Cost {
    /// With `paid` added.
    fn plus(self, paid: &Paid) -> Self {
        Self {
            since_ms: self.since_ms,
            transactions: self.transactions.saturating_add(paid.transactions),
            mist: clamped(i128::from(self.mist).saturating_add(paid.mist)),
            frost: clamped(i128::from(self.frost).saturating_add(paid.frost)),
        }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sui, wal) = (signed_coins(self.mist, "SUI"), signed_coins(self.frost, "WAL"));
        write!(
            f,
            "{sui} and {wal} in {} of this machine since {}",
            count(self.transactions, "transaction"),
            time(self.since_ms)
        )
    }
}

/// How often what was paid is added to the file, at most.
const PAUSE: Duration = Duration::from_secs(5);

/// The file of a drive, and what of this process stands in it.
pub struct CostBook {
    folder: PathBuf,
    executor: Arc<Executor>,
    /// What stands in the file of what this process paid, and what the file said then. Never held across the disk.
    booked: Mutex<(Paid, Option<Cost>)>,
    /// What of it was for something else.
    exempt: Mutex<Paid>,
    /// One at a time changes the file.
    writing: Mutex<()>,
}

impl CostBook {
    /// Of the drive whose things lie in `folder`. All that `executor` pays is for it, `exempt` excepted, which it paid before.
    pub fn new(folder: PathBuf, executor: Arc<Executor>, exempt: Paid) -> Self {
        // What cannot be read now is said when it is booked.
        let cost = read(&folder.join(FILE)).ok().flatten();
        Self {
            folder,
            executor,
            booked: Mutex::new((exempt, cost)),
            exempt: Mutex::new(exempt),
            writing: Mutex::new(()),
        }
    }

    /// What was just paid is for something else.
    pub fn exempt(&self, paid: Paid) {
        let mut booked = self.booked.lock();
        booked.0 = booked.0.plus(&paid);
        let mut exempt = self.exempt.lock();
        *exempt = exempt.plus(&paid);
    }

    /// What this process has paid for the drive.
    pub fn paid(&self) -> Paid {
        let exempt = *self.exempt.lock();
        self.executor.paid().since(&exempt)
    }

    /// Adds what was paid since the last time, and says what the drive has cost; `None` while nothing was paid. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read or replaced; the next time adds it all.
    pub fn book(&self) -> io::Result<Option<Cost>> {
        let _one = self.writing.lock();
        let before = self.booked.lock().0;
        let new = self.executor.paid().since(&before);
        let cost = add(&self.folder, new, SystemClock.now_ms())?;
        let mut booked = self.booked.lock();
        *booked = (booked.0.plus(&new), cost);
        Ok(cost)
    }

    /// As [`CostBook::book`]; a refusal is logged.
    pub fn book_or_warn(&self) -> Option<Cost> {
        self.book().unwrap_or_else(|error| {
            let unbooked = self.executor.paid().since(&self.booked.lock().0);
            tracing::warn!(?unbooked, "what the drive has cost cannot be noted in {}: {error}", self.folder.display());
            self.known()
        })
    }

    /// What the drive has cost as far as this process knows, at once: other processes' payments since the last booking are missing.
    pub fn known(&self) -> Option<Cost> {
        let (before, cost) = *self.booked.lock();
        let new = self.executor.paid().since(&before);
        if new == Paid::default() {
            return cost;
        }
        Some(cost.unwrap_or(Cost { since_ms: SystemClock.now_ms(), ..Cost::default() }).plus(&new))
    }

    /// Books for as long as somebody has the book: also a command that is interrupted has noted what it paid by then.
    pub async fn keep(book: Weak<Self>) {
        while let Some(book) = book.upgrade() {
            // Ends only with the program.
            let _ = tokio::task::spawn_blocking(move || book.book_or_warn()).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for CostBook {
    fn drop(&mut self) {
        self.book_or_warn();
    }
}

/// Adds `paid` to the file in `folder`. Other processes wait meanwhile.
fn add(folder: &Path, paid: Paid, now_ms: u64) -> io::Result<Option<Cost>> {
    let file = folder.join(FILE);
    if paid == Paid::default() {
        return read(&file);
    }
    private_dir(folder).map_err(io::Error::other)?;
    let lock = File::options().create(true).append(true).mode(0o600).open(folder.join("cost.lock"))?;
    let _turn = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| io::Error::from(errno))?;
    let cost = read(&file)?.unwrap_or(Cost { since_ms: now_ms, ..Cost::default() });
    let sum = cost.plus(&paid);
    match write_private(&file, &serde_json::to_vec(&sum)?) {
        // It failed after the file was replaced: adding again would count twice.
        Err(_) if read(&file)? == Some(sum) => Ok(Some(sum)),
        written => written.map(|()| Some(sum)),
    }
}

/// What stands in the file; `None` when there is none, or nothing that can be read: then it is begun anew.
fn read(path: &Path) -> io::Result<Option<Cost>> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_FILE).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let cost = serde_json::from_slice(&text);
    if let Err(error) = &cost {
        tracing::warn!("{} is damaged, what was paid before is not known: {error}", path.display());
    }
    Ok(cost.ok())
}

/// `amount`, or the nearest number that an `i64` holds.
pub(super) fn clamped(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(transactions: u64, mist: i128, frost: i128) -> Paid {
        Paid { transactions, mist, frost }
    }

    #[test]
    fn processes_add_to_one_sum() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("drive");
        assert_eq!(add(&folder, paid(0, 0, 0), 5).unwrap(), None);
        assert!(!folder.exists(), "nothing was paid, and something written");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|_| assert!(add(&folder, paid(1, -3, 7), 9).unwrap().is_some())));
            }
        });
        let sum = Cost { since_ms: 9, transactions: 160, mist: -480, frost: 1120 };
        assert_eq!(add(&folder, paid(0, 0, 0), 11).unwrap(), Some(sum));
        let most = add(&folder, paid(0, i128::MIN, i128::MAX), 11).unwrap().unwrap();
        assert_eq!((most.mist, most.frost), (i64::MIN, i64::MAX));
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cost.json"), b"{\"since_ms\":").unwrap();
        assert_eq!(add(dir.path(), paid(0, 0, 0), 1).unwrap(), None);
        let begun = Cost { since_ms: 2, transactions: 1, mist: 5, frost: 0 };
        assert_eq!(add(dir.path(), paid(1, 5, 0), 2).unwrap(), Some(begun));
        assert_eq!(add(dir.path(), paid(0, 0, 0), 3).unwrap(), Some(begun));
    }
}
