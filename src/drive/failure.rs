//! What a failure of the network or the chain means to the filesystem.

use crate::error::{FsError, Kind};
use walrus_client::{ClientError, MoveAbort};

/// Abort codes of `walrusfs::drive` that the client reacts to (`contracts/scenarios.json` has all).
pub(super) mod abort {
    pub(crate) const MODULE: &str = "drive";
    pub(crate) const WRONG_SEQUENCE: u64 = 0;
    pub(crate) const NO_LEASE: u64 = 1;
    pub(crate) const LEASE_OF_ANOTHER: u64 = 2;
}

/// Abort codes of the Walrus contracts that mean "no room".
mod walrus {
    pub(super) const POOL_BOUNDS: (&str, u64) = ("storage_pool", 1);
    pub(super) const POOL_FULL: (&str, u64) = ("storage_pool", 6);
    pub(super) const NETWORK_FULL: (&str, u64) = ("system_state_inner", 1);
    pub(super) const TOO_LITTLE_WAL: (&str, u64) = ("balance", 2);
}

/// The filesystem's error for an error of the client, while `doing` something.
pub fn chain_error(doing: &str, error: ClientError) -> FsError {
    let (kind, advice) = match &error {
        ClientError::Abort(abort) => of_abort(abort),
        ClientError::Unfunded { .. } => (
            Kind::Unfunded,
            " (`walrusfs wallet fund` where there is a faucet, else send SUI or WAL there; 10^9 FROST are 1 WAL)",
        ),
        ClientError::NotFound { .. } => (Kind::Posix(libc::ENOENT), ""),
        ClientError::Local { source, .. } if source.raw_os_error() == Some(libc::ENOSPC) => (Kind::DiskFull, ""),
        ClientError::Dropped { .. } => (Kind::Unreachable, "; nothing was changed, try again"),
        error if error.is_transient() => (Kind::Unreachable, ""),
        _ => (Kind::Internal, ""),
    };
    FsError::new(kind, format!("{doing}: {error}{advice}")).caused_by(error)
}

fn of_abort(found: &MoveAbort) -> (Kind, &'static str) {
    let is = |(module, code): (&str, u64)| found.is(module, code);
    if is((abort::MODULE, abort::WRONG_SEQUENCE)) {
        (Kind::Stale, " (somebody else committed to this drive in between)")
    } else if is((abort::MODULE, abort::LEASE_OF_ANOTHER)) {
        (Kind::LeaseLost, " (another machine has the right to write)")
    } else if is((abort::MODULE, abort::NO_LEASE)) {
        (Kind::LeaseLost, " (the right to write was released)")
    } else if is(walrus::POOL_FULL) {
        (Kind::PoolFull, " (`walrusfs drive resize` buys capacity)")
    } else if is(walrus::POOL_BOUNDS) {
        (Kind::PoolFull, " (the drive's storage has ended: `walrusfs drive revive` makes a new pool)")
    } else if is(walrus::NETWORK_FULL) {
        (Kind::PoolFull, "")
    } else if is(walrus::TOO_LITTLE_WAL) {
        (Kind::Unfunded, "")
    } else {
        (Kind::Internal, "")
    }
}

/// Whether the transaction was refused because the Drive is at another sequence.
pub(super) fn is_wrong_sequence(error: &ClientError) -> bool {
    error.abort().is_some_and(|found| found.is(abort::MODULE, abort::WRONG_SEQUENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(module: &str, code: u64) -> FsError {
        let abort = MoveAbort {
            package: "0x1".to_owned(),
            module: module.to_owned(),
            function: "f".to_owned(),
            code,
            command: None,
        };
        chain_error("a commit", ClientError::Abort(abort))
    }

    #[test]
    fn aborts_become_what_a_writer_can_act_on() {
        let cases = [
            ("drive", 0, Kind::Stale),
            ("drive", 1, Kind::LeaseLost),
            ("drive", 2, Kind::LeaseLost),
            ("drive", 20, Kind::Internal),
            ("storage_pool", 6, Kind::PoolFull),
            ("storage_pool", 1, Kind::PoolFull),
            ("system_state_inner", 1, Kind::PoolFull),
            ("balance", 2, Kind::Unfunded),
        ];
        for (module, code, kind) in cases {
            assert_eq!(aborted(module, code).kind(), kind, "{module} {code}");
        }
        assert!(aborted("drive", 2).to_string().starts_with("a commit: "));
        let lost = ClientError::Unreachable { what: "x".to_owned(), reason: "y".to_owned() };
        assert_eq!(chain_error("z", lost).kind(), Kind::Unreachable);
    }
}
