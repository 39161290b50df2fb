//! The flow file: flows outlive their daemon.
//!
//! With `flow_table.file` the flow table lies in a mapped file, which stays when the process ends, however it ends. The next process adopts it
//! once it knows its objects, and before its workers begin: pairs that are whole and whose places are there by name go on with their TCP
//! state, counters, start and ECMP members; each is decided anew with its next packet. What is not ours to read (another layout, another boot
//! of the host, other limits, a file of anybody else's) is refused by name, and the table begins empty in a new file.

mod adopt;
mod numbering;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use flowtable::{AdoptError, Config, FileError, FlowTable, LayoutError, Region, RegionFile};

pub use numbering::{Names, Numbering, boot};

use crate::api::v1;
use crate::ids::{Generation, Tick};
use crate::model::Limits;
use crate::tables::Snapshot;
use adopt::Renumber;

/// Why what a file holds is not adopted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it is no flow file; it was put aside as {}", .0.display())]
    Foreign(PathBuf),
    #[error(transparent)]
    Table(#[from] AdoptError),
    #[error("its flows mean what version {found} says, ours is {ours}")]
    Meaning { found: u64, ours: u64 },
    #[error("it is of another boot of this host")]
    Boot,
    #[error("the limits of flows, VIFs, VRFs or paths were others")]
    Limits,
    #[error("its numbering is damaged")]
    Numbering,
    #[error("who made or adopted it last was ended before it was done")]
    Unfinished,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Adopt(#[from] AdoptError),
}

/// What a file is made for.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub table: Config,
    /// Numbers that flows may hold at the same time.
    pub records: usize,
    /// What the host's present boot is told by.
    pub boot: u64,
}

impl Sizes {
    /// For a table of this configuration, and a model with these limits.
    pub fn new(table: Config, limits: &Limits) -> Sizes {
        Sizes { table, records: limits.vifs + limits.vrfs + limits.paths, boot: boot() }
    }

    /// Bytes of a region.
    pub fn bytes(&self) -> Result<usize, LayoutError> {
        Ok(self.table.bytes()? + Sizes::bytes_of(self.records))
    }

    /// Bytes that so many records take.
    pub fn bytes_of(records: usize) -> usize {
        numbering::lines(records) * 64
    }
}

/// A region with flows of another process, and what their numbers stood for.
pub struct Left {
    region: Region,
    names: Names,
}

/// What is under a path.
pub enum Found {
    Flows(Left),
    /// Nothing, or nothing that can be adopted: a table is made in this region, and why.
    Empty(Region, Option<Refused>),
}

impl Left {
    /// The flows of a region, if it says of itself what it must.
    pub fn of(region: Region, sizes: &Sizes) -> Result<Left, Refused> {
        Ok(Left { names: names_of(&region, sizes)?, region })
    }

    /// The newest generation that the other process had.
    pub fn generation(&self) -> Generation {
        self.names.generation
    }

    /// The table, which is of no use before [`adopt`]: its process may still use it.
    pub fn lent(self) -> Result<FlowTable, AdoptError> {
        FlowTable::lent(self.region)
    }

    /// Adopts them, for a process whose objects are these. Before workers begin.
    ///
    /// # Errors
    /// The region is no longer what it was when it was read.
    pub fn adopt(self, sizes: &Sizes, snapshot: &Snapshot, now: Tick) -> Result<(FlowTable, v1::FlowFile), AdoptError> {
        let names = self.names;
        let table = FlowTable::lent(self.region)?;
        let told = adopt_by(&table, &names, sizes, snapshot, now)?;
        Ok((table, told))
    }
}

/// Adopts the flows of a lent table whose process has stopped, for one whose objects are these. Before workers begin.
///
/// # Errors
/// The region is no longer what it was when it was lent.
pub fn adopt(table: &FlowTable, sizes: &Sizes, snapshot: &Snapshot, now: Tick) -> Result<v1::FlowFile, Refused> {
    let names = Names::read(table.spare(), table.config().seed, sizes)?;
    Ok(adopt_by(table, &names, sizes, snapshot, now)?)
}

