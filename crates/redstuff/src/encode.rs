//! Encoding: from a blob to its id, its metadata and all slivers.
//!
//! # Memory
//!
//! With `B` the padded blob (`P * S * symbol_size` bytes, at most `2 * P * S` more than the blob), beside the blob itself:
//!
//! | call | holds | n = 1000 | n = 100 | n = 10 |
//! |---|---|---|---|---|
//! | [`Encoder::encode`] | recovery slivers of both axes | 2.49 B | 2.43 B | 1.93 B |
//! | [`Encoder::prepare`] | recovery secondaries | 0.50 B | 0.49 B | 0.43 B |
//! | [`Prepared::window`] | also the recovery primaries asked for | + `2 B` in all | + `1.94 B` | + `1.5 B` |
//! | [`Prepared::stream`] | recovery secondaries or as many bytes of recovery primaries, and `extra` | 0.50 B + `extra` | 0.49 B + `extra` | 0.43 B + `extra` |
//! | [`Encoder::metadata`] | recovery secondaries while it runs | 0.50 B | 0.49 B | 0.43 B |
//! | [`Encoder::metadata_in_place`], [`Encoder::metadata_from_reader`] | nothing | 0 | 0 | 0 |
//!
//! and per thread work memory of at most about 2 MiB. The systematic slivers are never stored: primaries are the blob's bytes,
//! secondaries are gathered from it when asked for.

use crate::buffer::{Buffer, Pool};
use crate::metadata::{Metadata, VerifiedMetadata};
use crate::pipeline::{Columns, Rows, Shape, Upper, expand_columns, expand_rows, expand_rows_in_place};
use crate::simd::{Backend, Simd};
use crate::{Axis, BlobId, Error, PairIndex, Params, Primary, Secondary, Sliver, SliverAxis, SliverIndex};
use std::borrow::Cow;
use std::io::Read;
use std::num::NonZeroU16;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Encodes blobs for one committee.
///
/// The blob may be anything that derefs to bytes (`&[u8]`, `Vec<u8>`, `Arc<[u8]>`, `bytes::Bytes`, a memory map); the result keeps it, because
/// the first slivers are its own bytes.
///
/// An encoder keeps the large buffers of results that were dropped, up to [`retain`](Self::retain) bytes, because fresh memory
/// costs up to a third of the time of an encode. Clones share them.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: Params,
    threads: usize,
    backend: Backend,
    pool: Arc<Pool>,
}

impl Encoder {
    /// Bytes of idle buffers that an encoder keeps unless told otherwise.
    pub const DEFAULT_RETAIN: usize = 1 << 30;

