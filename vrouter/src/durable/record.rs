//! The frame of a record. Each one says where in which file it is, which record came before it, and how much of the file was known to
//! be synced when it was written, all under a CRC32C: neither a record of another file, nor what is left of an older one, nor a shifted
//! one is taken for one.

use super::error::Fault;

/// Bytes before the payload.
pub const HEADER: usize = 44;
const MAGIC: [u8; 4] = *b"vrS1";

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first one of each file.
    Begin = 1,
    Batch = 2,
    Reserve = 3,
    /// Nothing but how much was synced.
    Mark = 4,
    /// The last one of a journal that has a successor.
    Closed = 5,
    Objects = 6,
    /// The last one of a snapshot.
    End = 7,
    /// The only one of its file.
    Revision = 8,
}

/// What is said beside the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The CRC of the record before; 0: none.
    pub previous: u32,
    pub offset: u64,
    /// Bytes of the file known to be synced.
    pub synced: u64,
    /// The file's length, as far as it is known to be synced.
    pub length: u64,
}

/// A record that checks.
#[derive(Debug)]
pub struct Record<'a> {
    pub kind: Kind,
    pub frame: Frame,
    pub payload: &'a [u8],
    pub crc: u32,
    /// Where the next one begins.
    pub end: usize,
}

impl Kind {
    fn of(number: u32) -> Option<Kind> {
        use Kind::*;
        [Begin, Batch, Reserve, Mark, Closed, Objects, End, Revision].into_iter().find(|kind| *kind as u32 == number)
    }
}

/// What the CRCs of a file begin with.
pub fn seed(identity: u64, journal: bool, number: u64) -> u32 {
    let mut of = [0; 17];
    of[..8].copy_from_slice(&identity.to_le_bytes());
    of[8..16].copy_from_slice(&number.to_le_bytes());
    of[16] = u8::from(journal);
    crc32c::crc32c(&of)
}

/// Appends a record, whose payload `write` appends; returns its CRC.
///
/// # Panics
/// When the payload is 4 GiB or more: what is written is bounded well below.
pub fn append(out: &mut Vec<u8>, seed: u32, kind: Kind, frame: Frame, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
    let at = out.len();
    out.resize(at + HEADER, 0);
    write(out);
    let length = u32::try_from(out.len() - at - HEADER).expect("a payload below 4 GiB");
    let header = &mut out[at..at + HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&(kind as u32).to_le_bytes());
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..16].copy_from_slice(&frame.previous.to_le_bytes());
    header[16..24].copy_from_slice(&frame.offset.to_le_bytes());
    header[24..32].copy_from_slice(&frame.synced.to_le_bytes());
    header[32..40].copy_from_slice(&frame.length.to_le_bytes());
    let crc = crc(seed, &out[at..]);
    out[at + 40..at + 44].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The record at `at`, whatever came before it.
pub fn read(file: &[u8], at: usize, seed: u32) -> Result<Record<'_>, Fault> {
    let record = unchecked(file, at)?;
    if record.frame.offset != at as u64 {
        return Err(Fault::Elsewhere);
    }
    if crc(seed, &file[at..record.end]) != record.crc {
        return Err(Fault::Crc);
    }
    Ok(record)
}

/// The same, but for the CRC and the place: to find out by which seed it is to be checked.
pub fn unchecked(file: &[u8], at: usize) -> Result<Record<'_>, Fault> {
    let header = file.get(at..at + HEADER).ok_or(Fault::Short)?;
    if header[..4] != MAGIC {
        return Err(Fault::NoRecord);
    }
    let small = |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
    let large = |from: usize| u64::from(small(from)) | u64::from(small(from + 4)) << 32;
    let kind = Kind::of(small(4)).ok_or(Fault::NoRecord)?;
    let end = at + HEADER + small(8) as usize;
    let payload = file.get(at + HEADER..end).ok_or(Fault::Short)?;
    let frame = Frame { previous: small(12), offset: large(16), synced: large(24), length: large(32) };
    Ok(Record { kind, frame, payload, crc: small(40), end })
}

/// The first record from `from` on that checks by itself and satisfies `is`, found by its first bytes.
pub fn find<'a>(file: &'a [u8], from: usize, seed: u32, is: impl Fn(&Record) -> bool) -> Option<Record<'a>> {
    let mut at = from;
    while let Some(next) = file.get(at..)?.windows(4).position(|four| four == MAGIC) {
        at += next;
        match read(file, at, seed) {
            Ok(record) if is(&record) => return Some(record),
            _ => at += 1,
        }
    }
    None
}

/// Of a whole record, but for the CRC itself.
fn crc(seed: u32, record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &record[..HEADER - 4]), &record[HEADER..])
}