fn adopt_by(
    table: &FlowTable,
    names: &Names,
    sizes: &Sizes,
    snapshot: &Snapshot,
    now: Tick,
) -> Result<v1::FlowFile, AdoptError> {
    let start = Instant::now();
    let seed = table.config().seed;
    // from here on numbers in flows may be ours: they mean nothing until the records are ours too
    Numbering::suspend(table.spare());
    let renumber = Renumber::new(names, seed, snapshot, now);
    table.take_over(&renumber, renumber.keeps_keys())?;
    Numbering::begin(table.spare(), seed, sizes, snapshot);
    Ok(adopt::told(table, start.elapsed().as_millis() as u32))
}

impl Found {
    /// Opens the file at this path, or makes one.
    ///
    /// # Errors
    /// Another process has it, or there is no room for it.
    pub fn at(path: &Path, sizes: &Sizes) -> Result<Found, OpenError> {
        let bytes = sizes.bytes()?;
        let refused = match RegionFile::open(path)? {
            None => None,
            Some(file) => match opened(file, sizes)? {
                Ok(left) => return Ok(Found::Flows(left)),
                Err(refused) => Some(refused),
            },
        };
        let region = Region::of_file(RegionFile::create(path, bytes)?)?;
        Ok(Found::Empty(region, refused))
    }

    /// The generation that a model begins behind.
    pub fn generation(&self) -> Generation {
        match self {
            Found::Flows(left) => left.generation(),
            Found::Empty(..) => Generation(0),
        }
    }

    /// The table: what was left of it adopted by a process whose objects are these, or empty. Before workers begin.
    ///
    /// # Errors
    /// The file cannot be given its name.
    pub fn table(self, sizes: &Sizes, snapshot: &Snapshot, now: Tick) -> Result<(FlowTable, v1::FlowFile), OpenError> {
        let (region, refused) = match self {
            Found::Flows(left) => return Ok(left.adopt(sizes, snapshot, now)?),
            Found::Empty(region, refused) => (region, refused),
        };
        let table = FlowTable::create(region, &sizes.table)?;
        Numbering::begin(table.spare(), sizes.table.seed, sizes, snapshot);
        if let Some(file) = table.region().file() {
            file.finish()?;
        }
        let rebuilt = refused.map_or_else(|| "there was no file".into(), |refused| refused.to_string());
        let told = v1::FlowFile { path: adopt::path(&table), rebuilt, ..Default::default() };
        Ok((table, told))
    }
}

/// What is in a file; what is refused is out of the way afterwards.
fn opened(file: RegionFile, sizes: &Sizes) -> Result<Result<Left, Refused>, FileError> {
    match file.bytes()? {
        0 => return file.remove().map(|()| Err(Refused::Unfinished)),
        1..64 => return file.put_aside().map(|aside| Err(Refused::Foreign(aside))),
        _ => {}
    }
    let region = Region::of_file(file)?;
    let Some(file) = region.file() else { return Ok(Err(Refused::Unfinished)) };
    match names_of(&region, sizes) {
        Ok(names) => Ok(Ok(Left { region, names })),
        // it may be somebody's
        Err(Refused::Table(AdoptError::NoTable)) => file.put_aside().map(|aside| Err(Refused::Foreign(aside))),
        Err(refused) => file.remove().map(|()| Err(refused)),
    }
}

/// Reads what a region says of itself.
fn names_of(region: &Region, sizes: &Sizes) -> Result<Names, Refused> {
    let config = FlowTable::config_of(region)?;
    let (wanted, bytes) = (sizes.table, config.bytes().map_err(AdoptError::Sizes)?);
    if (config.narrow_pairs, config.wide_pairs) != (wanted.narrow_pairs, wanted.wide_pairs) {
        return Err(Refused::Limits);
    }
    Names::read(region.lines().get(bytes / 64..).unwrap_or_default(), config.seed, sizes)
}
