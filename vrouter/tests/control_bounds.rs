//! What one client may take of what all share, and how long it may take to say something.

mod control_daemon;

use std::time::{Duration, Instant};

use control_daemon::raw::Raw;
use control_daemon::{Daemon, client};
use tonic::Code;
use vrouter::api::v1;
use vrouter::control::Bounds;

const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const PATIENCE: Duration = Duration::from_secs(20);

fn whoami() -> String {
    format!("uid {}", rustix::process::geteuid().as_raw())
}

#[tokio::test]
async fn connections_of_one_client_are_bounded_and_the_one_too_many_is_told() {
    let daemon = Daemon::start(Bounds { connections_of_one: 2, ..Bounds::default() });
    let mut first = client(&daemon.path()).await;
    first.status(v1::StatusRequest {}).await.unwrap();
    let second = Raw::connect(&daemon);
    let told = Raw::connect(&daemon).expect(GOAWAY, 0, PATIENCE).unwrap();
    let text = format!("2 connections of {} are open already", whoami());
    assert_eq!(told, [&[0, 0, 0, 0, 0, 0, 0, 11], text.as_bytes()].concat(), "ENHANCE_YOUR_CALM, and why");
    first.status(v1::StatusRequest {}).await.unwrap();
    drop(second);
    let end = Instant::now() + PATIENCE;
    // its place is free once the server has noticed
    while Raw::connect(&daemon).expect(GOAWAY, 0, Duration::from_millis(300)).is_some() {
        assert!(Instant::now() < end);
    }
}

#[tokio::test]
async fn places_of_one_client_are_fewer_than_all() {
    let daemon = Daemon::start(Bounds { places_of_one: 1, ..Bounds::default() });
    let mut one = client(&daemon.path()).await;
    let watching = one.watch(v1::WatchRequest::default()).await.unwrap();
    let refused = client(&daemon.path()).await.watch(v1::WatchRequest::default()).await.unwrap_err();
    let text = format!("1 watches are open already for {}", whoami());
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, &*text), "by another connection");
    one.list(v1::ListRequest::default()).await.unwrap();
    drop(watching);
    let end = Instant::now() + PATIENCE;
    while one.watch(v1::WatchRequest::default()).await.is_err() {
        assert!(Instant::now() < end, "its place is never free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn calls_of_one_client_come_at_a_bounded_rate() {
    let daemon = Daemon::start(Bounds { calls_per_second: 5, ..Bounds::default() });
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(client(&daemon.path()).await.status(v1::StatusRequest {}).await.map(drop));
    }
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(answers[..5].iter().all(Result::is_ok) && refused.len() >= 20, "{} of 50 refused", refused.len());
    let text = format!("Status: more than 5 calls a second by {}", whoami());
    assert!(refused.iter().all(|it| it.code() == Code::ResourceExhausted && it.message() == text), "{:?}", refused[0]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    client(&daemon.path()).await.status(v1::StatusRequest {}).await.unwrap();
}

/// A call of which so many bytes of a message of 100,000 come, and no more.
fn begin_message(raw: &mut Raw, stream: u32, call: &str, bytes: usize) {
    let mut half = vec![0];
    half.extend(100_000_u32.to_be_bytes());
    half.extend(vec![0x12; bytes]);
    assert!(raw.open(stream, call) && raw.frame(DATA, 0, stream, &half));
}

/// All calls that a connection may have are taken by halves of messages: for as long as a message may take.
fn is_answered_after(daemon: &Daemon, call: &str, bytes: usize) {
    let mut raw = Raw::connect(daemon);
    (0..32).for_each(|at| begin_message(&mut raw, 2 * at + 1, call, bytes));
    let (end, mut stream) = (Instant::now() + PATIENCE, 65);
    loop {
        assert!(raw.ask(stream, "Status", &v1::StatusRequest {}), "the connection lives");
        if raw.expect(DATA, stream, Duration::from_millis(500)).is_some() {
            return;
        }
        assert!(Instant::now() < end, "halves of messages keep their calls for ever");
        stream += 2;
    }
}

#[tokio::test]
async fn a_message_is_sent_whole_in_time_or_not_at_all() {
    let daemon = Daemon::start(Bounds { stall: Duration::from_millis(400), ..Bounds::default() });
    is_answered_after(&daemon, "List", 100);
    is_answered_after(&daemon, "Apply", 100);
    // a call that says nothing at all
    let mut raw = Raw::connect(&daemon);
    (0..32).for_each(|at| assert!(raw.open(2 * at + 1, "Stats")));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(raw.ask(65, "Status", &v1::StatusRequest {}));
    assert!(raw.expect(DATA, 65, PATIENCE).is_some());
}

#[tokio::test]
async fn few_bytes_wait_for_the_rest_of_their_messages() {
    let daemon = Daemon::start(Bounds { half_sent_bytes: 5000, ..Bounds::default() });
    // long before the minute is over that a message may take
    is_answered_after(&daemon, "Apply", 1000);
}

/// A client that waits between batches is left alone: only what has begun is to end.
#[tokio::test]
async fn a_stream_may_be_silent_between_batches() {
    use v1::apply_request::Step;
    let daemon = Daemon::start(Bounds { stall: Duration::from_millis(200), ..Bounds::default() });
    let (to, steps) = tokio::sync::mpsc::channel(8);
    let mut client = client(&daemon.path()).await;
    let mut replies = client.apply(tokio_stream::wrappers::ReceiverStream::new(steps)).await.unwrap().into_inner();
    for _ in 0..2 {
        for step in [Step::Begin(v1::Begin::default()), Step::Commit(v1::Commit {})] {
            to.send(v1::ApplyRequest { step: Some(step) }).await.unwrap();
        }
        replies.message().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
