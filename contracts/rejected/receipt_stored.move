// error: does not have the ability 'store'
module walrusfs::receipt_stored;

use walrusfs::drive::Receipt;

/// A loan cannot outlive its transaction in an object.
public struct Drawer has key, store {
    id: UID,
    receipt: Receipt,
}