    /// An encoder that uses as many threads as the machine has cores and the CPU's best instructions.
    pub fn new(params: &Params) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { params: *params, threads, backend: Backend::detected().clone(), pool: Pool::new(Self::DEFAULT_RETAIN) }
    }

    /// Sets the number of threads that one call may use, at least 1. (Small blobs use one all the same.)
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets how many bytes of idle buffers are kept for the next call; 0 gives everything back at once.
    #[must_use]
    pub fn retain(mut self, bytes: usize) -> Self {
        self.pool = Pool::new(bytes);
        self
    }

    /// Uses the instructions of `simd`, or of the best level below it that the CPU has. For tests and measurements: the results
    /// are the same.
    #[must_use]
    pub fn simd(mut self, simd: Simd) -> Self {
        self.backend = Backend::new(simd);
        self
    }

    /// Gives all idle buffers back to the system: for an encoder that may not be used for a while.
    pub fn release_idle(&self) {
        self.pool.clear();
    }

    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    fn shape(&self, length: u64) -> Result<(Shape, NonZeroU16), Error> {
        let symbol_size = self.params.symbol_size(length)?;
        Ok((Shape::new(&self.params, symbol_size.get().into(), length), symbol_size))
    }

    /// Encodes `blob` completely: id, metadata and every sliver. See the [memory table](self#memory) for what it holds.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn encode<B: AsRef<[u8]>>(&self, blob: B) -> Result<Encoded<B>, Error> {
        let (shape, _) = self.shape(blob.as_ref().len() as u64)?;
        let mut primaries = self.pool.take((shape.n - shape.rows) * shape.row_bytes());
        let prepared = self.prepare_with(blob, Some(&mut primaries))?;
        Ok(Encoded { prepared, primaries })
    }

    /// Computes id, metadata and recovery secondaries, and leaves the recovery primaries, the largest part, for
    /// [`Prepared::stream`] or [`Prepared::window`]: for memory that is scarce, and for uploads that begin while slivers are still being
    /// made.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn prepare<B: AsRef<[u8]>>(&self, blob: B) -> Result<Prepared<B>, Error> {
        self.prepare_with(blob, None)
    }

    fn prepare_with<B: AsRef<[u8]>>(&self, blob: B, primaries: Option<&mut [u8]>) -> Result<Prepared<B>, Error> {
        let bytes = blob.as_ref();
        let length = bytes.len() as u64;
        let (shape, symbol_size) = self.shape(length)?;
        let threads = shape.threads(self.threads);
        let padding = Rows::padding(bytes, &shape);
        let rows = Rows::new(bytes, &padding, &shape);
        let mut secondaries = self.pool.take((shape.n - shape.columns) * shape.column_bytes());
        expand_rows(&shape, &self.backend, threads, &rows, &mut secondaries);
        let mut columns = Columns::new(&shape, &self.backend, threads, primaries);
        columns.run(&(0..shape.columns), Upper::Rows { rows: &rows, first: 0 });
        columns.run(&(shape.columns..shape.n), Upper::Columns { columns: &secondaries, first: shape.columns });
        let metadata =
            VerifiedMetadata::computed(Metadata::new(length, columns.pair_hashes()), &self.params, symbol_size);
        Ok(Prepared { encoder: self.clone(), shape, blob, padding, metadata, secondaries })
    }

    /// Computes only the metadata (and so the blob id) of `blob`.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn metadata(&self, blob: &[u8]) -> Result<VerifiedMetadata, Error> {
        self.prepare(blob).map(|prepared| prepared.metadata)
    }

    /// Computes only the metadata (and so the blob id) of `blob`, and uses its memory to do so: no other large buffer is needed.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`].
    pub fn metadata_in_place(&self, mut blob: Vec<u8>) -> Result<VerifiedMetadata, Error> {
        let length = blob.len() as u64;
        let (shape, _) = self.shape(length)?;
        let padded = shape.rows * shape.row_bytes();
        blob.try_reserve_exact(padded - blob.len()).map_err(|_| self.params.too_large(length))?;
        blob.resize(padded, 0);
        self.consume(length, &mut blob)
    }

    /// Computes only the metadata (and so the blob id) of the `length` bytes that `reader` gives, in memory of the padded blob's size.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`] before anything is read; [`Error::Io`] if the reader fails or ends too early.
    pub fn metadata_from_reader(&self, length: u64, reader: &mut dyn Read) -> Result<VerifiedMetadata, Error> {
        let mut blob = self.read(length, reader)?;
        self.consume(length, &mut blob.0)
    }

    /// Reads a blob of `length` bytes into memory of this encoder: on huge pages, and used again when it is dropped.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`] before anything is read; [`Error::Io`] if the reader fails or ends too early.
    pub fn read(&self, length: u64, reader: &mut dyn Read) -> Result<BlobBuffer, Error> {
        let (shape, _) = self.shape(length)?;
        let bytes = usize::try_from(length).map_err(|_| self.params.too_large(length))?;
        let mut buffer = self.pool.take(shape.rows * shape.row_bytes());
        reader.read_exact(&mut buffer[..bytes])?;
        buffer[bytes..].fill(0);
        Ok(BlobBuffer(buffer, bytes))
    }

    /// The metadata of the first `length` bytes of the padded `matrix`, whose content is lost.
    fn consume(&self, length: u64, matrix: &mut [u8]) -> Result<VerifiedMetadata, Error> {
        let (shape, symbol_size) = self.shape(length)?;
        let threads = shape.threads(self.threads);
        let mut columns = Columns::new(&shape, &self.backend, threads, None);
        // The matrix is padded itself.
        let rows = Rows::new(matrix, &[], &shape);
        columns.run(&(0..shape.columns), Upper::Rows { rows: &rows, first: 0 });
        expand_rows_in_place(&shape, &self.backend, threads, matrix);
        let rows = Rows::new(matrix, &[], &shape);
        columns.run(&(shape.columns..shape.n), Upper::Rows { rows: &rows, first: shape.columns });
        Ok(VerifiedMetadata::computed(Metadata::new(length, columns.pair_hashes()), &self.params, symbol_size))
    }
}

