//! Watch against the contract: the real control thread and model behind the socket; no gaps, nothing told twice, a place that is
//! forgotten is said so, and a slow client costs nobody anything.

mod control_daemon;

use std::collections::BTreeMap;
use std::time::Duration;

use control_daemon::real::Real;
use control_daemon::{Daemon, client};
use prost::Message;
use tonic::{Code, Streaming};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;
use vrouter::api::v1;
use vrouter::control::Bounds;

type Table = BTreeMap<Vec<u8>, v1::Object>;

async fn list(real: &Real) -> (u64, Table) {
    let mut chunks = client(&real.path()).await.list(v1::ListRequest::default()).await.unwrap().into_inner();
    let (mut generation, mut table) = (0, Table::new());
    while let Some(chunk) = chunks.message().await.unwrap() {
        generation = chunk.generation;
        table.extend(chunk.objects.into_iter().map(|object| (key_of(&object), object)));
    }
    (generation, table)
}

fn key_of(object: &v1::Object) -> Vec<u8> {
    let kind = match object.kind.clone().unwrap() {
        Kind::Vrf(vrf) => Key::Vrf(vrf.name),
        Kind::Route(route) => Key::Route(route.key.unwrap()),
        Kind::Port(port) => Key::Port(port.name),
        Kind::Settings(_) => return Vec::new(),
        other => panic!("{other:?}"),
    };
    v1::ObjectKey { kind: Some(kind) }.encode_to_vec()
}

fn follow(table: &mut Table, event: &v1::Event) {
    for change in &event.changes {
        match change.op.clone().unwrap() {
            Op::Put(object) => {
                let old = table.insert(key_of(&object), object.clone());
                assert!(event.listed || old.as_ref() != Some(&object), "told again: {object:?}");
            }
            Op::Delete(key) => {
                assert!(table.remove(&key.encode_to_vec()).is_some(), "deletes what is not there: {key:?}")
            }
            other => panic!("{other:?}"),
        }
    }
}

fn vrf(name: &str) -> v1::Change {
    let vrf = v1::Vrf { name: name.into(), ..Default::default() };
    v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Vrf(vrf)))) }
}

fn route_key(at: u32) -> v1::RouteKey {
    let address = (0x0a00_0000 + at).to_be_bytes().to_vec();
    v1::RouteKey { vrf: "red".into(), prefix: Some(v1::Prefix { address, length: 32 }), owner: "bgp".into() }
}

fn route(at: u32, preference: u32) -> v1::Change {
    let drop = v1::next_hop::Kind::Drop(v1::next_hop::Drop {});
    let next_hop = Some(v1::NextHop { kind: Some(drop) });
    let route = v1::Route { key: Some(route_key(at)), preference, next_hop, ..Default::default() };
    v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Route(route)))) }
}

fn unroute(at: u32) -> v1::Change {
    v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: Some(Key::Route(route_key(at))) })) }
}

/// Until a generation has been told whole; events are followed.
async fn until(events: &mut Streaming<v1::Event>, table: &mut Table, generation: u64) -> Vec<v1::Event> {
    let mut all = Vec::new();
    loop {
        let event = events.message().await.unwrap().expect("it does not end");
        follow(table, &event);
        let done = event.generation >= generation && event.last;
        all.push(event);
        if done {
            return all;
        }
    }
}

#[tokio::test]
async fn a_snapshot_and_what_follows_are_any_later_list() {
    let real = Real::start(Bounds::default());
    real.apply([vec![vrf("red")], (0..2500).map(|at| route(at, 1)).collect()].concat()).await;
    let mut events = real.watch(v1::WatchRequest { snapshot: true, ..Default::default() }).await.unwrap();
    let mut table = Table::new();
    let listed = until(&mut events, &mut table, 1).await;
    assert!(listed.iter().all(|event| event.listed && event.generation == 1));
    assert_eq!(listed.iter().map(|event| event.last).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((1, table.clone()), list(&real).await);
    let mut seed = 1_u32;
    let mut generation = 1;
    for round in 0..60 {
        let mut changes = Vec::new();
        for _ in 0..20 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = seed >> 8 & 0xfff;
            let there = table.contains_key(&v1::ObjectKey { kind: Some(Key::Route(route_key(at))) }.encode_to_vec());
            let again = changes.contains(&unroute(at));
            changes.push(if there && !again && seed >> 20 & 1 == 0 {
                unroute(at)
            } else {
                route(at, 1 + (seed >> 24))
            });
        }
        generation = real.apply(changes).await;
        if round % 3 == 0 {
            let told = until(&mut events, &mut table, generation).await;
            assert!(told.iter().all(|event| !event.lost && !event.listed && event.owner == "bgp"));
            assert_eq!((generation, table.clone()), list(&real).await);
        }
    }
    // a batch that spans events
    let big = real.apply((10_000..13_500).map(|at| route(at, 9)).collect()).await;
    let told = until(&mut events, &mut table, big).await;
    let sizes: Vec<_> =
        told.iter().filter(|event| event.generation == big).map(|event| (event.changes.len(), event.last)).collect();
    assert_eq!(sizes, [(1000, false), (1000, false), (1000, false), (500, true)]);
    assert_eq!((big, table.clone()), list(&real).await);
    assert_eq!(big, generation + 1);
    // another client, which knew the table as it was some generations ago, comes back
    let mut back = real.watch(v1::WatchRequest { after: Some(big - 1), ..Default::default() }).await.unwrap();
    let first = back.message().await.unwrap().unwrap();
    assert_eq!((first.generation, first.changes.len(), first.last), (big, 1000, false));
}

