//! What is known about each node: whether to avoid it for a while, and how fast the network answers.
//!
//! Mechanism: a failure makes a node avoided for a time that doubles with every further one; a false answer for much
//! longer. When that time is over the node is tried again; a success clears failures, and false answers are forgotten
//! one by one. Avoided does not mean unused: whoever needs every node asks them all.
//!
//! Nodes that are late are avoided as long as they are few. When more than a third of all are, it is this machine or its link that
//! is slow, and lateness says nothing about any of them; but who was late six times and never answered in between is avoided.

use crate::wire::chain::ObjectId;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(60);
const FIRST_LIE_PAUSE: Duration = Duration::from_secs(30);
const MAX_LIE_PAUSE: Duration = Duration::from_secs(3600);
/// A false answer is forgotten after this time.
const LIE_MEMORY: Duration = Duration::from_secs(2 * 3600);
const SAMPLES: usize = 128;
/// A node that was late so often, and never answered in between, is not slow: it does not answer.
const SILENT: u32 = 6;
/// Below this, a rebuild by all other nodes costs more than waiting; it also keeps a busy machine from taking its own
/// slowness for the network's.
const MIN_HEDGE: Duration = Duration::from_millis(200);
/// Above what a transfer takes on a link that is kept full ([`super::pace`]).
const MAX_HEDGE: Duration = Duration::from_secs(4);
/// Bytes per second below which a node that is sending counts as late.
const SLOW_RATE: f64 = 8.0 * 1024.0 * 1024.0;
const FIRST_HEDGE: Duration = Duration::from_millis(400);

/// Health of all nodes.
#[derive(Default)]
pub struct Health {
    nodes: Mutex<HashMap<ObjectId, State>>,
    latencies: Mutex<VecDeque<Duration>>,
}

#[derive(Clone, Copy, Default)]
struct State {
    failures: u32,
    late: u32,
    lies: u32,
    avoid_until: Option<Instant>,
    late_until: Option<Instant>,
    last_lie: Option<Instant>,
}

impl Health {
    /// The node answered usefully after `took`.
    pub fn succeeded(&self, node: &ObjectId, took: Duration) {
        {
            let mut nodes = self.nodes.lock();
            let state = nodes.entry(*node).or_default();
            (state.failures, state.late, state.late_until) = (0, 0, None);
            if state.lies == 0 {
                state.avoid_until = None;
            }
        }
        let mut latencies = self.latencies.lock();
        if latencies.len() == SAMPLES {
            latencies.pop_front();
        }
        latencies.push_back(took);
    }

    /// The node did not answer, or answered that it is overloaded or broken.
    pub fn failed(&self, node: &ObjectId) {
        let mut nodes = self.nodes.lock();
        let state = nodes.entry(*node).or_default();
        state.failures = state.failures.saturating_add(1);
        state.avoid(doubled(FIRST_PAUSE, state.failures - 1, MAX_PAUSE));
    }

    /// All others together were faster than this node. Once is chance; from the second time in a row on it is avoided.
    pub fn was_late(&self, node: &ObjectId) {
        let mut nodes = self.nodes.lock();
        let state = nodes.entry(*node).or_default();
        state.late = state.late.saturating_add(1);
        if let Some(times) = state.late.checked_sub(2) {
            state.late_until = later(state.late_until, doubled(FIRST_PAUSE, times, MAX_PAUSE));
        }
    }

    /// The node gave an answer that is provably false.
    pub fn lied(&self, node: &ObjectId) {
        let mut nodes = self.nodes.lock();
        let state = nodes.entry(*node).or_default();
        if state.last_lie.is_some_and(|at| at.elapsed() > LIE_MEMORY) {
            state.lies = 0;
        }
        state.lies = state.lies.saturating_add(1);
        state.last_lie = Some(Instant::now());
        state.avoid(doubled(FIRST_LIE_PAUSE, state.lies - 1, MAX_LIE_PAUSE));
    }

    /// Whether other nodes should be asked first.
    pub fn is_avoided(&self, node: &ObjectId) -> bool {
        let now = Instant::now();
        let is_on = |until: Option<Instant>| until.is_some_and(|until| until > now);
        let nodes = self.nodes.lock();
        let Some(state) = nodes.get(node) else { return false };
        if is_on(state.avoid_until) || !is_on(state.late_until) {
            return is_on(state.avoid_until);
        }
        if state.late >= SILENT {
            return true;
        }
        nodes.values().filter(|state| is_on(state.late_until)).count() * 3 <= nodes.len()
    }

    /// Whether the node has failed at least twice since it last answered.
    pub fn is_silent(&self, node: &ObjectId) -> bool {
        self.nodes.lock().get(node).is_some_and(|state| state.failures >= 2)
    }

