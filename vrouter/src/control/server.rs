//! The service `vrouter.v1.VRouter`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http;
use tonic::{Code, Request as Call, Response, Status, Streaming};
use tower::util::MapResponse;

use super::accept::{Line, Reception};
use super::access::{Audit, Caller, Of, Place, Terms};
use super::apply::{Batches, lease};
use super::capturing::{self, Taker};
use super::connections::Whole;
use super::request::{Request, Rows};
use super::socket::Socket;
use super::upgrade::{self, Order, Upgrades};
use super::watching::{Follower, Wanted};
use super::{chunks, connections, shadowing};
use crate::api::{OPERATOR, v1};
use v1::v_router_server::{VRouter, VRouterServer};

/// The contract's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Changes of a batch.
    pub changes: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
    /// Open batches, of all clients together.
    pub open_batches: usize,
    /// Long answers being given, to all clients together.
    pub open_lists: usize,
    /// Objects in them that are copied and not read yet; one answer alone may have more.
    pub listed_objects: usize,
    /// Watches, of all clients together.
    pub watches: usize,
    /// Open connections; further ones wait.
    pub connections: usize,
    /// How long a client may leave a connection without a greeting, a message half sent, a batch open without one, or an answer unread.
    pub stall: Duration,
    /// Open connections of one user, or of one certificate's holder: one client. Further ones are told so and closed.
    pub connections_of_one: usize,
    /// Open batches, long answers and watches of one client, of each.
    pub places_of_one: usize,
    /// Questions of one client that the control thread has at a time; its further ones wait, and others pass them.
    pub questions_of_one: usize,
    /// Calls of one client, and as many at once.
    pub calls_per_second: u32,
    /// Bytes of one client's messages of which the rest is missing.
    pub half_sent_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            message_bytes: 4 << 20,
            changes: 2_000_000,
            batch_bytes: 256 << 20,
            open_batches: 64,
            open_lists: 64,
            listed_objects: 2_500_000,
            watches: 64,
            connections: 64,
            stall: Duration::from_secs(60),
            connections_of_one: 48,
            places_of_one: 48,
            questions_of_one: 4,
            calls_per_second: 50_000,
            half_sent_bytes: 64 << 20,
        }
    }
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the control socket cannot be polled: {0}")]
    Listen(#[source] std::io::Error),
}

/// Serves until `shutdown`: then open calls end with UNAVAILABLE, the socket's file goes, and it returns, within a second. Needs a
/// tokio runtime with I/O and time; one thread is enough.
pub async fn serve(
    socket: Socket,
    requests: mpsc::Sender<Request>,
    terms: impl Into<Terms>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Terms { bounds, access, tls, audit, upgrades } = terms.into();
    let listener = socket.listener.try_clone().and_then(UnixListener::from_std).map_err(ServeError::Listen)?;
    let (stop, stopped) = watch::channel(false);
    let stopped = Stop { stopped, upgrades: upgrades.clone() };
    let calls = Calls {
        requests,
        bounds,
        batches: Arc::new(Semaphore::new(bounds.open_batches)),
        lists: Arc::new(Semaphore::new(bounds.open_lists)),
        objects: Arc::new(Semaphore::new(bounds.listed_objects)),
        watches: Arc::new(Semaphore::new(bounds.watches)),
        audit: audit.clone(),
        stop: stopped.clone(),
    };
    let service =
        VRouterServer::new(calls).max_decoding_message_size(bounds.message_bytes).max_encoding_message_size(usize::MAX);
    let (reception, clients) = Reception::new(access, (audit.clone(), upgrades), bounds);
    if let Some(tls) = tls {
        let (listener, door) = tls.split().map_err(ServeError::Listen)?;
        tokio::spawn(reception.clone().at_door(listener, door));
    }
    tokio::spawn(reception.at_socket(listener));
    let service = MapResponse::new(service, by_contract);
    let server = connections::serve(clients, service, (audit, bounds.stall), stopped);
    tokio::pin!(server, shutdown);
    tokio::select! {
        () = &mut server => return Ok(()),
        () = shutdown => {}
    }
    // Calls that are open get their status; a client that keeps its connection open regardless is not waited for.
    stop.send_replace(true);
    _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    Ok(())
}

