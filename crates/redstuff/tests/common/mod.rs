//! What several test files share: the vectors' input patterns.
#![allow(dead_code, reason = "each test file uses a part")]

use redstuff::Params;
use serde_json::Value;

/// Parses a vector file.
pub(crate) fn vectors(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The member `key` as a number.
pub(crate) fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} is a number"))
}

/// The member `key` as text.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is a string"))
}

pub(crate) fn params(value: &Value) -> Params {
    Params::new(u16::try_from(number(value, "nShards")).unwrap()).unwrap()
}

/// The bytes that a vector's `input` describes.
pub(crate) fn input(spec: &Value) -> Vec<u8> {
    let length = usize::try_from(number(spec, "len")).unwrap();
    match text(spec, "pattern") {
        "ramp" => (0..length).map(|i| (i % 256) as u8).collect(),
        "const" => vec![u8::try_from(number(spec, "value")).unwrap(); length],
        "lcg" => lcg(u32::try_from(number(spec, "seed")).unwrap(), length),
        "hex" => hex::decode(text(spec, "hex")).unwrap(),
        other => panic!("unknown pattern {other}"),
    }
}

/// `length` bytes of the linear congruential generator of the vectors.
pub(crate) fn lcg(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}
