//! The walrusfs program.
fn main() {}
