//! What a client sends, held to a pace: a message that has begun ends in time, and few bytes wait for the rest of theirs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::account::Account;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The body of a call, as gRPC over HTTP/2 has it: messages with a header of five bytes each.
pub struct Paced<B> {
    body: B,
    account: Arc<Account>,
    patience: Duration,
    /// One message only: the body is to end with it.
    single: bool,
    framing: Framing,
    late: Option<Pin<Box<Sleep>>>,
}

/// How much of a message there is.
#[derive(Debug, Default)]
struct Framing {
    header: [u8; HEADER],
    /// Bytes of the header.
    read: usize,
    /// Bytes behind it, and those that are missing.
    there: usize,
    missing: usize,
}

/// One byte that says whether it is compressed, four of length.
const HEADER: usize = 5;

impl<B> Paced<B> {
    pub fn new(body: B, account: Arc<Account>, patience: Duration, single: bool) -> Paced<B> {
        Paced { body, account, patience, single, framing: Framing::default(), late: None }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let before = self.framing.unfinished();
        self.framing.take(bytes);
        let now = self.framing.unfinished();
        if now == 0 && !self.single {
            self.late = None;
        }
        if now <= before {
            self.account.sent(before - now);
        } else if !self.account.half_sent(now - before) {
            return Err(Status::resource_exhausted("too many bytes wait for the rest of their messages"));
        }
        Ok(())
    }

    /// Nothing is there: has it been so for too long?
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.single && self.framing.unfinished() == 0 {
            return false;
        }
        let patience = self.patience;
        self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))).as_mut().poll(cx).is_ready()
    }
}

impl Framing {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.read < HEADER {
                let some = bytes.len().min(HEADER - self.read);
                self.header[self.read..self.read + some].copy_from_slice(&bytes[..some]);
                self.read += some;
                bytes = &bytes[some..];
                if self.read == HEADER {
                    let [_, a, b, c, d] = self.header;
                    self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
                }
            } else {
                let some = bytes.len().min(self.missing);
                self.there += some;
                self.missing -= some;
                bytes = &bytes[some..];
            }
            if self.read == HEADER && self.missing == 0 {
                (self.read, self.there) = (0, 0);
            }
        }
    }

    /// Bytes of a message of which a part is missing.
    fn unfinished(&self) -> usize {
        self.read + self.there
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(Ok(()), |bytes| self.take(bytes));
                Poll::Ready(Some(taken.map(|()| frame).map_err(Error::from)))
            }
            Poll::Pending if self.is_late(cx) => {
                let text = format!("a message was not sent whole within {:?}", self.patience);
                Poll::Ready(Some(Err(Status::deadline_exceeded(text).into())))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(end) => Poll::Ready(end.map(|it| it.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Paced<B> {
    fn drop(&mut self) {
        self.account.sent(self.framing.unfinished());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        /// However messages are cut into pieces, what is unfinished is what came behind the end of the last whole one.
        #[test]
        fn what_is_unfinished_is_behind_the_last_whole_message(
            lengths in prop::collection::vec(0_usize..40, 0..8),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for length in lengths {
                bytes.push(0);
                bytes.extend((length as u32).to_be_bytes());
                bytes.extend(vec![7; length]);
                ends.push(bytes.len());
            }
            let (mut framing, mut at) = (Framing::default(), 0);
            for cut in cuts {
                let to = (at + cut).min(bytes.len());
                framing.take(&bytes[at..to]);
                at = to;
                let whole = ends.iter().filter(|end| **end <= at).max().unwrap();
                prop_assert_eq!(framing.unfinished(), at - whole);
            }
        }
    }
}
