//! HTTP/2 on the clients' connections, with bounds on what waits there for a client that does not read.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tower::ServiceExt;

use super::accept::{Client, Line};
use super::access::{Audit, Guard, Place};
use super::server::Stop;

/// Calls that may be open on a connection at a time; a client waits with further ones.
const STREAMS: u32 = 32;
/// Bytes of one call's answer that HTTP/2 takes beyond what the client lets it send, and then one piece more (`chunks::BYTES`). They stay
/// when the call is over, until the client takes them or goes: `connections` x `STREAMS` x (this and a piece) in all.
const UNSENT: usize = 64 << 10;
/// Bytes of a call's headers.
const HEADERS: u32 = 16 << 10;
/// A client that gives no sign of life when it is asked for one is hung up on.
const SILENCE: Duration = Duration::from_secs(20);

/// Serves each client until it goes; at `stop` open calls end, and it returns when the clients have gone.
pub(super) async fn serve<S>(
    mut clients: mpsc::Receiver<Client>,
    service: S,
    (audit, patience): (Audit, Duration),
    mut stop: Stop,
) where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(UNSENT)
        .max_header_list_size(HEADERS)
        .keep_alive_timeout(SILENCE)
        .keep_alive_interval(Some(Duration::from_secs(60)));
    let mut open = JoinSet::new();
    loop {
        let client = tokio::select! {
            client = clients.recv() => client,
            Some(_) = open.join_next() => continue,
            () = stop.come() => None,
        };
        let Some(client) = client else { break };
        let line = client.line();
        let service = Guard { service: service.clone(), caller: client.caller(), audit: audit.clone(), patience };
        let service = service.map_request(move |mut call: http::Request<Incoming>| {
            call.extensions_mut().insert(line.clone());
            call
        });
        let service = TowerToHyperService::new(service.map_response(held));
        let connection = builder.serve_connection(TokioIo::new(client), service);
        let mut stop = stop.clone();
        open.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.come() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a control connection ended");
            }
        });
    }
    drop(clients);
    while open.join_next().await.is_some() {}
}

/// Put into the extensions of an answer of one large message: it keeps its place among answers until HTTP/2 has taken it; when the client does
/// not let that happen within `patience`, its connection is cut.
#[derive(Clone)]
pub(super) struct Whole {
    pub place: Arc<Place>,
    pub line: Line,
    pub patience: Duration,
}

/// An answer's body, with its place.
struct Held {
    body: Body,
    _place: Arc<Place>,
    /// Dropped with the body.
    _taken: oneshot::Sender<()>,
}

fn held(mut answer: http::Response<Body>) -> http::Response<Body> {
    let Some(Whole { place, line, patience }) = answer.extensions_mut().remove::<Whole>() else { return answer };
    let (_taken, taken) = oneshot::channel();
    tokio::spawn(async move {
        if tokio::time::timeout(patience, taken).await.is_err() {
            tracing::debug!("a client did not read its answer");
            line.cut();
        }
    });
    answer.map(|body| Body::new(Held { body, _place: place, _taken }))
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
