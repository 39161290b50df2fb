//! The memory that a table lives in: cache lines of atomic words, and the parts that a table cuts it into.

use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::pages::Mapping;
use crate::sync::{AtomicU64, Ordering};
use crate::{FileError, LayoutError, Pages, RegionFile};

/// A cache line of eight words. Everything in a region is made of these.
#[repr(align(64))]
pub struct Line(pub(crate) [AtomicU64; 8]);

/// Bytes in a line.
pub(crate) const LINE: usize = 64;

impl Line {
    /// A word of the line.
    ///
    /// # Panics
    /// If there is no such word of the eight.
    #[inline(always)]
    pub fn word(&self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }

    /// Stores a word of the line: whoever loads it later (from this process or the next) sees what was stored before.
    ///
    /// # Panics
    /// If there is no such word of the eight.
    pub fn set_word(&self, at: usize, value: u64) {
        self.0[at].store(value, Ordering::Release);
    }
}

/// Memory for one flow table: 64-byte lines of atomic words. It holds no pointers, so its words may be copied anywhere.
pub struct Region {
    first: NonNull<Line>,
    count: usize,
    memory: Memory,
    zeroed: bool,
}

/// What owns a region's lines. It neither moves nor shrinks them.
enum Memory {
    Heap(#[allow(dead_code, reason = "owns")] Box<[Line]>),
    Mapped(Mapping),
    /// The file is locked for as long as it is mapped.
    File(Mapping, RegionFile),
}

// SAFETY: a region is a shared slice of atomics and the memory that it owns; both may be sent and shared between threads.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// `bytes` of zeroed heap memory, rounded up to whole lines. All of it is touched here, so that no worker faults later.
    ///
    /// Errors: [`LayoutError::NoMemory`].
    pub fn heap(bytes: usize) -> Result<Region, LayoutError> {
        let mut lines = heap_lines(bytes.div_ceil(LINE)).ok_or(LayoutError::NoMemory { bytes })?;
        let first = NonNull::from(&mut lines[..]).cast();
        Ok(Region { first, count: lines.len(), memory: Memory::Heap(lines), zeroed: true })
    }

    /// `bytes` of zeroed memory, rounded up to whole lines, on reserved huge pages; if so many are not free, as by
    /// [`Region::transparent`]. [`Region::pages`] tells which it became.
    ///
    /// Errors: [`LayoutError::NoMemory`].
    pub fn huge(bytes: usize) -> Result<Region, LayoutError> {
        Mapping::huge(bytes).map_or_else(|| Region::transparent(bytes), |mapping| Ok(Region::mapped(mapping, bytes)))
    }

    /// `bytes` of zeroed memory, rounded up to whole lines, on transparent huge pages as far as the kernel has and allows them.
    /// All of it is touched here, so that no worker faults later.
    ///
    /// Errors: [`LayoutError::NoMemory`].
    pub fn transparent(bytes: usize) -> Result<Region, LayoutError> {
        let mapping = if bytes > 0 { Mapping::transparent(bytes) } else { None };
        mapping.map_or_else(|| Region::heap(bytes), |mapping| Ok(Region::mapped(mapping, bytes)))
    }

    /// All of a file's bytes. What is written outlives this process.
    ///
    /// Errors: the system cannot map it.
    pub fn of_file(file: RegionFile) -> Result<Region, FileError> {
        let bytes = file.bytes()? / LINE * LINE;
        let mapping = Mapping::of_file(file.file(), bytes).ok_or_else(|| file.unmapped(bytes))?;
        let first = mapping.first().cast();
        let zeroed = file.is_new();
        Ok(Region { first, count: bytes / LINE, memory: Memory::File(mapping, file), zeroed })
    }

    /// The file that it lies in, if it does.
    pub fn file(&self) -> Option<&RegionFile> {
        match &self.memory {
            Memory::File(_, file) => Some(file),
            Memory::Heap(_) | Memory::Mapped(_) => None,
        }
    }

    /// Heap memory that begins with a copy of `words`: what another region held.
    ///
    /// Errors: [`LayoutError::NoMemory`].
    pub fn from_words(words: &[u64]) -> Result<Region, LayoutError> {
        let mut region = Region::heap(size_of_val(words))?;
        region.fill(words.iter().copied());
        Ok(region)
    }

