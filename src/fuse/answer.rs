//! How a request is answered: at once by the worker that read it, or later by a task that waited for it.

use super::session::Limits;
use crate::error::{FsError, FsResult, Kind};
use crate::ids::Ino;
use crate::vfs::{Ahead, Needs, Outcome, Vfs};
use fuser::{
    Errno, INodeNo, Notifier, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
};
use futures::future::BoxFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Brings what a vfs operation waits for: from the network, from the local disk, or by waiting for space.
pub trait Loader: Send + Sync + 'static {
    /// Returns when everything in `needs` was met once; the operation is then called again, and may need more.
    fn load(&self, needs: Needs) -> BoxFuture<'_, FsResult<()>>;

    /// Meets `needs` on the calling thread, if that needs no waiting; otherwise `false`.
    fn at_once(&self, needs: &Needs) -> bool {
        let _ = needs;
        false
    }

    /// Starts to bring what nobody has asked for yet, or gives it up, and returns at once. For whom it is nothing, nothing is
    /// brought.
    fn read_ahead(&self, ahead: Ahead) {
        let _ = ahead;
    }

    /// Returns when everything done before the call is certified on the network (`durability=network`).
    fn certify(&self) -> BoxFuture<'_, FsResult<()>>;

    /// When the storage ends, milliseconds since the Unix epoch, where that is known.
    fn ends_at_ms(&self) -> Option<u64> {
        None
    }
}

/// How often an operation is called on the thread that read the request: a path through a tree, and not a directory of
/// thousands of nodes while others wait for the thread.
const ROUNDS: usize = 16;

/// Threads that pull dirty pages at once at most.
pub(crate) const PULLS: usize = 16;

/// What all requests share.
pub(crate) struct Service {
    pub(crate) vfs: Arc<Vfs>,
    pub(crate) loader: Arc<dyn Loader>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) limits: Limits,
    /// Threads that pull dirty pages at once; the writes may wait for room, and the threads with them.
    pub(crate) pulls: Arc<Semaphore>,
    /// Set before the first request is read.
    pub(crate) notifier: OnceLock<Notifier>,
}

/// A reply that can say no.
pub(crate) trait Refuse: Send + 'static {
    fn refuse(self, errno: Errno);
}

macro_rules! refuse {
    ($($reply:ty),* $(,)?) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        })*
    };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLseek,
    ReplyOpen,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr,
);

/// What a request was about, for the log: never a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) operation: &'static str,
    pub(crate) ino: Ino,
}

impl About {
    fn log(self, error: &FsError) {
        if !matches!(error.kind(), Kind::Posix(_)) {
            tracing::warn!(
                operation = self.operation,
                ino = self.ino.0,
                errno = error.errno(),
                error = error as &dyn std::error::Error,
                "a request failed"
            );
        }
    }

    /// The answer of a panic: the request is refused, the worker lives on.
    fn panicked<T>(self, operation: std::thread::Result<T>) -> FsResult<T> {
        operation.map_err(|_| {
            FsError::new(Kind::Internal, format!("{} of inode {} panicked; this is a bug", self.operation, self.ino))
        })
    }
}

