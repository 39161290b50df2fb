//! Clients' connections, bounded in number.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;

/// A connection, and its place among those that may be open.
pub(super) struct Client {
    stream: UnixStream,
    line: Line,
    /// Until the client has said who it is: bytes to come, and how long they may take.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4). Who has sent it is asked for signs of life; before, nobody asks.
const PREFACE: usize = 24;

/// A hold on a client's connection, which every call on it has.
#[derive(Clone)]
pub(super) struct Line(Arc<std::os::unix::net::UnixStream>);

impl Line {
    fn of(stream: &UnixStream) -> io::Result<Line> {
        stream.as_fd().try_clone_to_owned().map(|fd| Line(Arc::new(fd.into())))
    }

    /// Ends the connection with all calls on it, and frees what waits in HTTP/2's buffers for a client that does not read: these
    /// outlast the call that filled them.
    pub(super) fn cut(&self) {
        // An error means that the client is gone already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Accepts until the receiver is dropped. Beyond `most` open connections, further ones wait in the kernel's backlog; a failed accept
/// (no descriptors left) is tried again. Who has not begun to speak HTTP/2 after `patience` is hung up on.
pub(super) fn clients(listener: UnixListener, most: usize, patience: Duration) -> mpsc::Receiver<Client> {
    let places = Arc::new(Semaphore::new(most));
    let (found, clients) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(place) = places.clone().acquire_owned().await {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted.and_then(|(stream, _)| Ok((Line::of(&stream)?, stream))),
                () = found.closed() => return,
            };
            match accepted {
                Ok((line, stream)) => {
                    let greeting = Some((PREFACE, Box::pin(tokio::time::sleep(patience))));
                    if found.send(Client { stream, line, greeting, _place: place }).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    clients
}

impl Client {
    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some((to_come, patience)) = &mut self.greeting {
            *to_come = to_come.saturating_sub(buf.filled().len() - before);
            if *to_come == 0 {
                self.greeting = None;
            } else if patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
