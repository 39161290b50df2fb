//! Clients' connections, bounded in number.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, timeout};

use super::access::{Access, Accounts, Audit, Caller, Door, Peer, farewell};
use super::server::Bounds;
use super::upgrade::Upgrades;

/// A connection, and its place among those that may be open.
pub(super) struct Client {
    stream: Box<dyn Duplex>,
    line: Line,
    caller: Arc<Caller>,
    /// Until the client has said who it is: bytes to come, and how long they may take.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// Of all, and of its holder's.
    _places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4). Who has sent it is asked for signs of life; before, nobody asks.
const PREFACE: usize = 24;
/// Clients of other hosts that may be at their handshakes at a time; further ones wait.
const HANDSHAKES: usize = 16;
/// How long a handshake may take, at most.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A hold on a client's connection, which every call on it has.
#[derive(Clone)]
pub(super) struct Line(Arc<OwnedFd>);

impl Line {
    fn of(stream: &impl AsFd) -> io::Result<Line> {
        stream.as_fd().try_clone_to_owned().map(|fd| Line(Arc::new(fd)))
    }

    /// Ends the connection with all calls on it, and frees what waits in HTTP/2's buffers for a client that does not read: these
    /// outlast the call that filled them.
    pub(super) fn cut(&self) {
        // An error means that the client is gone already.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}

/// Who comes in, and how many.
#[derive(Clone)]
pub(super) struct Reception {
    pub access: Arc<Access>,
    pub audit: Audit,
    upgrades: Option<Upgrades>,
    bounds: Bounds,
    accounts: Arc<Accounts>,
    places: Arc<Semaphore>,
    found: mpsc::Sender<Client>,
}

impl Reception {
    /// And where clients come out.
    pub(super) fn new(
        access: Arc<Access>,
        (audit, upgrades): (Audit, Option<Upgrades>),
        bounds: Bounds,
    ) -> (Reception, mpsc::Receiver<Client>) {
        let (found, clients) = mpsc::channel(1);
        let places = Arc::new(Semaphore::new(bounds.connections));
        let accounts = Arc::new(Accounts::new(bounds));
        (Reception { access, audit, upgrades, bounds, accounts, places, found }, clients)
    }

    /// Accepts at the socket until the receiver is dropped, or another daemon is to let clients in. Beyond so many open connections, further ones wait in the kernel's backlog; a
    /// failed accept (no descriptors left) is tried again. Who has not begun to speak HTTP/2 in time is hung up on.
    pub(super) async fn at_socket(self, listener: UnixListener) {
        while let Ok(place) = self.places.clone().acquire_owned().await {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted.and_then(|(stream, _)| Ok((peer(&stream)?, stream))),
                () = Upgrades::leaving(self.upgrades.as_ref()) => return,
                () = self.found.closed() => return,
            };
            match accepted {
                Ok((peer, stream)) => self.enter(stream, peer, place).await,
                Err(error) => hindered(&error).await,
            }
        }
    }

    /// The same at the door for other hosts. Who is at its handshake takes no place of those who are in.
    pub(super) async fn at_door(self, listener: TcpListener, door: Door) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        while let Ok(handshake) = handshakes.clone().acquire_owned().await {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = Upgrades::leaving(self.upgrades.as_ref()) => return,
                () = self.found.closed() => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (reception, door) = (self.clone(), door.clone());
                    tokio::spawn(async move {
                        let _handshake = handshake;
                        reception.greet(stream, address, door).await;
                    });
                }
                Err(error) => hindered(&error).await,
            }
        }
    }

    async fn greet(self, stream: TcpStream, address: SocketAddr, door: Door) {
        let line = stream.set_nodelay(true).and_then(|()| Line::of(&stream));
        let greeted = timeout(HANDSHAKE.min(self.bounds.stall), door.let_in(stream, address)).await;
        let turned_away = |why: &dyn std::fmt::Display| {
            tracing::debug!(%address, %why, "a client was turned away");
            self.audit.turned_away(address, &why.to_string());
        };
        match greeted {
            Ok(Ok((stream, peer))) => {
                let place = timeout(self.bounds.stall, self.places.clone().acquire_owned()).await;
                match (line, place) {
                    (Ok(line), Ok(Ok(place))) => self.enter_by(stream, line, peer, place).await,
                    _ => farewell(stream, "all connections are taken").await,
                }
            }
            Ok(Err(error)) => turned_away(&error),
            Err(_) => turned_away(&"the handshake took too long"),
        }
    }

    async fn enter(&self, stream: UnixStream, peer: Peer, place: OwnedSemaphorePermit) {
        match Line::of(&stream) {
            Ok(line) => self.enter_by(stream, line, peer, place).await,
            Err(error) => hindered(&error).await,
        }
    }

    async fn enter_by(&self, stream: impl Duplex + 'static, line: Line, peer: Peer, place: OwnedSemaphorePermit) {
        let account = self.accounts.of(&peer);
        let own = account.connection();
        let caller = self.access.caller(peer, account);
        let Some(own) = own else {
            let most = self.bounds.connections_of_one;
            let why = format!("{most} connections of {caller} are open already");
            tokio::spawn(async move {
                farewell(stream, &why).await;
                drop(place);
            });
            return;
        };
        let greeting = Some((PREFACE, Box::pin(tokio::time::sleep(self.bounds.stall))));
        let client =
            Client { stream: Box::new(stream), line, caller: Arc::new(caller), greeting, _places: (place, own) };
        // an error means that the server is stopping
        let _ = self.found.send(client).await;
    }
}

async fn hindered(error: &io::Error) {
    tracing::warn!(%error, "a control connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Who connected, as the kernel noted then.
fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    Ok(Peer::Local { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() })
}

impl Client {
    pub(super) fn caller(&self) -> Arc<Caller> {
        self.caller.clone()
    }

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
