//! Memory straight from the system, on pages as large as can be had: a lookup reads lines all over the table, and with pages of
//! 4 KiB nearly every one of them costs a walk of the page table too.

use std::fmt;

/// What kind of pages a region's memory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Whatever the allocator gives.
    Heap,
    /// Pages that the administrator reserved (`vm.nr_hugepages`), of this many bytes each.
    Huge {
        /// Bytes of a page.
        size: usize,
    },
    /// Ordinary memory that the kernel backs by huge pages where it can (`transparent_hugepage/enabled`).
    Transparent {
        /// Bytes of the region that lay on huge pages when it was made.
        huge: usize,
        /// Bytes of the region.
        of: usize,
    },
    /// The system's ordinary pages.
    Plain,
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Pages::Heap => f.write_str("heap"),
            Pages::Huge { size } if size >= GIB => write!(f, "reserved huge pages of {} GiB", size / GIB),
            Pages::Huge { size } => write!(f, "reserved huge pages of {} MiB", size >> 20),
            Pages::Transparent { huge, of } if huge >= of => f.write_str("transparent huge pages"),
            Pages::Transparent { huge, of } => {
                write!(f, "transparent huge pages, {} of {} MiB", huge >> 20, of.div_ceil(1 << 20))
            }
            Pages::Plain => f.write_str("ordinary pages"),
        }
    }
}

const GIB: usize = 1 << 30;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri)))]
pub(crate) use linux::{Mapping, is_memory, reserve};

/// There is none where we do not know how to ask, nor under loom and Miri.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
pub(crate) enum Mapping {}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
impl Mapping {
    pub(crate) fn huge(_: usize) -> Option<Mapping> {
        None
    }

    pub(crate) fn transparent(_: usize) -> Option<Mapping> {
        None
    }

    pub(crate) fn of_file(_: &std::fs::File, _: usize) -> Option<Mapping> {
        None
    }

    pub(crate) fn first(&self) -> std::ptr::NonNull<std::ffi::c_void> {
        match *self {}
    }

