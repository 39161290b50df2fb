//! The socket's file: one daemon a path, a dead daemon's is replaced, nobody connects to one that is not ready.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// A listening control socket. Its file goes when it is dropped.
///
/// The lock on `PATH.lock` says who serves the path; the kernel drops it however its holder ends, so that no probe of the socket
/// is needed and nothing is left to race. The lock file stays: removing it would let two daemons lock different files.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    lock: File,
    left: Leave,
}

/// Says of a socket that another process serves it from now on: its file stays.
#[derive(Clone, Debug, Default)]
pub struct Leave(Arc<AtomicBool>);

impl Leave {
    pub fn to_another(&self) {
        // relaxed: a flag that carries nothing but itself
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("{}: another daemon serves this socket", .0.display())]
    InUse(PathBuf),
    #[error("{}: is there and is no socket", .0.display())]
    NotASocket(PathBuf),
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl Socket {
    /// Listens at `path`, mode 0660. Makes the folder if it is missing.
    pub fn bind(path: &Path) -> Result<Socket, SocketError> {
        Socket::bind_for(path, None)
    }

    /// The same, for the members of a group.
    pub fn bind_for(path: &Path, group: Option<u32>) -> Result<Socket, SocketError> {
        Socket::bind_unless(path, group, None)
    }

    /// The same, unless the socket that a service manager has kept is the one that clients find at `path`: those that have connected since its
    /// process ended are in its queue.
    pub fn bind_unless(path: &Path, group: Option<u32>, kept: Option<OwnedFd>) -> Result<Socket, SocketError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| SocketError::Io { path, error }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed(folder))?;
        }
        let lock_path = beside(path, ".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SocketError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path)(error)),
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path)(error)),
        }
        if let Some(listener) = kept.map(UnixListener::from).filter(|kept| is_found(kept, path)) {
            tracing::info!(path = %path.display(), "the socket is the one of the daemon before");
            return Ok(Socket { listener, path: path.to_owned(), lock, left: Leave::default() });
        }
        // Made beside and moved over: at no moment is there a socket with other rights, or none while a stale one is replaced.
        let new = beside(path, ".new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&new)(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(failed(path))?;
        let placed = group
            .map_or(Ok(()), |group| std::os::unix::fs::chown(&new, None, Some(group)))
            .and_then(|()| fs::set_permissions(&new, Permissions::from_mode(MODE)))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| fs::rename(&new, path));
        if let Err(error) = placed {
            // The first error is the one to tell.
            let _ = fs::remove_file(&new);
            return Err(failed(path)(error));
        }
        Ok(Socket { listener, path: path.to_owned(), lock, left: Leave::default() })
    }

    /// A socket that another process listens at, with the lock of its path. Its file is that one's until [`Socket::take`].
    ///
    /// # Errors
    /// It is none that can be listened at.
    pub fn of(path: &Path, listener: OwnedFd, lock: OwnedFd) -> Result<Socket, SocketError> {
        let listener = UnixListener::from(listener);
        let usable = listener.local_addr().and_then(|_| listener.set_nonblocking(true));
        usable.map_err(|error| SocketError::Io { path: path.to_owned(), error })?;
        let left = Leave::default();
        left.to_another();
        Ok(Socket { listener, path: path.to_owned(), lock: lock.into(), left })
    }

    /// From now on this process serves it, and its file goes with it.
    pub fn take(&self) {
        // relaxed: a flag that carries nothing but itself
        self.left.0.store(false, Ordering::Relaxed);
    }

    /// What another process needs for [`Socket::of`], and by what this one is told that it has it.
    pub fn hand_over(&self) -> io::Result<(OwnedFd, OwnedFd, Leave)> {
        Ok((self.listener.try_clone()?.into(), self.lock.try_clone()?.into(), self.left.clone()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // relaxed: a flag that carries nothing but itself
        if self.left.0.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the control socket's file could not be removed");
        }
    }
}

/// Whether who connects to `path` comes out here. No other daemon serves the path.
fn is_found(listener: &UnixListener, path: &Path) -> bool {
    let named = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    named == Some(beside(path, ".new"))
        && listener.set_nonblocking(true).is_ok()
        // of a socket that nobody holds any more the file refuses
        && UnixStream::connect(path).is_ok()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