    /// How long to wait for an answer of `bytes` before asking others as well: [`Health::hedge_after`], and the time that so many
    /// bytes take to come.
    pub fn hedge_after_bytes(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.hedge_after() + Duration::from_secs_f64(f64::from(bytes) / SLOW_RATE)
    }

    /// How long to wait for a short answer before asking others as well: twice the 90th percentile of what was seen.
    pub fn hedge_after(&self) -> Duration {
        let latencies = self.latencies.lock();
        if latencies.len() < 8 {
            return FIRST_HEDGE;
        }
        let mut sorted: Vec<Duration> = latencies.iter().copied().collect();
        sorted.sort_unstable();
        let percentile = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(FIRST_HEDGE);
        (percentile * 2).clamp(MIN_HEDGE, MAX_HEDGE)
    }
}

impl State {
    fn avoid(&mut self, pause: Duration) {
        self.avoid_until = later(self.avoid_until, pause);
    }
}

/// The later one of a known time and now plus `pause`.
fn later(known: Option<Instant>, pause: Duration) -> Option<Instant> {
    known.max(Some(Instant::now() + pause))
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_pass_and_lies_last_longer() {
        let health = Health::default();
        let (dead, liar) = (ObjectId::new([1; 32]), ObjectId::new([2; 32]));
        health.failed(&dead);
        health.lied(&liar);
        assert!(health.is_avoided(&dead) && health.is_avoided(&liar));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!health.is_avoided(&dead) && health.is_avoided(&liar));
        health.failed(&dead);
        health.failed(&dead);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(health.is_avoided(&dead), "repeated failures are avoided longer");
        assert!(health.is_silent(&dead) && !health.is_silent(&liar));
        health.succeeded(&dead, Duration::from_millis(1));
        assert!(!health.is_silent(&dead) && !health.is_avoided(&dead));
        (0..3).for_each(|_| health.failed(&dead));
        health.succeeded(&dead, Duration::from_millis(3));
        assert!(!health.is_avoided(&dead));
        health.succeeded(&liar, Duration::from_millis(3));
        assert!(health.is_avoided(&liar), "one true answer does not excuse a false one");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!health.is_avoided(&liar));
        health.lied(&liar);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(health.is_avoided(&liar), "the second time it is avoided longer");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_is_late_again_and_again_is_avoided() {
        let health = Health::default();
        let slow = ObjectId::new([1; 32]);
        (2..=6).for_each(|n| health.succeeded(&ObjectId::new([n; 32]), Duration::from_millis(3)));
        health.was_late(&slow);
        assert!(!health.is_avoided(&slow), "once is chance");
        health.succeeded(&slow, Duration::from_millis(3));
        health.was_late(&slow);
        assert!(!health.is_avoided(&slow), "an answer in time between them");
        health.was_late(&slow);
        assert!(health.is_avoided(&slow));
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(!health.is_avoided(&slow));
    }

    #[tokio::test(start_paused = true)]
    async fn when_more_than_a_third_are_late_none_is_avoided_for_it() {
        let health = Health::default();
        let nodes: Vec<ObjectId> = (0..10).map(|n| ObjectId::new([n; 32])).collect();
        nodes.iter().for_each(|node| health.succeeded(node, Duration::from_millis(3)));
        let late = |node| (0..3).for_each(|_| health.was_late(node));
        nodes[..3].iter().for_each(late);
        assert!(nodes[..3].iter().all(|node| health.is_avoided(node)));
        late(&nodes[3]);
        assert!(!nodes.iter().any(|node| health.is_avoided(node)));
        health.failed(&nodes[0]);
        assert!(health.is_avoided(&nodes[0]), "not answering is another matter");
        late(&nodes[2]);
        assert!(health.is_avoided(&nodes[2]), "six times late and nothing in between is not answering");
        health.succeeded(&nodes[3], Duration::from_millis(3));
        assert!(health.is_avoided(&nodes[1]));
    }

    #[test]
    fn the_hedge_follows_the_latencies() {
        let health = Health::default();
        let node = ObjectId::new([1; 32]);
        assert_eq!(health.hedge_after(), FIRST_HEDGE);
        for i in 0..100u64 {
            health.succeeded(&node, Duration::from_millis(if i % 20 == 0 { 5000 } else { 60 }));
        }
        assert_eq!(health.hedge_after(), MIN_HEDGE, "a few slow answers do not set the pace");
        for _ in 0..128 {
            health.succeeded(&node, Duration::from_millis(300));
        }
        assert_eq!(health.hedge_after(), Duration::from_millis(600));
        for _ in 0..200 {
            health.succeeded(&node, Duration::from_secs(60));
        }
        assert_eq!(health.hedge_after(), MAX_HEDGE);
        assert_eq!(
            health.hedge_after_bytes(16 << 20),
            MAX_HEDGE + Duration::from_secs(2),
            "large answers take their time"
        );
    }
}
