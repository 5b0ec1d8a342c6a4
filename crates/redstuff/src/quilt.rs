//! Quilts (V1): many small blobs laid out as one blob, each readable from a few secondary slivers alone.
//!
//! A quilt fills the message matrix *column by column*: an index stream, then one stream per inner blob ("patch"), each starting
//! on a fresh column. A systematic secondary sliver is a column, so a patch is the concatenation of the secondary slivers in its
//! range, and a reader that knows a [`QuiltPatchId`] needs neither the index nor the rest.
//!
//! Everything read from a quilt is treated as hostile: lengths and column ranges are checked before use.

use crate::wire::{Reader, put_bytes, put_uleb};
use crate::{BlobId, Error, Params, Secondary, Sliver, SliverIndex};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::Range;
use std::str::FromStr;

const VERSION: u8 = 1;
/// Version byte and index length before the index.
const INDEX_PREFIX: usize = 5;
/// The index never takes more columns than this.
const MAX_INDEX_COLUMNS: usize = 10;
/// Version, length and mask before a patch's identifier; the length counts what follows them.
const PATCH_HEADER: usize = 6;
const TAGS_BIT: u8 = 1;

/// Why blobs cannot be laid out as one quilt, or a quilt cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuiltError {
    /// More patches than columns. Make several quilts.
    #[error("{patches} patches do not fit into one quilt: at most {max}")]
    TooManyPatches {
        /// Patches given.
        patches: usize,
        /// The most that fit.
        max: usize,
    },
    /// The content does not fit even with the largest symbols. Make several quilts.
    #[error("the patches are too large for one quilt")]
    TooLarge,
    /// Two patches have the same identifier.
    #[error("the identifier {0:?} is used twice")]
    DuplicateIdentifier(String),
    /// An identifier that readers would refuse.
    #[error("the identifier {0:?} is empty, too long, ends in white space or contains control characters")]
    InvalidIdentifier(String),
    /// The tags of a patch take more than 65535 bytes.
    #[error("the tags of {0:?} take more than 65535 bytes")]
    TagsTooLarge(String),
}

/// One blob to be put into a quilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuiltBlob<'a> {
    identifier: String,
    tags: BTreeMap<String, String>,
    data: &'a [u8],
}

impl<'a> QuiltBlob<'a> {
    /// A blob named `identifier`.
    ///
    /// # Errors
    /// [`QuiltError::InvalidIdentifier`] unless it has 1 to 65531 bytes, no control characters and no white space at its end.
    pub fn new(identifier: impl Into<String>, data: &'a [u8]) -> Result<Self, QuiltError> {
        let identifier = identifier.into();
        let mut bcs = Vec::new();
        put_bytes(&mut bcs, identifier.as_bytes());
        let invalid = identifier.is_empty()
            || bcs.len() >= usize::from(u16::MAX)
            || identifier.ends_with(char::is_whitespace)
            || identifier.contains(char::is_control);
        if invalid {
            return Err(QuiltError::InvalidIdentifier(identifier));
        }
        Ok(Self { identifier, tags: BTreeMap::new(), data })
    }

    /// Adds a tag, replacing one of the same name.
    ///
    /// # Errors
    /// [`QuiltError::TagsTooLarge`] if the tags would take more than 65535 bytes.
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Result<Self, QuiltError> {
        self.tags.insert(name.into(), value.into());
        if tags_bcs(&self.tags).len() > usize::from(u16::MAX) {
            return Err(QuiltError::TagsTooLarge(self.identifier));
        }
        Ok(self)
    }

    /// The patch stream: header, identifier, tags, data.
    fn stream(&self) -> Result<Vec<u8>, QuiltError> {
        let mut identifier = Vec::new();
        put_bytes(&mut identifier, self.identifier.as_bytes());
        let tags = if self.tags.is_empty() { None } else { Some(tags_bcs(&self.tags)) };
        let short = |bytes: &[u8]| u16::try_from(bytes.len()).map(u16::to_le_bytes).map_err(|_| QuiltError::TooLarge);

        let counted = 2 + identifier.len() + tags.as_ref().map_or(0, |tags| 2 + tags.len()) + self.data.len();
        let length = u32::try_from(counted).map_err(|_| QuiltError::TooLarge)?;
        let mut out = Vec::with_capacity(PATCH_HEADER + counted);
        out.push(VERSION);
        out.extend_from_slice(&length.to_le_bytes());
        out.push(if tags.is_some() { TAGS_BIT } else { 0 });
        out.extend_from_slice(&short(&identifier)?);
        out.extend_from_slice(&identifier);
        if let Some(tags) = tags {
            out.extend_from_slice(&short(&tags)?);
            out.extend_from_slice(&tags);
        }
        out.extend_from_slice(self.data);
        Ok(out)
    }
}

