//! Waiting for the next request awake.
//!
//! A request costs two wake-ups: the program wakes a worker, the worker wakes the program. Each takes 30 to 110 microseconds
//! when it must fetch a processor out of its sleep, and several times that on a virtual machine, while answering takes 5.
//! Programs ask one thing after the other. So a worker that has just answered looks for the next request a moment longer
//! before it sleeps: the request is then taken at once, and where there are few processors none falls asleep in between.
//!
//! Between two looks at the device it yields its processor, so that a program which shares it goes on. The worker that sees
//! a request claims it until it is read; the others look for the one after. Looking in vain costs
//! time that somebody else may need: after some of that a number of requests is answered without lingering, so that a
//! program which asks rarely, or works long between two requests, pays little.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a worker looks for the next request. A program that copies or compares files asks again within 10 to 60
/// microseconds.
const LINGER: Duration = Duration::from_micros(100);

/// Requests further apart than this are not a program at work: nobody lingers for the next.
const CLOSE: Duration = Duration::from_micros(400);

/// Most requests that are answered without lingering after looking in vain.
const MAX_PENANCE: u32 = 256;

thread_local! {
    /// Whether this worker's request followed closely on an answer.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// The device of a mount, watched by the workers that have nothing else to do.
#[derive(Debug)]
pub(crate) struct Linger {
    device: OwnedFd,
    start: Instant,
    /// Whether a worker has claimed the next request.
    claimed: AtomicBool,
    /// When the last request was answered, nanoseconds since `start`.
    answered: AtomicU64,
    /// Requests to answer without lingering.
    penance: AtomicU32,
    /// Times that nothing came, less those that something did.
    in_vain: AtomicU32,
}

impl Linger {
    /// Watches `device`.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub(crate) fn new(device: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            device: device.try_clone_to_owned()?,
            start: Instant::now(),
            claimed: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            penance: AtomicU32::new(0),
            in_vain: AtomicU32::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A worker has read a request.
    pub(crate) fn asked(&self) {
        let since = self.now().saturating_sub(self.answered.load(Ordering::Relaxed));
        AT_WORK.set(u128::from(since) < CLOSE.as_nanos());
        // Whoever had claimed it: a claim too many only makes a worker sleep.
        self.claimed.store(false, Ordering::Relaxed);
    }

    /// A worker has answered, or has left the request to a task: returns when there is another, or when it is time to
    /// sleep.
    pub(crate) fn answered(&self) {
        let begin = self.now();
        self.answered.store(begin, Ordering::Relaxed);
        // What waits already was not waited for.
        if !AT_WORK.get() || self.does_penance() || self.claims_request() {
            return;
        }
        while u128::from(self.now().saturating_sub(begin)) < LINGER.as_nanos() {
            std::thread::yield_now();
            if self.claims_request() {
                let times = self.in_vain.load(Ordering::Relaxed);
                return self.in_vain.store(times / 2, Ordering::Relaxed);
            }
        }
        let times = self.in_vain.load(Ordering::Relaxed).min(MAX_PENANCE.ilog2()) + 1;
        self.in_vain.store(times, Ordering::Relaxed);
        self.penance.store((1 << times).min(MAX_PENANCE), Ordering::Relaxed);
    }

    fn does_penance(&self) -> bool {
        // Two workers that count the same request make the penance shorter by one.
        let left = self.penance.load(Ordering::Relaxed);
        self.penance.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Claims the request that waits, if one does and nobody else has claimed it.
    fn claims_request(&self) -> bool {
        !self.claimed.load(Ordering::Relaxed) && self.has_request() && !self.claimed.swap(true, Ordering::Relaxed)
    }

    fn has_request(&self) -> bool {
        let mut device = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
        // An error (the mount is gone) is the reader's to see.
        !matches!(poll(&mut device, PollTimeout::ZERO), Ok(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn pair() -> (Linger, std::os::unix::net::UnixStream) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        (Linger::new(ours.as_fd()).unwrap(), theirs)
    }

    /// Asks closely after an answer.
    fn at_work(linger: &Linger) {
        linger.answered.store(linger.now(), Ordering::Relaxed);
        linger.asked();
    }

    #[test]
    fn a_request_ends_it_at_once_and_one_worker_claims_it_until_it_is_read() {
        let (linger, mut program) = pair();
        program.write_all(b"request").unwrap();
        at_work(&linger);
        linger.answered();
        assert!(linger.claimed.load(Ordering::Relaxed));
        assert!(!linger.claims_request(), "claimed already");
        linger.asked();
        assert!(!linger.claimed.load(Ordering::Relaxed) && linger.claims_request(), "there is another");
    }

    #[test]
    fn in_vain_it_ends_in_time_and_the_next_requests_are_not_waited_for() {
        let (linger, _program) = pair();
        let mut waited = 0;
        for _ in 0..2000 {
            at_work(&linger);
            let begin = Instant::now();
            linger.answered();
            waited += u32::from(begin.elapsed() >= LINGER);
            assert!(!linger.claimed.load(Ordering::Relaxed));
        }
        // 2 + 4 + 8 ... 256 requests after the first times, then one in 257.
        assert!((5..100).contains(&waited), "{waited} of 2000");
    }

    #[test]
    fn nobody_waits_for_requests_that_come_rarely() {
        let (linger, _program) = pair();
        linger.answered.store(0, Ordering::Relaxed);
        std::thread::sleep(CLOSE * 2);
        linger.asked();
        linger.answered();
        assert_eq!(linger.in_vain.load(Ordering::Relaxed), 0, "it did not look");
    }
}
