//! The control socket against the contract: order, bounds, bad input, slow clients, the socket's file.

mod control_daemon;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use control_daemon::{Daemon, Folder, client};
use tokio_stream::{StreamExt, iter};
use tonic::Code;
use v1::apply_request::Step;
use vrouter::api::v1;
use vrouter::control::{Bounds, Socket, SocketError};

fn put(kind: v1::object::Kind) -> v1::Change {
    v1::Change { op: Some(v1::change::Op::Put(v1::Object::from(kind))) }
}

fn vrf(name: &str) -> v1::Change {
    put(v1::object::Kind::Vrf(v1::Vrf { name: name.into(), ..Default::default() }))
}

fn step(step: Step) -> v1::ApplyRequest {
    v1::ApplyRequest { step: Some(step) }
}

fn begin() -> v1::ApplyRequest {
    step(Step::Begin(v1::Begin::default()))
}

fn changes(changes: Vec<v1::Change>) -> v1::ApplyRequest {
    step(Step::Changes(v1::Changes::from(changes)))
}

fn commit() -> v1::ApplyRequest {
    step(Step::Commit(v1::Commit {}))
}

/// What a stream of steps is answered: generations, refusals, and the status at its end.
async fn answers(
    daemon: &Daemon,
    steps: Vec<v1::ApplyRequest>,
) -> (Vec<v1::apply_reply::Result>, Option<tonic::Status>) {
    let mut replies = client(&daemon.path()).await.apply(iter(steps)).await.unwrap().into_inner();
    let mut all = Vec::new();
    loop {
        match replies.message().await {
            Ok(Some(reply)) => all.push(reply.result.unwrap()),
            Ok(None) => return (all, None),
            Err(status) => return (all, Some(status)),
        }
    }
}

async fn generation(daemon: &Daemon) -> u64 {
    client(&daemon.path()).await.status(v1::StatusRequest {}).await.unwrap().into_inner().generation
}

#[tokio::test]
async fn what_is_made_and_not_kept_is_told_as_data_loss() {
    let daemon = Daemon::start(Bounds::default());
    let unkept = step(Step::Begin(v1::Begin { owner: "unkept".into(), ..v1::Begin::default() }));
    let steps = vec![unkept, changes(vec![vrf("red")]), commit(), begin(), changes(vec![vrf("blue")]), commit()];
    let (all, status) = answers(&daemon, steps).await;
    let status = status.expect("it ends the call");
    let made = generation(&daemon).await;
    assert_eq!((all, status.code()), (Vec::new(), Code::DataLoss), "{status:?}");
    assert_eq!(status.message(), format!("generation {made} is made, but does not outlive the daemon: EIO"));
}

#[tokio::test]
async fn batches_are_answered_in_order_and_refusals_do_not_end_the_stream() {
    use v1::apply_reply::Result::{Applied, Refused};
    let mut daemon = Daemon::start(Bounds::default());
    let bgp = step(Step::Begin(v1::Begin { owner: "bgp".into(), ..v1::Begin::default() }));
    let steps = vec![
        begin(),
        changes(vec![vrf("red")]),
        changes(vec![vrf("blue"), vrf("green")]),
        commit(),
        bgp,
        changes(vec![vrf("a"), vrf("forbidden")]),
        commit(),
        begin(),
        commit(),
    ];
    let (replies, status) = answers(&daemon, steps).await;
    assert!(status.is_none(), "{status:?}");
    let refused = v1::Refused {
        change: 1,
        object: "vrf forbidden".into(),
        field: "name".into(),
        reason: "is forbidden".into(),
        unconfirmed: 0,
    };
    let applied = |generation| Applied(v1::Applied { generation, ..v1::Applied::default() });
    assert_eq!(replies, [applied(1), Refused(refused), applied(2)]);
    assert_eq!(daemon.asked(), ["apply operator 3", "apply bgp 2", "apply operator 0"]);
    daemon.stop();
}

