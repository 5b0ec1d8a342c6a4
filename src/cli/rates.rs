//! What a mount moves in a second, from counts that only grow.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often the counts are looked at.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Over how long rates are taken.
const SPAN: Duration = Duration::from_secs(10);

/// Bytes a second, over the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Written by programs.
    pub written: u64,
    /// Of slivers, to the nodes: about five times what is uploaded.
    pub sent: u64,
    /// Of slivers, from the nodes.
    pub fetched: u64,
}

/// Counts of the past seconds.
#[derive(Debug)]
pub(super) struct Meter(VecDeque<(Instant, Rates)>);

impl Meter {
    /// For counts that begin with nothing, now.
    pub(super) fn new(now: Instant) -> Self {
        Self(VecDeque::from([(now, Rates::default())]))
    }

    /// Takes the counts of now.
    pub(super) fn note(&mut self, now: Instant, counts: Rates) {
        // One that is older than the span stays: the rate is over the whole of it.
        while self.0.get(1).is_some_and(|(then, _)| now.saturating_duration_since(*then) >= SPAN) {
            self.0.pop_front();
        }
        self.0.push_back((now, counts));
    }

    /// From the counts that are kept to those of now.
    pub(super) fn rates(&self, now: Instant, counts: Rates) -> Rates {
        let Some((then, before)) = self.0.front() else { return Rates::default() };
        let seconds = now.saturating_duration_since(*then).as_secs_f64();
        let rate = |before: u64, now: u64| {
            // Less than a second says nothing about one. Casts saturate.
            if seconds < PAUSE.as_secs_f64() { 0 } else { (now.saturating_sub(before) as f64 / seconds) as u64 }
        };
        Rates {
            written: rate(before.written, counts.written),
            sent: rate(before.sent, counts.sent),
            fetched: rate(before.fetched, counts.fetched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_the_last_ten_seconds() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let at = |second: u64| start + Duration::from_secs(second);
        let counts = |written: u64| Rates { written, sent: 5 * written, fetched: 0 };
        assert_eq!(meter.rates(start + Duration::from_millis(10), counts(100)), Rates::default());
        assert_eq!(meter.rates(at(2), counts(100)), Rates { written: 50, sent: 250, fetched: 0 });
        for second in 1..=60 {
            meter.note(at(second), counts(if second <= 30 { second * 1000 } else { 30_000 }));
        }
        assert_eq!(meter.rates(at(60), counts(30_000)).written, 0, "it stopped half a minute ago");
        assert!(meter.0.len() <= 12, "{}", meter.0.len());
        assert_eq!(meter.rates(at(61), counts(41_000)).written, 1000, "over eleven seconds");
        assert_eq!(meter.rates(at(61), counts(0)).written, 0, "counts that shrank say nothing");
    }
}
