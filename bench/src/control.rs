//! A client of the control socket that costs little itself: its batches are bytes before they are sent.

use std::path::Path;
use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use vrouter::api::v1;
use vrouter::api::v1::apply_request::Step;
use vrouter::api::v1::object::Kind;
use vrouter::api::v1::v_router_client::VRouterClient;

/// Changes of a message, which has at most 4 MiB.
const MESSAGE: usize = 20_000;
/// Messages that wait for the transport.
const AHEAD: usize = 16;

/// What a measurement fails with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A connection.
pub struct Client {
    /// For all calls but `Apply`.
    pub calls: VRouterClient<Channel>,
    raw: Grpc<Channel>,
}

/// A call of `Apply` that goes on.
pub struct Batches {
    requests: mpsc::Sender<Bytes>,
    replies: tonic::Streaming<v1::ApplyReply>,
}

/// A batch as bytes of its messages.
#[derive(Clone)]
pub struct Batch {
    messages: Vec<Bytes>,
    /// How many changes it has.
    pub changes: usize,
}

impl Batch {
    /// The messages of a batch with these changes.
    pub fn new(owner: &str, changes: &[v1::Change]) -> Batch {
        let begin = Step::Begin(v1::Begin { owner: owner.into(), ..v1::Begin::default() });
        let pieces = changes.chunks(MESSAGE).map(|piece| Step::Changes(v1::Changes::from(piece.to_vec())));
        let steps = std::iter::once(begin).chain(pieces).chain([Step::Commit(v1::Commit {})]);
        let messages = steps.map(|step| v1::ApplyRequest { step: Some(step) }.encode_to_vec().into()).collect();
        Batch { messages, changes: changes.len() }
    }

    /// Its bytes.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(Bytes::len).sum()
    }
}

impl Client {
    /// Connects to the daemon behind this socket.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn connect(socket: &Path) -> Result<Client, Error> {
        let stream = Mutex::new(Some(TokioIo::new(UnixStream::connect(socket).await?)));
        let connector = tower::service_fn(move |_| {
            let stream = stream.lock().map_or(None, |mut stream| stream.take());
            async move { stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionReset)) }
        });
        let channel = Endpoint::from_static("http://vrouter").connect_with_connector(connector).await?;
        let calls = VRouterClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        Ok(Client { calls, raw: Grpc::new(channel) })
    }

    /// Opens a call of `Apply`.
    ///
    /// # Errors
    /// It is not answered.
    pub async fn batches(&mut self) -> Result<Batches, Error> {
        let (requests, stream) = mpsc::channel(AHEAD);
        self.raw.ready().await?;
        let path = PathAndQuery::from_static("/vrouter.v1.VRouter/Apply");
        let request = tonic::Request::new(ReceiverStream::new(stream));
        let replies = self.raw.streaming(request, path, Raw).await?.into_inner();
        Ok(Batches { requests, replies })
    }

    /// One batch by a call of its own. Its generation.
    ///
    /// # Errors
    /// It is refused, or the call ends.
    pub async fn apply(&mut self, batch: &Batch) -> Result<u64, Error> {
        self.batches().await?.apply(batch).await
    }

    /// Returns when every worker forwards by this generation.
    ///
    /// # Errors
    /// None does within five seconds.
    pub async fn sync(&mut self, generation: u64) -> Result<(), Error> {
        self.calls.sync(v1::SyncRequest { generation, timeout_ms: 0 }).await?;
        Ok(())
    }
}

impl Batches {
    /// Sends a batch and takes its answer: its generation.
    ///
    /// # Errors
    /// It is refused, or the call ends.
    pub async fn apply(&mut self, batch: &Batch) -> Result<u64, Error> {
        self.send(batch).await;
        self.answer().await
    }

    /// Sends a batch, whose answer comes after those of the ones before it.
    pub async fn send(&mut self, batch: &Batch) {
        for message in &batch.messages {
            // who ended the call says why, in place of the answer
            if self.requests.send(message.clone()).await.is_err() {
                break;
            }
        }
    }

    /// Takes the answer of the oldest batch that has none: its generation.
    ///
    /// # Errors
    /// It is refused, or the call ends.
    pub async fn answer(&mut self) -> Result<u64, Error> {
        let reply = self.replies.message().await?.ok_or("the call ended")?;
        match reply.result.ok_or("an answer without a result")? {
            v1::apply_reply::Result::Applied(applied) => Ok(applied.generation),
            v1::apply_reply::Result::Refused(refused) => {
                Err(format!("{}: {}: {}", refused.object, refused.field, refused.reason).into())
            }
            v1::apply_reply::Result::Plan(_) => Err("a plan, which nobody asked for".into()),
            v1::apply_reply::Result::Shadowed(_) => Err("a shadow, which nobody asked for".into()),
        }
    }
}

/// A put of this object.
pub fn put(kind: Kind) -> v1::Change {
    v1::Change { op: Some(v1::change::Op::Put(v1::Object::from(kind))) }
}

/// Requests are bytes, replies messages.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = v1::ApplyReply;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = v1::ApplyReply;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<v1::ApplyReply>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        v1::ApplyReply::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
