//! A disk that keeps apart what was done and what was synced, and says everything that a crash may leave of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::durable::{File, Files};

type Names = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Vec<u8>,
    /// Since the last sync.
    writes: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Naming {
    Set(String, usize),
    Gone(String),
}

/// What the disk is at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    inodes: Vec<Inode>,
    synced: Names,
    /// Since the directory was synced.
    namings: Vec<Naming>,
}

/// What happens instead of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This operation and all after it.
    Dead,
    Full,
    Io,
}

#[derive(Default)]
struct Inner {
    state: State,
    /// States before each operation.
    history: Option<Vec<State>>,
    operations: usize,
    failing: Option<(usize, Failure)>,
    full: bool,
}

#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// A disk with these files, all synced.
    pub fn of(files: &BTreeMap<String, Vec<u8>>) -> Disk {
        let mut state = State::default();
        for (name, bytes) in files {
            state.synced.insert(name.clone(), state.inodes.len());
            state.inodes.push(Inode { synced: bytes.clone(), writes: Vec::new() });
        }
        let disk = Disk::default();
        disk.0.lock().state = state;
        disk
    }

    /// From now on the state before each operation is kept.
    pub fn record(&self) {
        self.0.lock().history = Some(Vec::new());
    }

    /// States before each operation since then, and the last one.
    pub fn history(&self) -> Vec<State> {
        let inner = self.0.lock();
        let mut history = inner.history.clone().unwrap_or_default();
        history.push(inner.state.clone());
        history
    }

    /// How many operations there were.
    pub fn operations(&self) -> usize {
        self.0.lock().operations
    }

    /// The operation of this number fails.
    pub fn fail(&self, operation: usize, failure: Failure) {
        self.0.lock().failing = Some((operation, failure));
    }

    /// From now on there is no space: nothing is reserved, and nothing written behind a file's end.
    pub fn fill(&self) {
        self.0.lock().full = true;
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut inner = self.0.lock();
        (inner.failing, inner.full) = (None, false);
    }

    /// The files as who reads them now finds them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = &self.0.lock().state;
        state.after(&state.names(|_| true), |_, inode| written(inode, inode.writes.len(), None))
    }

    /// Carries out an operation; true: it fails in a way that leaves half of it.
    fn operate<T>(&self, operate: impl FnOnce(&mut State, bool) -> T) -> io::Result<T> {
        let mut inner = self.0.lock();
        let number = inner.operations;
        inner.operations += 1;
        let state = inner.state.clone();
        inner.history.iter_mut().for_each(|history| history.push(state.clone()));
        match inner.failing {
            Some((at, Failure::Dead)) if number >= at => Err(io::Error::other("dead")),
            Some((at, Failure::Full)) if number == at => Err(io::ErrorKind::StorageFull.into()),
            Some((at, Failure::Io)) if number == at => {
                operate(&mut inner.state, true);
                Err(io::Error::other("EIO"))
            }
            _ => Ok(operate(&mut inner.state, false)),
        }
    }
}

impl State {
    /// Everything that a crash may leave: of names none, all, some first ones of the changes since the sync, or all but one; of each file's
    /// bytes none, all, some first ones, and later ones without earlier ones, files each for themselves.
    pub fn crashes(&self) -> Vec<BTreeMap<String, Vec<u8>>> {
        let mut crashes = Vec::new();
        let open: Vec<usize> = (0..self.inodes.len()).filter(|at| !self.inodes[*at].writes.is_empty()).collect();
        let ways: Vec<Vec<Vec<u8>>> = open.iter().map(|at| left(&self.inodes[*at])).collect();
        let all = self.namings.len();
        let first = (0..=all).map(|count| self.names(|at| at < count));
        let but_one = (0..all).map(|one| self.names(|at| at != one));
        for names in first.chain(but_one) {
            // every way of each file beside none and all of the others
            for (file, at) in open.iter().enumerate() {
                for way in &ways[file] {
                    for others in [false, true] {
                        crashes.push(self.after(&names, |number, inode| match number {
                            number if number == *at => way.clone(),
                            _ if others => written(inode, inode.writes.len(), None),
                            _ => inode.synced.clone(),
                        }));
                    }
                }
            }
            if open.is_empty() {
                crashes.push(self.after(&names, |_, inode| inode.synced.clone()));
            }
        }
        crashes.sort();
        crashes.dedup();
        crashes
    }

