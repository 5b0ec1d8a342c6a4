//! How a mount ends: it is unmounted, what waits is certified, the drive is closed.
//!
//! Three things end it: an order of the control socket, a signal, and the kernel. Who asks for the end while it is under way joins
//! those who wait for it ([`Waiter`]); a mount that was taken away lazily is served for as long as programs use it.

use super::notify;
use super::serve::{OpenDrive, Peer, pending};
use super::signals::Ending;
use crate::cli::control::Answer;
use crate::cli::exit::{Code, Failure};
use crate::cli::output;
use crate::cli::umount::from_mount;
use crate::error::{FsError, FsResult};
use crate::fuse::Mounted;
use crate::vfs::Vfs;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a signal waits for the network.
const TERM_DRAIN: Duration = Duration::from_secs(60);

/// How long the last steps of the drive may take: they make the journal durable, and give the lease back.
const LAST_STEPS: Duration = Duration::from_secs(4);

/// How often somebody who waits is told how much is left.
pub(super) const PROGRESS: Duration = Duration::from_secs(1);

/// How long the kernel may take to end its session after an unmount that succeeded.
const LET_GO: Duration = Duration::from_secs(2);

/// What the loop is told to do.
pub(super) enum Order {
    /// To unmount, certify and end.
    Umount {
        /// Even while programs use it.
        lazy: bool,
        /// Who asked, and until when.
        waiter: Waiter,
    },
    /// To make the journal durable and end, unless it is mounted: another process wants the drive.
    Leave(Peer),
}

/// Somebody who waits for the end.
pub(super) struct Waiter {
    peer: Peer,
    /// How long the network is waited for.
    timeout: Duration,
}

impl Waiter {
    pub(super) fn new(peer: Peer, timeout: Duration) -> Self {
        Self { peer, timeout }
    }
}

/// Those who wait for the end, each until their own moment.
#[derive(Default)]
struct Waiters(Vec<(Peer, Instant)>);

impl Waiters {
    fn add(&mut self, Waiter { peer, timeout }: Waiter) {
        self.0.push((peer, Instant::now() + timeout));
    }

    /// The last of their moments.
    fn last(&self) -> Option<Instant> {
        self.0.iter().map(|(_, until)| *until).max()
    }

    /// Nobody waits longer than until `at`.
    fn cap(&mut self, at: Instant) {
        self.0.iter_mut().for_each(|(_, until)| *until = at.min(*until));
    }

    /// Tells all how much is left; who is out of time while others wait on is told that, and gone.
    async fn tell(&mut self, drive: &OpenDrive) {
        let last = self.last();
        for (mut peer, until) in std::mem::take(&mut self.0) {
            if until <= Instant::now() && Some(until) != last {
                peer.finish(Err(Failure::new(Code::Pending, format!("time is over; {}", left(drive))))).await;
            } else if peer.say(&Answer::Progress { pending_bytes: pending(drive) }).await {
                self.0.push((peer, until));
            }
        }
    }

    async fn finish(self, result: &Result<(), Failure>) -> Vec<Peer> {
        let mut told = Vec::new();
        for (mut peer, _) in self.0 {
            peer.finish(copy(result)).await;
            told.push(peer);
        }
        told
    }
}

/// The same result for somebody else.
fn copy(result: &Result<(), Failure>) -> Result<(), Failure> {
    result.as_ref().copied().map_err(|failure| Failure::new(failure.code(), failure.to_string()))
}

/// A mounted drive on its way to its end.
pub(super) struct Life<'a> {
    pub(super) mounted: &'a Mounted,
    pub(super) drive: &'a OpenDrive,
    pub(super) signals: &'a mut Ending,
    pub(super) orders: mpsc::Receiver<Order>,
}

/// How it ended, and who was told: their connections end with the process.
pub(super) type End = (Result<(), Failure>, Vec<Peer>);

