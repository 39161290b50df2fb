//! Files of drivers and the programs that this process runs.

use std::ffi::{c_int, c_uint};
use std::io;

/// As <linux/close_range.h> has it.
const CLOSE_RANGE_CLOEXEC: c_int = 1 << 2;
/// The first that is not a standard stream.
const FIRST: c_uint = 3;

unsafe extern "C" {
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
}

/// No file that is open now stays open in programs that this process runs, but for the standard streams: drivers leave their sockets and taps to them.
pub fn close_on_exec() -> io::Result<()> {
    // SAFETY: with this flag no file is closed; what is changed is what `exec` does.
    match unsafe { close_range(FIRST, c_uint::MAX, CLOSE_RANGE_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
