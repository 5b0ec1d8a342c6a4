// error: can only be instantiated within its defining module
module walrusfs::receipt_forged;

use walrusfs::drive::{Drive, Receipt};

/// A receipt comes from `take_pool` alone.
public fun forge(drive: &Drive, pool: ID): Receipt {
    Receipt { drive: object::id(drive), pool }
}
