//! Keys, sealing, key slots.
