//! An honest storage node: the real REST API over slivers and metadata on disk, registrations read from the chain.
