//! The encoding pipeline: all symbols of the expanded matrix once, in cache-sized batches, hashed where they are made.
//!
//! The matrix is `n` by `n` symbols; the blob is its upper left corner of `P` rows by `S` columns.
//!
//! 1. *Rows* ([`expand_rows`]): batches of blob rows give the right part of the `P` upper rows, the recovery symbols that the
//!    recovery secondary slivers consist of.
//! 2. *Columns* ([`Columns`]): batches of columns give the lower part of the matrix. Every symbol is hashed once, in lanes of eight rows of one
//!    column; the hash is a leaf of a column tree *and* of a row tree. Column trees are finished at once. Row trees grow to the right,
//!    column by column, and keep only one node per level: a [`Job`] is a run of `2^k` columns and ends with one node per row.
//! 3. The jobs' nodes are folded to the roots of the row trees.
//!
//! Jobs are independent, so threads take them from a queue. What is written where is decided by cutting the destinations into disjoint
//! slices beforehand; no lock is held while working.

use crate::buffer::Buffer;
use crate::code::Code;
use crate::layout::Layout;
use crate::merkle::Node;
use crate::metadata::PairHashes;
use crate::simd::blake::{self, Octet};
use crate::simd::{Backend, Shards};
use crate::{Axis, Params};
use std::ops::Range;
use std::slice::{from_mut, from_ref};
use std::sync::{Mutex, PoisonError};

/// The numbers of one encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) n: usize,
    /// `P`.
    pub(crate) rows: usize,
    /// `S`.
    pub(crate) columns: usize,
    /// Bytes of a symbol.
    pub(crate) size: usize,
    /// Rows of the blob that hold any of its bytes; the others, up to `rows`, are zero over their whole length.
    used_rows: usize,
    row_code: Code,
    column_code: Code,
}

impl Shape {
    /// The shape for a blob of `length` bytes with symbols of `size` bytes.
    pub(crate) fn new(params: &Params, size: usize, length: u64) -> Self {
        let columns = usize::from(params.columns());
        let used_rows = usize::try_from(length).unwrap_or(usize::MAX).div_ceil(columns * size);
        Self {
            n: params.n_shards().into(),
            rows: params.rows().into(),
            columns,
            size,
            used_rows: used_rows.min(params.rows().into()),
            row_code: Code::along(params, Axis::Primary),
            column_code: Code::along(params, Axis::Secondary),
        }
    }

    /// Bytes of a primary sliver.
    pub(crate) fn row_bytes(&self) -> usize {
        self.columns * self.size
    }

    /// Bytes of a secondary sliver.
    pub(crate) fn column_bytes(&self) -> usize {
        self.rows * self.size
    }

    /// Octets of rows that are zero over their whole length. A code maps zeros to zeros, so that all of them have the same leaves and
    /// trees, which are computed for the first one only. (With 1000 shards and a small blob that is a third of all rows.)
    fn zero_octets(&self) -> Range<usize> {
        self.used_rows.div_ceil(8)..(self.rows / 8).max(self.used_rows.div_ceil(8))
    }

    /// Columns of a job: about sixteen jobs, so that threads stay balanced and their partial row trees are small.
    fn job_columns(&self) -> usize {
        (self.n.next_power_of_two() / 16).max(1)
    }

    /// Whether `threads` threads are worth starting: with less than about a millisecond of work they are not.
    pub(crate) fn threads(&self, threads: usize) -> usize {
        if self.n * self.n * (self.size + 300) < 4 << 20 { 1 } else { threads }
    }
}

/// The blob cut into rows, zero-padded at its end.
pub(crate) struct Rows<'a> {
    blob: &'a [u8],
    /// The row in which the blob ends, padded, and a row of zeros for those after it.
    partial: &'a [u8],
    zeros: &'a [u8],
    row_bytes: usize,
}

impl<'a> Rows<'a> {
    /// `padding` is made by [`Self::padding`] from the same blob and shape.
    pub(crate) fn new(blob: &'a [u8], padding: &'a [u8], shape: &Shape) -> Self {
        let (partial, zeros) = padding.split_at(shape.row_bytes().min(padding.len()));
        Self { blob, partial, zeros, row_bytes: shape.row_bytes() }
    }

