// error: does not have the ability 'copy'
module walrusfs::receipt_copied;

use walrusfs::drive::{Self, Drive, Receipt};

/// One loan, one return.
public fun twice<P: key + store>(drive: &mut Drive, one: P, two: P, receipt: Receipt) {
    let again = copy receipt;
    drive::put_pool(drive, one, receipt);
    drive::put_pool(drive, two, again);
}