impl Service {
    /// Calls `operation`; answers with `done` when it is finished, otherwise meets its needs in a task and calls again.
    pub(crate) fn answer<R: Refuse, T: Send + 'static>(
        self: &Arc<Self>,
        about: About,
        mut reply: R,
        mut operation: impl FnMut(&Vfs, &mut R) -> Outcome<T> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        match self.attempt_at_once(about, &mut reply, &mut operation) {
            Outcome::Done(result) => finish(about, reply, result, done),
            Outcome::Wait(needs) => self.later(about, needs, reply, operation, done),
        }
    }

    /// One call of `operation` that cannot panic.
    pub(crate) fn attempt<R, T>(
        &self,
        about: About,
        reply: &mut R,
        operation: &mut impl FnMut(&Vfs, &mut R) -> Outcome<T>,
    ) -> Outcome<T> {
        // The vfs holds no lock across its own panic points that would stay poisoned (parking_lot), and a reply that was
        // half used is dropped, which answers EIO.
        match about.panicked(catch_unwind(AssertUnwindSafe(|| operation(&self.vfs, reply)))) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Done(Err(error)),
        }
    }

    /// Calls `operation` again for as long as what it lacks is at hand.
    pub(crate) fn attempt_at_once<R, T>(
        &self,
        about: About,
        reply: &mut R,
        operation: &mut impl FnMut(&Vfs, &mut R) -> Outcome<T>,
    ) -> Outcome<T> {
        for _ in 0..ROUNDS {
            match self.attempt(about, reply, operation) {
                Outcome::Wait(needs) => {
                    match about.panicked(catch_unwind(AssertUnwindSafe(|| self.loader.at_once(&needs)))) {
                        Ok(true) => {}
                        Ok(false) => return Outcome::Wait(needs),
                        Err(error) => return Outcome::Done(Err(error)),
                    }
                }
                done => return done,
            }
        }
        self.attempt(about, reply, operation)
    }

    /// Meets `needs` in a task, calls `operation` again until it is finished or the time is over, then answers.
    pub(crate) fn later<R: Refuse, T: Send + 'static>(
        self: &Arc<Self>,
        about: About,
        needs: Needs,
        mut reply: R,
        mut operation: impl FnMut(&Vfs, &mut R) -> Outcome<T> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        let service = Arc::clone(self);
        self.runtime.spawn(async move {
            let mut deadline = Instant::now() + service.limits.timeout;
            let mut needs = needs;
            let result = loop {
                if let Some(seen) = needs.space.take() {
                    // It has a patience of its own: as long as the pipeline gets on.
                    let space = Needs { space: Some(seen), ..Needs::default() };
                    if let Err(error) = service.loader.load(space).await {
                        break Err(error);
                    }
                    deadline = Instant::now() + service.limits.timeout;
                }
                match tokio::time::timeout_at(deadline, service.loader.load(needs)).await {
                    Ok(Ok(())) if Instant::now() < deadline => {}
                    Ok(Err(error)) => break Err(error),
                    Ok(Ok(())) | Err(_) => break Err(too_late(about, service.limits.timeout)),
                }
                match service.attempt(about, &mut reply, &mut operation) {
                    Outcome::Done(result) => break result,
                    Outcome::Wait(more) => needs = more,
                }
            };
            finish(about, reply, result, done);
        });
    }

    /// Answers after the kernel's dirty pages of `ino` have arrived: the kernel sends LSEEK before them, and "hole" for
    /// data just written would make `cp` copy zeros.
    pub(crate) fn answer_after_dirty_pages<R: Refuse, T: Send + 'static>(
        self: &Arc<Self>,
        about: About,
        reply: R,
        operation: impl FnMut(&Vfs, &mut R) -> Outcome<T> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        let service = Arc::clone(self);
        self.runtime.spawn(async move {
            let pulled = tokio::time::timeout(service.limits.timeout, service.pull(about.ino)).await;
            match pulled {
                Ok(Ok(())) => service.answer(about, reply, operation, done),
                Ok(Err(error)) => finish(about, reply, Err(error), done),
                Err(_) => {
                    let error = too_late(about, service.limits.timeout);
                    finish(about, reply, Err(error), done);
                }
            }
        });
    }

    /// Makes the kernel write the dirty pages of `ino`, and returns when the workers have answered those writes. On a
    /// thread of its own, holding no lock: the call blocks until workers have done their part.
    pub(crate) async fn pull(&self, ino: Ino) -> FsResult<()> {
        let Some(notifier) = self.notifier.get().cloned() else { return Ok(()) };
        // The thread stays until the writes are answered, though nobody may wait for it any more.
        let place = Arc::clone(&self.pulls).acquire_owned().await;
        self.runtime
            .spawn_blocking(move || {
                let _place = place;
                notifier.inval_inode(INodeNo(ino.0), 0, 0)
            })
            .await
            .map_err(|error| FsError::new(Kind::Internal, "pulling dirty pages was broken off").caused_by(error))?
            .map_err(|error| {
                FsError::new(Kind::Internal, format!("the kernel did not give up the dirty pages of inode {ino}"))
                    .caused_by(error)
            })
    }
}

fn too_late(about: About, timeout: Duration) -> FsError {
    let seconds = timeout.as_secs();
    FsError::new(Kind::Unreachable, format!("{} was not answered within {seconds} s", about.operation))
}

/// Sends the answer.
pub(crate) fn finish<R: Refuse, T>(about: About, reply: R, result: FsResult<T>, done: impl FnOnce(R, T)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| match result {
        Ok(value) => done(reply, value),
        Err(error) => {
            about.log(&error);
            reply.refuse(Errno::from_i32(error.errno()));
        }
    }));
    // The reply went down with the panic, which has answered EIO.
    if let Err(error) = about.panicked(outcome) {
        about.log(&error);
    }
}