    /// Stores these words, from the first line on.
    pub fn fill(&mut self, words: impl IntoIterator<Item = u64>) {
        self.zeroed = false;
        for (place, word) in self.words().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// The region's words, one after the other. A copy of a region is of use when no thread writes meanwhile.
    pub fn to_words(&self) -> Vec<u64> {
        self.words().map(|word| word.load(Ordering::Relaxed)).collect()
    }

    /// Size in bytes, a multiple of 64.
    pub fn bytes(&self) -> usize {
        self.count * LINE
    }

    /// The pages that the memory lies on.
    pub fn pages(&self) -> Pages {
        match &self.memory {
            Memory::Heap(_) => Pages::Heap,
            Memory::Mapped(mapping) | Memory::File(mapping, _) => mapping.pages(),
        }
    }

    /// The memory, to read.
    #[inline(always)]
    pub fn lines(&self) -> &[Line] {
        // SAFETY: `first` and `count` are those of the lines that `memory` owns, which neither moves nor shrinks them and lives as
        // long as we do; lines are only ever read and written as atomics behind `&`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }

    pub(crate) fn line(&self, index: usize) -> Option<&Line> {
        self.lines().get(index)
    }

    /// Zeroes the memory unless it is fresh.
    pub(crate) fn clear(&mut self) {
        if !std::mem::replace(&mut self.zeroed, false) {
            self.words().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.lines().iter().flat_map(|line| &line.0)
    }

    fn mapped(mapping: Mapping, bytes: usize) -> Region {
        // Mapped memory is zeroed, which is a valid `AtomicU64`, and page-aligned; pages are whole lines.
        let first = mapping.first().cast();
        Region { first, count: bytes.div_ceil(LINE), memory: Memory::Mapped(mapping), zeroed: true }
    }
}

/// Some consecutive lines of a region, kept alive by it.
pub(crate) struct Part {
    first: NonNull<Line>,
    len: usize,
    _region: Arc<Region>,
}

impl Part {
    /// The lines `range` of `region`, or nothing when they are not all there.
    pub(crate) fn new(region: &Arc<Region>, range: Range<usize>) -> Option<Part> {
        let lines = region.lines().get(range)?;
        Some(Part { first: NonNull::from(lines).cast(), len: lines.len(), _region: Arc::clone(region) })
    }
}

impl Deref for Part {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        // SAFETY: `first` and `len` came from a slice of the region's lines. It neither moves nor shrinks them,
        // `_region` keeps it alive for as long as this part, and lines are only ever read and written as atomics behind `&`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

// SAFETY: a part is a shared slice of atomics plus the Arc that owns them; both may be sent and shared between threads.
unsafe impl Send for Part {}
// SAFETY: as above.
unsafe impl Sync for Part {}

#[cfg(not(loom))]
fn heap_lines(count: usize) -> Option<Box<[Line]>> {
    let layout = std::alloc::Layout::array::<Line>(count).ok()?;
    if layout.size() == 0 {
        return Some(Box::new([]));
    }
    // SAFETY: the layout's size is not 0.
    let first = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Line>();
    if first.is_null() {
        return None;
    }
    // SAFETY: the global allocator gave `count` lines with the layout of `[Line; count]`, which is what the box will give back,
    // and all bytes zero is a valid `AtomicU64`.
    let lines = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(first, count)) };
    // The allocator's zeroes may be pages that are not there yet.
    lines.iter().step_by(4096 / LINE).for_each(|line| line.0[0].store(0, Ordering::Relaxed));
    Some(lines)
}

/// loom's atomics are objects of its own, not words.
#[cfg(loom)]
fn heap_lines(count: usize) -> Option<Box<[Line]>> {
    Some((0..count).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn heap_memory_is_zeroed_aligned_and_whole_lines() {
        let region = Region::heap(65).expect("memory");
        assert_eq!(region.bytes(), 128);
        assert!(region.to_words().iter().all(|&word| word == 0));
        assert_eq!(region.lines().as_ptr() as usize % LINE, 0);
        assert_eq!(Region::heap(0).expect("nothing").bytes(), 0);
    }

    #[test]
    fn more_memory_than_there_is_is_refused() {
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 60] {
            assert_eq!(black_box(Region::heap(bytes)).err(), Some(LayoutError::NoMemory { bytes }));
        }
    }
}
