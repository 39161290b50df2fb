//! A journal: Begin, then the batches in order, each group of them written at once and then synced; after each sync a mark says how much is
//! known to be kept. Its space is taken ahead, so that a full disk shows before a batch is made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{DurableError, Fault, on};
use super::files::{File, Files};
use super::image::Image;
use super::record::{self, Frame, Kind};
use super::snapshot::{CONFIRMS, SAID, VERSION, begin, encode};
use crate::api::state::v1 as state;
use prost::Message;

/// Space for what is written beside batches: marks, reserved generations, the closing record.
const SPARE: u64 = 64 << 10;

/// The file's name.
pub fn name(number: u64) -> String {
    format!("journal-{number:08}")
}

/// The file with the space taken for it: shared by who reserves and who writes.
pub struct Space {
    file: Arc<dyn File>,
    reserved: AtomicU64,
}

/// What is still free of a journal's space. Of who makes batches.
pub struct Room {
    space: Arc<Space>,
    /// Bytes that are or will be written.
    taken: u64,
    /// So much is reserved at a time.
    step: u64,
}

/// The end of a journal at which it is written. Of one thread.
pub struct Journal {
    space: Arc<Space>,
    pub number: u64,
    /// As the file's first record says.
    version: u32,
    seed: u32,
    at: u64,
    previous: u32,
    synced: u64,
    length: u64,
    bytes: Vec<u8>,
}

impl Room {
    /// Takes space for a batch of this many bytes, and of a mark.
    pub fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        // relaxed: only this end writes it
        let reserved = self.space.reserved.load(Ordering::Relaxed);
        let needed = self.taken + bytes + SPARE.min(self.step);
        if needed > reserved {
            let ahead = needed.next_multiple_of(self.step) + self.step;
            // what is ahead is a comfort
            let got = self.space.file.reserve(ahead).map(|()| ahead);
            let got = got.or_else(|_| self.space.file.reserve(needed).map(|()| needed))?;
            // release: who writes by it has a file of that length
            self.space.reserved.store(got, Ordering::Release);
        }
        Ok(())
    }

    /// So many bytes are handed over to be written.
    pub fn take(&mut self, payload: u64) {
        self.taken += payload + 2 * record::HEADER as u64;
    }

    /// Bytes that are or will be written.
    pub fn taken(&self) -> u64 {
        self.taken
    }
}

impl Journal {
    /// A journal without batches, under its name, synced. `step`: how much space is taken at a time.
    pub fn create(files: &dyn Files, identity: u64, number: u64, step: u64) -> Result<(Journal, Room), DurableError> {
        Journal::create_as(VERSION, files, identity, number, step)
    }

    pub(super) fn create_as(
        version: u32,
        files: &dyn Files,
        identity: u64,
        number: u64,
        step: u64,
    ) -> Result<(Journal, Room), DurableError> {
        let (name, unnamed) = (name(number), format!("{}.new", name(number)));
        let file = files.create(&unnamed).map_err(on(&unnamed))?;
        let space = Arc::new(Space { file, reserved: AtomicU64::new(0) });
        let seed = record::seed(identity, true, number);
        let mut journal =
            Journal { space, number, version, seed, at: 0, previous: 0, synced: 0, length: 0, bytes: Vec::new() };
        let mut room = Room { space: journal.space.clone(), taken: 0, step };
        room.reserve(0).map_err(on(&unnamed))?;
        // the file has this length when the record is read: it gets its name after it was synced
        journal.length = journal.space.reserved.load(Ordering::Relaxed);
        journal.put(Kind::Begin, &state::Begin { version, identity, number, batches: 0 });
        journal.write().and_then(|()| journal.sync()).map_err(on(&unnamed))?;
        room.taken = journal.at;
        files.rename(&unnamed, &name).map_err(on(&name))?;
        files.sync_directory().map_err(on(&name))?;
        Ok((journal, room))
    }

    /// A journal that was read, to go on behind what of it is whole. What is behind that is overwritten with zeros.
    pub fn go_on(files: &dyn Files, read: &Read, step: u64) -> Result<(Journal, Room), DurableError> {
        let name = name(read.number);
        let file = files.open(&name).map_err(on(&name))?;
        if let Some(cut) = &read.cut {
            let zeros = vec![0; 1 << 20];
            let (mut at, end) = (cut.from, cut.to);
            while at < end {
                let some = (end - at).min(zeros.len() as u64);
                file.write_at(at, &zeros[..some as usize]).map_err(on(&name))?;
                at += some;
            }
            file.sync().map_err(on(&name))?;
        }
        let space = Arc::new(Space { file, reserved: AtomicU64::new(read.length) });
        let mut journal = Journal {
            space: space.clone(),
            number: read.number,
            version: read.version,
            seed: read.seed,
            at: read.end,
            previous: read.previous,
            synced: read.synced,
            length: read.known_length,
            bytes: Vec::new(),
        };
        // what was read may not have been synced by who wrote it
        journal.sync().map_err(on(&name))?;
        Ok((journal, Room { space, taken: read.end, step }))
    }

    /// Adds a batch to what is written next.
    pub fn add(&mut self, batch: &state::Batch) {
        match &batch.said {
            // who made the file shall read all of it
            Some(said) if self.version < SAID => {
                let changes = batch.changes.iter().cloned().chain(Vec::from(said.clone())).collect();
                self.put(Kind::Batch, &state::Batch { changes, said: None, ..batch.clone() });
            }
            _ => self.put(Kind::Batch, batch),
        }
    }