/// Comes when the daemon stops.
#[derive(Clone)]
pub(super) struct Stop {
    stopped: watch::Receiver<bool>,
    upgrades: Option<Upgrades>,
}

impl Stop {
    pub(super) async fn come(&mut self) {
        // An error means that `serve` is gone, which is the same.
        let _ = self.stopped.wait_for(|&stopped| stopped).await;
    }

    /// What a call is told that ends before its answer, whatever became of what it asked.
    pub(super) fn status(&self) -> Status {
        self.told("an upgrade is under way: try again")
    }

    /// What a call is told that the control thread did not take up.
    pub(super) fn untaken(&self) -> Status {
        self.told("an upgrade is under way: nothing was changed, try again")
    }

    fn told(&self, of_upgrade: &str) -> Status {
        if self.upgrades.as_ref().is_some_and(Upgrades::is_under_way) {
            return Status::unavailable(of_upgrade);
        }
        stopping()
    }
}

pub(super) fn stopping() -> Status {
    Status::unavailable("the daemon is stopping")
}

struct Calls {
    requests: mpsc::Sender<Request>,
    bounds: Bounds,
    batches: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    objects: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    audit: Audit,
    stop: Stop,
}

impl Calls {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let mut stop = self.stop.clone();
        let asked = async {
            self.requests.send(request(reply)).await.map_err(|_| self.stop.untaken())?;
            answer.await.map_err(|_| self.stop.untaken())
        };
        tokio::select! {
            answer = asked => answer,
            () = stop.come() => Err(self.stop.status()),
        }
    }

    /// The same for a question: of one client's a few are asked at a time, so that others need not wait for all of them.
    async fn question<T>(
        &self,
        caller: &Caller,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Status> {
        let mut stop = self.stop.clone();
        let _turn = tokio::select! {
            turn = caller.account.questions.acquire() => turn.map_err(|_| self.stop.status())?,
            () = stop.come() => return Err(self.stop.status()),
        };
        self.ask(request).await
    }

    fn list_place(&self, caller: &Caller) -> Result<Place, Status> {
        place(&self.lists, self.bounds.open_lists, caller, Of::Lists, "answers are being given")
    }

    /// Places of the objects of a list, which is a copy.
    fn object_places(&self, objects: &Rows<v1::Object>) -> Result<OwnedSemaphorePermit, Status> {
        let most = self.bounds.listed_objects;
        let count = u32::try_from(objects.size_hint().0.min(most)).unwrap_or(u32::MAX);
        let full = |_| Status::resource_exhausted(format!("more than {most} objects would be listed at a time"));
        self.objects.clone().try_acquire_many_owned(count).map_err(full)
    }

    /// The place of an answer of one large message.
    fn whole<T>(&self, call: &Call<T>) -> Result<Whole, Status> {
        // as long as a stream's client has: to read a piece, and then that it was late
        let patience = self.bounds.stall * 2;
        let caller = caller(call)?;
        Ok(Whole { place: Arc::new(self.list_place(&caller)?), line: line(call)?, patience })
    }
}

fn large<T>(message: T, whole: Whole) -> Response<T> {
    let mut response = Response::new(message);
    response.extensions_mut().insert(whole);
    response
}