/// The BCS of a map: entries in the order of their *serialised* keys, so shorter keys come first.
fn tags_bcs(tags: &BTreeMap<String, String>) -> Vec<u8> {
    let mut entries: Vec<(Vec<u8>, &str)> = tags
        .iter()
        .map(|(name, value)| {
            let mut key = Vec::new();
            put_bytes(&mut key, name.as_bytes());
            (key, value.as_str())
        })
        .collect();
    entries.sort();
    let mut out = Vec::new();
    put_uleb(&mut out, entries.len());
    for (key, value) in entries {
        out.extend_from_slice(&key);
        put_bytes(&mut out, value.as_bytes());
    }
    out
}

fn read_tags(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, Error> {
    let count = reader.count(2)?;
    let mut tags = BTreeMap::new();
    let mut previous: Option<(usize, &str)> = None;
    for _ in 0..count {
        let name = reader.string()?;
        let key = (name.len(), name);
        if previous.is_some_and(|previous| previous >= key) {
            return Err(reader.malformed("tags are not in order"));
        }
        previous = Some(key);
        tags.insert(name.to_owned(), reader.string()?.to_owned());
    }
    Ok(tags)
}

/// What the index says of one patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuiltPatch {
    /// Its name, unique in the quilt.
    pub identifier: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The secondary slivers (columns) that it occupies.
    pub columns: Range<u16>,
}

impl QuiltPatch {
    /// The id under which this patch of quilt `quilt_id` can be read.
    pub fn id(&self, quilt_id: &BlobId) -> QuiltPatchId {
        QuiltPatchId { quilt_id: *quilt_id, columns: self.columns.clone() }
    }

    /// The secondary slivers that hold it.
    pub fn slivers(&self) -> impl ExactSizeIterator<Item = SliverIndex<Secondary>> + use<> {
        self.columns.clone().map(SliverIndex::new)
    }
}

/// Names one patch of one quilt: text form base64url without padding, 50 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuiltPatchId {
    /// The quilt.
    pub quilt_id: BlobId,
    /// The secondary slivers (columns) that the patch occupies.
    pub columns: Range<u16>,
}

impl QuiltPatchId {
    /// The secondary slivers that hold the patch.
    pub fn slivers(&self) -> impl ExactSizeIterator<Item = SliverIndex<Secondary>> + use<> {
        self.columns.clone().map(SliverIndex::new)
    }

    /// The 37 bytes: blob id, version, first column, column after the last.
    pub fn to_bytes(&self) -> [u8; 37] {
        let mut bytes = [0; 37];
        bytes[..32].copy_from_slice(self.quilt_id.as_bytes());
        bytes[32] = VERSION;
        bytes[33..35].copy_from_slice(&self.columns.start.to_le_bytes());
        bytes[35..].copy_from_slice(&self.columns.end.to_le_bytes());
        bytes
    }

    /// Parses the 37 bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new("quilt patch id", bytes);
        let quilt_id = BlobId(reader.array()?);
        if reader.u8()? != VERSION {
            return Err(reader.malformed("unknown version"));
        }
        let columns = reader.u16()?..reader.u16()?;
        if columns.is_empty() {
            return Err(reader.malformed("its range of columns is empty"));
        }
        reader.finish()?;
        Ok(Self { quilt_id, columns })
    }
}

impl Display for QuiltPatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for QuiltPatchId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = Error::Malformed { what: "quilt patch id", reason: "not unpadded base64url" };
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?)
    }
}

/// The index of a quilt: which patch lies in which columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuiltIndex {
    patches: Vec<QuiltPatch>,
}

impl QuiltIndex {
    /// The patches in column order.
    pub fn patches(&self) -> &[QuiltPatch] {
        &self.patches
    }

    /// The patch named `identifier`; the first one if a foreign quilt has several.
    pub fn find(&self, identifier: &str) -> Option<&QuiltPatch> {
        self.patches.iter().find(|patch| patch.identifier == identifier)
    }

    /// The BCS of `QuiltIndexV1`.
    pub fn to_bcs(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uleb(&mut out, self.patches.len());
        for patch in &self.patches {
            out.extend_from_slice(&patch.columns.end.to_le_bytes());
            put_bytes(&mut out, patch.identifier.as_bytes());
            out.extend_from_slice(&tags_bcs(&patch.tags));
        }
        out
    }

