//! Why a state directory cannot be used.

use std::io;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the file ends within a record")]
    Short,
    #[error("no record begins here")]
    NoRecord,
    #[error("the record belongs elsewhere")]
    Elsewhere,
    #[error("the record's checksum is wrong")]
    Crc,
    #[error("the record does not follow the one before it")]
    Chain,
    #[error("the record's payload cannot be read")]
    Payload,
    #[error("the record is of a kind that does not belong here")]
    Kind,
    #[error("batches are missing before this one")]
    Gap,
    #[error("bytes follow the last record")]
    Beyond,
    #[error("the file is shorter than it was when it was synced")]
    Truncated,
    #[error("the file ends without its last record")]
    Unclosed,
    #[error("the file is of another state directory")]
    Foreign,
    #[error("the file was written by another version of the daemon")]
    Version,
}

/// Why nothing was loaded, or nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    #[error("{file}: {error}")]
    Io { file: String, error: io::Error },
    #[error(
        "{file}: at byte {offset}: {fault}; nothing was loaded. Restore the directory's files from a copy of all of them, or move them away to begin empty"
    )]
    Corrupt { file: String, offset: u64, fault: Fault },
    #[error(
        "{file}: is missing; nothing was loaded. Restore the directory's files from a copy of all of them, or move them away to begin empty"
    )]
    Missing { file: String },
}

/// Names the file of an I/O error.
pub(super) fn on(file: &str) -> impl FnOnce(io::Error) -> DurableError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::NotFound => DurableError::Missing { file: file.to_owned() },
        _ => DurableError::Io { file: file.to_owned(), error },
    }
}