    /// The row in which the blob ends and a row of zeros, as far as there are such rows.
    pub(crate) fn padding(blob: &[u8], shape: &Shape) -> Vec<u8> {
        let row_bytes = shape.row_bytes();
        let mut padding = vec![0; row_bytes * (shape.rows - blob.len() / row_bytes).min(2)];
        let rest = &blob[blob.len() / row_bytes * row_bytes..];
        padding[..rest.len()].copy_from_slice(rest);
        padding
    }

    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        let complete = self.blob.len() / self.row_bytes;
        if row < complete {
            &self.blob[row * self.row_bytes..][..self.row_bytes]
        } else if row == complete {
            self.partial
        } else {
            self.zeros
        }
    }
}

/// Runs `work` on every item on up to `threads` threads, each with scratch space of its own.
pub(crate) fn for_each<T: Send, S>(
    threads: usize,
    items: &mut [T],
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &mut T) + Sync,
) {
    let threads = threads.min(items.len());
    let queue = Mutex::new(items.iter_mut());
    let run = || {
        let mut scratch = scratch();
        loop {
            let item = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            match item {
                Some(item) => work(&mut scratch, item),
                None => return,
            }
        }
    };
    if threads <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that cannot be started is one fewer; this one does all of the work if it must.
            if std::thread::Builder::new().name("redstuff".into()).spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
}

/// One batch of rows and the places of its recovery symbols: per recovery column a slice, rows in order.
struct RowBatch<'a> {
    rows: Range<usize>,
    to: Vec<&'a mut [u8]>,
}

/// Step 1. `recovery` gets the recovery secondary slivers, one after the other.
pub(crate) fn expand_rows(shape: &Shape, backend: &Backend, threads: usize, source: &Rows<'_>, recovery: &mut [u8]) {
    let code = shape.row_code;
    let (width, piece) = code.encode_widths(shape.size, shape.rows.div_ceil(threads));
    let mut batches: Vec<RowBatch<'_>> = (0..shape.rows)
        .step_by(width)
        .map(|row| RowBatch { rows: row..(row + width).min(shape.rows), to: Vec::with_capacity(code.recoveries()) })
        .collect();
    for column in recovery.chunks_exact_mut(shape.column_bytes()) {
        for (batch, to) in batches.iter_mut().zip(column.chunks_mut(width * shape.size)) {
            batch.to.push(to);
        }
    }
    for_each(
        threads,
        &mut batches,
        || work_buffer(&code, shape.size, width, piece),
        |work, batch| {
            encode_rows(shape, backend, work, source, &batch.rows, piece, |column, i, symbol_bytes, layout, shard| {
                let symbol = &mut batch.to[column][i * shape.size..][..shape.size];
                layout.get(shard, i, &mut symbol[symbol_bytes]);
            });
        },
    );
}

/// Step 1 in place: the recovery symbols of every row replace the row's first symbols in `matrix`.
pub(crate) fn expand_rows_in_place(shape: &Shape, backend: &Backend, threads: usize, matrix: &mut [u8]) {
    let code = shape.row_code;
    let (width, piece) = code.encode_widths(shape.size, shape.rows.div_ceil(threads));
    let mut batches: Vec<&mut [u8]> = matrix.chunks_mut(width * shape.row_bytes()).collect();
    for_each(
        threads,
        &mut batches,
        || (work_buffer(&code, shape.size, width, piece), vec![0u8; code.recoveries() * shape.size]),
        |(work, recovered), batch| {
            // A symbol that is taken in pieces is read until the last piece: its row is replaced at the end.
            if piece < shape.size {
                let rows = Rows { blob: batch, partial: &[], zeros: &[], row_bytes: shape.row_bytes() };
                encode_rows(shape, backend, work, &rows, &(0..1), piece, |column, _, symbol_bytes, layout, shard| {
                    let symbol = &mut recovered[column * shape.size..][..shape.size];
                    layout.get(shard, 0, &mut symbol[symbol_bytes]);
                });
                batch[..recovered.len()].copy_from_slice(recovered);
                return;
            }
            let layout = Layout::new(shape.size, batch.len() / shape.row_bytes());
            let chunks = layout.chunks();
            let mut shards = Shards { data: &mut work.chunks_mut()[..code.encode_shards() * chunks], chunks };
            for (i, row) in batch.chunks_exact(shape.row_bytes()).enumerate() {
                for (shard, symbol) in shards.data.chunks_exact_mut(chunks).zip(row.chunks_exact(shape.size)) {
                    layout.put(shard, i, symbol);
                }
            }
            code.encode(&backend.engine, &mut shards);
            for (i, row) in batch.chunks_exact_mut(shape.row_bytes()).enumerate() {
                let symbols = row.chunks_exact_mut(shape.size).take(code.recoveries());
                for (shard, symbol) in shards.data.chunks_exact(chunks).zip(symbols) {
                    layout.get(shard, i, symbol);
                }
            }
        },
    );
}

