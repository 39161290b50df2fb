//! The service manager's protocols: readiness (sd_notify), and its store of descriptors, which outlive this process.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};

/// The control socket's name in the store.
pub const CONTROL: &str = "control";
/// That of the listener for clients on other hosts.
pub const TLS: &str = "tls";
/// The first descriptor that a service manager passes (sd_listen_fds(3)).
const FIRST: i32 = 3;
/// More are not looked at.
const MOST: i32 = 16;

/// Tells the service manager, where there is one (`NOTIFY_SOCKET`): "READY=1", "STOPPING=1", "STATUS=...".
pub fn notify(state: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = UnixDatagram::unbound()?;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    socket.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

/// Whether there is a service manager that keeps descriptors: systemd says so by `FDSTORE` from version 254 on, before it is the unit that does.
pub fn stores() -> bool {
    let most = std::env::var("FDSTORE").ok().and_then(|most| most.parse::<u32>().ok());
    std::env::var_os("NOTIFY_SOCKET").is_some() && most.is_some_and(|most| most > 0)
}

/// Gives a descriptor to the service manager, which gives it to the next process under this name.
pub fn store(name: &str, descriptor: BorrowedFd) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = UnixDatagram::unbound()?;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name)?,
        None => SocketAddrUnix::new(&*path)?,
    };
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    beside.push(SendAncillaryMessage::ScmRights(&descriptors));
    let text = format!("FDSTORE=1\nFDNAME={name}");
    sendmsg_addr(&socket, &address, &[io::IoSlice::new(text.as_bytes())], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What the service manager has kept of the process before, by name: `LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`.
/// `take` gives a descriptor by its number.
pub fn stored(take: impl Fn(i32) -> io::Result<OwnedFd>) -> Vec<(String, OwnedFd)> {
    let word = |name: &str| std::env::var(name).unwrap_or_default();
    let ours = word("LISTEN_PID").parse() == Ok(std::process::id());
    let count: i32 = word("LISTEN_FDS").parse().unwrap_or(0);
    if !ours || count <= 0 {
        return Vec::new();
    }
    let names = word("LISTEN_FDNAMES");
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    let numbers = FIRST..FIRST + count.min(MOST);
    let given = names.zip(numbers).filter_map(|(name, number)| match take(number) {
        Ok(descriptor) => Some((name, descriptor)),
        Err(error) => {
            tracing::warn!(name, number, %error, "a descriptor of the service manager's store cannot be had");
            None
        }
    });
    given.collect()
}