impl Life<'_> {
    /// Serves the mount until its end.
    pub(super) async fn live(&mut self) -> End {
        let mut detached = false;
        loop {
            tokio::select! {
                () = self.mounted.ended() => {
                    if detached {
                        return self.drain(Waiters::default(), TERM_DRAIN, true).await;
                    }
                    tracing::warn!("the mount was taken away without `walrusfs umount`; the journal keeps what is pending");
                    return (close(self.drive).await, Vec::new());
                }
                () = self.signals.any() => return self.terminate(detached).await,
                Some(order) = self.orders.recv() => match order {
                    Order::Leave(mut peer) if detached => {
                        tracing::warn!("another process takes the drive; programs that use the old mount lose it");
                        let result = close(self.drive).await;
                        peer.finish(copy(&result)).await;
                        return (result, vec![peer]);
                    }
                    Order::Leave(mut peer) => {
                        peer.finish(Err(Failure::new(Code::Busy, "the drive is mounted by this process"))).await;
                    }
                    Order::Umount { lazy, waiter } => {
                        if let Some(end) = self.umount(lazy, waiter, &mut detached).await {
                            return end;
                        }
                    }
                },
            }
        }
    }

    /// Somebody asks for the end; `None` when the mount stays, or programs use it on.
    async fn umount(&mut self, lazy: bool, waiter: Waiter, detached: &mut bool) -> Option<End> {
        let (timeout, mut waiters) = (waiter.timeout, Waiters::default());
        waiters.add(waiter);
        if !*detached {
            let hurry = Hurry::after(self.drive, timeout);
            telling(&mut waiters, self.drive, pull(self.mounted)).await;
            if let Err(failure) = unmount(self.mounted, lazy).await {
                waiters.finish(&Err(failure)).await;
                return None;
            }
            drop(hurry);
        }
        if tokio::time::timeout(LET_GO, self.mounted.ended()).await.is_ok() {
            return Some(self.drain(waiters, timeout, true).await);
        }
        // Programs use it on: it is served until they let go. What is there now is certified for who waits.
        *detached = true;
        let (result, waiters) = self.certify(waiters, timeout, true).await;
        match &result {
            Err(failure) if matches!(failure.code(), Code::Interrupted | Code::Busy) => {
                let closed = close(self.drive).await.and(result);
                let told = waiters.finish(&closed).await;
                Some((closed, told))
            }
            _ => {
                tracing::info!("the mount is gone from the tree of files, and is served until nobody uses it");
                waiters.finish(&result).await;
                None
            }
        }
    }

    /// SIGTERM, or Ctrl-C in the foreground: nobody can be asked to close files, so a busy mount is detached.
    async fn terminate(&mut self, detached: bool) -> End {
        notify::stopping("unmounting", TERM_DRAIN + LAST_STEPS);
        let hurry = Hurry::after(self.drive, TERM_DRAIN / 2);
        if !detached {
            tokio::select! {
                () = pull(self.mounted) => {}
                () = self.signals.any() => self.drive.vfs.hurry(true),
            }
            if unmount(self.mounted, false).await.is_err()
                && let Err(failure) = unmount(self.mounted, true).await
            {
                return (close(self.drive).await.and(Err(failure)), Vec::new());
            }
        }
        drop(hurry);
        self.drain(Waiters::default(), TERM_DRAIN, false).await
    }

    /// Certifies what is pending, then closes the drive. `patient`: the first signal only shortens the wait.
    async fn drain(&mut self, waiters: Waiters, timeout: Duration, patient: bool) -> End {
        // After a lazy unmount, or with the mount in another namespace, programs may use it on.
        let gone = tokio::time::timeout(LET_GO, self.mounted.ended()).await.is_ok();
        if !timeout.is_zero()
            && gone
            && let Err(error) = self.drive.pipeline.let_go().await
        {
            tracing::warn!(%error, "files without names could not be removed; the next mount does it");
        }
        let (result, waiters) = self.certify(waiters, timeout, patient).await;
        let result = close(self.drive).await.and(result);
        let told = waiters.finish(&result).await;
        (result, told)
    }

    /// Waits until everything done so far is certified, for those who wait and for `timeout` at least; not at all when that is zero.
    /// `patient`: the first signal only shortens it.
    async fn certify(
        &mut self,
        mut waiters: Waiters,
        timeout: Duration,
        mut patient: bool,
    ) -> (Result<(), Failure>, Waiters) {
        if timeout.is_zero() {
            return (Ok(()), waiters);
        }
        let mut until = Instant::now() + timeout;
        let drive = self.drive;
        let mut synced = drive.pipeline.sync();
        let mut progress = tokio::time::interval(PROGRESS);
        let result = loop {
            let last = waiters.last().map_or(until, |last| last.max(until));
            tokio::select! {
                synced = &mut synced => break synced.map_err(|error| uncertified(error, &left(drive))),
                () = tokio::time::sleep_until(last) => {
                    break Err(Failure::new(Code::Pending, format!("time is over; {}", left(drive))));
                }
                () = self.signals.any() => {
                    if !patient {
                        break Err(Failure::new(Code::Interrupted, format!("stopped; {}", left(drive))));
                    }
                    patient = false;
                    until = until.min(Instant::now() + TERM_DRAIN);
                    waiters.cap(until);
                }
                Some(order) = self.orders.recv() => match order {
                    Order::Umount { waiter, .. } => waiters.add(waiter),
                    Order::Leave(mut peer) => {
                        peer.finish(Ok(())).await;
                        break Err(Failure::new(Code::Busy, format!("another process takes the drive; {}", left(drive))));
                    }
                },
                _ = progress.tick() => {
                    notify::stopping(&format!("{} to go", output::bytes(pending(drive))), LAST_STEPS + PROGRESS * 10);
                    waiters.tell(drive).await;
                }
            }
        };
        (result, waiters)
    }
}