/// Encodes a batch of rows, piece by piece, and hands out each recovery symbol's place: recovery column, row within the batch, bytes
/// of the symbol, layout and shard.
fn encode_rows(
    shape: &Shape,
    backend: &Backend,
    work: &mut Buffer,
    source: &Rows<'_>,
    rows: &Range<usize>,
    piece: usize,
    mut emit: impl FnMut(usize, usize, Range<usize>, &Layout, &[[u8; 64]]),
) {
    let code = shape.row_code;
    for from in (0..shape.size).step_by(piece) {
        let bytes = from..shape.size.min(from + piece);
        let layout = Layout::new(bytes.len(), rows.len());
        let chunks = layout.chunks();
        let mut shards = Shards { data: &mut work.chunks_mut()[..code.encode_shards() * chunks], chunks };
        for (i, row) in rows.clone().enumerate() {
            let symbols = source.row(row).chunks_exact(shape.size);
            for (shard, symbol) in shards.data.chunks_exact_mut(chunks).zip(symbols) {
                layout.put(shard, i, &symbol[bytes.clone()]);
            }
        }
        code.encode(&backend.engine, &mut shards);
        for (column, shard) in shards.data.chunks_exact(chunks).take(code.recoveries()).enumerate() {
            for i in 0..rows.len() {
                emit(column, i, bytes.clone(), &layout, shard);
            }
        }
    }
}

/// Work memory for the encodings of a code: `width` symbols at once, or pieces of one.
fn work_buffer(code: &Code, size: usize, width: usize, piece: usize) -> Buffer {
    let chunks = Layout::new(size, width).chunks().min(Layout::new(piece, width).chunks());
    Buffer::zeroed(code.encode_shards() * chunks * 64)
}

/// Where the upper part of the columns in a phase comes from.
#[derive(Clone, Copy)]
pub(crate) enum Upper<'a> {
    /// Rows of symbols; column `first` is the first symbol of each.
    Rows {
        /// The rows.
        rows: &'a Rows<'a>,
        /// Column number of their first symbol.
        first: usize,
    },
    /// Complete columns, one after the other; column `first` is the first.
    Columns {
        /// The columns.
        columns: &'a [u8],
        /// Column number of the first.
        first: usize,
    },
}

impl<'a> Upper<'a> {
    /// The symbols of `row` from `column` on: symbol `i` begins at `i * stride`.
    fn symbols(&self, shape: &Shape, row: usize, column: usize) -> Strided<'a> {
        match self {
            Upper::Rows { rows, first } => {
                Strided { data: &rows.row(row)[(column - first) * shape.size..], stride: shape.size }
            }
            Upper::Columns { columns, first } => Strided {
                data: &columns[(column - first) * shape.column_bytes() + row * shape.size..],
                stride: shape.column_bytes(),
            },
        }
    }
}

/// Symbols at equal distances.
#[derive(Clone, Copy)]
struct Strided<'a> {
    data: &'a [u8],
    stride: usize,
}

impl<'a> Strided<'a> {
    #[inline(always)]
    fn get(&self, i: usize, size: usize) -> &'a [u8] {
        &self.data[i * self.stride..][..size]
    }
}

/// A run of columns that one thread works on.
struct Job<'a> {
    columns: Range<usize>,
    /// Per recovery row, the place of this job's systematic columns; empty if primary slivers are not kept.
    primaries: Vec<&'a mut [u8]>,
    /// Hashes of the columns.
    column_hashes: Vec<[u8; 32]>,
    /// Partial row trees, `[level][octet of rows]`, while the job is under way.
    partial: Vec<Octet>,
}

/// Step 2, in one or more phases over ascending columns.
pub(crate) struct Columns<'a> {
    shape: Shape,
    backend: &'a Backend,
    threads: usize,
    jobs: Vec<Job<'a>>,
    /// Levels of a job's trees.
    levels: usize,
}

