//! Long answers in pieces, at the client's pace.

use std::iter::Peekable;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::accept::Line;
use super::request::Rows;

/// Rows of a chunk, at most.
const ROWS: usize = 1000;
/// Bytes of a chunk, at most, unless one row alone is larger. An answer that is not read holds one chunk as rows and one encoded, next to
/// HTTP/2's own (`connections::UNSENT`): this bounds what clients that do not read cost.
const BYTES: usize = 64 << 10;

/// Streams `rows` in chunks made by `chunk`; an empty answer is one empty chunk. `place` is held until the end; the stream fails
/// when the client takes no chunk for `stall`, and `line` is cut when it does not take that either.
pub(super) fn stream<T, C>(
    rows: Rows<T>,
    chunk: impl Fn(Vec<T>) -> C + Send + 'static,
    stall: Duration,
    place: impl Send + 'static,
    line: Line,
) -> ReceiverStream<Result<C, Status>>
where
    T: Message + 'static,
    C: Send + 'static,
{
    let (to, chunks) = mpsc::channel(1);
    tokio::spawn(async move {
        let _place = place;
        let mut rows = rows.peekable();
        let mut first = true;
        loop {
            // A chunk is made when there is room for it, not before: what is made waits in memory.
            let room = match tokio::time::timeout(stall, to.reserve()).await {
                Ok(Ok(room)) => room,
                Ok(Err(_)) => return,
                Err(_) => return unread(&to, stall, &line).await,
            };
            // On a blocking thread: rows may search a large table for few matches.
            let piece;
            match tokio::task::spawn_blocking(move || take(rows)).await {
                Ok(taken) => (rows, piece) = taken,
                Err(error) => {
                    tracing::error!(%error, "a listing failed");
                    return;
                }
            }
            if piece.is_empty() && !first {
                return;
            }
            first = false;
            room.send(Ok(chunk(piece)));
        }
    });
    ReceiverStream::new(chunks)
}

/// The client is told if it reads on after all, and else cut off.
async fn unread<C>(to: &mpsc::Sender<Result<C, Status>>, stall: Duration, line: &Line) {
    let status = Status::deadline_exceeded("the answer was not read");
    let told = tokio::time::timeout(stall, to.send(Err(status))).await;
    tracing::debug!(reads = told.is_ok(), "a client did not read its answer");
    if told.is_err() {
        line.cut();
    }
}

/// What one chunk has taken.
#[derive(Default)]
pub(super) struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// Takes this row, if the chunk has room for it.
    pub(super) fn fits(&mut self, row: &impl Message) -> bool {
        self.rows += 1;
        self.bytes += row.encoded_len() + 8;
        self.rows <= ROWS && (self.bytes <= BYTES || self.rows == 1)
    }
}

/// The next chunk's rows; empty at the end.
pub(super) fn take<T: Message>(mut rows: Peekable<Rows<T>>) -> (Peekable<Rows<T>>, Vec<T>) {
    let (mut room, mut piece) = (Room::default(), Vec::new());
    while let Some(row) = rows.next_if(|row| room.fits(row)) {
        piece.push(row);
    }
    (rows, piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1;

    #[test]
    fn pieces_are_bounded_in_rows_and_bytes_and_lose_nothing() {
        let row =
            |at: usize| v1::Vrf { name: "x".repeat(if at < 50 { (at % 5) << 16 } else { 1 }), ..Default::default() };
        let mut rows: Peekable<Rows<_>> = (Box::new((0..2500).map(row)) as Rows<_>).peekable();
        let (mut sizes, mut all) = (Vec::new(), 0);
        loop {
            let piece;
            (rows, piece) = take(rows);
            if piece.is_empty() {
                break;
            }
            let bytes: usize = piece.iter().map(Message::encoded_len).sum();
            assert!(bytes <= BYTES || piece.len() == 1, "{bytes}");
            all += piece.len();
            sizes.push(piece.len());
        }
        assert_eq!(all, 2500);
        assert_eq!(sizes.iter().max(), Some(&ROWS));
        assert!(sizes.len() > 10);
    }
}
