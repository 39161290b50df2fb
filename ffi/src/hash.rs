//! DPDK's hash table (rte_hash), which benches compare with: the vRouter itself does not use it.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;
use crate::{Eal, error_text, last_errno};

/// Most keys that one call looks up.
pub const HASH_BURST: usize = sys::RTE_HASH_LOOKUP_BULK_MAX as usize;

/// A key of 20 bytes.
pub type HashKey = [u32; 5];

/// A table of keys and numbers, whose readers take no lock (`RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF`). Freed on drop. Not `Send`: a
/// bench's thread fills and asks it.
#[derive(Debug)]
pub struct Hash(NonNull<sys::rte_hash>);

impl Hash {
    /// An empty table with room for `keys`, in the EAL's memory.
    ///
    /// # Errors
    /// What rte_hash refuses, in its words.
    pub fn create(_: &Eal, keys: u32) -> Result<Hash, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("vr-bench-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).expect("no NUL");
        let parameters = sys::rte_hash_parameters {
            name: name.as_ptr(),
            entries: keys,
            key_len: size_of::<HashKey>() as u32,
            extra_flag: sys::RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF as u8,
            ..Default::default()
        };
        // SAFETY: the EAL runs; parameters and name outlive the call, which copies them.
        let table = unsafe { sys::rte_hash_create(&parameters) };
        NonNull::new(table).map(Hash).ok_or_else(|| error_text(last_errno()))
    }

    /// Adds a key, or gives it another number; false when there is no room.
    pub fn insert(&mut self, key: &HashKey, number: usize) -> bool {
        let number = std::ptr::without_provenance_mut::<c_void>(number);
        // SAFETY: the table lives and nobody else writes (`&mut`). The key's 20 bytes are read; the number is kept and never followed.
        unsafe { sys::rte_hash_add_key_data(self.0.as_ptr(), (&raw const *key).cast(), number) == 0 }
    }

    /// The numbers of up to [`HASH_BURST`] keys, and a bit for each that is there: of the others the number means nothing.
    ///
    /// # Panics
    /// If there are more keys than that, or not as many numbers as keys.
    pub fn lookup(&self, keys: &[HashKey], numbers: &mut [usize]) -> u64 {
        assert!(keys.len() <= HASH_BURST && keys.len() == numbers.len(), "one number a key, of few");
        let mut places = [std::ptr::null::<c_void>(); HASH_BURST];
        places.iter_mut().zip(keys).for_each(|(place, key)| *place = (&raw const *key).cast());
        let mut hits = 0;
        let (places, answers) = (places.as_mut_ptr(), numbers.as_mut_ptr().cast::<*mut c_void>());
        // SAFETY: the table lives; as many keys of 20 bytes and places for answers are there as are told, no more than the most. A number
        // has the size of a pointer, and what comes back was a number when it was inserted.
        let count =
            unsafe { sys::rte_hash_lookup_bulk_data(self.0.as_ptr(), places, keys.len() as u32, &mut hits, answers) };
        assert!(count >= 0, "rte_hash_lookup_bulk_data refuses its arguments");
        hits
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        // SAFETY: the table was created and is freed once.
        unsafe { sys::rte_hash_free(self.0.as_ptr()) };
    }
}
