//! Files of drivers and the programs that this process runs.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// As <linux/close_range.h> has it.
const CLOSE_RANGE_CLOEXEC: c_int = 1 << 2;
/// The first that is not a standard stream.
const FIRST: c_uint = 3;
/// As <fcntl.h> has it.
const F_DUPFD_CLOEXEC: c_int = 1030;

unsafe extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
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

/// A copy of a file that this process was started with, by its number.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved: the kernel makes a new number for the file, or refuses.
    let copy = unsafe { fcntl(number, F_DUPFD_CLOEXEC, FIRST) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number is new, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_a_number_of_its_own_and_what_is_not_there_is_told() {
        use std::os::fd::AsRawFd;
        let copy = inherited(0).expect("every process has one");
        assert!(copy.as_raw_fd() >= 3);
        assert_eq!(inherited(100_000).expect_err("nobody opened it").raw_os_error(), Some(9));
        close_on_exec().expect("a kernel of these years");
    }
}
