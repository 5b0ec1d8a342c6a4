//! How many bytes are under way at once, found out from how long they take.
//!
//! Mechanism: a window of bytes for each direction, as TCP has one for each connection. Slivers beyond it wait their turn.
//! A transfer that was quick widens the window by its own size (so that it doubles with each round), but to no more than arrives
//! in [`QUICK`]: nodes that take a second to answer get more at once and bring more, a link that is full does not. One that took long
//! narrows it, down to what arrived lately if that is little. A link of any rate is kept full with what it carries in two or three seconds: more would not arrive sooner, and all of it
//! together would arrive after the time limit of each.
//!
//! What takes longer than [`STAND_ASIDE`] gives its place to the next and goes on beside the window: a node that does not answer
//! must not hold up those that do.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A transfer that took less was quick.
const QUICK: Duration = Duration::from_secs(2);
/// One that took less has nothing to do with how full the link is.
const AT_ONCE: Duration = Duration::from_millis(500);
/// One that took more gives its place away, and the window was too wide.
const STAND_ASIDE: Duration = Duration::from_secs(3);
/// The window is narrowed at most once in this time, by [`NARROWER`]: transfers that were under way together say one thing.
const ONE_OPINION: Duration = Duration::from_millis(500);
const NARROWER: f64 = 0.7;
/// How often it is looked at whether a transfer is late.
const LOOK: Duration = Duration::from_millis(100);
/// Seconds of what counts as lately: twice [`STAND_ASIDE`] at most.
const LATELY: u64 = 6;
/// Where it begins: a few slivers.
const FIRST: u64 = 2 << 20;
const LEAST: u64 = 512 << 10;

/// The window of one direction.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    most: u64,
}

#[derive(Debug)]
struct State {
    window: u64,
    under_way: u64,
    waiting: VecDeque<Waiting>,
    next_number: u64,
    narrowed: Option<Instant>,
    arrived: Arrived,
    /// Bytes that ever arrived, and when the last of them did.
    ever: u64,
    last: Option<Instant>,
}

/// Bytes that arrived in this stretch of [`STAND_ASIDE`] and in the one before.
#[derive(Debug, Default)]
struct Arrived {
    since: Option<Instant>,
    now: u64,
    before: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    bytes: u64,
    /// Its end is the word to begin.
    _go: oneshot::Sender<()>,
}

/// A place in the window, or in the queue for one; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Turn {
    pace: Arc<Pace>,
    bytes: u64,
    number: u64,
}

impl Pace {
    /// A window of at most `most` bytes.
    pub(super) fn new(most: u64) -> Arc<Self> {
        let window = FIRST.min(most);
        let state = State {
            window,
            under_way: 0,
            waiting: VecDeque::new(),
            next_number: 0,
            narrowed: None,
            arrived: Arrived::default(),
            ever: 0,
            last: None,
        };
        Arc::new(Self { state: Mutex::new(state), most })
    }

    /// Waits until `bytes` may be under way. One transfer may always be, however large.
    pub(super) async fn turn(self: &Arc<Self>, bytes: u64) -> Turn {
        let (turn, go) = {
            let mut state = self.state.lock();
            let number = state.next_number;
            state.next_number += 1;
            let (sender, go) = oneshot::channel();
            state.waiting.push_back(Waiting { number, bytes, _go: sender });
            state.admit();
            (Turn { pace: Arc::clone(self), bytes, number }, go)
        };
        // It never sends: the sender's end is the word.
        let _ = go.await;
        turn
    }

    /// Waits until a transfer that begins now is late: it has taken `patience` and, on a busy link, twice as much has arrived since as
    /// was under way with it, or nothing for the time of `patience`. What is only behind others on a full link comes before that,
    /// and asking somebody else for it would fill the link more.
    pub(super) async fn late(&self, patience: Duration) {
        let begun = Instant::now();
        let enough = {
            let state = self.state.lock();
            state.ever.saturating_add(state.under_way.saturating_mul(2))
        };
        let mut until = begun + patience;
        loop {
            tokio::time::sleep_until(until).await;
            let (ever, last) = {
                let state = self.state.lock();
                (state.ever, state.last)
            };
            let idle = last.map_or(begun, |last| last.max(begun)) + patience;
            let now = Instant::now();
            if ever >= enough || now >= idle {
                return;
            }
            until = idle.min(now + LOOK);
        }
    }

    /// Bytes that may be under way; `None` as long as nothing ever took long.
    pub(super) fn limit(&self) -> Option<u64> {
        let state = self.state.lock();
        state.narrowed.map(|_| state.window)
    }

    #[cfg(test)]
    fn window(&self) -> u64 {
        self.state.lock().window
    }
}

impl State {
    /// Lets those begin who come first and fit.
    fn admit(&mut self) {
        while let Some(first) = self.waiting.front()
            && (self.under_way == 0 || self.under_way.saturating_add(first.bytes) <= self.window)
        {
            self.under_way = self.under_way.saturating_add(first.bytes);
            self.waiting.pop_front();
        }
    }

