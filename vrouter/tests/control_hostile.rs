//! Hostile clients: what they cost is bounded, measured by what the process holds of its allocator, and others are served meanwhile.

mod control_daemon;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use control_daemon::raw::Raw;
use control_daemon::{Daemon, client};
use tokio_stream::iter;
use tonic::Code;
use v1::apply_request::Step;
use vrouter::api::v1;
use vrouter::control::Bounds;

/// Memory is the process's: one test at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What 64 answers and 64 watches that are not read may cost, KiB: 1 MiB each, as the contract says, and a quarter for the allocator.
const UNREAD: u64 = 128 * 1280;

/// Counts what is allocated and not yet freed. Resident memory would not do: what one test freed, the next one takes without growth.
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

/// Memory that the process holds, KiB.
fn held() -> u64 {
    ALLOCATOR.allocated() as u64 >> 10
}

/// An honest client is answered, and soon.
async fn is_served(daemon: &Daemon) {
    let start = Instant::now();
    client(&daemon.path()).await.status(v1::StatusRequest {}).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "an answer took {:?}", start.elapsed());
}

fn step(step: Step) -> v1::ApplyRequest {
    v1::ApplyRequest { step: Some(step) }
}

/// Streams are opened and left half open, far beyond what a connection may have, on connections that are made anew when the server hangs up;
/// half of them take what the server answers.
#[tokio::test]
async fn half_open_streams_without_end() {
    let _turn = TURN.lock().await;
    let daemon = Daemon::start(Bounds { connections: 32, calls_per_second: u32::MAX, ..Bounds::default() });
    is_served(&daemon).await;
    let before = held();
    let (mut most, mut attempts, mut hung_up) = (0, 0_u32, 0_u32);
    let mut raws: Vec<(Raw, u32)> = Vec::new();
    while attempts < 1_000_000 {
        raws.resize_with(8, || (Raw::connect(&daemon), 1));
        for (at, (raw, stream)) in raws.iter_mut().enumerate() {
            let mut open = true;
            for _ in 0..100 {
                open = open && raw.open(*stream, "Apply");
                *stream += 2;
            }
            attempts += 100;
            if !open || (at % 2 == 0 && !raw.drain()) {
                hung_up += 1;
                (*raw, *stream) = (Raw::connect(&daemon), 1);
            }
        }
        if attempts % 40_000 == 0 {
            most = most.max(held().saturating_sub(before));
            is_served(&daemon).await;
        }
    }
    println!("{attempts} streams attempted, {hung_up} connections hung up on, at most {most} KiB more");
    // 8 connections of at most 32 streams
    assert!(most < 48 << 10, "{most} KiB for half-open streams");
    is_served(&daemon).await;
}

/// Connections that say nothing, or half a greeting, take every place: they are hung up on, and who waits is served.
#[tokio::test]
async fn connections_that_say_nothing() {
    let _turn = TURN.lock().await;
    let daemon = Daemon::start(Bounds { connections: 8, stall: Duration::from_secs(1), ..Bounds::default() });
    let mute: Vec<_> = (0..16)
        .map(|at| {
            let mut stream = UnixStream::connect(daemon.path()).unwrap();
            stream.write_all(&b"PRI * HTTP/2.0\r\n"[..at]).unwrap();
            stream
        })
        .collect();
    is_served(&daemon).await;
    drop(mute);
}

