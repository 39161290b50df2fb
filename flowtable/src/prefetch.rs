//! Prefetching, exported safe.

/// Asks the processor to load the first cache line of `place`. Has no effect that a program can observe but time; does nothing
/// on processors for which it is not written. Any thread.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and PREFETCHT0 reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(all(target_arch = "aarch64", not(loom), not(miri)))]
    {
        // SAFETY: PRFM is a hint: it reads nothing and faults on no address.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) std::ptr::from_ref(place), options(nostack, preserves_flags));
        }
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
    let _ = place;
}
