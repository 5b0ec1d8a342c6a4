//! A client of the Walrus storage network: storage nodes over HTTP, Sui over gRPC.