impl<'a> Columns<'a> {
    /// `primaries`, if given, gets the recovery primary slivers, one after the other.
    pub(crate) fn new(shape: &Shape, backend: &'a Backend, threads: usize, primaries: Option<&'a mut [u8]>) -> Self {
        let width = shape.job_columns();
        let mut jobs: Vec<Job<'a>> = (0..shape.n)
            .step_by(width)
            .map(|first| Job {
                columns: first..(first + width).min(shape.n),
                primaries: Vec::new(),
                column_hashes: Vec::new(),
                partial: Vec::new(),
            })
            .collect();
        if let Some(primaries) = primaries {
            for row in primaries.chunks_exact_mut(shape.row_bytes()) {
                for (job, to) in jobs.iter_mut().zip(row.chunks_mut(width * shape.size)) {
                    job.primaries.push(to);
                }
            }
        }
        Self { shape: *shape, backend, threads, jobs, levels: width.trailing_zeros() as usize }
    }

    /// Works on `columns`, all of which have their upper part in `upper`.
    pub(crate) fn run(&mut self, columns: &Range<usize>, upper: Upper<'_>) {
        let (shape, backend, levels) = (self.shape, self.backend, self.levels);
        let mut jobs: Vec<&mut Job<'a>> = self
            .jobs
            .iter_mut()
            .filter(|job| job.columns.start < columns.end && columns.start < job.columns.end)
            .collect();
        for_each(
            self.threads,
            &mut jobs,
            || Scratch::new(&shape),
            |scratch, job| {
                let first = job.columns.start.max(columns.start);
                let end = job.columns.end.min(columns.end);
                job.partial.resize((levels + 1) * shape.n.div_ceil(8), Octet::EMPTY);
                for at in (first..end).step_by(scratch.width) {
                    job.batch(&shape, backend, scratch, at..(at + scratch.width).min(end), upper);
                }
                if end == job.columns.end {
                    job.finish(&shape, backend, levels);
                }
            },
        );
    }

    /// Step 3: the hashes of all pairs.
    pub(crate) fn pair_hashes(self) -> Vec<PairHashes> {
        let (n, simd) = (self.shape.n, self.backend.simd);
        let column_hashes: Vec<[u8; 32]> = self.jobs.iter().flat_map(|job| job.column_hashes.iter().copied()).collect();
        let mut nodes: Vec<Vec<Octet>> = self.jobs.into_iter().map(|job| job.partial).collect();
        while nodes.len() > 1 {
            let mut above = Vec::with_capacity(nodes.len().div_ceil(2));
            let mut level = nodes.into_iter();
            while let Some(mut left) = level.next() {
                let right = level.next().unwrap_or_else(|| vec![Octet::EMPTY; left.len()]);
                let mut parents = vec![Octet::EMPTY; left.len()];
                blake::parents(simd, &left, &right, &mut parents);
                std::mem::swap(&mut left, &mut parents);
                above.push(left);
            }
            nodes = above;
        }
        let roots = nodes.pop().unwrap_or_default();
        (0..n)
            .map(|pair| PairHashes {
                primary: Node::Digest(roots[pair / 8].digest(pair % 8)),
                secondary: Node::Digest(column_hashes[n - 1 - pair]),
            })
            .collect()
    }
}

/// Scratch space of one thread.
struct Scratch {
    /// Columns in one batch.
    width: usize,
    /// Bytes of a symbol in one encoding.
    piece: usize,
    work: Buffer,
    /// `[column of the batch][octet of rows]`.
    leaves: Vec<Octet>,
    /// Eight rows of a batch's recovery symbols, or, if symbols are taken in pieces, all recovery symbols of a column.
    rows: Vec<u8>,
}

impl Scratch {
    fn new(shape: &Shape) -> Self {
        let code = shape.column_code;
        // More than 32 columns at once would only make the leaves outgrow the cache.
        let (width, piece) = code.encode_widths(shape.size, shape.job_columns().min(32));
        // Neighbours are paired within a batch.
        let width = 1 << width.ilog2();
        let rows = if piece < shape.size { code.recoveries() } else { 8 * width };
        Self {
            width,
            piece,
            work: work_buffer(&code, shape.size, width, piece),
            leaves: vec![Octet::EMPTY; width * shape.n.div_ceil(8)],
            rows: vec![0; rows * shape.size],
        }
    }
}

