//! A bounded reader and writer for the little of BCS that Red Stuff's formats use.
//!
//! Byte strings are borrowed from the input, so parsing a hostile message allocates nothing that its length does not pay for.

use crate::Error;

/// Reads BCS values from the front of a byte slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`; `what` names the message in errors.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn malformed(&self, reason: &'static str) -> Error {
        Error::Malformed { what: self.what, reason }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(length) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.malformed("ends too early")),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A canonical ULEB128 of at most 32 bits.
    pub(crate) fn uleb(&mut self) -> Result<u32, Error> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if shift > 0 && byte == 0 {
                    return Err(self.malformed("a length is not in canonical form"));
                }
                return u32::try_from(value).map_err(|_| self.malformed("a length is above 2^32"));
            }
        }
        Err(self.malformed("a length is above 2^32"))
    }

    /// The count of a vector of items of at least `item_bytes` bytes each: never more than the input can hold.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, Error> {
        let count = self.uleb()? as usize;
        if count > self.rest.len() / item_bytes.max(1) {
            return Err(self.malformed("ends too early"));
        }
        Ok(count)
    }

    /// A byte string with its length.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.uleb()? as usize;
        self.take(length)
    }

    /// A UTF-8 string with its length.
    pub(crate) fn string(&mut self) -> Result<&'a str, Error> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed("a string is not UTF-8"))
    }

    /// The bytes not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Succeeds if everything was read.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("has trailing bytes")) }
    }
}

/// Appends the ULEB128 of `value`. (No length in these formats reaches 2^32; `usize` keeps callers free of casts.)
pub(crate) fn put_uleb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends a byte string with its length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uleb(out, bytes.len());
    out.extend_from_slice(bytes);
}