    fn arrive(&mut self, bytes: u64) {
        self.arrived.add(bytes);
        self.ever = self.ever.saturating_add(bytes);
        self.last = Some(Instant::now());
    }

    /// After a transfer of `bytes` that took so long.
    fn widen(&mut self, bytes: u64, took: Duration, most: u64) {
        let wider = self.window.saturating_add(bytes).min(most);
        if took < AT_ONCE || took < QUICK && wider <= self.arrived.within(QUICK) {
            self.window = wider;
        }
    }

    fn narrow(&mut self) {
        let now = Instant::now();
        // A window that is not used is not too wide.
        if self.under_way < self.window / 2 || self.narrowed.is_some_and(|then| now.duration_since(then) < ONE_OPINION)
        {
            return;
        }
        self.narrowed = Some(now);
        // What arrives in a second is carried, whoever was slow meanwhile; much more than arrived lately is not.
        let arrived = self.arrived.lately();
        let narrower = (self.window as f64 * NARROWER) as u64;
        self.window =
            narrower.clamp(arrived / LATELY, arrived.saturating_mul(2)).clamp(LEAST.min(self.window), self.window);
    }
}

impl Arrived {
    fn turn(&mut self) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let stretches = now.duration_since(since).as_secs_f64() / STAND_ASIDE.as_secs_f64();
        if stretches >= 1.0 {
            let before = if stretches < 2.0 { self.now } else { 0 };
            *self = Self { since: Some(now), now: 0, before };
        }
    }

    /// A transfer begins: the time until its bytes arrive counts.
    fn begin(&mut self) {
        self.turn();
    }

    /// Bytes that arrive within `time`, at the rate of this stretch and the one before.
    fn within(&mut self, time: Duration) -> u64 {
        let bytes = self.lately() as f64;
        let earlier = if self.before > 0 { STAND_ASIDE } else { Duration::ZERO };
        let since = self.since.map_or(Duration::ZERO, |since| since.elapsed()) + earlier;
        (bytes * time.as_secs_f64() / since.as_secs_f64().max(0.001)) as u64
    }

    fn add(&mut self, bytes: u64) {
        self.turn();
        self.now = self.now.saturating_add(bytes);
    }

    fn lately(&mut self) -> u64 {
        self.turn();
        self.now.saturating_add(self.before)
    }
}

