//! A snapshot: Begin, the objects in pieces, End. It is written under another name, synced, and then named: one that is there is whole.

use std::io;

use prost::Message;

use super::error::{DurableError, Fault, on};
use super::files::Files;
use super::image::Image;
use super::record::{self, Frame, Kind};
use crate::api::state::v1 as state;

/// The version of the files' layout.
pub const VERSION: u32 = 3;
/// From this version on batches may wait to be confirmed.
pub(super) const CONFIRMS: u32 = 3;
/// From this version on a batch has its changes as they came, not one by one.
pub(super) const SAID: u32 = 2;
/// Files of this version are read as well.
const OLDEST: u32 = 1;
/// Objects of a piece.
const PIECE: usize = 1000;
/// Bytes that are written at once.
const WRITE: usize = 4 << 20;

/// The file's name.
pub fn name(number: u64) -> String {
    format!("snapshot-{number:08}")
}

/// Writes a whole snapshot and names it. Returns its length.
pub fn write(files: &dyn Files, identity: u64, number: u64, image: &Image) -> Result<u64, DurableError> {
    let (name, unnamed) = (name(number), format!("{}.new", name(number)));
    let file = files.create(&unnamed).map_err(on(&unnamed))?;
    let length = pieces(identity, number, image, &mut |at, bytes| file.write_at(at, bytes)).map_err(on(&unnamed))?;
    file.sync().map_err(on(&unnamed))?;
    files.rename(&unnamed, &name).map_err(on(&name))?;
    files.sync_directory().map_err(on(&name))?;
    Ok(length)
}

/// An image as a snapshot of no directory: what [`unpack`] takes.
pub fn pack(image: &Image) -> Vec<u8> {
    let mut all = Vec::new();
    let packed = pieces(0, 0, image, &mut |_, bytes| {
        all.extend_from_slice(bytes);
        Ok(())
    });
    debug_assert!(packed.is_ok(), "memory takes all");
    all
}

/// The image in it.
pub fn unpack(bytes: &[u8]) -> Result<Image, Fault> {
    parse(bytes, 0).map(|(_, image)| image).map_err(|(_, fault)| fault)
}

/// Gives the bytes of a snapshot out, with where they belong. Their number.
fn pieces(
    identity: u64,
    number: u64,
    image: &Image,
    write: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut out = Writer { seed: record::seed(identity, false, number), previous: 0, at: 0, bytes: Vec::new() };
    let begin = state::Begin { version: VERSION, identity, number, batches: image.batches };
    out.put(Kind::Begin, &begin);
    let mut objects = image.encoded().peekable();
    while objects.peek().is_some() {
        let kept = |(owner, object): (&str, &[u8])| state::Kept { owner: owner.to_owned(), object: object.to_vec() };
        out.put(Kind::Objects, &state::Objects { objects: objects.by_ref().take(PIECE).map(kept).collect() });
        if out.bytes.len() >= WRITE {
            write(out.at, &out.bytes)?;
            out.written();
        }
    }
    let (objects, generation) = (image.len() as u64, image.generation);
    out.put(
        Kind::End,
        &state::End {
            objects,
            generation,
            numbers: Some(image.numbers()),
            leases: image.leases.clone().into_iter().collect(),
            unconfirmed: image.unconfirmed.clone().into_iter().collect(),
            revisions: image.revisions.clone(),
        },
    );
    write(out.at, &out.bytes)?;
    out.written();
    Ok(out.at)
}

/// The image that a snapshot says, and the directory's identity.
pub fn read(files: &dyn Files, number: u64) -> Result<(u64, Image), DurableError> {
    let name = name(number);
    let bytes = files.read(&name).map_err(on(&name))?;
    parse(&bytes, number).map_err(|(offset, fault)| DurableError::Corrupt { file: name, offset: offset as u64, fault })
}

fn parse(bytes: &[u8], number: u64) -> Result<(u64, Image), (usize, Fault)> {
    let (seed, begin) = begin(bytes, false, number).map_err(|fault| (0, fault))?;
    let mut image = Image::default();
    image.batches = begin.batches;
    let (mut at, mut previous) = (0, 0);
    loop {
        let record = record::read(bytes, at, seed).map_err(|fault| (at, fault))?;
        if record.frame.previous != previous {
            return Err((at, Fault::Chain));
        }
        let payload = |_| (at, Fault::Payload);
        match record.kind {
            Kind::Begin if at == 0 => {}
            Kind::Objects if at > 0 => {
                for kept in state::Objects::decode(record.payload).map_err(payload)?.objects {
                    image.put_encoded(kept.owner.into(), kept.object).map_err(|fault| (at, fault))?;
                }
            }
            Kind::End if at > 0 => {
                let end = state::End::decode(record.payload).map_err(payload)?;
                if end.objects != image.len() as u64 {
                    return Err((at, Fault::Payload));
                }
                image.reserve(end.generation);
                image.number(end.numbers.unwrap_or_default());
                image.leases = end.leases.into_iter().collect();
                image.unconfirmed = end.unconfirmed.into_iter().collect();
                image.revisions = end.revisions;
                let beyond = record.end != bytes.len();
                return if beyond { Err((record.end, Fault::Beyond)) } else { Ok((begin.identity, image)) };
            }
            _ => return Err((at, Fault::Kind)),
        }
        (at, previous) = (record.end, record.crc);
    }
}

/// Reads the first record of a file, which says whose the file is, and by which seed all its records are checked.
pub(super) fn begin(bytes: &[u8], journal: bool, number: u64) -> Result<(u32, state::Begin), Fault> {
    let first = record::unchecked(bytes, 0)?;
    let begin = state::Begin::decode(first.payload);
    let seed = record::seed(begin.as_ref().map_or(0, |begin| begin.identity), journal, number);
    let first = record::read(bytes, 0, seed)?;
    let begin = begin.map_err(|_| Fault::Payload)?;
    match first.kind {
        Kind::Begin if !(OLDEST..=VERSION).contains(&begin.version) => Err(Fault::Version),
        Kind::Begin if begin.number == number && first.frame.previous == 0 => Ok((seed, begin)),
        _ => Err(Fault::Kind),
    }
}

struct Writer {
    seed: u32,
    previous: u32,
    /// Where `bytes` begin.
    at: u64,
    bytes: Vec<u8>,
}

impl Writer {
    fn put(&mut self, kind: Kind, payload: &impl Message) {
        let frame = Frame { previous: self.previous, offset: self.at + self.bytes.len() as u64, ..Frame::default() };
        self.previous = record::append(&mut self.bytes, self.seed, kind, frame, |out| encode(payload, out));
    }

    fn written(&mut self) {
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
    }
}

/// Appends a payload.
pub(super) fn encode(payload: &impl Message, out: &mut Vec<u8>) {
    payload.encode(out).expect("a vector grows");
}