impl Job<'_> {
    /// Makes and hashes the columns `columns`.
    fn batch(
        &mut self,
        shape: &Shape,
        backend: &Backend,
        scratch: &mut Scratch,
        columns: Range<usize>,
        upper: Upper<'_>,
    ) {
        let (size, code) = (shape.size, shape.column_code);
        let width = columns.len();
        let octets = shape.n.div_ceil(8);
        let keep = matches!(upper, Upper::Rows { first: 0, .. }) && !self.primaries.is_empty();
        // Bytes of this batch within the job's part of a primary sliver.
        let offset = (columns.start - self.columns.start) * size;
        let in_pieces = scratch.piece < size;
        let mut chunks = 0;
        let mut layout = Layout::new(size, width);
        for from in (0..size).step_by(scratch.piece) {
            let bytes = from..size.min(from + scratch.piece);
            layout = Layout::new(bytes.len(), width);
            chunks = layout.chunks();
            let mut shards = Shards { data: &mut scratch.work.chunks_mut()[..code.encode_shards() * chunks], chunks };
            for (row, shard) in shards.data.chunks_exact_mut(chunks).take(shape.rows).enumerate() {
                let symbols = upper.symbols(shape, row, columns.start);
                for i in 0..width {
                    layout.put(shard, i, &symbols.get(i, size)[bytes.clone()]);
                }
            }
            code.encode(&backend.engine, &mut shards);
            if in_pieces {
                for (row, shard) in shards.data.chunks_exact(chunks).take(code.recoveries()).enumerate() {
                    let symbol = if keep {
                        &mut self.primaries[row][offset..offset + size]
                    } else {
                        &mut scratch.rows[row * size..][..size]
                    };
                    layout.get(shard, 0, &mut symbol[bytes.clone()]);
                }
            }
        }

        let zeros = shape.zero_octets();
        for octet in 0..octets {
            if zeros.contains(&octet) && octet > zeros.start {
                for leaves in scratch.leaves.chunks_exact_mut(octets).take(width) {
                    leaves[octet] = leaves[zeros.start];
                }
                continue;
            }
            let rows = 8 * octet..(8 * octet + 8).min(shape.n);
            if !in_pieces {
                for row in rows.clone().filter(|row| *row >= shape.rows) {
                    let run = if keep {
                        &mut self.primaries[row - shape.rows][offset..offset + width * size]
                    } else {
                        &mut scratch.rows[row % 8 * width * size..][..width * size]
                    };
                    let shard = &scratch.work.as_chunks::<64>().0[(row - shape.rows) * chunks..][..chunks];
                    layout.get_run(shard, run);
                }
            }
            let lanes: [Strided<'_>; 8] = std::array::from_fn(|lane| {
                let row = (rows.start + lane).min(rows.end - 1);
                if row < shape.rows {
                    upper.symbols(shape, row, columns.start)
                } else if keep {
                    Strided { data: &self.primaries[row - shape.rows][offset..], stride: size }
                } else if in_pieces {
                    Strided { data: &scratch.rows[(row - shape.rows) * size..], stride: size }
                } else {
                    Strided { data: &scratch.rows[row % 8 * width * size..], stride: size }
                }
            });
            for i in 0..width {
                let leaf = &mut scratch.leaves[i * octets + octet];
                let symbols = [
                    lanes[0].get(i, size),
                    lanes[1].get(i, size),
                    lanes[2].get(i, size),
                    lanes[3].get(i, size),
                    lanes[4].get(i, size),
                    lanes[5].get(i, size),
                    lanes[6].get(i, size),
                    lanes[7].get(i, size),
                ];
                blake::leaves(backend.simd, &symbols, leaf);
            }
            let first = columns.start - self.columns.start;
            for i in 0..width {
                push(backend, &mut self.partial, octets, octet, first + i, &scratch.leaves[..width * octets], i);
            }
        }
        for leaves in scratch.leaves.chunks_exact_mut(octets).take(width) {
            self.column_hashes.push(blake::root(backend.simd, leaves, shape.n));
        }
    }

    /// Completes the row trees to the job's top level, with empty nodes where columns are missing, and keeps only their top.
    fn finish(&mut self, shape: &Shape, backend: &Backend, levels: usize) {
        let octets = shape.n.div_ceil(8);
        let count = self.columns.len();
        let mut carry: Option<Vec<Octet>> = None;
        let empty = vec![Octet::EMPTY; octets];
        for level in 0..levels {
            let complete = &self.partial[level * octets..][..octets];
            let mut parents = vec![Octet::EMPTY; octets];
            carry = match (count >> level & 1 == 1, carry) {
                (true, right) => {
                    blake::parents(backend.simd, complete, right.as_deref().unwrap_or(&empty), &mut parents);
                    Some(parents)
                }
                (false, Some(left)) => {
                    blake::parents(backend.simd, &left, &empty, &mut parents);
                    Some(parents)
                }
                (false, None) => None,
            };
        }
        self.partial = carry.unwrap_or_else(|| self.partial[levels * octets..][..octets].to_vec());
        let zeros = shape.zero_octets();
        if let Some(first) = self.partial.get(zeros.start).copied() {
            self.partial[zeros].fill(first);
        }
    }
}

