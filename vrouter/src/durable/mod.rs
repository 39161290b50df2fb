//! The state directory: what was acknowledged outlives the daemon and its host.
//!
//! A directory is one [`snapshot`] and the [`journal`] of the batches since it. A batch is acknowledged when it is in the journal and
//! that was synced; a group of them shares a sync. A journal that has grown is closed, goes on in the next one, and is made a
//! snapshot of by reading the files ([`compact`]): who makes batches is not asked for anything. At a start [`open`] reads the snapshot and its
//! journals into an [`Image`]. Each record is checked. What does not check is damage, which ends the start, unless it lies behind all that is known
//! to have been synced: that is a batch that was being written, and is cut off.
//!
//! Order of writes, so that every crash leaves what can be read:
//! 1. A file is written under another name, synced, named, and its directory synced. So a file that has its name is whole.
//! 2. Journal N+1 is there before the closing record of N; it has batches after that was synced only.
//! 3. Snapshot N+1 is there before snapshot N and journal N are removed.
//!
//! Beside them lie the files of [`revision`]s, on which nothing rests.
//!
//! There is no thread and no clock here.

mod error;
mod files;
mod image;
mod journal;
mod record;
mod recover;
pub mod revision;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

pub use error::{DurableError, Fault};
pub use files::{File, Files, Folder};
pub use image::{Image, keep_lease, keep_unconfirmed};
pub use journal::{Cut, Journal, Room};
pub use recover::{Recovered, begin_anew, compact, open, read};
pub use snapshot::{pack, unpack};
