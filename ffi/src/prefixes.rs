//! DPDK's longest-prefix tables (rte_fib as DIR-24-8, rte_fib6 as a trie), which benches compare with: the vRouter itself does not use them.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;
use crate::{Eal, error_text, last_errno};

/// What an address has that no prefix holds.
pub const NO_PREFIX: u64 = u32::MAX as u64 >> 1;

/// IPv4 prefixes and a number of 31 bits for each. Freed on drop. Not `Send`: a bench's thread fills and asks it.
#[derive(Debug)]
pub struct Prefixes4(NonNull<sys::rte_fib>);

/// The same of IPv6.
#[derive(Debug)]
pub struct Prefixes6(NonNull<sys::rte_fib6>);

fn name() -> CString {
    static MADE: AtomicU32 = AtomicU32::new(0);
    CString::new(format!("vr-bench-{}", MADE.fetch_add(1, Ordering::Relaxed))).expect("no NUL")
}

impl Prefixes4 {
    /// An empty table with room for `prefixes`, of which those longer than /24 lie in at most `groups` /24; in the EAL's memory.
    ///
    /// # Errors
    /// What rte_fib refuses, in its words.
    pub fn create(_: &Eal, prefixes: u32, groups: u32) -> Result<Prefixes4, String> {
        let mut conf = sys::rte_fib_conf {
            type_: sys::RTE_FIB_DIR24_8,
            default_nh: NO_PREFIX,
            max_routes: prefixes.cast_signed(),
            ..Default::default()
        };
        conf.__bindgen_anon_1.dir24_8 =
            sys::rte_fib_conf__bindgen_ty_1__bindgen_ty_1 { nh_sz: sys::RTE_FIB_DIR24_8_4B, num_tbl8: groups };
        let name = name();
        // SAFETY: the EAL runs; configuration and name outlive the call, which copies them.
        let table = unsafe { sys::rte_fib_create(name.as_ptr(), -1, &mut conf) };
        NonNull::new(table).map(Prefixes4).ok_or_else(|| error_text(last_errno()))
    }

    /// Adds a prefix; false when there is no room.
    pub fn insert(&mut self, address: u32, length: u8, number: u32) -> bool {
        // SAFETY: the table lives and nobody else uses it (`&mut`).
        unsafe { sys::rte_fib_add(self.0.as_ptr(), address, length, number.into()) == 0 }
    }

    /// The numbers of these addresses' longest prefixes, or [`NO_PREFIX`].
    ///
    /// # Panics
    /// If there are not as many numbers as addresses.
    pub fn lookup(&self, addresses: &[u32], numbers: &mut [u64]) {
        assert_eq!(addresses.len(), numbers.len(), "one number an address");
        let (addresses, count) = (addresses.as_ptr().cast_mut(), addresses.len() as i32);
        // SAFETY: the table lives; as many addresses and numbers are there as are told. The addresses are only read.
        let done = unsafe { sys::rte_fib_lookup_bulk(self.0.as_ptr(), addresses, numbers.as_mut_ptr(), count) };
        assert!(done == 0, "rte_fib_lookup_bulk refuses its arguments");
    }
}

impl Prefixes6 {
    /// An empty table with room for `prefixes`, whose bytes behind the third make at most `groups` different beginnings; in the EAL's memory.
    ///
    /// # Errors
    /// What rte_fib6 refuses, in its words.
    pub fn create(_: &Eal, prefixes: u32, groups: u32) -> Result<Prefixes6, String> {
        let mut conf = sys::rte_fib6_conf {
            type_: sys::RTE_FIB6_TRIE,
            default_nh: NO_PREFIX,
            max_routes: prefixes.cast_signed(),
            ..Default::default()
        };
        conf.__bindgen_anon_1.trie =
            sys::rte_fib6_conf__bindgen_ty_1__bindgen_ty_1 { nh_sz: sys::RTE_FIB6_TRIE_4B, num_tbl8: groups };
        let name = name();
        // SAFETY: the EAL runs; configuration and name outlive the call, which copies them.
        let table = unsafe { sys::rte_fib6_create(name.as_ptr(), -1, &mut conf) };
        NonNull::new(table).map(Prefixes6).ok_or_else(|| error_text(last_errno()))
    }

    /// Adds a prefix; false when there is no room.
    pub fn insert(&mut self, address: u128, length: u8, number: u32) -> bool {
        let address = address.to_be_bytes();
        // SAFETY: the table lives and nobody else uses it (`&mut`); the address has 16 bytes, which are read.
        unsafe { sys::rte_fib6_add(self.0.as_ptr(), address.as_ptr(), length, number.into()) == 0 }
    }

    /// The numbers of these addresses' longest prefixes, or [`NO_PREFIX`].
    ///
    /// # Panics
    /// If there are not as many numbers as addresses.
    pub fn lookup(&self, addresses: &[[u8; 16]], numbers: &mut [u64]) {
        assert_eq!(addresses.len(), numbers.len(), "one number an address");
        let (addresses, count) = (addresses.as_ptr().cast_mut(), addresses.len() as i32);
        // SAFETY: the table lives; as many addresses and numbers are there as are told. The addresses are only read.
        let done = unsafe { sys::rte_fib6_lookup_bulk(self.0.as_ptr(), addresses, numbers.as_mut_ptr(), count) };
        assert!(done == 0, "rte_fib6_lookup_bulk refuses its arguments");
    }
}

impl Drop for Prefixes4 {
    fn drop(&mut self) {
        // SAFETY: the table was created and is freed once.
        unsafe { sys::rte_fib_free(self.0.as_ptr()) };
    }
}

impl Drop for Prefixes6 {
    fn drop(&mut self) {
        // SAFETY: the table was created and is freed once.
        unsafe { sys::rte_fib6_free(self.0.as_ptr()) };
    }
}
