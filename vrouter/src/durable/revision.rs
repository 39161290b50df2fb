//! Revisions: what an owner's objects were. Each has a file of its own with one record, which is written under another name, synced, and then
//! named. Nothing else rests on them: one that does not check is named and left where it is.

use prost::Message;

use super::error::{DurableError, Fault, on};
use super::files::Files;
use super::record::{self, Frame, Kind};
use super::snapshot::encode;
use crate::api::state::v1 as state;

/// The version of the record.
const VERSION: u32 = 1;

/// The file's name.
fn name(generation: u64) -> String {
    format!("revision-{generation:08}")
}

/// Writes one. It is kept when this returns.
pub fn keep(files: &dyn Files, identity: u64, revision: &state::Revision) -> Result<(), DurableError> {
    let name = name(revision.generation);
    let unnamed = format!("{name}.new");
    let file = files.create(&unnamed).map_err(on(&unnamed))?;
    let seed = record::seed(identity, false, revision.generation);
    let revision = state::Revision { version: VERSION, ..revision.clone() };
    let mut bytes = Vec::new();
    record::append(&mut bytes, seed, Kind::Revision, Frame::default(), |out| encode(&revision, out));
    file.write_at(0, &bytes).and_then(|()| file.sync()).map_err(on(&unnamed))?;
    files.rename(&unnamed, &name).map_err(on(&name))?;
    files.sync_directory().map_err(on(&name))
}

/// Removes some. One that comes back after a crash goes with the next start.
pub fn forget(files: &dyn Files, generations: &[u64]) {
    generations.iter().for_each(|generation| _ = files.remove(&name(*generation)));
}

/// What was read, and the names of files that do not check, with what is wrong.
pub type Read = (Vec<state::Revision>, Vec<(String, String)>);

/// All that check, oldest first, and the names of those that do not, with what is wrong.
///
/// # Errors
/// The directory cannot be read.
pub fn all(files: &dyn Files, identity: u64) -> Result<Read, DurableError> {
    let (mut revisions, mut damaged) = (Vec::new(), Vec::new());
    for name in files.list().map_err(on("the directory"))? {
        let Some(generation) = name.strip_prefix("revision-").and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        let read = files.read(&name).map_err(|error| error.to_string());
        match read.and_then(|bytes| parse(&bytes, identity, generation).map_err(|fault| fault.to_string())) {
            Ok(revision) => revisions.push(revision),
            Err(why) => damaged.push((name, why)),
        }
    }
    revisions.sort_by_key(|revision| revision.generation);
    damaged.sort();
    Ok((revisions, damaged))
}

fn parse(bytes: &[u8], identity: u64, generation: u64) -> Result<state::Revision, Fault> {
    let record = record::read(bytes, 0, record::seed(identity, false, generation))?;
    if record.kind != Kind::Revision {
        return Err(Fault::Kind);
    }
    if record.end != bytes.len() {
        return Err(Fault::Beyond);
    }
    let revision = state::Revision::decode(record.payload).map_err(|_| Fault::Payload)?;
    match revision.version {
        VERSION if revision.generation == generation => Ok(revision),
        VERSION => Err(Fault::Elsewhere),
        _ => Err(Fault::Version),
    }
}
