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
    /// Wrong bytes of the right length in what the node is asked for.
    Lie(Lie),
    /// Every request is answered with status 200 and bytes that are no answer to anything.
    Garbage,
    /// Every request is answered with this HTTP status, 400 to 599.
    Error(u16),
}

/// What a lying node lies about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// Slivers, symbols, metadata and confirmations.
    #[default]
    Everything,
    /// Slivers and symbols.
    Bytes,
    /// The hashes in metadata.
    Metadata,
    /// Confirmations: by turns a forged signature and a statement about another blob.
    Confirmations,
    /// The epoch: its confirmations are signed well, for the epoch before.
    Epoch,
}

impl Lie {
    /// All of them, with the words for them in commands.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Everything, "everything"),
        (Self::Bytes, "bytes"),
        (Self::Metadata, "metadata"),
        (Self::Confirmations, "confirmations"),
        (Self::Epoch, "epoch"),
    ];
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::ALL.iter().find(|(lie, _)| lie == self).map_or(Ok(()), |(_, word)| f.write_str(word))
    }
}

impl FromStr for Lie {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|(_, word)| *word == text).map(|(lie, _)| lie);
        found.ok_or_else(|| ParseFaultError(format!("lie {text}")))
    }
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
            Self::Lie(_) => "lie",
            Self::Garbage => "garbage",
            Self::Error(_) => "error",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(delay) => write!(f, "slow {}", delay.as_millis()),
            Self::Lie(lie) => write!(f, "lie {lie}"),
            Self::Error(code) => write!(f, "error {code}"),
            other => f.write_str(other.state()),
        }
    }
}

/// The text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no fault: use honest, stopped, hang, slow MS, corrupt, lie [everything, bytes, metadata, confirmations, epoch], \
     garbage, or error CODE with a code from 400 to 599"
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
            (Some("lie"), None) => Some(Self::Lie(Lie::default())),
            (Some("lie"), Some(about)) => about.parse().ok().map(Self::Lie),
            (Some("garbage"), None) => Some(Self::Garbage),
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
    /// Answers that were falsified, or replaced by garbage.
    pub lies_served: u64,
    /// Requests that were answered with an error instead of by the node.
    pub errors_served: u64,
}

/// Signs with a node's key.
pub(crate) type Signer = Arc<dyn Fn(&[u8]) -> [u8; 96] + Send + Sync>;

/// The fault of one node, with what it did so far.
pub(crate) struct FaultState {
    fault: RwLock<Fault>,
    /// For a node that signs what is not so.
    signer: Signer,
    /// In every connection of the node; shut while it hangs.
    pub(crate) valve: Arc<Valve>,
    /// Requests that arrived.
    pub(crate) requests: AtomicU64,
    stops: AtomicU64,
    requests_delayed: AtomicU64,
    slivers_corrupted: AtomicU64,
    lies_served: AtomicU64,
    errors_served: AtomicU64,
}

impl FaultState {
    /// A node without faults; `signer` signs with its key.
    pub(crate) fn new(signer: Signer) -> Self {
        Self {
            fault: RwLock::default(),
            signer,
            valve: Arc::default(),
            requests: AtomicU64::default(),
            stops: AtomicU64::default(),
            requests_delayed: AtomicU64::default(),
            slivers_corrupted: AtomicU64::default(),
            lies_served: AtomicU64::default(),
            errors_served: AtomicU64::default(),
        }
    }

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
            Fault::Lie(Lie::Everything),
            Fault::Lie(Lie::Epoch),
            Fault::Garbage,
            Fault::Error(503),
        ];
        for fault in faults {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!("lie".parse(), Ok(Fault::Lie(Lie::Everything)));
        for bad in [
            "",
            "slow",
            "slow x",
            "error 200",
            "error 600",
            "lie now",
            "lie bytes metadata",
            "garbage 1",
            "error 503 1",
            "honestly",
        ] {
            assert!(bad.parse::<Fault>().is_err(), "{bad:?}");
        }
    }
}