/// Adds column `column` of a job to the row trees of an octet of rows, `[level][octet]` in `partial`: like adding one to a binary
/// number, a completed pair carries into the level above. The column's leaves are `leaves[i * octets + octet]`; neighbours in the same
/// batch are paired where they lie.
fn push(
    backend: &Backend,
    partial: &mut [Octet],
    octets: usize,
    octet: usize,
    column: usize,
    leaves: &[Octet],
    i: usize,
) {
    let leaf = &leaves[i * octets + octet];
    if column & 1 == 0 {
        // The right neighbour comes next, if it is in this batch.
        if (i + 1) * octets == leaves.len() {
            partial[octet] = *leaf;
        }
        return;
    }
    let simd = backend.simd;
    let (lowest, above) = partial.split_at_mut(octets);
    let left = if i > 0 { &leaves[(i - 1) * octets + octet] } else { &lowest[octet] };
    let (mut column, mut at) = (column >> 1, octet);
    if column & 1 == 0 {
        return blake::parents(simd, from_ref(left), from_ref(leaf), from_mut(&mut above[at]));
    }
    let (mut node, mut parent) = (Octet::EMPTY, Octet::EMPTY);
    blake::parents(simd, from_ref(left), from_ref(leaf), from_mut(&mut node));
    while column & 1 == 1 {
        blake::parents(simd, from_ref(&above[at]), from_ref(&node), from_mut(&mut parent));
        std::mem::swap(&mut node, &mut parent);
        column >>= 1;
        at += octets;
    }
    above[at] = node;
}

/// Step 2 without hashing and only for some recovery rows, `rows` counted from the first one: a window of recovery primary slivers.
pub(crate) fn expand_columns(
    shape: &Shape,
    backend: &Backend,
    threads: usize,
    source: &Rows<'_>,
    rows: &Range<usize>,
    to: &mut [u8],
) {
    struct ColumnBatch<'a> {
        columns: Range<usize>,
        to: Vec<&'a mut [u8]>,
    }
    let code = shape.column_code;
    let (width, piece) = code.encode_widths(shape.size, shape.columns.div_ceil(threads));
    let mut batches: Vec<ColumnBatch<'_>> = (0..shape.columns)
        .step_by(width)
        .map(|at| ColumnBatch { columns: at..(at + width).min(shape.columns), to: Vec::with_capacity(rows.len()) })
        .collect();
    for row in to.chunks_exact_mut(shape.row_bytes()) {
        for (batch, to) in batches.iter_mut().zip(row.chunks_mut(width * shape.size)) {
            batch.to.push(to);
        }
    }
    for_each(
        threads,
        &mut batches,
        || work_buffer(&code, shape.size, width, piece),
        |work, batch| {
            for from in (0..shape.size).step_by(piece) {
                let bytes = from..shape.size.min(from + piece);
                let layout = Layout::new(bytes.len(), batch.columns.len());
                let chunks = layout.chunks();
                let mut shards = Shards { data: &mut work.chunks_mut()[..code.encode_shards() * chunks], chunks };
                for (row, shard) in shards.data.chunks_exact_mut(chunks).take(shape.rows).enumerate() {
                    let symbols = source.row(row)[batch.columns.start * shape.size..].chunks_exact(shape.size);
                    for (i, symbol) in symbols.take(batch.columns.len()).enumerate() {
                        layout.put(shard, i, &symbol[bytes.clone()]);
                    }
                }
                code.encode_some(&backend.engine, &mut shards, rows);
                let recovered = shards.data.chunks_exact(chunks).skip(rows.start);
                for (shard, to) in recovered.zip(&mut batch.to) {
                    for (i, symbol) in to.chunks_exact_mut(shape.size).enumerate() {
                        layout.get(shard, i, &mut symbol[bytes.clone()]);
                    }
                }
            }
        },
    );
}