    pub(crate) fn pages(&self) -> Pages {
        match *self {}
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
pub(crate) fn reserve(_: &std::fs::File, _: usize) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
pub(crate) fn is_memory(_: &std::fs::File) -> bool {
    false
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri)))]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::ptr::NonNull;

    use super::{GIB, Pages};

    const MIB: usize = 1 << 20;
    /// What transparent huge pages are aligned to: 2 MiB with pages of 4 KiB, the only ones that we know to ask for.
    const ALIGNMENT: usize = 2 * MIB;

    // As <sys/mman.h> has them on both architectures; `off_t` has 64 bits there. The standard library links the C library anyway.
    const PROT_READ_WRITE: c_int = 1 | 2;
    const MAP_SHARED: c_int = 0x01;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x02 | 0x20;
    const MAP_HUGETLB: c_int = 0x4_0000;
    const MAP_HUGE_SHIFT: u32 = 26;
    const MADV_HUGEPAGE: c_int = 14;
    const MADV_POPULATE_WRITE: c_int = 23;
    const EINVAL: i32 = 22;
    const EOPNOTSUPP: i32 = 95;
    /// As <linux/magic.h> has them.
    const TMPFS: u32 = 0x0102_1994;
    const HUGETLBFS: u32 = 0x9584_58f6;
    const RAMFS: u32 = 0x8584_58f6;

    unsafe extern "C" {
        fn mmap(
            place: *mut c_void,
            bytes: usize,
            protection: c_int,
            flags: c_int,
            fd: c_int,
            offset: i64,
        ) -> *mut c_void;
        fn munmap(place: *mut c_void, bytes: usize) -> c_int;
        fn madvise(place: *mut c_void, bytes: usize, advice: c_int) -> c_int;
        fn fallocate(fd: c_int, mode: c_int, offset: i64, bytes: i64) -> c_int;
        fn fstatfs(fd: c_int, told: *mut c_void) -> c_int;
    }

    /// Memory of our own, zeroed, readable and writable, and touched. Unmapped when dropped.
    pub(crate) struct Mapping {
        whole: NonNull<c_void>,
        bytes: usize,
        first: NonNull<c_void>,
        pages: Pages,
    }

    // SAFETY: a mapping is memory of the process, whichever thread made it; what may be done with it is for its user to say.
    unsafe impl Send for Mapping {}
    // SAFETY: as above; nothing in here reads or writes through the pointers once it is made.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        /// `bytes` on reserved huge pages: of 1 GiB where that wastes no more than an eighth, else of 2 MiB. Nothing when so many
        /// are not free. (The kernel sets them aside when it maps; what it did not know then, touching tells.)
        pub(crate) fn huge(bytes: usize) -> Option<Mapping> {
            [GIB, 2 * MIB].into_iter().find_map(|size| {
                let whole = bytes.checked_next_multiple_of(size)?;
                if size == GIB && whole - bytes > bytes / 8 {
                    return None;
                }
                let size_bits = (size.trailing_zeros() as c_int) << MAP_HUGE_SHIFT;
                let mut mapping = Mapping::new(whole, MAP_HUGETLB | size_bits)?;
                mapping.pages = Pages::Huge { size };
                mapping.touch(whole).then_some(mapping)
            })
        }

        /// `bytes` on transparent huge pages as far as the kernel has them, else on ordinary ones. Nothing when there is no memory.
        pub(crate) fn transparent(bytes: usize) -> Option<Mapping> {
            let rounded = bytes.checked_next_multiple_of(ALIGNMENT)?;
            let mut mapping = Mapping::new(rounded.checked_add(ALIGNMENT)?, 0)?;
            let place = mapping.whole.addr().get();
            // SAFETY: less than ALIGNMENT is skipped, and the mapping is longer than that.
            mapping.first = unsafe { mapping.whole.byte_add(place.next_multiple_of(ALIGNMENT) - place) };
            // SAFETY: `rounded` bytes after what was skipped are our own mapping; the advice changes nothing that can be read.
            let advised = unsafe { madvise(mapping.first.as_ptr(), rounded, MADV_HUGEPAGE) } == 0;
            if !mapping.touch(bytes) {
                return None;
            }
            let huge = if advised { on_huge_pages(mapping.first.addr().get()).min(bytes) } else { 0 };
            mapping.pages = if huge > 0 { Pages::Transparent { huge, of: bytes } } else { Pages::Plain };
            Some(mapping)
        }

        /// The first `bytes` of a file, shared with it. Nothing when the system does not map it, or has not so many pages.
        pub(crate) fn of_file(file: &File, bytes: usize) -> Option<Mapping> {
            let page = file.metadata().ok()?.blksize() as usize;
            // of huge pages only whole ones are mapped
            let pages = if page >= 2 * MIB { Pages::Huge { size: page } } else { Pages::Plain };
            let mut mapping = Mapping::map(bytes, MAP_SHARED, file.as_raw_fd())?;
            mapping.pages = pages;
            // SAFETY: the range is our own mapping; the advice changes nothing that can be read.
            unsafe { madvise(mapping.first.as_ptr(), bytes, MADV_HUGEPAGE) };
            mapping.touch_file(bytes).then_some(mapping)
        }

        /// The first byte, aligned to at least a page.
        pub(crate) fn first(&self) -> NonNull<c_void> {
            self.first
        }

        pub(crate) fn pages(&self) -> Pages {
            self.pages
        }

        fn new(bytes: usize, flags: c_int) -> Option<Mapping> {
            Mapping::map(bytes, MAP_PRIVATE_ANONYMOUS | flags, -1)
        }

        fn map(bytes: usize, flags: c_int, file: c_int) -> Option<Mapping> {
            // SAFETY: asks for new memory wherever there is room: no mapping is replaced.
            let whole = unsafe { mmap(std::ptr::null_mut(), bytes, PROT_READ_WRITE, flags, file, 0) };
            // MAP_FAILED is -1.
            let whole = NonNull::new(whole).filter(|whole| whole.addr().get() != usize::MAX)?;
            Some(Mapping { whole, bytes, first: whole, pages: Pages::Plain })
        }

        /// Lets the kernel give every page of the first `bytes` now; false when it has not so many. (A kernel before 5.14 cannot be
        /// asked: there we write, and what is not there kills us at the start.)
        fn touch(&self, bytes: usize) -> bool {
            // SAFETY: the pages are our own and nobody uses them yet; their zeroes stay.
            if unsafe { madvise(self.first.as_ptr(), bytes, MADV_POPULATE_WRITE) } == 0 {
                return true;
            }
            if std::io::Error::last_os_error().raw_os_error() != Some(EINVAL) {
                return false;
            }
            for at in (0..bytes).step_by(4096) {
                // SAFETY: the place is within the mapping, which is writable and nobody else's yet.
                unsafe { self.first.byte_add(at).cast::<u8>().write_volatile(0) };
            }
            true
        }
    }

    impl Mapping {
        /// As [`Mapping::touch`], of a file whose bytes stay as they are. (A kernel that cannot be asked gives its pages when they are used.)
        fn touch_file(&self, bytes: usize) -> bool {
            // SAFETY: the pages are our own mapping, and none of their bytes change.
            let touched = unsafe { madvise(self.first.as_ptr(), bytes, MADV_POPULATE_WRITE) } == 0;
            touched || std::io::Error::last_os_error().raw_os_error() == Some(EINVAL)
        }
    }

    /// Sets aside the first `bytes` of a file where its file system can: later there is no lack of them.
    pub(crate) fn reserve(file: &File, bytes: usize) -> std::io::Result<()> {
        // SAFETY: the descriptor is open; the call touches no memory of ours.
        let reserved = unsafe { fallocate(file.as_raw_fd(), 0, 0, bytes as i64) } == 0;
        let error = if reserved { None } else { Some(std::io::Error::last_os_error()) };
        error.filter(|error| error.raw_os_error() != Some(EOPNOTSUPP)).map_or(Ok(()), Err)
    }

    /// Whether the file is memory, which no disk is written from.
    pub(crate) fn is_memory(file: &File) -> bool {
        // `struct statfs` has 120 bytes on both architectures; its first word is the file system's kind.
        let mut told = [0_u64; 32];
        // SAFETY: the descriptor is open, and there is room for more than the structure.
        let known = unsafe { fstatfs(file.as_raw_fd(), told.as_mut_ptr().cast()) } == 0;
        known && [TMPFS, HUGETLBFS, RAMFS].contains(&(told[0] as u32))
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the mapping is our own, and whoever borrowed its memory borrowed us.
            let unmapped = unsafe { munmap(self.whole.as_ptr(), self.bytes) };
            debug_assert_eq!(unmapped, 0, "our own mapping");
        }
    }

    /// Bytes on transparent huge pages, as the kernel tells of the mapping that `place` lies in; 0 when it does not tell.
    fn on_huge_pages(place: usize) -> usize {
        let Ok(file) = std::fs::File::open("/proc/self/smaps") else { return 0 };
        let mut inside = false;
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let ends = range.map(|(from, to)| [from, to].map(|end| usize::from_str_radix(end, 16)));
            if let Some([Ok(from), Ok(to)]) = ends {
                inside = (from..to).contains(&place);
            } else if let Some(rest) = line.strip_prefix("AnonHugePages:").filter(|_| inside) {
                let kib = rest.trim().trim_end_matches("kB").trim_end().parse::<usize>();
                return kib.unwrap_or(0) << 10;
            }
        }
        0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Config, FlowTable, Half, Narrow, Region};

    /// A table in this region works, and the region is zeroed, aligned and as long as was asked.
    fn sound(bytes: usize, region: Region) {
        let config = Config { narrow_pairs: 1000, wide_pairs: 0, seed: 1, time_base: 0 };
        assert_eq!((region.bytes(), region.lines().as_ptr() as usize % 64), (bytes.next_multiple_of(64), 0));
        assert!(region.to_words().iter().all(|&word| word == 0));
        let table = FlowTable::create(region, &config).expect("laid out");
        let (there, back) = (Narrow { words: [1, 2], tag: 6 }, Narrow { words: [2, 1], tag: 6 });
        let half = Half::default();
        table.narrow().insert((&there, half), (&back, half), 0, 0).expect("room");
        assert!(table.narrow().find(&back, table.narrow().hash(&back)).is_some());
    }

    #[test]
    fn memory_from_the_system_is_zeroed_and_holds_a_table() {
        for bytes in [200_000, 3 << 20, (4 << 20) + 65] {
            let region = Region::transparent(bytes).expect("memory");
            // Whether there are huge pages is the machine's; what is said fits the size.
            match region.pages() {
                Pages::Transparent { huge, of } => assert!(huge > 0 && huge <= of && of == bytes),
                pages => assert!(matches!(pages, Pages::Plain | Pages::Heap), "{pages}"),
            }
            sound(bytes, region);
            // With or without reserved pages.
            sound(bytes, Region::huge(bytes).expect("memory"));
        }
    }

    /// No machine has so many huge pages: what is made instead says what it is.
    #[test]
    fn too_few_huge_pages_are_made_up_for() {
        assert!(Mapping::huge(1 << 45).is_none());
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 60] {
            let refused = [Region::huge(bytes), Region::transparent(bytes)].map(|region| region.err());
            assert_eq!(refused, [Some(crate::LayoutError::NoMemory { bytes }); 2]);
        }
        assert_eq!(Region::huge(0).expect("nothing").pages(), Pages::Heap);
    }

    #[test]
    fn pages_are_named() {
        let named = [
            (Pages::Huge { size: 1 << 30 }, "reserved huge pages of 1 GiB"),
            (Pages::Huge { size: 2 << 20 }, "reserved huge pages of 2 MiB"),
            (Pages::Transparent { huge: 7 << 20, of: 7 << 20 }, "transparent huge pages"),
            (Pages::Transparent { huge: 6 << 20, of: (7 << 20) + 1 }, "transparent huge pages, 6 of 8 MiB"),
            (Pages::Plain, "ordinary pages"),
            (Pages::Heap, "heap"),
        ];
        for (pages, name) in named {
            assert_eq!(pages.to_string(), name);
        }
    }
}
