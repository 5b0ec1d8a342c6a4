//! Every call that users make: results, events, money, and each abort that can be reached.
