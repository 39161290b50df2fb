//! Worker threads that the EAL did not start.

use std::marker::PhantomData;

use crate::{Eal, sys};

/// A thread's lcore number, given back on drop. Stays in its thread.
#[derive(Debug)]
pub struct LcoreRegistration {
    stays: PhantomData<*mut ()>,
}

/// The thread got no lcore number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this thread got no lcore number: {0}")]
pub struct LcoreError(String);

/// Gives the calling thread an lcore number: without one its mempool accesses bypass the per-lcore cache. A worker calls it
/// once, before its first burst, and keeps the registration until it ends. A second call in the same thread is refused.
pub fn register_thread(_eal: &Eal) -> Result<LcoreRegistration, LcoreError> {
    // SAFETY: reads a thread-local number.
    if unsafe { sys::vr_has_lcore() } != 0 {
        return Err(LcoreError("it has one already".to_owned()));
    }
    // SAFETY: the EAL runs; the call concerns the calling thread only.
    match unsafe { sys::rte_thread_register() } {
        0 => Ok(LcoreRegistration { stays: PhantomData }),
        _ => Err(LcoreError(crate::error_text(crate::last_errno()))),
    }
}

impl Drop for LcoreRegistration {
    fn drop(&mut self) {
        // SAFETY: not Send, so this is the thread that registered.
        unsafe { sys::rte_thread_unregister() }
    }
}
