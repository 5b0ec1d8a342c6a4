// error: does not have the ability 'drop'
module walrusfs::receipt_dropped;

use sui::clock::Clock;
use walrusfs::drive::{Self, Drive};

/// A pool cannot leave its Drive for good: nothing but `put_pool` ends a receipt.
public fun steal<P: key + store>(drive: &mut Drive, holder: vector<u8>, clock: &Clock): P {
    let (pool, _receipt) = drive::take_pool<P>(drive, 0, holder, clock);
    pool
}