    /// Whether batches that wait to be confirmed may be added: who made the file would not know of them.
    pub fn confirms(&self) -> bool {
        self.version >= CONFIRMS
    }

    /// Adds that generations up to this one may be published.
    pub fn reserve(&mut self, generation: u64) {
        self.put(Kind::Reserve, &state::Reserve { generation });
    }

    /// Bytes that were added and are not written.
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Writes what was added and syncs it. After an error nobody knows what of it is kept, and the journal must not be used again.
    pub fn commit(&mut self) -> io::Result<()> {
        self.write()?;
        self.sync()?;
        // for the next reader; its own sync is the next group's
        self.put(Kind::Mark, &state::Reserve::default());
        self.write()
    }

    /// The last record: the batches go on in the next journal, which is there.
    pub fn close(mut self) -> io::Result<()> {
        self.put(Kind::Closed, &state::Reserve::default());
        self.write()?;
        self.sync()
    }

    fn put(&mut self, kind: Kind, payload: &impl Message) {
        let offset = self.at + self.bytes.len() as u64;
        let frame = Frame { previous: self.previous, offset, synced: self.synced, length: self.length };
        self.previous = record::append(&mut self.bytes, self.seed, kind, frame, |out| encode(payload, out));
    }

    fn write(&mut self) -> io::Result<()> {
        self.space.file.write_at(self.at, &self.bytes)?;
        self.at += self.bytes.len() as u64;
        // a large batch's memory is given back
        self.bytes = Vec::new();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        // acquire: the file has this length
        let length = self.space.reserved.load(Ordering::Acquire);
        self.space.file.sync()?;
        (self.synced, self.length) = (self.at, length);
        Ok(())
    }
}

/// A journal as it was found.
#[derive(Debug)]
pub struct Read {
    pub number: u64,
    pub identity: u64,
    /// Whether it ends with its closing record.
    pub closed: bool,
    /// Batches in it.
    pub batches: u64,
    version: u32,
    /// What does not check behind all that was known to be synced.
    pub cut: Option<Cut>,
    seed: u32,
    /// Behind the last record.
    end: u64,
    previous: u32,
    synced: u64,
    known_length: u64,
    length: u64,
}

impl Read {
    /// Behind the last record that checks.
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// Bytes that were being written when the daemon or its host died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub from: u64,
    pub to: u64,
}

/// Reads a journal and adds its batches to the image.
pub fn read(files: &dyn Files, number: u64, image: &mut Image) -> Result<Read, DurableError> {
    let name = name(number);
    let bytes = files.read(&name).map_err(on(&name))?;
    parse(&bytes, number, Some(image)).map_err(|(offset, fault)| DurableError::Corrupt { file: name, offset, fault })
}

/// Reads a journal for itself, whatever came before it.
pub fn read_alone(files: &dyn Files, number: u64) -> Result<Read, DurableError> {
    let name = name(number);
    let bytes = files.read(&name).map_err(on(&name))?;
    parse(&bytes, number, None).map_err(|(offset, fault)| DurableError::Corrupt { file: name, offset, fault })
}

fn parse(bytes: &[u8], number: u64, mut image: Option<&mut Image>) -> Result<Read, (u64, Fault)> {
    let (seed, begin) = begin(bytes, true, number).map_err(|fault| (0, fault))?;
    let mut read = Read {
        number,
        identity: begin.identity,
        closed: false,
        batches: 0,
        version: begin.version,
        cut: None,
        seed,
        end: 0,
        previous: 0,
        synced: 0,
        known_length: 0,
        length: bytes.len() as u64,
    };
    let fault = loop {
        let at = read.end as usize;
        let record = match record::read(bytes, at, seed) {
            Ok(record) if record.frame.previous == read.previous => record,
            Ok(_) => break Fault::Chain,
            Err(fault) => break fault,
        };
        let wrong = |fault| (at as u64, fault);
        match record.kind {
            Kind::Begin if at == 0 => {}
            Kind::Batch => {
                let batch = state::Batch::decode(record.payload).map_err(|_| wrong(Fault::Payload))?;
                image.as_mut().map_or(Ok(()), |image| image.add(batch)).map_err(wrong)?;
                read.batches += 1;
            }
            Kind::Reserve => {
                let reserve = state::Reserve::decode(record.payload).map_err(|_| wrong(Fault::Payload))?;
                image.iter_mut().for_each(|image| image.reserve(reserve.generation));
            }
            Kind::Mark => {}
            Kind::Closed => read.closed = true,
            _ => return Err(wrong(Fault::Kind)),
        }
        (read.end, read.previous) = (record.end as u64, record.crc);
        read.synced = read.synced.max(record.frame.synced);
        read.known_length = read.known_length.max(record.frame.length);
        if read.closed {
            break Fault::Beyond;
        }
    };
    judge_tail(bytes, &mut read, fault)?;
    Ok(read)
}

/// What is behind the last record that checks: nothing, what was never synced, or damage.
fn judge_tail(bytes: &[u8], read: &mut Read, fault: Fault) -> Result<(), (u64, Fault)> {
    if read.length < read.known_length {
        return Err((read.length, Fault::Truncated));
    }
    let tail = &bytes[read.end as usize..];
    let Some(last) = tail.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
    let end = read.end;
    if record::find(bytes, end as usize, read.seed, |record| record.frame.synced > end).is_some() {
        return Err((end, fault));
    }
    read.cut = Some(Cut { from: end, to: end + last as u64 + 1 });
    Ok(())
}
