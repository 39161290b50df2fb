//! Sockets that the driver of AF_XDP leaves open. DPDK 22.11's close frees a socket's memory when one user of it is left, not when none is, and
//! so keeps both; the kernel's queue then stays taken while the process lives: neither it nor another one can open the device again.

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};

/// The kernel lets go of a closed socket's queue by and by: within some milliseconds, unless the machine is busy.
const RELEASE_TIME: Duration = Duration::from_millis(50);

/// An open socket: its descriptor, and what that leads to (`socket:[inode]`).
#[derive(Debug, PartialEq)]
pub(crate) struct Socket(RawFd, PathBuf);

/// The process's sockets of AF_XDP.
pub(crate) fn sockets() -> Vec<Socket> {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(|number| Some(Socket(number, of_xdp(number)?))).collect()
}

/// Closes those of these that are open yet. Whoever calls this has closed the device whose they are.
pub(crate) fn close(sockets: &[Socket]) {
    for Socket(number, leads_to) in sockets {
        if of_xdp(*number).as_ref() == Some(leads_to) {
            // SAFETY: the driver opened it for a device that is closed, and forgot it: nobody else has it (see the module's head).
            unsafe { rustix::io::close(*number) };
        }
    }
}

/// Waits until the kernel has most likely let go of the queues of closed sockets. It says nothing when it has.
pub(crate) fn wait_for_release() {
    std::thread::sleep(RELEASE_TIME);
}

/// Where it leads, if it is a socket of AF_XDP.
fn of_xdp(number: RawFd) -> Option<PathBuf> {
    let leads_to = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: asked of, and no more; the kernel refuses a number that is none by now.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    (sockopt::socket_domain(socket) == Ok(AddressFamily::XDP)).then_some(leads_to)
}
