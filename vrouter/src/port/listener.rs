//! The socket of a vhost-user port that waits for its guest: what a killed daemon left of it would keep the next one from listening there.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Removes the socket at which a net_vhost device with these devargs is to listen, if nobody listens there any more. True: it did.
pub fn remove_stale(devargs: &str) -> bool {
    let Some(path) = listens_at(devargs) else { return false };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = || UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    is_socket && refused() && std::fs::remove_file(path).is_ok()
}

/// The path of the socket; absent: the device is another, or the guest's side listens.
fn listens_at(devargs: &str) -> Option<&Path> {
    let (name, arguments) = devargs.trim_start().split_once(',')?;
    let value = |key: &str| arguments.split(',').find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
    let listens = name.starts_with("net_vhost") && value("client").is_none_or(|client| client == "0");
    value("iface").filter(|_| listens).map(Path::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_is_removed_when_nobody_listens_there() {
        let path = std::env::temp_dir().join(format!("vrouter-stale-{}", std::process::id()));
        let devargs = format!("net_vhost0,iface={},queues=2", path.display());
        assert!(!remove_stale(&devargs), "there is none");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!remove_stale(&devargs), "somebody listens");
        drop(listener);
        assert!(!remove_stale(&format!("{devargs},client=1")), "the guest's side listens there");
        assert!(!remove_stale(&devargs.replace("net_vhost0", "net_virtio_user0")));
        assert!(path.exists());
        assert!(remove_stale(&devargs));
        assert!(!path.exists());
        std::fs::write(&path, "no socket").unwrap();
        assert!(!remove_stale(&devargs), "a file is nobody's to remove");
        std::fs::remove_file(&path).unwrap();
    }
}