type Chunks<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl VRouter for Calls {
    type ApplyStream = Chunks<v1::ApplyReply>;
    type ListStream = Chunks<v1::ListChunk>;
    type FlowsStream = Chunks<v1::FlowsChunk>;
    type HitsStream = Chunks<v1::HitsChunk>;
    type WatchStream = Chunks<v1::Event>;
    type CaptureStream = Chunks<v1::CaptureChunk>;

    async fn apply(&self, call: Call<Streaming<v1::ApplyRequest>>) -> Result<Response<Self::ApplyStream>, Status> {
        let (replies, stream) = mpsc::channel(16);
        let batches = Batches::new(self.bounds, self.batches.clone(), caller(&call)?, self.audit.clone());
        tokio::spawn(batches.run(call.into_inner(), self.requests.clone(), replies, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list(&self, call: Call<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (line, caller) = (line(&call)?, caller(&call)?);
        let filter = call.into_inner();
        if v1::Kind::try_from(filter.kind).is_err() {
            return Err(Status::invalid_argument(format!("kind: there is no kind {}", filter.kind)));
        }
        let place = self.list_place(&caller)?;
        let listed = self.question(&caller, |reply| Request::List { filter, reply }).await?.map_err(refusal)?;
        let place = (place, self.object_places(&listed.objects)?);
        let chunk = move |objects| v1::ListChunk { generation: listed.generation, objects };
        Ok(Response::new(chunks::stream(listed.objects, chunk, self.bounds.stall, place, line)))
    }

    async fn sync(&self, call: Call<v1::SyncRequest>) -> Result<Response<v1::SyncReply>, Status> {
        let v1::SyncRequest { generation, timeout_ms } = call.into_inner();
        let wait = Duration::from_millis(if timeout_ms == 0 { 5000 } else { timeout_ms.into() });
        let late = |_| Status::deadline_exceeded(format!("not every worker was there within {wait:?}"));
        let asked = self.ask(|reply| Request::Sync { generation, reply });
        let generation = tokio::time::timeout(wait, asked).await.map_err(late)??;
        Ok(Response::new(v1::SyncReply { generation }))
    }

    async fn flows(&self, call: Call<v1::FlowsRequest>) -> Result<Response<Self::FlowsStream>, Status> {
        let (line, caller) = (line(&call)?, caller(&call)?);
        let filter = call.into_inner();
        let place = self.list_place(&caller)?;
        let flows = self.question(&caller, |reply| Request::Flows { filter, reply }).await?.map_err(refusal)?;
        let chunk = |flows| v1::FlowsChunk { flows };
        Ok(Response::new(chunks::stream(flows, chunk, self.bounds.stall, place, line)))
    }

    async fn hits(&self, call: Call<v1::HitsRequest>) -> Result<Response<Self::HitsStream>, Status> {
        let (line, caller) = (line(&call)?, caller(&call)?);
        let filter = call.into_inner();
        let place = self.list_place(&caller)?;
        let stall = self.bounds.stall;
        if filter.routes {
            let routes =
                self.question(&caller, |reply| Request::RouteHits { filter, reply }).await?.map_err(refusal)?;
            let chunk = |routes| v1::HitsChunk { routes, ..v1::HitsChunk::default() };
            return Ok(Response::new(chunks::stream(routes, chunk, stall, place, line)));
        }
        let rules = self.question(&caller, |reply| Request::Hits { filter, reply }).await?.map_err(refusal)?;
        let chunk = |rules| v1::HitsChunk { rules, ..v1::HitsChunk::default() };
        Ok(Response::new(chunks::stream(rules, chunk, stall, place, line)))
    }

    async fn watch(&self, call: Call<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (line, caller) = (line(&call)?, caller(&call)?);
        let wanted = Wanted::read(call.into_inner()).map_err(Status::invalid_argument)?;
        let snapshot = wanted.snapshot;
        let place = place(&self.watches, self.bounds.watches, &caller, Of::Watches, "watches are open")?;
        let list_place = if snapshot { Some(self.list_place(&caller)?) } else { None };
        let watching = self.question(&caller, |reply| Request::Watch { snapshot, reply }).await?;
        let object_places = watching.objects.as_ref().map(|objects| self.object_places(objects)).transpose()?;
        let list_place = (list_place, object_places);
        let (to, events) = mpsc::channel(1);
        let follower = Follower { wanted, stall: self.bounds.stall, to, place, line };
        tokio::spawn(follower.run(watching, list_place, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(events)))
    }

    async fn stats(&self, call: Call<v1::StatsRequest>) -> Result<Response<v1::StatsReply>, Status> {
        let (whole, caller) = (self.whole(&call)?, caller(&call)?);
        self.question(&caller, |reply| Request::Stats { reply }).await.map(|stats| large(stats, whole))
    }

    async fn victims(&self, call: Call<v1::VictimsRequest>) -> Result<Response<v1::VictimsReply>, Status> {
        let (whole, caller) = (self.whole(&call)?, caller(&call)?);
        let filter = call.into_inner();
        let victims = self.question(&caller, |reply| Request::Victims { filter, reply }).await?;
        victims.map(|victims| large(victims, whole)).map_err(refusal)
    }

    async fn capture(&self, call: Call<v1::CaptureRequest>) -> Result<Response<Self::CaptureStream>, Status> {
        let (line, caller, wanted) = (line(&call)?, caller(&call)?, call.into_inner());
        let (audit, told) = (self.audit.clone(), capturing::told(&wanted));
        let asked = |reply| {
            let heard = move |taken: &Result<_, _>| capturing::outcome(told, taken);
            let kept = audit.is_kept();
            let reply = if kept { audit.hears(&caller, ("Capture", String::new()), reply, heard) } else { reply };
            Request::Capture { wanted, reply }
        };
        let taken = self.question(&caller, asked).await?.map_err(capturing::status)?;
        let (to, chunks) = mpsc::channel(1);
        tokio::spawn(Taker { stall: self.bounds.stall, to, line }.run(taken, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(chunks)))
    }

    async fn explain(&self, call: Call<v1::ExplainRequest>) -> Result<Response<v1::ExplainReply>, Status> {
        let (caller, query) = (caller(&call)?, call.into_inner());
        if query.place.is_none() {
            return Err(Status::invalid_argument("place: neither vif nor tunnel_vrf is given"));
        }
        self.question(&caller, |reply| Request::Explain { query, reply }).await?.map(Response::new).map_err(refusal)
    }

    async fn keep_alive(&self, call: Call<v1::KeepAliveRequest>) -> Result<Response<v1::KeepAliveReply>, Status> {
        let (caller, mut wanted) = (caller(&call)?, call.into_inner());
        lease(wanted.lease_ms).map_err(Status::invalid_argument)?;
        own(&mut wanted.owner);
        let (owner, length) = (wanted.owner.clone(), wanted.lease_ms);
        let denied = |why| self.audit.denied(&caller, "KeepAlive", &owner, why);
        caller.may_act_for("KeepAlive", &owner).map_err(denied)?;
        let asked = |reply| {
            if length.is_none() || !self.audit.is_kept() {
                return Request::KeepAlive { wanted, reply };
            }
            let told = move |kept: &Result<_, _>| {
                let result = if kept.is_ok() { "kept" } else { "refused" };
                serde_json::json!({ "result": result, "lease_ms": length })
            };
            Request::KeepAlive { wanted, reply: self.audit.hears(&caller, ("KeepAlive", owner), reply, told) }
        };
        self.ask(asked).await?.map(Response::new).map_err(refusal)
    }

    async fn confirm(&self, call: Call<v1::ConfirmRequest>) -> Result<Response<v1::ConfirmReply>, Status> {
        let (caller, mut wanted) = (caller(&call)?, call.into_inner());
        own(&mut wanted.owner);
        let owner = wanted.owner.clone();
        let denied = |why| self.audit.denied(&caller, "Confirm", &owner, why);
        caller.may_act_for("Confirm", &owner).map_err(denied)?;
        let asked = |mut reply| {
            if self.audit.is_kept() {
                let told = |confirmed: &Result<v1::ConfirmReply, v1::Refused>| match confirmed {
                    Ok(it) => serde_json::json!({ "result": "confirmed", "generation": it.generation }),
                    Err(not) => serde_json::json!({ "result": "refused", "reason": not.reason }),
                };
                reply = self.audit.hears(&caller, ("Confirm", owner), reply, told);
            }
            Request::Confirm { wanted, reply }
        };
        self.ask(asked).await?.map(Response::new).map_err(refusal)
    }

    async fn revisions(&self, call: Call<v1::RevisionsRequest>) -> Result<Response<v1::RevisionsReply>, Status> {
        let (whole, caller) = (self.whole(&call)?, caller(&call)?);
        let wanted = call.into_inner();
        self.question(&caller, |reply| Request::Revisions { wanted, reply }).await.map(|kept| large(kept, whole))
    }

    async fn owners(&self, call: Call<v1::OwnersRequest>) -> Result<Response<v1::OwnersReply>, Status> {
        let (whole, caller) = (self.whole(&call)?, caller(&call)?);
        self.question(&caller, |reply| Request::Owners { reply }).await.map(|owners| large(owners, whole))
    }

    async fn status(&self, call: Call<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        let caller = caller(&call)?;
        self.question(&caller, |reply| Request::Status { reply }).await.map(Response::new)
    }

    async fn shadow_report(
        &self,
        call: Call<v1::ShadowReportRequest>,
    ) -> Result<Response<v1::ShadowReportReply>, Status> {
        let (whole, caller) = (self.whole(&call)?, caller(&call)?);
        let report = self.question(&caller, |reply| Request::ShadowReport { reply }).await?;
        report.map(|report| large(report, whole)).map_err(refusal)
    }

    async fn promote_shadow(&self, call: Call<v1::PromoteShadowRequest>) -> Result<Response<v1::ApplyReply>, Status> {
        let (caller, mut wanted) = (caller(&call)?, call.into_inner());
        own(&mut wanted.owner);
        shadowing::check(&caller, &self.audit, &wanted)?;
        let made = self.ask(|reply| shadowing::promote((&caller, &self.audit), wanted, reply)).await?;
        shadowing::promoted(made)
    }

    async fn discard_shadow(
        &self,
        call: Call<v1::DiscardShadowRequest>,
    ) -> Result<Response<v1::DiscardShadowReply>, Status> {
        let (caller, mut wanted) = (caller(&call)?, call.into_inner());
        own(&mut wanted.owner);
        shadowing::may_act_for(&caller, &self.audit, "DiscardShadow", &wanted.owner)?;
        shadowing::discarded(self.ask(|reply| shadowing::discard((&caller, &self.audit), wanted, reply)).await?)
    }

    async fn upgrade(&self, call: Call<v1::UpgradeRequest>) -> Result<Response<v1::UpgradeReply>, Status> {
        let caller = caller(&call)?;
        let (binary, prepare) = upgrade::wanted(call.into_inner()).map_err(Status::invalid_argument)?;
        let upgrades = self.stop.upgrades.as_ref();
        let upgrades = upgrades.ok_or_else(|| Status::failed_precondition("this daemon cannot be upgraded"))?;
        let (mut reply, answer) = oneshot::channel();
        if self.audit.is_kept() {
            let path = binary.display().to_string();
            let told = move |made: &Result<v1::UpgradeReply, _>| match made {
                Ok(done) => {
                    serde_json::json!({ "result": "upgraded", "binary": path, "pid": done.pid, "version": done.version })
                }
                Err(not) => serde_json::json!({ "result": "refused", "binary": path, "reason": format!("{not}") }),
            };
            reply = self.audit.hears(&caller, ("Upgrade", String::new()), reply, told);
        }
        upgrades.ask(Order { binary, prepare, reply })?;
        // it is answered also while all else ends
        let made: Result<_, upgrade::NotUpgraded> = answer.await.map_err(|_| stopping())?;
        Ok(Response::new(made?))
    }
}

/// The owner that is meant where none is named.
fn own(owner: &mut String) {
    if owner.is_empty() {
        *owner = OPERATOR.to_owned();
    }
}

/// The connection that a call came on.
fn line<T>(call: &Call<T>) -> Result<Line, Status> {
    call.extensions().get::<Line>().cloned().ok_or_else(|| Status::internal("a call of no connection"))
}

/// A place of all and of the client's own, of which there are so many.
pub(super) fn place(all: &Arc<Semaphore>, most: usize, caller: &Caller, of: Of, what: &str) -> Result<Place, Status> {
    let full = |count: usize, whose: &str| Status::resource_exhausted(format!("{count} {what} already{whose}"));
    let own =
        caller.account.place(of).ok_or_else(|| full(caller.account.places_in_all(), &format!(" for {caller}")))?;
    let place = all.clone().try_acquire_owned().map_err(|_| full(most, ""))?;
    Ok(Place::new(place, own))
}

/// Who made a call.
fn caller<T>(call: &Call<T>) -> Result<Arc<Caller>, Status> {
    call.extensions().get::<Arc<Caller>>().cloned().ok_or_else(|| Status::internal("a call of nobody"))
}

/// The refusal of a question: `object: field: reason`, without what is empty.
pub(super) fn refusal(refused: v1::Refused) -> Status {
    let parts = [refused.object, refused.field, refused.reason];
    Status::invalid_argument(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "))
}

/// No call here answers OUT_OF_RANGE or INTERNAL of itself: they are the transport's words for a request message that is too large
/// or cannot be decoded, which the contract calls a bound exceeded and a malformed request.
fn by_contract<B>(mut response: http::Response<B>) -> http::Response<B> {
    let code = response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    let contract = match code {
        Some(Code::OutOfRange) => Code::ResourceExhausted,
        Some(Code::Internal) => Code::InvalidArgument,
        _ => return response,
    };
    response.headers_mut().insert("grpc-status", http::HeaderValue::from(contract as i32));
    response
}
