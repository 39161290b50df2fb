//! The file system as far as the state directory needs it. What was written may be lost until it was synced; so may a file's name until
//! its directory was synced.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one directory, by name. Any thread.
pub trait Files: Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// A new file, empty; one of that name is replaced.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// A file that is there, to go on in it.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Gives a file a name that may be another's, which goes.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names are kept from now on.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file. Any thread.
pub trait File: Send + Sync {
    /// Makes it so long, with zeros, and takes the space for them. Never shortens.
    fn reserve(&self, bytes: u64) -> io::Result<()>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// What was written and reserved is kept from now on.
    fn sync(&self) -> io::Result<()>;
}

/// A directory that nobody else opens meanwhile.
pub struct Folder {
    path: PathBuf,
    directory: fs::File,
}

impl Folder {
    /// Makes the directory if it is not there. The lock is held until this is dropped. `None`: somebody else has it.
    pub fn lock(path: &Path) -> io::Result<Option<Folder>> {
        fs::create_dir_all(path)?;
        Folder::of(path)
    }

    /// The same of a directory that must be there.
    pub fn of(path: &Path) -> io::Result<Option<Folder>> {
        let directory = fs::File::open(path)?;
        match directory.try_lock() {
            Ok(()) => Ok(Some(Folder { path: path.to_owned(), directory })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OnDisk(fs::File::create(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(OnDisk(fs::OpenOptions::new().write(true).open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

struct OnDisk(fs::File);

impl File for OnDisk {
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let length = self.0.metadata()?.len();
        if bytes <= length {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::empty(), length, bytes - length) {
            // a file system that cannot: a full one shows when it is written to
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(bytes),
            other => Ok(other?),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