#[tokio::test]
async fn kinds_are_filtered_and_generations_without_them_are_silent() {
    let real = Real::start(Bounds::default());
    let kinds = vec![v1::Kind::Vrf.into()];
    let mut events = real.watch(v1::WatchRequest { kinds, snapshot: true, ..Default::default() }).await.unwrap();
    let empty = events.message().await.unwrap().unwrap();
    assert!(empty.listed && empty.last && empty.changes.is_empty(), "{empty:?}");
    real.apply(vec![vrf("red")]).await;
    real.apply(vec![route(1, 1)]).await;
    let blue = real.apply(vec![route(2, 1), vrf("blue")]).await;
    let told = until(&mut events, &mut Table::new(), blue).await;
    assert_eq!(
        told.iter().map(|event| (event.generation, event.changes.len(), event.last)).collect::<Vec<_>>(),
        [(1, 1, true), (3, 1, true)]
    );
}

#[tokio::test]
async fn a_place_that_is_forgotten_or_was_never_there_is_said_so() {
    let real = Real::start(Bounds::default());
    real.apply(vec![vrf("red")]).await;
    let future = v1::WatchRequest { after: Some(77), ..Default::default() };
    let mut events = real.watch(future).await.unwrap();
    let lost = events.message().await.unwrap().unwrap();
    assert!(lost.lost && lost.last && lost.generation == 1, "{lost:?}");
    // it goes on by itself
    let two = real.apply(vec![route(1, 1)]).await;
    let mut table = list(&real).await.1;
    table.remove(&v1::ObjectKey { kind: Some(Key::Route(route_key(1))) }.encode_to_vec());
    until(&mut events, &mut table, two).await;
    assert_eq!((two, table), list(&real).await);
    drop(events);
    // while nobody watches, a bulk load is not kept; a small batch is
    tokio::time::sleep(Duration::from_millis(500)).await;
    let load = real.apply((0..20_000).map(|at| route(at, 2)).collect()).await;
    let small = real.apply(vec![route(3, 3)]).await;
    let mut old = real.watch(v1::WatchRequest { after: Some(two), ..Default::default() }).await.unwrap();
    let lost = old.message().await.unwrap().unwrap();
    assert_eq!((lost.lost, lost.generation), (true, small));
    let mut newer = real.watch(v1::WatchRequest { after: Some(load), ..Default::default() }).await.unwrap();
    let event = newer.message().await.unwrap().unwrap();
    assert_eq!((event.lost, event.generation, event.changes.len()), (false, small, 1));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let daemon = Daemon::start(Bounds { watches: 1, ..Bounds::default() });
    let mut one = client(&daemon.path()).await;
    let both = v1::WatchRequest { snapshot: true, after: Some(1), ..Default::default() };
    let status = one.watch(both).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "after: events follow the snapshot"));
    let kinds = vec![99];
    let status = one.watch(v1::WatchRequest { kinds, ..Default::default() }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "kinds: there is no kind 99"));
    let open = one.watch(v1::WatchRequest::default()).await.unwrap();
    let status = client(&daemon.path()).await.watch(v1::WatchRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "1 watches are open already"));
    drop((open, one));
    let mut other = client(&daemon.path()).await;
    while let Err(status) = other.watch(v1::WatchRequest::default()).await {
        assert_eq!(status.code(), Code::ResourceExhausted);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The client does not read while far more happens than the log holds; others are served, and it is told when it reads on.
#[tokio::test]
async fn a_slow_client_loses_its_place_and_nobody_waits_for_it() {
    let real = Real::start(Bounds::default());
    real.apply(vec![vrf("red")]).await;
    let mut slow = real.watch(v1::WatchRequest::default()).await.unwrap();
    for round in 1..12 {
        real.apply((0..20_000).map(|at| route(at, round)).collect()).await;
    }
    let (listed_at, listed) = list(&real).await;
    assert_eq!(listed.len(), 20_000 + 3);
    let mut lost = None;
    let mut table = None;
    // what was on its way is whole and in order; then the marker
    let mut before = 1;
    loop {
        let event = slow.message().await.unwrap().unwrap();
        assert!(
            event.generation == before || event.generation == before + 1 || event.lost,
            "{} after {before}",
            event.generation
        );
        before = event.generation;
        if event.lost {
            assert!(lost.replace(event.generation).is_none(), "lost twice");
            assert!(event.generation <= listed_at);
            table = Some(list(&real).await);
        }
        if event.generation >= listed_at && event.last {
            break;
        }
    }
    assert!(lost.is_some(), "220,000 changes fitted a log of 65,536");
    let (from, mut table) = table.unwrap();
    let generation = real.apply(vec![unroute(5), route(6, 77)]).await;
    loop {
        let event = slow.message().await.unwrap().unwrap();
        if event.generation > from {
            follow(&mut table, &event);
        }
        if event.generation >= generation && event.last {
            break;
        }
    }
    assert_eq!((generation, table), list(&real).await);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off_and_its_place_is_free() {
    let real = Real::start(Bounds { watches: 1, stall: Duration::from_millis(100), ..Bounds::default() });
    real.apply(vec![vrf("red")]).await;
    let mut unread = real.watch(v1::WatchRequest::default()).await.unwrap();
    // more than the windows of HTTP/2 and the socket hold
    for round in 1..10 {
        real.apply((0..10_000).map(|at| route(at, round)).collect()).await;
    }
    loop {
        match real.watch(v1::WatchRequest::default()).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let end = loop {
        match unread.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(end.is_err() || matches!(end, Ok(None)), "{end:?}");
}

#[tokio::test]
async fn stopping_ends_a_watch() {
    let mut daemon = Daemon::start(Bounds::default());
    let mut events = client(&daemon.path()).await.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    daemon = tokio::task::spawn_blocking(move || {
        daemon.stop();
        daemon
    })
    .await
    .unwrap();
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unavailable);
    drop(daemon);
}