    /// Parses the BCS of `QuiltIndexV1`; patches begin at column `first_column` and must stay below `columns`.
    fn from_bcs(bytes: &[u8], first_column: u16, columns: u16) -> Result<Self, Error> {
        let mut reader = Reader::new("quilt index", bytes);
        let count = reader.count(4)?;
        let mut patches = Vec::new();
        let mut start = first_column;
        for _ in 0..count {
            let end = reader.u16()?;
            if end <= start || end > columns {
                return Err(reader.malformed("a patch has an impossible range of columns"));
            }
            let identifier = reader.string()?.to_owned();
            let tags = read_tags(&mut reader)?;
            patches.push(QuiltPatch { identifier, tags, columns: start..end });
            start = end;
        }
        reader.finish()?;
        Ok(Self { patches })
    }

    /// Reads the index from the first secondary slivers of a quilt, given in order from sliver 0. (Column 0 alone tells with
    /// [`index_columns`] how many are needed.)
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::InvalidArgument`] if the slivers are not 0, 1, 2, ...; [`Error::NotEnough`].
    pub fn read(params: &Params, slivers: &[Sliver<'_, Secondary>]) -> Result<Self, Error> {
        let first = slivers.first().ok_or_else(|| not_enough(0, 1))?;
        let need = index_columns(params, first)?;
        let stream = concatenate(slivers, 0..need)?;
        let length = index_length(&stream)?;
        let bytes = stream
            .get(INDEX_PREFIX..INDEX_PREFIX + length)
            .ok_or(Error::Malformed { what: "quilt index", reason: "ends too early" })?;
        Self::from_bcs(bytes, need, params.columns())
    }
}

fn not_enough(have: usize, need: usize) -> Error {
    Error::NotEnough { what: "slivers", axis: crate::Axis::Secondary, have, need }
}

fn index_length(stream: &[u8]) -> Result<usize, Error> {
    let mut reader = Reader::new("quilt index", stream);
    if reader.u8()? != VERSION {
        return Err(reader.malformed("unknown quilt version"));
    }
    Ok(reader.u32()? as usize)
}

/// How many of the first secondary slivers hold the index, as said by sliver 0.
///
/// # Errors
/// [`Error::Malformed`] if this is no quilt; [`Error::InvalidArgument`] if it is not sliver 0.
pub fn index_columns(params: &Params, first: &Sliver<'_, Secondary>) -> Result<u16, Error> {
    if first.index().get() != 0 {
        return Err(Error::InvalidArgument("the index of a quilt begins in secondary sliver 0"));
    }
    let column = first.data().len();
    let length = index_length(first.data())?;
    let too_long = Error::Malformed { what: "quilt index", reason: "takes more columns than an index may" };
    if length > (MAX_INDEX_COLUMNS * column).saturating_sub(INDEX_PREFIX) {
        return Err(too_long);
    }
    match u16::try_from((INDEX_PREFIX + length).div_ceil(column)) {
        Ok(columns) if columns <= params.columns() => Ok(columns),
        _ => Err(too_long),
    }
}

/// The bytes of the slivers with exactly the indices `columns`, which must be given in this order (others may follow).
fn concatenate(slivers: &[Sliver<'_, Secondary>], columns: Range<u16>) -> Result<Vec<u8>, Error> {
    let need = columns.len();
    let slivers = slivers.get(..need).ok_or_else(|| not_enough(slivers.len(), need))?;
    let length = slivers.first().map_or(0, |sliver| sliver.data().len());
    let mut stream = Vec::with_capacity(need * length);
    for (index, sliver) in columns.zip(slivers) {
        if sliver.index().get() != index || sliver.data().len() != length {
            return Err(Error::InvalidArgument(
                "slivers of a quilt patch are not consecutive, in order and of one length",
            ));
        }
        stream.extend_from_slice(sliver.data());
    }
    Ok(stream)
}

/// A blob read out of a quilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchContent {
    /// Its name.
    pub identifier: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Reads one patch from its own secondary slivers, given in order; they must have been verified.
///
/// # Errors
/// [`Error::NotEnough`], [`Error::InvalidArgument`] if they are not the consecutive slivers `columns`, [`Error::Malformed`] if they hold
/// no patch.
pub fn read_patch(columns: Range<u16>, slivers: &[Sliver<'_, Secondary>]) -> Result<PatchContent, Error> {
    let stream = concatenate(slivers, columns)?;
    let mut reader = Reader::new("quilt patch", &stream);
    if reader.u8()? != VERSION {
        return Err(reader.malformed("unknown version"));
    }
    let length = reader.u32()? as usize;
    let mask = reader.u8()?;
    let mut reader = Reader::new("quilt patch", reader.take(length)?);
    let identifier = section(&mut reader)?;
    let mut nested = Reader::new("quilt patch", identifier);
    let identifier = nested.string()?.to_owned();
    nested.finish()?;
    let tags = if mask & TAGS_BIT != 0 {
        let mut nested = Reader::new("quilt patch", section(&mut reader)?);
        let tags = read_tags(&mut nested)?;
        nested.finish()?;
        tags
    } else {
        BTreeMap::new()
    };
    Ok(PatchContent { identifier, tags, data: reader.rest().to_vec() })
}

/// Bytes with a two-byte length before them.
fn section<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let length = usize::from(reader.u16()?);
    reader.take(length)
}

/// A quilt ready to be encoded as a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quilt {
    data: Vec<u8>,
    index: QuiltIndex,
}

impl Quilt {
    /// Lays out `blobs` (in any order; they are sorted by identifier) for a committee with `params`.
    ///
    /// # Errors
    /// [`QuiltError`].
    pub fn build(params: &Params, mut blobs: Vec<QuiltBlob<'_>>) -> Result<Self, QuiltError> {
        blobs.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        if let Some(pair) = blobs.windows(2).find(|pair| pair[0].identifier == pair[1].identifier) {
            return Err(QuiltError::DuplicateIdentifier(pair[0].identifier.clone()));
        }
        let (rows, columns) = (usize::from(params.rows()), usize::from(params.columns()));
        if blobs.len() >= columns {
            return Err(QuiltError::TooManyPatches { patches: blobs.len(), max: columns - 1 });
        }
        let streams = blobs.iter().map(QuiltBlob::stream).collect::<Result<Vec<_>, _>>()?;
        let patches =
            blobs.into_iter().map(|blob| QuiltPatch { identifier: blob.identifier, tags: blob.tags, columns: 0..0 });
        let mut index = QuiltIndex { patches: patches.collect() };
        // Column numbers have a fixed width, so the index's length is known before they are.
        let index_length = index.to_bcs().len();
        let mut sizes = vec![INDEX_PREFIX + index_length];
        sizes.extend(streams.iter().map(Vec::len));
        let symbol_size = choose_symbol_size(rows, columns, &sizes)?;

        let column_size = rows * symbol_size;
        let mut next = column_number(sizes[0].div_ceil(column_size))?;
        for (patch, stream) in index.patches.iter_mut().zip(&streams) {
            let end = usize::from(next) + stream.len().div_ceil(column_size);
            patch.columns = next..column_number(end)?;
            next = patch.columns.end;
        }
        let index_bcs = index.to_bcs();
        let mut first = vec![VERSION];
        first.extend_from_slice(&u32::try_from(index_bcs.len()).map_err(|_| QuiltError::TooLarge)?.to_le_bytes());
        first.extend_from_slice(&index_bcs);
        let mut data = vec![0; rows * columns * symbol_size];
        let mut put = |column: usize, stream: &[u8]| {
            for (k, symbol) in stream.chunks(symbol_size).enumerate() {
                let at = ((k % rows) * columns + column + k / rows) * symbol_size;
                data[at..at + symbol.len()].copy_from_slice(symbol);
            }
        };
        put(0, &first);
        for (patch, stream) in index.patches.iter().zip(&streams) {
            put(patch.columns.start.into(), stream);
        }
        Ok(Self { data, index })
    }

    /// The quilt's bytes: encode them like any blob.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The quilt's bytes.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Where each patch lies.
    pub fn index(&self) -> &QuiltIndex {
        &self.index
    }
}

fn column_number(column: usize) -> Result<u16, QuiltError> {
    u16::try_from(column).map_err(|_| QuiltError::TooLarge)
}

/// The smallest symbol size with which streams of `sizes` bytes, each on fresh columns, fit into the matrix.
fn choose_symbol_size(rows: usize, columns: usize, sizes: &[usize]) -> Result<usize, QuiltError> {
    let fits = |size: usize| {
        let used = sizes.iter().try_fold(0usize, |used, stream| used.checked_add(stream.div_ceil(size * rows)));
        used.is_some_and(|used| used <= columns)
    };
    let total = sizes.iter().try_fold(0usize, |sum, stream| sum.checked_add(*stream)).ok_or(QuiltError::TooLarge)?;
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let mut low = total
        .div_ceil(rows * columns)
        .max(sizes[0].div_ceil(rows * MAX_INDEX_COLUMNS))
        .max(INDEX_PREFIX.div_ceil(rows))
        .max(1);
    let mut high = largest.div_ceil((columns / sizes.len()) * rows);
    while low < high {
        let middle = usize::midpoint(low, high);
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let even = low.next_multiple_of(2);
    if even > usize::from(Params::MAX_SYMBOL_SIZE) || !fits(even) {
        return Err(QuiltError::TooLarge);
    }
    Ok(even)
}
