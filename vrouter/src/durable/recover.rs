//! The whole directory: what it says, and how it is brought from one pair of snapshot and journal to the next.

use super::error::{DurableError, Fault, on};
use super::files::Files;
use super::image::Image;
use super::journal::{self, Cut, Journal, Read, Room};
use super::snapshot;

/// What a directory says.
#[derive(Debug)]
pub struct Recovered {
    pub image: Image,
    pub identity: u64,
    /// The number of the snapshot.
    pub snapshot: u64,
    /// Batches since it.
    pub batches: u64,
    /// The journal at which it goes on.
    pub journal: Read,
    /// Files that nothing needs.
    pub leftovers: Vec<String>,
}

impl Recovered {
    /// What was cut off the last journal, with the file's name.
    pub fn cut(&self) -> Option<(String, Cut)> {
        self.journal.cut.map(|cut| (journal::name(self.journal.number), cut))
    }
}

/// The numbers of the files that are there, in order.
#[derive(Default)]
struct Names {
    snapshots: Vec<u64>,
    journals: Vec<u64>,
    unnamed: Vec<String>,
}

/// Reads a directory and changes nothing. `None`: nothing was ever kept here.
pub fn read(files: &dyn Files) -> Result<Option<Recovered>, DurableError> {
    read_to(files, None)
}

/// The same without what came after the journal of this number, which is closed: others may be written meanwhile.
pub fn read_closed(files: &dyn Files, last: u64) -> Result<Option<Recovered>, DurableError> {
    read_to(files, Some(last))
}

fn read_to(files: &dyn Files, last: Option<u64>) -> Result<Option<Recovered>, DurableError> {
    let names = names(files)?;
    let Some(&number) = names.snapshots.last() else {
        // a first journal without batches is what is left of a directory that was being made
        let begun = match names.journals[..] {
            [] => return Ok(None),
            [0] => journal::read(files, 0, &mut Image::default())?,
            _ => return Err(DurableError::Missing { file: snapshot::name(names.journals[0]) }),
        };
        let empty = begun.batches == 0 && !begun.closed;
        return if empty { Ok(None) } else { Err(DurableError::Missing { file: snapshot::name(0) }) };
    };
    let (identity, mut image) = snapshot::read(files, number)?;
    let mut journal = one(files, number, identity, &mut image)?;
    let mut batches = journal.batches;
    let mut leftovers = names.unnamed.clone();
    while Some(journal.number) != last {
        let next = journal.number + 1;
        if journal.closed {
            journal = one(files, next, identity, &mut image)?;
            batches += journal.batches;
            continue;
        }
        // made before the one before it is closed, or for a snapshot that was never named: nothing is in them
        for later in names.journals.iter().filter(|later| **later > journal.number) {
            let unused = journal::read_alone(files, *later)?;
            if unused.batches > 0 || unused.closed {
                return Err(unclosed(&journal));
            }
            leftovers.push(journal::name(*later));
        }
        break;
    }
    leftovers.extend(names.snapshots.iter().filter(|old| **old < number).map(|old| snapshot::name(*old)));
    leftovers.extend(names.journals.iter().filter(|old| **old < number).map(|old| journal::name(*old)));
    Ok(Some(Recovered { image, identity, snapshot: number, batches, journal, leftovers }))
}

fn one(files: &dyn Files, number: u64, identity: u64, image: &mut Image) -> Result<Read, DurableError> {
    let read = journal::read(files, number, image)?;
    if read.identity != identity {
        return Err(DurableError::Corrupt { file: journal::name(number), offset: 0, fault: Fault::Foreign });
    }
    Ok(read)
}

fn unclosed(journal: &Read) -> DurableError {
    DurableError::Corrupt { file: journal::name(journal.number), offset: journal.end(), fault: Fault::Unclosed }
}

/// Opens a directory to go on in it: one that is new gets this identity, what nothing needs is removed.
pub fn open(files: &dyn Files, identity: u64, step: u64) -> Result<(Recovered, Journal, Room), DurableError> {
    let recovered = match read(files)? {
        Some(recovered) => recovered,
        None => {
            Journal::create(files, identity, 0, step)?;
            snapshot::write(files, identity, 0, &Image::default())?;
            read(files)?.ok_or_else(|| DurableError::Missing { file: snapshot::name(0) })?
        }
    };
    for name in &recovered.leftovers {
        files.remove(name).map_err(on(name))?;
    }
    // before anything is acknowledged: a name that comes back would be in the way
    files.sync_directory().map_err(on("the directory"))?;
    let (journal, room) = Journal::go_on(files, &recovered.journal, step)?;
    Ok((recovered, journal, room))
}

/// Makes the journal's closed predecessors one snapshot: reads what is there up to the journal `closed`, writes it as the snapshot
/// that its successor belongs to, and removes what came before. Returns the snapshot's length.
pub fn compact(files: &dyn Files, closed: u64) -> Result<u64, DurableError> {
    let missing = || DurableError::Missing { file: journal::name(closed) };
    let recovered = read_closed(files, closed)?.ok_or_else(missing)?;
    if !recovered.journal.closed {
        return Err(unclosed(&recovered.journal));
    }
    let bytes = snapshot::write(files, recovered.identity, closed + 1, &recovered.image)?;
    remove_before(files, closed + 1)?;
    Ok(bytes)
}

/// Begins anew beside files that cannot be trusted any more: a journal for what comes, and a snapshot of what is.
pub fn begin_anew(
    files: &dyn Files,
    identity: u64,
    number: u64,
    image: &Image,
    step: u64,
) -> Result<(Journal, Room, u64), DurableError> {
    let (journal, room) = Journal::create(files, identity, number, step)?;
    let bytes = snapshot::write(files, identity, number, image)?;
    // they are not read any more: the next start removes what is left
    _ = remove_before(files, number);
    Ok((journal, room, bytes))
}

fn remove_before(files: &dyn Files, number: u64) -> Result<(), DurableError> {
    let names = names(files)?;
    let journals = names.journals.iter().filter(|old| **old < number).map(|old| journal::name(*old));
    let snapshots = names.snapshots.iter().filter(|old| **old < number).map(|old| snapshot::name(*old));
    for name in snapshots.chain(journals) {
        files.remove(&name).map_err(on(&name))?;
    }
    files.sync_directory().map_err(on("the directory"))
}

fn names(files: &dyn Files) -> Result<Names, DurableError> {
    let mut names = Names::default();
    for name in files.list().map_err(on("the directory"))? {
        let number = |kind: &str| name.strip_prefix(kind)?.parse::<u64>().ok();
        match (number("snapshot-"), number("journal-")) {
            (Some(number), _) => names.snapshots.push(number),
            (_, Some(number)) => names.journals.push(number),
            _ if name.ends_with(".new") => names.unnamed.push(name),
            // somebody else's
            _ => {}
        }
    }
    names.snapshots.sort_unstable();
    names.journals.sort_unstable();
    Ok(names)
}
