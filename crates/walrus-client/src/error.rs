//! One error type, its variants chosen by what a caller can do about it.

use crate::wire::abort;
use crate::wire::chain::ObjectId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The result of every fallible operation of this crate.
pub type ClientResult<T> = Result<T, ClientError>;

/// What failed, on what, why, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answered in time. Try again later; nothing is known to have changed.
    #[error("{what}: no usable answer ({reason}); check the network and try again")]
    Unreachable {
        /// What was asked, of whom.
        what: String,
        /// The last thing that went wrong.
        reason: String,
    },
    /// The thing does not exist (or a quorum of nodes says so).
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// An answer came and is not what the protocol promises: a broken, incompatible or lying server.
    #[error("{what}: {reason}")]
    BadAnswer {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The contracts refused the transaction; nothing but gas was spent.
    #[error("{0}")]
    Abort(MoveAbort),
    /// The transaction failed for another reason than an abort; nothing but gas was spent.
    #[error("the transaction failed: {reason}")]
    Execution {
        /// The chain's description.
        reason: String,
    },
    /// The wallet holds too little.
    #[error("{address} holds {available} {coin} and needs {needed}: fund the wallet, then try again")]
    Unfunded {
        /// `MIST` (10^-9 SUI) or `FROST` (10^-9 WAL).
        coin: &'static str,
        /// Units needed.
        needed: u64,
        /// Units there.
        available: u64,
        /// The wallet.
        address: ObjectId,
    },
    /// What was asked for costs more than was allowed for it: prices moved since they were read, or a server invented them.
    /// Nothing was signed.
    #[error(
        "it costs more than the {allowed} FROST that were allowed for it; nothing was paid: look at the price again"
    )]
    PriceChanged {
        /// FROST.
        allowed: u64,
    },
    /// Too few nodes confirmed that they store a blob.
    #[error(
        "nodes with {weight} of {n_shards} shards confirmed blob {blob}, {needed} are needed ({detail}); the blob stays \
         registered: try again when more nodes answer"
    )]
    Confirmations {
        /// The blob.
        blob: String,
        /// Shards whose nodes confirmed.
        weight: u32,
        /// Shards that must confirm.
        needed: u32,
        /// Shards in all.
        n_shards: u16,
        /// What the others said.
        detail: String,
    },
    /// Too few slivers can be had to answer a read.
    #[error(
        "blob {blob}: {missing} of {n_shards} shards gave no usable sliver, {found} of {needed} needed were found \
         ({detail}); it reads again when more nodes answer"
    )]
    Slivers {
        /// The blob.
        blob: String,
        /// Usable slivers or symbols.
        found: usize,
        /// How many are needed.
        needed: usize,
        /// Shards without a usable answer.
        missing: usize,
        /// Shards in all.
        n_shards: u16,
        /// The last failures.
        detail: String,
    },
    /// The blob's committed hashes do not belong to one correctly encoded blob: whoever wrote it broke it, and no node
    /// can repair it.
    #[error("blob {blob} is inconsistently encoded and cannot be read")]
    Inconsistent {
        /// The blob.
        blob: String,
    },
    /// A transaction was sent and what became of it is not known. It is kept and sent again, the same bytes, by the next
    /// operation of this wallet; no other transaction is built before that is settled.
    #[error(
        "what became of transaction {digest} is not known yet ({reason}); it will be sent again before anything else"
    )]
    OutcomeUnknown {
        /// Its digest.
        digest: String,
        /// The last thing that went wrong.
        reason: String,
    },
    /// The transaction can never take effect any more: an input moved on, or it expired.
    #[error("transaction {digest} was not executed and never will be ({reason})")]
    Dropped {
        /// Its digest.
        digest: String,
        /// Why.
        reason: String,
    },
    /// Another process of this machine uses the wallet.
    #[error("{path} is locked by another process that uses this wallet; stop it or go through its control socket")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The local disk failed.
    #[error("{path}: {source}")]
    Local {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Settings or arguments that cannot work.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    pub(crate) fn unreachable(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Unreachable { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn bad(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::BadAnswer { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn local(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Local { path: path.into(), source }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::BadAnswer { .. }
                | Self::PriceChanged { .. }
                | Self::Confirmations { .. }
                | Self::Slivers { .. }
                | Self::OutcomeUnknown { .. }
        )
    }

    /// The abort, if this is one.
    pub fn abort(&self) -> Option<&MoveAbort> {
        match self {
            Self::Abort(abort) => Some(abort),
            _ => None,
        }
    }
}

/// A Move function said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAbort {
    /// The package that aborted, as the chain writes it.
    pub package: String,
    /// The module.
    pub module: String,
    /// The function, if the chain named it.
    pub function: String,
    /// The code, which means something only within the module.
    pub code: u64,
    /// Which command of the transaction.
    pub command: Option<u64>,
}

impl MoveAbort {
    /// Whether this is `code` of `module`.
    pub fn is(&self, module: &str, code: u64) -> bool {
        self.module == module && self.code == code
    }

    /// The package was upgraded: read the system object again and rebuild the transaction.
    pub fn is_wrong_version(&self) -> bool {
        self.is("system", abort::system::WRONG_VERSION)
            || self.is("staking", abort::staking::WRONG_VERSION)
            || self.is("storage_pool", abort::storage_pool::WRONG_VERSION)
    }

    /// The certificate belongs to another epoch or committee: collect confirmations again.
    pub fn is_stale_certificate(&self) -> bool {
        self.is("system_state_inner", abort::system_state_inner::INVALID_ID_EPOCH)
            || self.is("messages", abort::messages::INCORRECT_EPOCH)
            || self.module == "bls_aggregate"
    }

    fn advice(&self) -> &'static str {
        match (self.module.as_str(), self.code) {
            _ if self.is_wrong_version() => "the contracts were upgraded: read the system object again and retry",
            _ if self.is_stale_certificate() => "the committee changed: collect confirmations again",
            ("system_state_inner", abort::system_state_inner::STORAGE_EXCEEDED) => {
                "the whole network is full for that time: ask for less, or for fewer epochs"
            }
            ("system_state_inner", abort::system_state_inner::INVALID_EPOCHS_AHEAD) => {
                "the number of epochs is zero or more than the network sells ahead"
            }
            ("balance", abort::balance::NOT_ENOUGH) => "the wallet holds too little WAL: fund it",
            ("storage_pool", abort::storage_pool::INSUFFICIENT_CAPACITY) => {
                "the storage pool is full: delete data or enlarge it"
            }
            ("storage_pool" | "blob", 1 | 2) => {
                "the storage has expired, does not start yet, or the blob is certified already"
            }
            ("wal_exchange", abort::wal_exchange::INSUFFICIENT_FUNDS_IN_EXCHANGE) => {
                "the exchange holds too little WAL"
            }
            _ => "",
        }
    }
}

impl fmt::Display for MoveAbort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{} aborted with code {}", self.module, self.function, self.code)?;
        if let Some(name) = abort::name(&self.module, self.code) {
            write!(f, " ({name})")?;
        }
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, ": {advice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aborts_say_what_to_do() {
        let abort = |module: &str, code| MoveAbort {
            package: "0x1".into(),
            module: module.into(),
            function: "f".into(),
            code,
            command: Some(0),
        };
        assert!(abort("system", 1).is_wrong_version() && !abort("blob", 1).is_wrong_version());
        assert!(abort("bls_aggregate", 2).is_stale_certificate() && abort("messages", 1).is_stale_certificate());
        assert_eq!(
            abort("storage_pool", 6).to_string(),
            "storage_pool::f aborted with code 6 (INSUFFICIENT_CAPACITY): the storage pool is full: delete data or enlarge it"
        );
        assert_eq!(abort("unheard_of", 9).to_string(), "unheard_of::f aborted with code 9");
    }
}