/// A blob that was read into an [`Encoder`]'s memory.
#[derive(Debug)]
pub struct BlobBuffer(Buffer, usize);

impl AsRef<[u8]> for BlobBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// Encodes `blob` completely with the defaults of [`Encoder::new`], keeping no buffers.
///
/// # Errors
/// [`Error::BlobTooLarge`].
pub fn encode<B: AsRef<[u8]>>(params: &Params, blob: B) -> Result<Encoded<B>, Error> {
    Encoder::new(params).retain(0).encode(blob)
}

/// Computes only the id of `blob`.
///
/// # Errors
/// [`Error::BlobTooLarge`].
pub fn blob_id(params: &Params, blob: &[u8]) -> Result<BlobId, Error> {
    Encoder::new(params).retain(0).metadata(blob).map(|metadata| *metadata.blob_id())
}

const OUT_OF_RANGE: Error = Error::InvalidArgument("a sliver index is not below the number of shards");

/// A blob with its metadata, and all slivers except the recovery primaries, which [`window`](Self::window) makes.
#[derive(Debug)]
pub struct Prepared<B> {
    encoder: Encoder,
    shape: Shape,
    blob: B,
    padding: Vec<u8>,
    metadata: VerifiedMetadata,
    /// Recovery secondary slivers, one after the other.
    secondaries: Buffer,
}

