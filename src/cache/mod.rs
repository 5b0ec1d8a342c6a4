//! Hot slivers and units, in memory and on disk.
