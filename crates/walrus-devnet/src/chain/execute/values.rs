//! Values of a programmable transaction, and what bytes a type admits.

use sui_sdk_types::{StructTag, TypeTag};

/// A value in an input, the gas coin or a result.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Bytes from the transaction; their type is whatever they are used as.
    Pure(Vec<u8>),
    /// A Move value.
    Typed { ty: TypeTag, bytes: Vec<u8> },
}

impl Value {
    pub(crate) fn object(tag: StructTag, bytes: Vec<u8>) -> Self {
        Self::Typed { ty: tag.into(), bytes }
    }
}

/// Whether a transaction may give `bytes` as a value of type `ty`: primitives, vectors, options, strings, ids; no other struct.
pub(crate) fn is_pure(ty: &TypeTag, bytes: &[u8]) -> bool {
    matches!(skip(ty, bytes, 0), Some([]))
}

fn take(bytes: &[u8], length: usize) -> Option<&[u8]> {
    bytes.get(length..)
}

fn uleb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let canonical = index == 0 || *byte != 0;
            return (canonical && u32::try_from(value).is_ok()).then_some((value, take(bytes, index + 1)?));
        }
    }
    None
}

/// The bytes after one value of type `ty`.
fn skip<'b>(ty: &TypeTag, bytes: &'b [u8], depth: usize) -> Option<&'b [u8]> {
    if depth > 8 {
        return None;
    }
    match ty {
        TypeTag::Bool => match bytes.first()? {
            0 | 1 => take(bytes, 1),
            _ => None,
        },
        TypeTag::U8 => take(bytes, 1),
        TypeTag::U16 => take(bytes, 2),
        TypeTag::U32 => take(bytes, 4),
        TypeTag::U64 => take(bytes, 8),
        TypeTag::U128 => take(bytes, 16),
        TypeTag::U256 | TypeTag::Address => take(bytes, 32),
        TypeTag::Signer => None,
        TypeTag::Vector(item) => {
            let (count, rest) = uleb(bytes)?;
            skip_many(item, count, rest, depth)
        }
        TypeTag::Struct(tag) => skip_struct(tag, bytes, depth),
    }
}

fn skip_many<'b>(item: &TypeTag, count: usize, mut bytes: &'b [u8], depth: usize) -> Option<&'b [u8]> {
    if *item == TypeTag::U8 {
        return take(bytes, count);
    }
    for _ in 0..count {
        bytes = skip(item, bytes, depth + 1)?;
    }
    Some(bytes)
}

fn skip_struct<'b>(tag: &StructTag, bytes: &'b [u8], depth: usize) -> Option<&'b [u8]> {
    let framework = |n: u8| {
        let mut id = [0; 32];
        id[31] = n;
        tag.address().into_inner() == id
    };
    match (tag.module().as_str(), tag.name().as_str(), tag.type_params()) {
        ("option", "Option", [item]) if framework(1) => {
            let (count, rest) = uleb(bytes)?;
            if count > 1 { None } else { skip_many(item, count, rest, depth) }
        }
        ("string" | "ascii", "String", []) if framework(1) => {
            let (count, rest) = uleb(bytes)?;
            let text = std::str::from_utf8(rest.get(..count)?).ok()?;
            if tag.module().as_str() == "ascii" && !text.is_ascii() {
                return None;
            }
            take(rest, count)
        }
        ("object", "ID", []) if framework(2) => take(bytes, 32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_bytes_by_type() {
        let string: TypeTag = "0x1::string::String".parse().unwrap();
        let option: TypeTag = "0x1::option::Option<u32>".parse().unwrap();
        let list: TypeTag = "vector<vector<u8>>".parse().unwrap();
        let coin: TypeTag = "0x2::coin::Coin<0x2::sui::SUI>".parse().unwrap();
        let cases: &[(&TypeTag, &[u8], bool)] = &[
            (&TypeTag::Bool, &[1], true),
            (&TypeTag::Bool, &[2], false),
            (&TypeTag::U64, &[0; 8], true),
            (&TypeTag::U64, &[0; 9], false),
            (&TypeTag::U64, &[0; 7], false),
            (&string, &[2, b'h', b'i'], true),
            (&string, &[1, 0xff], false),
            (&string, &[3, b'h', b'i'], false),
            (&option, &[0], true),
            (&option, &[1, 1, 0, 0, 0], true),
            (&option, &[2, 1, 0, 0, 0, 1, 0, 0, 0], false),
            (&list, &[2, 1, 7, 0], true),
            (&list, &[0x80, 0x00], false),
            (&list, &[0xff, 0xff, 0xff, 0xff, 0x0f], false),
            (&coin, &[0; 40], false),
        ];
        for (ty, bytes, expected) in cases {
            assert_eq!(is_pure(ty, bytes), *expected, "{ty} {bytes:?}");
        }
    }
}