/// Clients that ask for lists, flows and watches, let the server send any amount, and read nothing: all places are taken. They keep nothing
/// either, so that what the process grows by is the server's.
#[tokio::test]
async fn clients_that_never_read() {
    let _turn = TURN.lock().await;
    let bounds = Bounds { stall: Duration::from_secs(2), places_of_one: 64, ..Bounds::default() };
    let daemon = Daemon::start(bounds);
    // the log is full, and the allocator has what the batches need
    load(&daemon, 7).await;
    let before = held();
    let mut raws: Vec<Raw> = (0..8).map(|_| Raw::connect(&daemon)).collect();
    raws.iter_mut().for_each(Raw::any_amount);
    let flows = v1::FlowsRequest { limit: 10_000_000, ..Default::default() };
    for at in 0..bounds.open_lists {
        let stream = 4 * (at / 8) as u32 + 1;
        let raw = &mut raws[at % 8];
        let answer = at % 16;
        let asked = if answer == 0 {
            raw.ask(stream, "List", &v1::ListRequest::default())
        } else {
            raw.ask(stream, "Flows", &flows)
        };
        assert!(asked && raw.ask(stream + 2, "Watch", &v1::WatchRequest::default()));
    }
    // a watch that was let in before them gives its place back
    let start = Instant::now();
    while client(&daemon.path()).await.watch(v1::WatchRequest::default()).await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(1), "not all places are taken");
    }
    let refused = client(&daemon.path()).await.list(v1::ListRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    load(&daemon, 3).await;
    is_served(&daemon).await;
    let grown = held().saturating_sub(before);
    println!("{} answers and {} watches unread: {grown} KiB more", bounds.open_lists, bounds.watches);
    assert!(grown < UNREAD, "{grown} KiB");
    // they are cut off, and their places are free
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match client(&daemon.path()).await.list(v1::ListRequest::default()).await {
            Ok(chunks) => break drop(chunks),
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
        assert!(Instant::now() < deadline, "their places are never free");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // with what waited for them: else who takes the places again and again would make it grow without end
    while raws.iter_mut().any(Raw::ping) {
        assert!(Instant::now() < deadline, "connections of clients that do not read are kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Clients that take no byte of answers which are over: what HTTP/2 keeps of them is bounded by the connections and the calls on each, however
/// often they ask.
#[tokio::test]
async fn finished_answers_that_are_never_taken() {
    let _turn = TURN.lock().await;
    let (connections, calls) = (8_u32, 32_u32);
    let daemon = Daemon::start(Bounds::default());
    is_served(&daemon).await;
    let before = held();
    let mut raws: Vec<Raw> = (0..connections).map(|_| Raw::connect(&daemon)).collect();
    // more than the window, less than that and what HTTP/2 takes beyond
    let flows = v1::FlowsRequest { limit: 400, ..Default::default() };
    let mut grown = Vec::new();
    for round in 0..6 {
        for call in 0..calls {
            for raw in &mut raws {
                raw.ask(2 * (round * calls + call) + 1, "Flows", &flows);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        is_served(&daemon).await;
        grown.push(held().saturating_sub(before));
    }
    println!("{connections} x {calls} finished answers untaken: {grown:?} KiB more");
    let kept = u64::from(connections * calls);
    // the first answers may be late, and are all there at the end
    assert!(grown[5] > 4 << 10, "they were not answered: {grown:?}");
    assert!(grown[5] < kept * (64 + 64) * 3 / 2, "{grown:?} KiB");
    // their places are free
    client(&daemon.path()).await.list(v1::ListRequest::default()).await.unwrap();
}

/// Answers in one message that the client does not let the server send: they have places as long ones have, and end like them.
#[tokio::test]
async fn whole_answers_that_may_not_be_sent() {
    let _turn = TURN.lock().await;
    let stall = Duration::from_millis(500);
    let daemon = Daemon::start(Bounds { open_lists: 4, stall, ..Bounds::default() });
    let mut raw = Raw::connect(&daemon);
    // no stream may be sent anything: SETTINGS_INITIAL_WINDOW_SIZE is 0
    assert!(raw.frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for call in 0..4 {
        let asked = match call % 2 {
            0 => raw.ask(2 * call + 1, "Stats", &v1::StatsRequest {}),
            _ => raw.ask(2 * call + 1, "Victims", &v1::VictimsRequest::default()),
        };
        assert!(asked);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut honest = client(&daemon.path()).await;
    while honest.stats(v1::StatsRequest {}).await.is_ok() {
        assert!(Instant::now() < deadline, "they take no places");
    }
    is_served(&daemon).await;
    while let Err(status) = honest.stats(v1::StatsRequest {}).await {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(Instant::now() < deadline, "their places are never free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while raw.ping() {
        assert!(Instant::now() < deadline, "the connection is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A list is a copy: so many objects may be in unread ones.
#[tokio::test]
async fn lists_that_are_never_read() {
    let _turn = TURN.lock().await;
    let daemon = Daemon::start(Bounds { listed_objects: 15_000, ..Bounds::default() });
    load(&daemon, 1).await;
    let mut raw = Raw::connect(&daemon);
    assert!(raw.ask(1, "List", &v1::ListRequest::default()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let status = loop {
        match client(&daemon.path()).await.list(v1::ListRequest::default()).await {
            Ok(mut chunks) => while chunks.get_mut().message().await.unwrap().is_some() {},
            Err(status) => break status,
        }
        assert!(Instant::now() < deadline, "it is not counted");
    };
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "more than 15000 objects would be listed at a time")
    );
    let snapshot = v1::WatchRequest { snapshot: true, ..Default::default() };
    let status = client(&daemon.path()).await.watch(snapshot).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(raw);
    while client(&daemon.path()).await.list(v1::ListRequest::default()).await.is_err() {
        assert!(Instant::now() < deadline, "it is counted for ever");
    }
}

/// Applies 10,000 objects as often as this.
async fn load(daemon: &Daemon, times: usize) {
    let vrf = |at: usize| {
        let vrf = v1::Vrf { name: format!("v{at}"), tenant: "x".repeat(60), ..Default::default() };
        v1::Change { op: Some(v1::change::Op::Put(v1::Object::from(v1::object::Kind::Vrf(vrf)))) }
    };
    for _ in 0..times {
        let changes: Vec<_> = (0..10_000).map(vrf).collect();
        let steps =
            [Step::Begin(v1::Begin::default()), Step::Changes(v1::Changes::from(changes)), Step::Commit(v1::Commit {})];
        let mut replies = client(&daemon.path()).await.apply(iter(steps.map(step))).await.unwrap().into_inner();
        replies.message().await.unwrap().unwrap();
    }
}

/// Names and messages as large as they may be, and larger.
#[tokio::test]
async fn huge_names_and_messages() {
    let _turn = TURN.lock().await;
    let daemon = Daemon::start(Bounds::default());
    is_served(&daemon).await;
    let before = held();
    for round in 0..6 {
        let name = "x".repeat(if round % 2 == 0 { (4 << 20) - 64 } else { 5 << 20 });
        let mut one = client(&daemon.path()).await;
        let flows = one.flows(v1::FlowsRequest { vrf: name.clone(), limit: 1, ..Default::default() }).await;
        assert_eq!(flows.is_ok(), round % 2 == 0, "round {round}");
        let kinds = vec![1; 1 << 20];
        _ = one.watch(v1::WatchRequest { kinds, ..Default::default() }).await;
        let key = v1::ObjectKey { kind: Some(v1::object_key::Kind::Vrf(name.clone())) };
        let changes = vec![v1::Change { op: Some(v1::change::Op::Delete(key)) }];
        // an open batch that goes on until its bound
        let endless = (0..100).map(move |_| step(Step::Changes(v1::Changes::from(changes.clone()))));
        let steps =
            std::iter::once(step(Step::Begin(v1::Begin { owner: name, ..v1::Begin::default() }))).chain(endless);
        let mut replies = one.apply(iter(steps)).await.unwrap().into_inner();
        let status = replies.message().await.unwrap_err();
        assert!(matches!(status.code(), Code::ResourceExhausted | Code::InvalidArgument), "{status:?}");
        is_served(&daemon).await;
    }
    daemon.asked.lock().unwrap().clear();
    let grown = held().saturating_sub(before);
    println!("huge names: {grown} KiB more");
    // one batch of 256 MiB, and some messages on their way
    assert!(grown < 384 << 10, "{grown} KiB");
}

/// Frames of every kind with bytes by chance, on live connections.
#[tokio::test]
async fn garbage_in_frames() {
    let _turn = TURN.lock().await;
    let daemon = Daemon::start(Bounds::default());
    is_served(&daemon).await;
    let before = held();
    let mut seed = 7_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    for _ in 0..400 {
        let mut raw = Raw::connect(&daemon);
        for _ in 0..32 {
            let payload: Vec<u8> = (0..random() % 512).map(|_| random() as u8).collect();
            if random() % 3 == 0 {
                raw.open(2 * (random() % 64) + 1, "Apply");
            }
            if !raw.frame((random() % 12) as u8, random() as u8, random() % 128, &payload) {
                break;
            }
        }
        raw.drain();
    }
    is_served(&daemon).await;
    let grown = held().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
}
