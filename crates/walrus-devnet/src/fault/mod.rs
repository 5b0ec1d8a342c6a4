//! Faults of storage nodes, for tests and demonstrations.
//!
//! A fault is never a switch inside a node. The node stays honest; a fault is a layer around it: around its connections
//! ([`Fault::Stopped`], [`Fault::Hang`]), around its HTTP service ([`Fault::Slow`], [`Fault::Lie`], [`Fault::Error`]), or damage
//! done to its files behind its back ([`Fault::Corrupt`]). Each counts what it did, so that a test that meant to hurt the client
//! can prove that it did. Faults are not kept: a restarted network is honest.

mod layer;
mod lies;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::node::Valve;

pub(crate) use layer::wrap;

/// How a storage node misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Not at all.
    #[default]
    Honest,
    /// The node is down: connections are refused, and it follows neither the chain nor its peers until it is started.
    Stopped,
    /// Connections are accepted, by the kernel, and nothing is ever answered on them.
    Hang,
    /// Every request waits this long before the node sees it.
    Slow(Duration),
    /// Some bytes of what the node has on disk were flipped, once.
    Corrupt,
    /// Wrong bytes of the right length in slivers, symbols, metadata and confirmations.
    Lie,
    /// Every request is answered with this HTTP status, 400 to 599.
    Error(u16),
}

impl Fault {
    /// The word for it in `devnet status`.
    pub fn state(self) -> &'static str {
        match self {
            Self::Honest => "running",
            Self::Stopped => "stopped",
            Self::Hang => "hang",
            Self::Slow(_) => "slow",
            Self::Corrupt => "corrupt",
            Self::Lie => "lie",
            Self::Error(_) => "error",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(delay) => write!(f, "slow {}", delay.as_millis()),
            Self::Error(code) => write!(f, "error {code}"),
            other => f.write_str(other.state()),
        }
    }
}

/// The text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no fault: use honest, stopped, hang, slow MS, corrupt, lie or error CODE with a code from 400 to 599"
)]
pub struct ParseFaultError(String);

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let fault = match (words.next(), words.next()) {
            (Some("honest" | "running"), None) => Some(Self::Honest),
            (Some("stopped"), None) => Some(Self::Stopped),
            (Some("hang"), None) => Some(Self::Hang),
            (Some("slow"), Some(ms)) => ms.parse().ok().map(|ms| Self::Slow(Duration::from_millis(ms))),
            (Some("corrupt"), None) => Some(Self::Corrupt),
            (Some("lie"), None) => Some(Self::Lie),
            (Some("error"), Some(code)) => code.parse().ok().filter(|code| (400..600).contains(code)).map(Self::Error),
            _ => None,
        };
        fault.filter(|_| words.next().is_none()).ok_or_else(|| ParseFaultError(text.to_owned()))
    }
}

/// What a node's faults did since the network started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCounts {
    /// Times that the node was stopped.
    pub stops: u64,
    /// Connections that were left without an answer.
    pub connections_hung: u64,
    /// Requests that were delayed.
    pub requests_delayed: u64,
    /// Stored slivers that were damaged on disk.
    pub slivers_corrupted: u64,
    /// Answers that were falsified.
    pub lies_served: u64,
    /// Requests that were answered with an error instead of by the node.
    pub errors_served: u64,
}

/// The fault of one node, with what it did so far.
#[derive(Debug, Default)]
pub(crate) struct FaultState {
    fault: RwLock<Fault>,
    /// In every connection of the node; shut while it hangs.
    pub(crate) valve: Arc<Valve>,
    stops: AtomicU64,
    requests_delayed: AtomicU64,
    slivers_corrupted: AtomicU64,
    lies_served: AtomicU64,
    errors_served: AtomicU64,
}

impl FaultState {
    pub(crate) fn fault(&self) -> Fault {
        *self.fault.read()
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.write() = fault;
        self.valve.set(fault == Fault::Hang);
        if fault == Fault::Stopped {
            self.stops.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn corrupted(&self, slivers: u64) {
        self.slivers_corrupted.fetch_add(slivers, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> FaultCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FaultCounts {
            stops: get(&self.stops),
            connections_hung: get(&self.valve.held),
            requests_delayed: get(&self.requests_delayed),
            slivers_corrupted: get(&self.slivers_corrupted),
            lies_served: get(&self.lies_served),
            errors_served: get(&self.errors_served),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_printed() {
        let faults = [
            Fault::Honest,
            Fault::Stopped,
            Fault::Hang,
            Fault::Slow(Duration::from_millis(250)),
            Fault::Corrupt,
            Fault::Lie,
            Fault::Error(503),
        ];
        for fault in faults {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for bad in ["", "slow", "slow x", "error 200", "error 600", "lie now", "error 503 1", "honestly"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad:?}");
        }
    }
}