#[tokio::test]
async fn steps_out_of_order_and_empty_ones_are_invalid_and_leave_nothing() {
    let daemon = Daemon::start(Bounds::default());
    let empty_object = v1::Change { op: Some(v1::change::Op::Put(v1::Object::default())) };
    let empty_key = v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey::default())) };
    for (steps, want) in [
        (vec![changes(vec![vrf("a")])], "Changes before Begin"),
        (vec![commit()], "Commit before Begin"),
        (vec![begin(), changes(vec![vrf("a")]), begin()], "already open"),
        (vec![v1::ApplyRequest { step: None }], "without a step"),
        (
            vec![begin(), changes(vec![vrf("a")]), changes(vec![vrf("b"), v1::Change { op: None }]), commit()],
            "change 2 has",
        ),
        (vec![begin(), changes(vec![empty_object]), commit()], "change 0 has"),
        (vec![begin(), changes(vec![empty_key]), commit()], "change 0 has"),
        (vec![begin(), changes(vec![vrf("a")])], "ended before Commit"),
    ] {
        let (replies, status) = answers(&daemon, steps).await;
        let status = status.expect(want);
        assert_eq!(replies, []);
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(want), "{status:?}");
    }
    assert_eq!(generation(&daemon).await, 0);
    assert_eq!(daemon.asked(), [""; 0]);
}

