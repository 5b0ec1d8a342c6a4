// error: Invalid call to internal function
module walrusfs::pool_removed;

use walrusfs::drive::{Self, Drive};

/// The pool leaves only through the calls that check.
public fun remove<P: key + store>(drive: &mut Drive): P {
    drive::remove_pool<P>(drive)
}
