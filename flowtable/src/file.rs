//! Files that regions are mapped from: what is in them outlives the process. One process has a file at a time.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::pages::{is_memory, reserve};

/// A file that is locked for as long as this is there, whoever ends the process.
///
/// A new one has a name of its own at first, its path with `.new` behind: it is found under its path when [`RegionFile::finish`] says that it is
/// whole. On a memory file system (tmpfs, as `/dev/shm`, or hugetlbfs) writing costs what memory costs; elsewhere the system writes it back to
/// the disk all the time.
pub struct RegionFile {
    file: File,
    path: PathBuf,
    new: bool,
}

/// Why a file cannot be had.
#[derive(Debug)]
pub enum FileError {
    /// Another process has it.
    InUse(PathBuf),
    /// Something else has this name: a folder, a device, a link.
    NoFile(PathBuf),
    /// Its file system has not so much room.
    Full { path: PathBuf, bytes: usize },
    /// The system refuses.
    Refused { path: PathBuf, what: &'static str, error: io::Error },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::InUse(path) => write!(f, "{}: another process has it", path.display()),
            FileError::NoFile(path) => write!(f, "{}: is no regular file", path.display()),
            FileError::Full { path, bytes } => write!(f, "{}: no room for {bytes} bytes", path.display()),
            FileError::Refused { path, what, error } => write!(f, "{}: cannot {what}: {error}", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

/// As <fcntl.h> has it on x86-64; on others a link is followed.
const O_NOFOLLOW: i32 = if cfg!(target_arch = "x86_64") { 0o400_000 } else { 0 };
/// How often a file that goes away while we look is looked for again.
const TRIES: usize = 8;

impl RegionFile {
    /// The file at this path, locked; `None`: there is none.
    pub fn open(path: &Path) -> Result<Option<RegionFile>, FileError> {
        for _ in 0..TRIES {
            let refused = |what| move |error| FileError::Refused { path: path.into(), what, error };
            let named = match std::fs::symlink_metadata(path) {
                Ok(named) => named,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(refused("open")(error)),
            };
            if !named.is_file() {
                return Err(FileError::NoFile(path.into()));
            }
            let file = OpenOptions::new().read(true).write(true).custom_flags(O_NOFOLLOW).open(path);
            let file = match file {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(refused("open")(error)),
            };
            lock(&file, path)?;
            // whoever had it may have given it up, or its name, before it was locked
            let ours = file.metadata().map_err(refused("read"))?;
            let still =
                std::fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino()));
            if still {
                return Ok(Some(RegionFile { file, path: path.into(), new: false }));
            }
        }
        Err(FileError::InUse(path.into()))
    }

    /// A new file of at least `bytes` zeroes, locked, readable by its owner alone. One that was not finished gives way to it.
    pub fn create(path: &Path, bytes: usize) -> Result<RegionFile, FileError> {
        let unfinished = unfinished(path);
        if let Some(left) = RegionFile::open(&unfinished)? {
            left.remove()?;
        }
        let refused = |what| move |error| FileError::Refused { path: path.into(), what, error };
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = made.map_err(refused("create"))?;
        lock(&file, path)?;
        let made = RegionFile { file, path: path.into(), new: true };
        // huge pages come whole
        let page = made.file.metadata().map_err(refused("create"))?.blksize().max(4096) as usize;
        let whole = bytes.checked_next_multiple_of(page).ok_or(FileError::Full { path: path.into(), bytes })?;
        let sized = made.file.set_len(whole as u64).and_then(|()| reserve(&made.file, whole));
        match sized {
            Ok(()) => Ok(made),
            Err(error) => {
                made.remove()?;
                let full =
                    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge | ErrorKind::OutOfMemory);
                Err(if full { FileError::Full { path: path.into(), bytes } } else { refused("size")(error) })
            }
        }
    }

    /// A new file is whole: from now on it is found under its path.
    pub fn finish(&self) -> Result<(), FileError> {
        if !self.new {
            return Ok(());
        }
        let refused = |error| FileError::Refused { path: self.path.clone(), what: "name", error };
        std::fs::rename(unfinished(&self.path), &self.path).map_err(refused)
    }

    /// Removes it.
    pub fn remove(&self) -> Result<(), FileError> {
        let name = if self.new { unfinished(&self.path) } else { self.path.clone() };
        let refused = |error| FileError::Refused { path: name.clone(), what: "remove", error };
        std::fs::remove_file(&name).map_err(refused)
    }

    /// Gives it another name, beside its own: what is not ours is not removed.
    pub fn put_aside(&self) -> Result<PathBuf, FileError> {
        let aside = with_end(&self.path, ".refused");
        let refused = |error| FileError::Refused { path: self.path.clone(), what: "rename", error };
        std::fs::rename(&self.path, &aside).map_err(refused)?;
        Ok(aside)
    }

    /// How long it is.
    pub fn bytes(&self) -> Result<usize, FileError> {
        let refused = |error| FileError::Refused { path: self.path.clone(), what: "read", error };
        Ok(self.file.metadata().map_err(refused)?.len() as usize)
    }

    /// Where it is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is memory, which no disk is written from.
    pub fn is_memory(&self) -> bool {
        is_memory(&self.file)
    }

    /// It was created, not opened.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// The open file: whoever has a copy of its descriptor has its lock too.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A file that another process has opened and locked, and gives away.
    pub fn handed_over(file: File, path: &Path) -> RegionFile {
        RegionFile { file, path: path.into(), new: false }
    }

    /// The error of a mapping that failed.
    pub(crate) fn unmapped(&self, bytes: usize) -> FileError {
        match bytes {
            0 => FileError::Refused { path: self.path.clone(), what: "map", error: ErrorKind::UnexpectedEof.into() },
            bytes => FileError::Full { path: self.path.clone(), bytes },
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), FileError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => FileError::InUse(path.into()),
        TryLockError::Error(error) => FileError::Refused { path: path.into(), what: "lock", error },
    })
}

fn unfinished(path: &Path) -> PathBuf {
    with_end(path, ".new")
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
