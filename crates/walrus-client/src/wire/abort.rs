//! Abort codes of the Walrus contracts: one table for the client that explains them and the local chain that raises
//! them. A code is identified by its module; the package in an abort's location is whatever version was called.

macro_rules! aborts {
    ($($module:ident { $($(#[$doc:meta])* $name:ident = $code:literal),* $(,)? })*) => {
        $(
            #[doc = concat!("Abort codes of the module `", stringify!($module), "`.")]
            #[expect(missing_docs, reason = "the names are the contract's own")]
            pub mod $module {
                $(pub const $name: u64 = $code;)*
            }
        )*

        /// The contract's name of an abort code, for messages; `None` for modules and codes that are not in the table.
        pub fn name(module: &str, code: u64) -> Option<&'static str> {
            match module {
                $(stringify!($module) => match code {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                },)*
                _ => None,
            }
        }
    };
}

aborts! {
    system { INVALID_MIGRATION = 0, WRONG_VERSION = 1, ZERO_EXTRACT_SIZE = 2 }
    system_state_inner {
        INVALID_MAX_EPOCHS_AHEAD = 0, STORAGE_EXCEEDED = 1, INVALID_EPOCHS_AHEAD = 2, INVALID_ID_EPOCH = 3,
        INCORRECT_COMMITTEE = 4, INVALID_ACCOUNTING_EPOCH = 5, INCORRECT_ATTESTATION = 6, REPEATED_ATTESTATION = 7,
        NOT_COMMITTEE_MEMBER = 8, INCORRECT_DENY_LIST_SEQUENCE = 9, INCORRECT_DENY_LIST_NODE = 10,
        INVALID_RESOURCE_SIZE = 11, INVALID_START_EPOCH = 12,
    }
    blob {
        NOT_CERTIFIED = 0, BLOB_NOT_DELETABLE = 1, RESOURCE_BOUNDS = 2, RESOURCE_SIZE = 3, ALREADY_CERTIFIED = 5,
        INVALID_BLOB_ID = 6, DUPLICATE_METADATA = 7, MISSING_METADATA = 8, INVALID_BLOB_PERSISTENCE_TYPE = 9,
        INVALID_BLOB_OBJECT = 10,
    }
    storage_resource { INVALID_EPOCH = 0, INCOMPATIBLE_EPOCHS = 1, INCOMPATIBLE_AMOUNT = 2, INVALID_EPOCH_RANGE = 3 }
    storage_pool {
        BLOB_NOT_DELETABLE = 0, RESOURCE_BOUNDS = 1, ALREADY_CERTIFIED = 2, INVALID_BLOB_ID = 3,
        INVALID_BLOB_PERSISTENCE_TYPE = 4, INVALID_BLOB_OBJECT = 5, INSUFFICIENT_CAPACITY = 6, POOL_NOT_EMPTY = 7,
        INVALID_BLOB_SIZE = 8, INVALID_BLOB_COUNT = 9, WRONG_VERSION = 10, INCOMPATIBLE_END_EPOCH = 11,
        DUPLICATE_METADATA = 12, MISSING_METADATA = 13, INVALID_PERCENT = 14,
    }
    bls_aggregate { INVALID_BITMAP = 0, SIG_VERIFICATION = 1, NOT_ENOUGH_STAKE = 2, INCORRECT_COMMITTEE = 3 }
    messages {
        INCORRECT_APP_ID = 0, INCORRECT_EPOCH = 1, INVALID_MSG_TYPE = 2, INCORRECT_INTENT_VERSION = 3,
        INVALID_BLOB_PERSISTENCE_TYPE = 4, NOT_DELETABLE = 5, INVALID_KEY_LENGTH = 6,
    }
    encoding { INVALID_ENCODING_TYPE = 0 }
    event_blob { INVALID_SEQUENCE_NUMBER = 0 }
    storage_accounting { TOO_FAR_IN_FUTURE = 0 }
    committee { INVALID_SHARD_ASSIGNMENT = 0 }
    pool_exchange_rate { INVALID_RATE = 0 }
    storage_node { INVALID_NETWORK_PUBLIC_KEY = 0 }
    apportionment_queue { POP_FROM_EMPTY_HEAP = 0 }
    staking { INVALID_MIGRATION = 0, WRONG_VERSION = 1, DEPRECATED_FUNCTION = 2 }
    staking_inner {
        WRONG_EPOCH_STATE = 0, INVALID_SYNC_EPOCH = 1, DUPLICATE_SYNC_DONE = 2, NO_STAKE = 3, NOT_IN_COMMITTEE = 4,
        COMMITTEE_SELECTED = 5, NEXT_COMMITTEE_IS_EMPTY = 6, INVALID_NODE_WEIGHT = 7, POOL_NOT_FOUND = 8,
        ZERO_NODE_WEIGHT = 9, INCORRECT_NODE_ORDER = 10,
    }
    staking_pool {
        POOL_ALREADY_UPDATED = 0, CALCULATION_ERROR = 1, INCORRECT_EPOCH_ADVANCE = 2, POOL_NOT_EMPTY = 3,
        INVALID_PROOF_OF_POSSESSION = 4, POOL_ALREADY_WITHDRAWING = 5, POOL_IS_NOT_ACTIVE = 6, ZERO_STAKE = 7,
        NOT_STAKED = 8, INCORRECT_POOL_ID = 9, NOT_WITHDRAWING = 10, WITHDRAW_EPOCH_NOT_REACHED = 11,
        ACTIVATION_EPOCH_NOT_REACHED = 12, WITHDRAW_DIRECTLY = 13, INCORRECT_COMMISSION_RATE = 14,
        AUTHORIZATION_FAILURE = 15, INVALID_NETWORK_ADDRESS_LENGTH = 16, INVALID_NAME_LENGTH = 17, ZERO_SHARES = 18,
    }
    staked_wal {
        NOT_WITHDRAWING = 0, METADATA_MISMATCH = 1, INVALID_AMOUNT = 2, ALREADY_WITHDRAWING = 6,
        STAKE_BELOW_THRESHOLD = 7,
    }
    pending_values { MISSING_EPOCH_VALUE = 0, REDUCE_VALUE_TOO_LARGE = 1 }
    active_set { ZERO_MAX_SIZE = 0, DUPLICATE_INSERTION = 1 }
    upgrade {
        INVALID_UPGRADE_MANAGER = 0, NOT_AUTHORIZED = 1, DUPLICATE_VOTE = 2, INVALID_PACKAGE_DIGEST = 3,
        NO_PROPOSAL_FOR_DIGEST = 4, WRONG_EPOCH = 5, NOT_ENOUGH_VOTES = 6, WRONG_VERSION = 7,
    }
    slashing {
        NOT_AUTHORIZED = 0, DUPLICATE_VOTE = 1, NO_PROPOSAL_FOR_NODE = 2, WRONG_EPOCH = 3, NOT_ENOUGH_VOTES = 4,
    }
    init { INVALID_MIGRATION = 0, INVALID_UPGRADE_CAP = 1, DEPRECATED_FUNCTION = 2 }
    wal_exchange {
        INSUFFICIENT_FUNDS_IN_EXCHANGE = 0, INSUFFICIENT_INPUT_BALANCE = 1, UNAUTHORIZED_ADMIN_CAP = 2,
        INVALID_EXCHANGE_RATE = 3,
    }
    balance { NON_ZERO = 0, NOT_ENOUGH = 2 }
}