    fn after(&self, names: &Names, bytes: impl Fn(usize, &Inode) -> Vec<u8>) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|(name, inode)| (name.clone(), bytes(*inode, &self.inodes[*inode]))).collect()
    }

    /// The names after those changes since the sync that are kept, by their number.
    fn names(&self, kept: impl Fn(usize) -> bool) -> Names {
        let mut now = self.synced.clone();
        for (_, naming) in self.namings.iter().enumerate().filter(|(at, _)| kept(*at)) {
            match naming {
                Naming::Set(name, inode) => {
                    // a rename is one change: the old name goes with it
                    now.retain(|_, other| other != inode);
                    now.insert(name.clone(), *inode);
                }
                Naming::Gone(name) => _ = now.remove(name),
            }
        }
        now
    }

    fn name(&self, name: &str) -> Option<usize> {
        self.names(|_| true).get(name).copied()
    }
}

/// What a crash may leave of a file.
fn left(inode: &Inode) -> Vec<Vec<u8>> {
    let mut ways = vec![inode.synced.clone()];
    for (at, write) in inode.writes.iter().enumerate() {
        // whole, with what came before
        ways.push(written(inode, at + 1, None));
        // alone, without what came before
        let alone = Inode { synced: inode.synced.clone(), writes: vec![write.clone()] };
        ways.push(written(&alone, 1, None));
        let Write::Bytes(_, bytes) = write else { continue };
        // some of its bytes: the first ones, and the last ones without them
        for cut in [1, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            ways.push(written(inode, at + 1, Some((0, cut))));
            ways.push(written(inode, at + 1, Some((cut, bytes.len()))));
        }
    }
    ways.sort();
    ways.dedup();
    ways
}

/// A file after its first `count` writes, of the last of them this range only.
fn written(inode: &Inode, count: usize, range: Option<(usize, usize)>) -> Vec<u8> {
    let mut bytes = inode.synced.clone();
    for (at, write) in inode.writes.iter().take(count).enumerate() {
        match write {
            Write::Length(length) if bytes.len() < *length as usize => bytes.resize(*length as usize, 0),
            Write::Length(_) => {}
            Write::Bytes(offset, new) => {
                let (from, to) = range.filter(|_| at + 1 == count).unwrap_or((0, new.len()));
                let (start, end) = (*offset as usize + from, *offset as usize + to);
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(&new[from..to]);
            }
        }
    }
    bytes
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().into_keys().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files().remove(name).ok_or(io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inode = self.operate(|state, _| {
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.namings.push(Naming::Gone(name.to_owned()));
            state.namings.push(Naming::Set(name.to_owned(), inode));
            inode
        })?;
        Ok(Arc::new(OnDisk { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inode = self.0.lock().state.name(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(OnDisk { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.0.lock().state.name(from).ok_or(io::ErrorKind::NotFound)?;
        self.operate(|state, _| state.namings.push(Naming::Set(to.to_owned(), inode)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|state, _| state.namings.push(Naming::Gone(name.to_owned())))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate(|state, half| {
            if !half {
                state.synced = state.names(|_| true);
                state.namings.clear();
            }
        })
    }
}

struct OnDisk {
    disk: Disk,
    inode: usize,
}

impl OnDisk {
    /// Whether the file may be so long.
    fn room(&self, bytes: u64) -> io::Result<()> {
        let inner = self.disk.0.lock();
        let inode = &inner.state.inodes[self.inode];
        let length = written(inode, inode.writes.len(), None).len() as u64;
        if inner.full && bytes > length { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl File for OnDisk {
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.room(bytes)?;
        self.disk.operate(|state, half| {
            if !half {
                state.inodes[self.inode].writes.push(Write::Length(bytes));
            }
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.room(offset + bytes.len() as u64)?;
        self.disk.operate(|state, half| {
            let some = if half { &bytes[..bytes.len() / 2] } else { bytes };
            state.inodes[self.inode].writes.push(Write::Bytes(offset, some.to_vec()));
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operate(|state, half| {
            let inode = &mut state.inodes[self.inode];
            if half {
                // Linux: what failed to be written is clean, and gone
                inode.writes.clear();
            } else {
                *inode = Inode { synced: written(inode, inode.writes.len(), None), writes: Vec::new() };
            }
        })
    }
}
