//! Retrying with bounds: how long in all, how long one attempt, how the pauses grow.
//!
//! Pauses double from `first_pause` to `max_pause`, each with full jitter over its upper half, so that clients that failed
//! together do not come back together.

use std::time::Duration;
use tokio::time::Instant;

/// Bounds of an operation that may be tried more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time for all attempts and pauses together. An attempt that has begun is still waited for.
    pub total: Duration,
    /// Longest time for one attempt.
    pub attempt_timeout: Duration,
    /// Longest time for the execution of a transaction, which includes its finality.
    pub execute_timeout: Duration,
    /// The first pause.
    pub first_pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            execute_timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            max_pause: Duration::from_secs(5),
        }
    }
}

/// The pauses of one operation.
pub struct Backoff {
    deadline: Instant,
    pause: Duration,
    max_pause: Duration,
}

impl Backoff {
    /// Begins an operation now.
    pub fn new(policy: &RetryPolicy) -> Self {
        Self { deadline: Instant::now() + policy.total, pause: policy.first_pause, max_pause: policy.max_pause }
    }

    /// Waits before the next attempt; `false`, at once, when the pause would end after the deadline.
    pub async fn wait(&mut self) -> bool {
        let pause = jittered(self.pause);
        if Instant::now() + pause >= self.deadline {
            return false;
        }
        self.pause = (self.pause * 2).min(self.max_pause);
        tokio::time::sleep(pause).await;
        true
    }
}

/// A random duration between half of `pause` and all of it.
pub fn jittered(pause: Duration) -> Duration {
    let mut random = [0u8; 4];
    // Without randomness the pause is simply not jittered: a matter of manners, not of correctness.
    let share = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    pause.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retries_end_within_the_total_and_pauses_grow() {
        let policy = RetryPolicy {
            total: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(4),
            ..RetryPolicy::default()
        };
        let begun = Instant::now();
        let mut backoff = Backoff::new(&policy);
        let mut attempts = 1;
        while backoff.wait().await {
            attempts += 1;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!((3..=6).contains(&attempts), "{attempts}");
    }

    #[test]
    fn jitter_stays_between_half_and_all() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_secs(2));
            assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&pause), "{pause:?}");
        }
    }
}