#[tokio::test]
async fn a_client_that_dies_in_a_batch_leaves_nothing_and_frees_its_place() {
    let daemon = Daemon::start(Bounds { open_batches: 1, ..Bounds::default() });
    let (to, steps) = tokio::sync::mpsc::channel(8);
    to.send(begin()).await.unwrap();
    to.send(changes(vec![vrf("a")])).await.unwrap();
    let mut dying = client(&daemon.path()).await;
    let replies = dying.apply(tokio_stream::wrappers::ReceiverStream::new(steps)).await.unwrap();
    until_refused(&daemon).await;
    drop((replies, dying, to));
    // The place is free again: else this would be refused for ever.
    loop {
        let (replies, status) = answers(&daemon, vec![begin(), commit()]).await;
        match status {
            None => break assert_eq!(replies.len(), 1),
            Some(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
    }
    assert_eq!(daemon.asked(), ["apply operator 0"]);
}

/// Until the one place of open batches is taken.
async fn until_refused(daemon: &Daemon) {
    loop {
        let (_, status) = answers(daemon, vec![begin()]).await;
        let status = status.unwrap();
        match status.code() {
            Code::InvalidArgument => tokio::task::yield_now().await,
            Code::ResourceExhausted => return assert_eq!(status.message(), "1 batches are open already"),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn bounds_of_a_batch_are_kept() {
    let daemon = Daemon::start(Bounds { changes: 3, batch_bytes: 1000, message_bytes: 800, ..Bounds::default() });
    let many = |count: usize| changes((0..count).map(|at| vrf(&format!("v{at}"))).collect());
    let long = |bytes: usize| changes(vec![vrf(&"x".repeat(bytes))]);
    for (steps, want) in [
        (vec![begin(), many(4), commit()], "a batch of more than 3 changes"),
        (vec![begin(), many(2), many(2), commit()], "a batch of more than 3 changes"),
        (vec![begin(), long(600), long(600), commit()], "a batch of more than 1000 bytes"),
        (vec![begin(), long(900), commit()], "message length too large"),
    ] {
        let (replies, status) = answers(&daemon, steps).await;
        let status = status.expect(want);
        assert_eq!(replies, []);
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(status.message().contains(want), "{status:?}");
    }
    let (replies, status) = answers(&daemon, vec![begin(), many(3), commit()]).await;
    assert!(status.is_none() && replies.len() == 1, "{status:?}");
    let filter = v1::ListRequest { vrf: "x".repeat(900), ..Default::default() };
    let status = client(&daemon.path()).await.list(filter).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_message_of_four_mebibytes_is_refused_by_default() {
    let daemon = Daemon::start(Bounds::default());
    let (_, status) = answers(&daemon, vec![begin(), changes(vec![vrf(&"x".repeat(4 << 20))]), commit()]).await;
    assert_eq!(status.unwrap().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_silent_open_batch_is_given_up() {
    let daemon = Daemon::start(Bounds { stall: Duration::from_millis(50), ..Bounds::default() });
    let (to, steps) = tokio::sync::mpsc::channel(8);
    to.send(begin()).await.unwrap();
    let mut client = client(&daemon.path()).await;
    let mut replies = client.apply(tokio_stream::wrappers::ReceiverStream::new(steps)).await.unwrap().into_inner();
    assert_eq!(replies.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn messages_that_cannot_be_decoded_are_invalid() {
    use tonic::codegen::http::uri::PathAndQuery;
    let daemon = Daemon::start(Bounds::default());
    let path = daemon.path();
    let connect = move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    };
    let channel = tonic::transport::Endpoint::from_static("http://control")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .unwrap();
    // A VictimsRequest's bytes with the wrong wire types: `limit` (3) as ExplainRequest's bytes `source` (3), a varint.
    let other = v1::VictimsRequest { limit: 7, ..Default::default() };
    let mut raw = tonic::client::Grpc::new(channel.clone());
    raw.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<v1::VictimsRequest, v1::ExplainReply>::default();
    let path = PathAndQuery::from_static("/vrouter.v1.VRouter/Explain");
    let status = raw.unary(tonic::Request::new(other), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    // In a stream: `Begin.owner` that is no UTF-8 cannot be sent by prost; a varint where Begin should be can.
    let codec = tonic_prost::ProstCodec::<v1::SyncRequest, v1::ApplyReply>::default();
    let path = PathAndQuery::from_static("/vrouter.v1.VRouter/Apply");
    let wrong = iter(vec![v1::SyncRequest { generation: 9, timeout_ms: 9 }]);
    raw.ready().await.unwrap();
    let mut replies = raw.streaming(tonic::Request::new(wrong), path, codec).await.unwrap().into_inner();
    let status = replies.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let path = PathAndQuery::from_static("/vrouter.v1.VRouter/Reboot");
    let codec = tonic_prost::ProstCodec::<v1::SyncRequest, v1::ApplyReply>::default();
    raw.ready().await.unwrap();
    let status = raw.unary(tonic::Request::new(v1::SyncRequest::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn questions_that_make_no_sense_are_invalid() {
    let daemon = Daemon::start(Bounds::default());
    let mut client = client(&daemon.path()).await;
    let status = client.explain(v1::ExplainRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "place: neither vif nor tunnel_vrf is given")
    );
    let status = client.list(v1::ListRequest { kind: 99, ..Default::default() }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "kind: there is no kind 99"));
    let status = client.flows(v1::FlowsRequest { vrf: "nowhere".into(), ..Default::default() }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "vrf nowhere: is not there"));
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody() {
    let daemon = Daemon::start(Bounds::default());
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let path = daemon.path();
        let closed = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(path).unwrap();
            // Either may fail because the server has hung up already, which is what is wanted.
            let _ = stream.write_all(garbage);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        });
        closed.await.unwrap();
        assert_eq!(generation(&daemon).await, 0);
    }
}

#[tokio::test]
async fn lists_come_in_chunks_of_one_generation() {
    let daemon = Daemon::start(Bounds::default());
    let all: Vec<_> = (0..2300).map(|at| vrf(&format!("v{at}"))).collect();
    let (replies, _) = answers(&daemon, vec![begin(), changes(all), commit()]).await;
    assert_eq!(replies.len(), 1);
    let mut client = client(&daemon.path()).await;
    let chunks =
        client.list(v1::ListRequest { kind: v1::Kind::Vrf.into(), ..Default::default() }).await.unwrap().into_inner();
    let chunks: Vec<_> = chunks.map(|chunk| chunk.unwrap()).collect().await;
    assert_eq!(
        chunks.iter().map(|chunk| (chunk.generation, chunk.objects.len())).collect::<Vec<_>>(),
        [(1, 1000), (1, 1000), (1, 300)]
    );
    let mut none =
        client.list(v1::ListRequest { kind: v1::Kind::Acl.into(), ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(none.message().await.unwrap(), Some(v1::ListChunk { generation: 1, objects: vec![] }));
    assert_eq!(none.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_client_that_does_not_read_hurts_only_itself() {
    let daemon = Daemon::start(Bounds { open_lists: 1, stall: Duration::from_millis(100), ..Bounds::default() });
    let mut slow = client(&daemon.path()).await;
    // More than the windows of HTTP/2 and the socket hold.
    let endless = v1::FlowsRequest { limit: 1_000_000, ..Default::default() };
    let mut unread = slow.flows(endless).await.unwrap().into_inner();
    // Others are served meanwhile; the one place of long answers is taken, then given up for the slow client.
    assert_eq!(generation(&daemon).await, 0);
    let mut other = client(&daemon.path()).await;
    loop {
        match other.flows(v1::FlowsRequest { limit: 1, ..Default::default() }).await {
            Ok(chunks) => break assert_eq!(chunks.into_inner().message().await.unwrap().unwrap().flows.len(), 1),
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut rows = 0;
    while let Ok(Some(chunk)) = unread.message().await {
        rows += chunk.flows.len();
    }
    assert!(rows < 1_000_000, "{rows}");
}

#[tokio::test]
async fn sync_waits_for_its_generation_without_holding_up_others() {
    let daemon = Daemon::start(Bounds::default());
    let mut first = client(&daemon.path()).await;
    let waiting = tokio::spawn(async move { first.sync(v1::SyncRequest { generation: 1, timeout_ms: 60_000 }).await });
    let late = client(&daemon.path()).await.sync(v1::SyncRequest { generation: 2, timeout_ms: 20 }).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(!waiting.is_finished());
    answers(&daemon, vec![begin(), commit()]).await;
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().generation, 1);
    let now = client(&daemon.path()).await.sync(v1::SyncRequest::default()).await.unwrap().into_inner();
    assert_eq!(now.generation, 1);
}

#[tokio::test]
async fn stopping_ends_open_calls_and_removes_the_socket() {
    let mut daemon = Daemon::start(Bounds::default());
    let mut waiting = client(&daemon.path()).await;
    let sync = tokio::spawn(async move { waiting.sync(v1::SyncRequest { generation: 9, timeout_ms: 60_000 }).await });
    let (to, steps) = tokio::sync::mpsc::channel(8);
    to.send(begin()).await.unwrap();
    let mut open = client(&daemon.path()).await;
    let mut replies = open.apply(tokio_stream::wrappers::ReceiverStream::new(steps)).await.unwrap().into_inner();
    assert_eq!(generation(&daemon).await, 0);
    daemon = tokio::task::spawn_blocking(move || {
        daemon.stop();
        daemon
    })
    .await
    .unwrap();
    assert_eq!(replies.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(sync.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert!(!daemon.path().exists());
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unavailable() {
    let daemon = Daemon::start(Bounds::default());
    let hang_up = v1::FlowsRequest { vrf: "hang up".into(), ..Default::default() };
    assert_eq!(client(&daemon.path()).await.flows(hang_up).await.unwrap_err().code(), Code::Unavailable);
}

#[test]
fn a_sockets_file_is_taken_over_from_the_dead_only() {
    let folder = Folder::new();
    let path = folder.file("deep/sock");
    let first = Socket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let second = Socket::bind(&path).unwrap_err();
    assert!(matches!(second, SocketError::InUse(_)), "{second}");
    assert_eq!(second.to_string(), format!("{}: another daemon serves this socket", path.display()));
    assert!(UnixStream::connect(&path).is_ok());
    drop(first);
    assert!(!path.exists());
    // A daemon that was killed leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let next = Socket::bind(&path).unwrap();
    assert!(UnixStream::connect(next.path()).is_ok());
    drop(next);
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Socket::bind(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let long = folder.file(&"x".repeat(120));
    assert!(matches!(Socket::bind(&long), Err(SocketError::Io { .. })));
}
