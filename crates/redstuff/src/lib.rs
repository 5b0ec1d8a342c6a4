//! Red Stuff (RS2): the two-dimensional Reed-Solomon erasure code of the Walrus storage network.