impl<B: AsRef<[u8]>> Prepared<B> {
    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        self.metadata.params()
    }

    /// The blob's id.
    pub fn blob_id(&self) -> &BlobId {
        self.metadata.blob_id()
    }

    /// The blob's metadata.
    pub fn metadata(&self) -> &VerifiedMetadata {
        &self.metadata
    }

    /// The blob.
    pub fn blob(&self) -> &B {
        &self.blob
    }

    /// Gives the blob back and drops the slivers.
    pub fn into_blob(self) -> B {
        self.blob
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(self.blob.as_ref(), &self.padding, &self.shape)
    }

    /// Systematic primary sliver `index`: the blob's own bytes. `None` for the others.
    pub fn systematic(&self, index: SliverIndex<Primary>) -> Option<Sliver<'_, Primary>> {
        let data = (index.as_usize() < self.shape.rows).then(|| self.rows().row(index.as_usize()))?;
        Some(Sliver::new(index, self.metadata.symbol_size(), data))
    }

    /// Secondary sliver `index`; a systematic one is gathered from the blob.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn secondary(&self, index: SliverIndex<Secondary>) -> Result<Sliver<'_, Secondary>, Error> {
        let (shape, column) = (&self.shape, index.as_usize());
        let data: Cow<'_, [u8]> = match column.checked_sub(shape.columns) {
            None => {
                let rows = self.rows();
                let mut data = Vec::with_capacity(shape.column_bytes());
                for row in 0..shape.rows {
                    data.extend_from_slice(&rows.row(row)[column * shape.size..][..shape.size]);
                }
                data.into()
            }
            Some(recovery) => {
                let slivers = self.secondaries.get(recovery * shape.column_bytes()..).ok_or(OUT_OF_RANGE)?;
                slivers.get(..shape.column_bytes()).ok_or(OUT_OF_RANGE)?.into()
            }
        };
        Ok(Sliver::new(index, self.metadata.symbol_size(), data))
    }

    /// Ranges of pairs, in order and covering all of them, whose recovery primaries take at most `bytes` bytes a range (and at least one
    /// pair each). The first range also holds every pair that needs none.
    pub fn windows(&self, bytes: usize) -> impl Iterator<Item = Range<u16>> + use<B> {
        let (rows, n) = (self.params().rows(), self.params().n_shards());
        let pairs = u16::try_from(bytes / self.shape.row_bytes()).unwrap_or(u16::MAX).max(1);
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = start.max(rows).saturating_add(pairs).min(n);
            let window = start..end;
            start = end;
            (!window.is_empty()).then_some(window)
        })
    }

    /// Makes the recovery primaries of `pairs`. Every call repeats part of the work for the whole blob: few large windows are cheaper than
    /// many small ones.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the range is reversed or exceeds `n`.
    pub fn window(&self, pairs: Range<u16>) -> Result<Window<'_, B>, Error> {
        if pairs.start > pairs.end || pairs.end > self.params().n_shards() {
            return Err(Error::InvalidArgument("a range of pairs is reversed or exceeds the number of shards"));
        }
        let first = usize::from(pairs.start).max(self.shape.rows);
        let rows = first - self.shape.rows..usize::from(pairs.end).max(first) - self.shape.rows;
        let mut primaries = self.encoder.pool.take(rows.len() * self.shape.row_bytes());
        if !rows.is_empty() {
            let threads = self.shape.threads(self.encoder.threads);
            expand_columns(&self.shape, &self.encoder.backend, threads, &self.rows(), &rows, &mut primaries);
        }
        Ok(Window { prepared: self, pairs, first, primaries: Held::Own(primaries) })
    }

    /// Turns into a stream of all pairs in order, in the memory that this value holds already and `extra` bytes more: the recovery
    /// secondaries belong to the first pairs, and their memory serves for recovery primaries once those have been handed out.
    ///
    /// The recovery primaries are made in as few windows as fit, each of which repeats the first half of the column transforms: at
    /// 1000 shards these are two to four windows, for any blob.
    pub fn stream(self, extra: usize) -> Stream<B> {
        let row_bytes = self.shape.row_bytes();
        let rows = self.shape.n - self.shape.rows;
        let fit = (self.secondaries.len().saturating_add(extra) / row_bytes).max(1);
        let rows_per_window = rows.div_ceil(rows.div_ceil(fit).max(1)).max(1);
        Stream { prepared: self, next: 0, rows_per_window, primaries: None }
    }

    /// The primary sliver `index`, of which the recovery ones from row `first` on lie in `primaries`.
    fn primary_in<'a>(
        &'a self,
        index: SliverIndex<Primary>,
        first: usize,
        primaries: &'a [u8],
    ) -> Option<Sliver<'a, Primary>> {
        if let Some(systematic) = self.systematic(index) {
            return Some(systematic);
        }
        let length = self.shape.row_bytes();
        let at = index.as_usize().checked_sub(first)?;
        let data = primaries.get(at * length..(at + 1) * length)?;
        Some(Sliver::new(index, self.metadata.symbol_size(), data))
    }
}

/// A range of pairs of a [`Prepared`] blob with both slivers of each.
#[derive(Debug)]
pub struct Window<'a, B> {
    prepared: &'a Prepared<B>,
    pairs: Range<u16>,
    /// Row of the first sliver in `primaries`.
    first: usize,
    primaries: Held<'a>,
}

/// Slivers of a window: in memory of its own, or in a stream's.
#[derive(Debug)]
enum Held<'a> {
    Own(Buffer),
    Stream(&'a [u8]),
}

impl Deref for Held<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(buffer) => buffer,
            Self::Stream(bytes) => bytes,
        }
    }
}

/// All pairs of a blob in order, window by window, in bounded memory: see [`Prepared::stream`].
#[derive(Debug)]
pub struct Stream<B> {
    prepared: Prepared<B>,
    /// First pair of the next window.
    next: u16,
    rows_per_window: usize,
    /// Memory of the windows.
    primaries: Option<Buffer>,
}

