//! The signatures of the module's public functions: what the chain needs to resolve arguments and to answer
//! `GetFunction`. A test compares the table with the Move source (`contracts/functions.json`).

/// A parameter or result type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `u256`
    U256,
    /// `bool`
    Bool,
    /// `vector<u8>`
    Bytes,
    /// `vector<u32>`
    U32List,
    /// `vector<vector<u8>>`
    BytesList,
    /// `&mut Drive`
    DriveMut,
    /// `Drive`
    Drive,
    /// `Option<RootRef>`
    OptionRoot,
    /// `Receipt`
    Receipt,
    /// The type parameter of this number (the pool's type, `key + store`).
    Type(u16),
    /// `&0x2::clock::Clock`
    Clock,
    /// `&mut 0x2::tx_context::TxContext`; given by the chain, not by the transaction.
    TxContext,
}

/// A public function of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Number of type parameters, each `key + store`.
    pub type_params: u16,
    /// Parameters in order.
    pub params: &'static [Param],
    /// Results in order.
    pub returns: &'static [Param],
}

use Param::{
    Bool, Bytes, BytesList, Clock, Drive, DriveMut, OptionRoot, Receipt, TxContext, Type, U8, U16, U32, U32List, U64,
    U256,
};

const fn function(
    name: &'static str,
    type_params: u16,
    params: &'static [Param],
    returns: &'static [Param],
) -> Function {
    Function { name, type_params, params, returns }
}

/// Every function that a transaction may call, in the order of the Move source.
pub const FUNCTIONS: &[Function] = &[
    function("create", 1, &[U16, Bytes, Bytes, U8, U32, Bytes, Bytes, Type(0), TxContext], &[Drive]),
    function("root", 0, &[U256, U64, U32, Bytes, U32], &[OptionRoot]),
    function("same_root", 0, &[], &[OptionRoot]),
    function("acquire_lease", 0, &[DriveMut, U64, Bytes, Bool, Clock], &[]),
    function("renew_lease", 0, &[DriveMut, U64, Bytes, Clock], &[]),
    function("release_lease", 0, &[DriveMut, U64, Bytes], &[]),
    function("take_pool", 1, &[DriveMut, U64, Bytes, Clock], &[Type(0), Receipt]),
    function("put_pool", 1, &[DriveMut, Type(0), Receipt], &[]),
    function("replace_pool", 2, &[DriveMut, U64, Bytes, Type(1), Clock], &[Type(0)]),
    function("commit", 0, &[DriveMut, U64, Bytes, OptionRoot, U64, BytesList, Bytes, Clock], &[]),
    function("add_slot", 0, &[DriveMut, U64, Bytes, U8, U32, U32, Bytes, Bytes, Clock], &[]),
    function("remove_slot", 0, &[DriveMut, U64, Bytes, U32, Bytes, Clock], &[]),
    function(
        "rotate_keys",
        0,
        &[DriveMut, U64, Bytes, U32, Bytes, U32List, BytesList, Bytes, Bytes, Bytes, Clock],
        &[],
    ),
    function("destroy", 1, &[Drive, U64, Bytes], &[Type(0)]),
];
