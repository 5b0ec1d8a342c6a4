//! Large buffers on huge pages, kept for the next call.
//!
//! Encoding writes more memory than it computes on: fresh 4 KiB pages cost about a third of the time of a 256 MiB encode (page
//! faults and TLB misses). Buffers of a megabyte and more are therefore mapped with `MADV_HUGEPAGE` where the system has it, and an
//! [`Encoder`](crate::Encoder) keeps a bounded amount of them.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// From this size on a buffer is a mapping of its own.
const MAP_FROM: usize = 1 << 20;

/// Bytes that are zero at first.
pub(crate) struct Buffer {
    memory: Memory,
    pool: Option<Arc<Pool>>,
}

enum Memory {
    Heap(Vec<u8>),
    #[cfg(target_os = "linux")]
    Mapped(mapped::Mapping),
}

impl Buffer {
    /// `length` zero bytes.
    pub(crate) fn zeroed(length: usize) -> Self {
        #[cfg(target_os = "linux")]
        if length >= MAP_FROM
            && let Some(mapping) = mapped::Mapping::new(length)
        {
            return Self { memory: Memory::Mapped(mapping), pool: None };
        }
        Self { memory: Memory::Heap(vec![0; length]), pool: None }
    }

    /// Gives the memory back to the system, not to a pool.
    pub(crate) fn discard(mut self) {
        self.pool = None;
    }

    /// The bytes as chunks of 64; a rest is left out.
    pub(crate) fn chunks_mut(&mut self) -> &mut [[u8; 64]] {
        self.as_chunks_mut::<64>().0
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Memory::Mapped(mapping) => mapping,
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Memory::Mapped(mapping) => mapping,
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(std::mem::replace(&mut self.memory, Memory::Heap(Vec::new())));
        }
    }
}

/// `length` zero bytes in a vector, on huge pages where it is large and the system has them.
pub(crate) fn zeroed_vec(length: usize) -> Vec<u8> {
    #[cfg_attr(not(target_os = "linux"), allow(unused_mut, reason = "advice needs it"))]
    let mut bytes = vec![0; length];
    #[cfg(target_os = "linux")]
    mapped::advise(&mut bytes);
    bytes
}

/// Buffers that wait for their next use, at most `limit` bytes of them.
#[derive(Default)]
pub(crate) struct Pool {
    limit: usize,
    idle: Mutex<Vec<Buffer>>,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, idle: Mutex::default() })
    }

    /// The buffers of work on single slivers, of all threads together: fresh pages would cost a third of a verification.
    pub(crate) fn small() -> &'static Arc<Self> {
        static SMALL: LazyLock<Arc<Pool>> = LazyLock::new(|| Pool::new(8 << 20));
        &SMALL
    }

    /// A buffer of exactly `length` bytes with *any* content, which returns here when it is dropped.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = match idle.iter().position(|buffer| buffer.len() == length) {
            Some(position) => idle.swap_remove(position),
            None => {
                // Sizes change together, with the blob's length: what does not fit now would only lie about.
                let held: usize = idle.iter().map(|buffer| buffer.len()).sum();
                if held + length > self.limit {
                    idle.clear();
                }
                drop(idle);
                Buffer::zeroed(length)
            }
        };
        buffer.pool = Some(Arc::clone(self));
        buffer
    }

    fn put(&self, memory: Memory) {
        let buffer = Buffer { memory, pool: None };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = idle.iter().map(|buffer| buffer.len()).sum();
        if held.saturating_add(buffer.len()) <= self.limit {
            idle.push(buffer);
        }
    }

    /// Gives everything back to the system.
    pub(crate) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool(limit {} bytes)", self.limit)
    }
}

#[cfg(target_os = "linux")]
mod mapped {
    use std::ops::{Deref, DerefMut};
    use std::ptr::{NonNull, null_mut};

    const HUGE_PAGE: usize = 2 << 20;

    /// A private anonymous mapping: zero at first, owned, unmapped when dropped.
    pub(super) struct Mapping {
        start: NonNull<u8>,
        length: usize,
        mapped: usize,
    }

    // SAFETY: the mapping is plain memory owned by this value alone.
    unsafe impl Send for Mapping {}
    // SAFETY: shared access only reads.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        /// `None` if the system has no room (the caller falls back to the heap).
        pub(super) fn new(length: usize) -> Option<Self> {
            // The kernel aligns large anonymous mappings itself where it can use huge pages.
            let mapped =
                length.checked_next_multiple_of(HUGE_PAGE).filter(|mapped| *mapped <= isize::MAX.unsigned_abs())?;
            // SAFETY: a new private anonymous mapping of a positive length at an address of the kernel's choice.
            let start = unsafe {
                libc::mmap(
                    null_mut(),
                    mapped,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            if start == libc::MAP_FAILED {
                return None;
            }
            // A last page that would be mostly empty is left to small ones: results as large as the memory they are allowed may not
            // take two megabytes more.
            let huge = if mapped - length > HUGE_PAGE / 8 { mapped - HUGE_PAGE } else { mapped };
            // SAFETY: advice about two parts of the mapping made above; failing to follow it changes nothing.
            unsafe {
                libc::madvise(start, huge, libc::MADV_HUGEPAGE);
                libc::madvise(start.byte_add(huge), mapped - huge, libc::MADV_NOHUGEPAGE);
            }
            Some(Self { start: NonNull::new(start.cast())?, length, mapped })
        }
    }

    /// Asks for huge pages under the part of `bytes` that can have them.
    pub(super) fn advise(bytes: &mut [u8]) {
        let before = bytes.as_ptr().align_offset(HUGE_PAGE);
        let pages = bytes.len().saturating_sub(before) / HUGE_PAGE;
        if pages > 0 {
            let inner = &mut bytes[before..][..pages * HUGE_PAGE];
            // SAFETY: advice about whole pages that `bytes` owns; it changes no content, and failing to follow it changes nothing.
            unsafe { libc::madvise(inner.as_mut_ptr().cast(), inner.len(), libc::MADV_HUGEPAGE) };
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the mapping made in `new`, which nothing borrows any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.mapped) };
        }
    }

    impl Deref for Mapping {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            // SAFETY: `length` initialised (zero or written) bytes, owned by `self` and borrowed with it.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
        }
    }

    impl DerefMut for Mapping {
        fn deref_mut(&mut self) -> &mut [u8] {
            // SAFETY: as above, and borrowed mutably with `self`.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zero_and_writable() {
        for length in [0, 1, MAP_FROM - 1, MAP_FROM, MAP_FROM + 1, 5 << 20] {
            let mut buffer = Buffer::zeroed(length);
            assert_eq!(buffer.len(), length);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn the_pool_keeps_up_to_its_limit() {
        let pool = Pool::new(3 << 20);
        let held = || pool.idle.lock().unwrap().iter().map(|buffer| buffer.len()).collect::<Vec<_>>();
        let first = pool.take(2 << 20);
        let address = first.as_ptr();
        let second = pool.take(2 << 20);
        drop(first);
        drop(second);
        assert_eq!(held(), [2 << 20], "the second one would exceed the limit");
        let again = pool.take(2 << 20);
        assert_eq!(again.as_ptr(), address, "the same memory is used again");
        drop(again);
        drop(pool.take(2 << 20 | 1));
        assert_eq!(held(), [2 << 20 | 1], "another size replaces what would not fit beside it");
        pool.clear();
        assert_eq!(held(), [0; 0]);
    }
}
