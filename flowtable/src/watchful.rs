//! The allocator of test and debug builds: an allocation or a release where a thread promised none ends the process.
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;
//! let kept = Box::new(1);
//! let read = flowtable::without_allocation(|| *kept); // a Box::new in here would abort
//! # assert_eq!(read, 1);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

/// The system's allocator, which aborts with a backtrace when a thread inside [`without_allocation`] allocates, grows or frees. A
/// thread that panics may: its report is worth more.
pub struct Watchful;

thread_local! {
    /// How many scopes of [`without_allocation`] this thread is in. Constant and without destructor: reading it allocates nothing.
    static PROMISES: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work`, in which this thread neither allocates nor frees. It is a promise that [`Watchful`] holds the thread to; under
/// another allocator it costs two stores.
pub fn without_allocation<T>(work: impl FnOnce() -> T) -> T {
    let _promise = Promise::make();
    work()
}

/// Ends when dropped, also by a panic.
struct Promise;

impl Promise {
    fn make() -> Promise {
        PROMISES.set(PROMISES.get() + 1);
        Promise
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        PROMISES.set(PROMISES.get() - 1);
    }
}

fn keep_promise(what: &str, bytes: usize) {
    if PROMISES.get() > 0 && !std::thread::panicking() {
        broken(what, bytes);
    }
}

#[cold]
fn broken(what: &str, bytes: usize) -> ! {
    // what follows may allocate
    PROMISES.set(0);
    let trace = std::backtrace::Backtrace::force_capture();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without name");
    // not by eprintln: a test's captured output dies with the process
    let _ = writeln!(std::io::stderr(), "thread {name} {what} {bytes} bytes where nothing may allocate\n{trace}");
    std::process::abort();
}

// SAFETY: every call goes to `System` as it came, which keeps the contract of `GlobalAlloc`; the check before it reads a
// thread-local number and calls the allocator only on its way to `abort`.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        keep_promise("allocates", layout.size());
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        keep_promise("allocates", layout.size());
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        keep_promise("reallocates", size);
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        keep_promise("frees", layout.size());
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.dealloc(block, layout) }
    }
}