/// Does `work`, and tells those who wait that it goes on.
async fn telling(waiters: &mut Waiters, drive: &OpenDrive, work: impl Future<Output = ()>) {
    let mut progress = tokio::time::interval(PROGRESS);
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return,
            _ = progress.tick() => waiters.tell(drive).await,
        }
    }
}

/// What writes may wait for room in the journal while the mount is taken away: afterwards they are refused. Dropped, they wait again
/// (it was in use, and stays).
struct Hurry {
    vfs: Arc<Vfs>,
    task: tokio::task::JoinHandle<()>,
}

impl Hurry {
    fn after(drive: &OpenDrive, time: Duration) -> Self {
        let vfs = Arc::clone(&drive.vfs);
        let task = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            vfs.hurry(true);
        });
        Self { vfs: Arc::clone(&drive.vfs), task }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.task.abort();
        self.vfs.hurry(false);
    }
}

/// Pulls dirty pages out of the kernel; what does not come is the kernel's to write before the mount ends.
async fn pull(mounted: &Mounted) {
    if let Err(error) = mounted.pull_dirty_pages().await {
        tracing::warn!(%error, "not all dirty pages were pulled from the kernel");
    }
}

async fn unmount(mounted: &Mounted, lazy: bool) -> Result<(), Failure> {
    // umount2 writes dirty pages, which the workers answer; it must not hold up a thread of the runtime.
    tokio::task::block_in_place(|| mounted.unmount(lazy)).map_err(from_mount)
}

/// Makes the journal durable and stops the work in the background. The lease is given back when the network answers in time; it ends
/// by itself otherwise.
pub(super) async fn close(drive: &OpenDrive) -> Result<(), Failure> {
    let flushed: FsResult<()> = match tokio::time::timeout(LAST_STEPS, drive.pipeline.flush()).await {
        Ok(flushed) => flushed,
        Err(_) => {
            let seconds = LAST_STEPS.as_secs();
            return Err(Failure::new(
                Code::Failed,
                format!("the journal could not be made durable within {seconds} s"),
            ));
        }
    };
    if tokio::time::timeout(LAST_STEPS, drive.pipeline.stop()).await.is_err() {
        tracing::warn!("the network did not answer in time: if this machine has the drive's lease, it ends by itself");
    }
    flushed.map_err(|error| Failure::from_fs("the drive did not close cleanly", error))
}

/// Why not everything was certified, and what `becomes` of the rest.
pub(super) fn uncertified(error: FsError, becomes: &str) -> Failure {
    let failure = Failure::from_fs("not everything could be certified", error);
    let code = if failure.code() == Code::Failed { Code::Pending } else { failure.code() };
    Failure::new(code, format!("{failure}; {becomes}"))
}

/// What is left when the process ends now.
fn left(drive: &OpenDrive) -> String {
    let what = match pending(drive) {
        0 => "what was changed is".to_owned(),
        bytes => format!("{} are", output::bytes(bytes)),
    };
    format!("{what} safe in the journal and go on at the next mount")
}