impl<B: AsRef<[u8]>> Stream<B> {
    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        self.prepared.params()
    }

    /// The blob's id.
    pub fn blob_id(&self) -> &BlobId {
        self.prepared.blob_id()
    }

    /// The blob's metadata.
    pub fn metadata(&self) -> &VerifiedMetadata {
        self.prepared.metadata()
    }

    /// Gives the blob back.
    pub fn into_blob(self) -> B {
        self.prepared.into_blob()
    }

    /// Makes the next pairs; `None` after the last one. The first window costs nothing: its slivers exist.
    pub fn next_window(&mut self) -> Option<Window<'_, B>> {
        let shape = self.prepared.shape;
        let first = usize::from(self.next);
        if first >= shape.n {
            return None;
        }
        let end = if first < shape.rows { shape.rows } else { (first + self.rows_per_window).min(shape.n) };
        let pairs = self.next..u16::try_from(end).ok()?;
        self.next = pairs.end;
        if first < shape.rows {
            return Some(Window { prepared: &self.prepared, pairs, first: end, primaries: Held::Stream(&[]) });
        }
        // Secondary slivers of pairs from here on are systematic.
        let none = Buffer::zeroed(0);
        std::mem::replace(&mut self.prepared.secondaries, none).discard();
        let pool = &self.prepared.encoder.pool;
        let buffer = self.primaries.get_or_insert_with(|| pool.take(self.rows_per_window * shape.row_bytes()));
        let primaries = &mut buffer[..pairs.len() * shape.row_bytes()];
        let threads = shape.threads(self.prepared.encoder.threads);
        let rows = first - shape.rows..end - shape.rows;
        expand_columns(&shape, &self.prepared.encoder.backend, threads, &self.prepared.rows(), &rows, primaries);
        Some(Window { prepared: &self.prepared, pairs, first, primaries: Held::Stream(primaries) })
    }
}

impl<B: AsRef<[u8]>> Window<'_, B> {
    /// The pairs in this window.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = PairIndex> + use<B> {
        self.pairs.clone().map(PairIndex::new)
    }

    /// Both slivers of a pair.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the pair is not in this window.
    pub fn pair(&self, index: PairIndex) -> Result<(Sliver<'_, Primary>, Sliver<'_, Secondary>), Error> {
        if !self.pairs.contains(&index.get()) {
            return Err(Error::InvalidArgument("a pair is not in the window"));
        }
        let params = self.prepared.params();
        let primary =
            self.prepared.primary_in(index.sliver(params), self.first, &self.primaries).ok_or(OUT_OF_RANGE)?;
        Ok((primary, self.prepared.secondary(index.sliver(params))?))
    }
}

/// A blob with its metadata and all slivers. `B` is the blob as it was given.
#[derive(Debug)]
pub struct Encoded<B> {
    prepared: Prepared<B>,
    /// Recovery primary slivers, one after the other.
    primaries: Buffer,
}

impl<B: AsRef<[u8]>> Encoded<B> {
    /// The committee's parameters.
    pub fn params(&self) -> &Params {
        self.prepared.params()
    }

    /// The blob's id.
    pub fn blob_id(&self) -> &BlobId {
        self.prepared.blob_id()
    }

    /// The blob's metadata.
    pub fn metadata(&self) -> &VerifiedMetadata {
        self.prepared.metadata()
    }

    /// The blob.
    pub fn blob(&self) -> &B {
        self.prepared.blob()
    }

    /// Gives the blob back and drops the slivers.
    pub fn into_blob(self) -> B {
        self.prepared.into_blob()
    }

    /// The sliver `index` of axis `A`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn sliver<A: SliverAxis>(&self, index: SliverIndex<A>) -> Result<Sliver<'_, A>, Error> {
        let data = match A::AXIS {
            Axis::Primary => self.primary(SliverIndex::new(index.get()))?.into_data(),
            Axis::Secondary => self.secondary(SliverIndex::new(index.get()))?.into_data(),
        };
        Ok(Sliver::new(index, self.metadata().symbol_size(), data))
    }

    /// Primary sliver `index`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn primary(&self, index: SliverIndex<Primary>) -> Result<Sliver<'_, Primary>, Error> {
        self.prepared.primary_in(index, self.prepared.shape.rows, &self.primaries).ok_or(OUT_OF_RANGE)
    }

    /// Secondary sliver `index`; a systematic one is gathered from the blob.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn secondary(&self, index: SliverIndex<Secondary>) -> Result<Sliver<'_, Secondary>, Error> {
        self.prepared.secondary(index)
    }

    /// Both slivers of a pair.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the index is not below `n`.
    pub fn pair(&self, index: PairIndex) -> Result<(Sliver<'_, Primary>, Sliver<'_, Secondary>), Error> {
        let params = self.params();
        Ok((self.primary(index.sliver(params))?, self.secondary(index.sliver(params))?))
    }
}