impl Turn {
    /// Makes the transfer in its place of the window, and learns from how long it takes.
    pub(super) async fn carry<T, E>(self, transfer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = Instant::now();
        self.pace.state.lock().arrived.begin();
        let mut transfer = pin!(transfer);
        match tokio::time::timeout(STAND_ASIDE, &mut transfer).await {
            Ok(ended) => {
                if ended.is_ok() {
                    let mut state = self.pace.state.lock();
                    state.arrive(self.bytes);
                    state.widen(self.bytes, begun.elapsed(), self.pace.most);
                }
                ended
            }
            Err(_) => {
                let (pace, bytes) = (Arc::clone(&self.pace), self.bytes);
                // Its own bytes are counted: as long as it stands in the window it says how full that is.
                pace.state.lock().narrow();
                drop(self);
                let ended = transfer.await;
                if ended.is_ok() {
                    pace.state.lock().arrive(bytes);
                }
                ended
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.pace.state.lock();
        match state.waiting.iter().position(|waiting| waiting.number == self.number) {
            Some(place) => drop(state.waiting.remove(place)),
            None => state.under_way = state.under_way.saturating_sub(self.bytes),
        }
        state.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MIB: u64 = 1 << 20;

    /// Moves `count` slivers of `bytes` over a link of `rate` bytes a second that those share evenly which are beyond its latency; how
    /// long the longest of them took, and all.
    /// Every third waits for a node that answers after `slow`.
    async fn moved_beside_slow_ones(
        pace: &Arc<Pace>,
        count: u64,
        bytes: u64,
        rate: u64,
        [latency, slow]: [Duration; 2],
    ) -> (Duration, Duration) {
        let under_way = &AtomicU64::new(0);
        let begun = Instant::now();
        let transfers = (0..count).map(|number| async move {
            let latency = if number % 3 == 0 { slow } else { latency };
            let turn = pace.turn(bytes).await;
            let begun = Instant::now();
            let transfer = async {
                tokio::time::sleep(latency).await;
                under_way.fetch_add(1, Ordering::Relaxed);
                let mut left = bytes as f64;
                while left > 0.0 {
                    let before = Instant::now();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    left -= rate as f64 * before.elapsed().as_secs_f64() / under_way.load(Ordering::Relaxed) as f64;
                }
                under_way.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, ()>(())
            };
            turn.carry(transfer).await.unwrap();
            begun.elapsed()
        });
        let longest = join_all(transfers).await.into_iter().max().unwrap_or_default();
        (longest, begun.elapsed())
    }

    async fn moved(pace: &Arc<Pace>, count: u64, bytes: u64, rate: u64, latency: Duration) -> (Duration, Duration) {
        moved_beside_slow_ones(pace, count, bytes, rate, [latency; 2]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_third_of_slow_nodes_does_not_keep_the_link_empty() {
        for rate in [2 * MIB, 16 * MIB] {
            let pace = Pace::new(48 * MIB);
            let (count, bytes) = (rate * 60 / (200 << 10), 200 << 10);
            let latencies = [Duration::from_millis(50), Duration::from_secs(4)];
            let (_, all) = moved_beside_slow_ones(&pace, count, bytes, rate, latencies).await;
            let ideal = Duration::from_secs_f64((count * bytes) as f64 / rate as f64);
            assert!(all < ideal.mul_f64(1.5), "{rate} bytes/s: {all:?} instead of {ideal:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_of_any_rate_is_kept_full_and_no_transfer_takes_long() {
        for (rate, latency) in [(MIB / 2, 20), (4 * MIB, 100), (16 * MIB, 300)] {
            let pace = Pace::new(48 * MIB);
            let (count, bytes) = (rate * 60 / (200 << 10), 200 << 10);
            let (longest, all) = moved(&pace, count, bytes, rate, Duration::from_millis(latency)).await;
            // The limit of a request of this size.
            assert!(longest < Duration::from_secs(8), "{rate} bytes/s: one took {longest:?}");
            let ideal = Duration::from_secs_f64((count * bytes) as f64 / rate as f64);
            assert!(all < ideal.mul_f64(1.25), "{rate} bytes/s: {all:?} instead of {ideal:?}");
            assert!(pace.state.lock().under_way == 0 && pace.state.lock().waiting.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_link_is_not_overfilled_at_first_and_slow_nodes_get_all_they_can_bring() {
        for rate in [MIB, 5 * MIB / 2, 8 * MIB] {
            let pace = Pace::new(48 * MIB);
            let (longest, _) = moved(&pace, rate * 30 / (100 << 10), 100 << 10, rate, Duration::from_millis(30)).await;
            assert!(longest < STAND_ASIDE, "{rate} bytes/s: one took {longest:?}");
        }
        let pace = Pace::new(48 * MIB);
        moved(&pace, 20_000, 100 << 10, 1 << 40, Duration::from_millis(1500)).await;
        assert_eq!(pace.window(), 48 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn late_is_what_others_overtake_and_not_what_waits_with_them() {
        let late = |pace: Arc<Pace>, patience| async move {
            let begun = Instant::now();
            pace.late(patience).await;
            begun.elapsed()
        };
        let patience = Duration::from_millis(400);
        assert_eq!(late(Pace::new(48 * MIB), patience).await, patience, "nothing else is under way");
        // A full link: the ten that were under way take five seconds, and after as many again it is late.
        let (pace, patience) = (Pace::new(MIB), Duration::from_secs(6));
        let after_them = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            late(Arc::clone(&pace), patience).await
        };
        let (waited, _) = tokio::join!(after_them, moved(&pace, 60, 100 << 10, MIB / 5, Duration::from_millis(1)));
        assert!((9..12).contains(&waited.as_secs()), "{waited:?}");
        // A quick one: the others are through, and then it is quiet.
        let (pace, patience) = (Pace::new(48 * MIB), Duration::from_millis(400));
        let others = moved(&pace, 5, MIB, 50 * MIB, Duration::from_millis(10));
        let (waited, _) = tokio::join!(late(Arc::clone(&pace), patience), others);
        assert!(waited >= patience && waited < 2 * patience, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_follows_a_link_that_becomes_slow_and_quick_again() {
        let pace = Pace::new(48 * MIB);
        moved(&pace, 2000, MIB / 4, 400 * MIB, Duration::from_millis(5)).await;
        assert_eq!(pace.window(), 48 * MIB);
        moved(&pace, 400, MIB / 4, MIB, Duration::from_millis(5)).await;
        assert!(pace.window() <= 4 * MIB, "{}", pace.window());
        moved(&pace, 2000, MIB / 4, 400 * MIB, Duration::from_millis(5)).await;
        assert_eq!(pace.window(), 48 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_narrows_no_window_that_is_not_full() {
        let pace = Pace::new(48 * MIB);
        moved(&pace, 2000, MIB / 4, 400 * MIB, Duration::from_millis(5)).await;
        let never = pace.turn(MIB).await.carry(std::future::pending::<Result<(), ()>>());
        assert!(tokio::time::timeout(Duration::from_secs(60), never).await.is_err());
        assert_eq!((pace.window(), pace.limit()), (48 * MIB, None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_no_place_behind_and_the_order_is_kept() {
        let pace = Pace::new(MIB);
        let large = pace.turn(50 * MIB).await;
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(pace.turn(MIB))).collect();
        for turn in &mut waiting {
            assert!(futures::poll!(turn).is_pending(), "there is no room beside the large one");
        }
        drop(waiting.remove(0));
        drop(large);
        let first = waiting.remove(0).await;
        assert!(futures::poll!(&mut waiting[0]).is_pending());
        // Admitted and never looked at again.
        drop(first);
        drop(waiting);
        let state = pace.state.lock();
        assert!(state.under_way == 0 && state.waiting.is_empty(), "{state:?}");
    }
}
