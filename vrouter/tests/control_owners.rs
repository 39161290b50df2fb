//! Owners over the socket: dry runs, batches that rest on a generation, leases, watchers who are not told what they said, and clients
//! that are newer than we are.

mod control_daemon;

use std::time::Duration;

use control_daemon::client;
use control_daemon::real::Real;
use prost::Message;
use tonic::Code;
use v1::apply_reply::Result as Answer;
use v1::apply_request::Step;
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;
use vrouter::api::v1;
use vrouter::control::Bounds;

fn by(owner: &str) -> v1::Begin {
    v1::Begin { owner: owner.into(), ..v1::Begin::default() }
}

fn vrf(name: &str) -> v1::Change {
    let vrf = v1::Vrf { name: name.into(), ..v1::Vrf::default() };
    v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Vrf(vrf)))) }
}

fn route(at: u32) -> v1::Change {
    let prefix = Some(v1::Prefix { address: (0x0a00_0000 + at).to_be_bytes().into(), length: 32 });
    let key = Some(v1::RouteKey { vrf: "red".into(), prefix, owner: String::new() });
    let next_hop = Some(v1::NextHop { kind: Some(v1::next_hop::Kind::Drop(v1::next_hop::Drop {})) });
    let route = v1::Route { key, next_hop, ..v1::Route::default() };
    v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Route(route)))) }
}

#[track_caller]
fn generation(answer: Answer) -> u64 {
    let Answer::Applied(applied) = answer else { panic!("{answer:?}") };
    applied.generation
}

#[track_caller]
fn field(answer: Answer) -> String {
    let Answer::Refused(refused) = answer else { panic!("{answer:?}") };
    refused.field
}

#[tokio::test]
async fn a_dry_run_is_answered_with_a_plan_and_changes_nothing() {
    let real = Real::start(Bounds::default());
    let base = generation(real.batch(by("cni"), vec![vrf("red"), vrf("blue")]).await);
    let dry = v1::Begin { dry_run: true, replace: true, ..by("cni") };
    let port = v1::Port { name: "new".into(), devargs: "net_null0".into(), ..v1::Port::default() };
    let port = v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Port(port)))) };
    let Answer::Plan(plan) = real.batch(dry.clone(), vec![vrf("red"), port, vrf("green")]).await else { panic!() };
    assert_eq!((plan.generation, plan.created, plan.changed, plan.deleted, plan.unchanged), (base, 2, 0, 1, 1));
    assert_eq!(plan.steps.len(), 3);
    assert_eq!(plan.steps[0].before.as_ref().unwrap().owner, "cni");
    // other owners' objects are theirs, here too
    assert_eq!(field(real.batch(v1::Begin { owner: "bgp".into(), ..dry }, vec![vrf("red")]).await), "owner");
    let status = client(&real.path()).await.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.generation, base);
}

#[tokio::test]
async fn batches_of_one_stream_rest_on_the_ones_before() {
    let real = Real::start(Bounds::default());
    let base = generation(real.batch(by(""), vec![vrf("red")]).await);
    let on = |generation| v1::Begin { if_generation: Some(generation), ..by("cni") };
    let (to, steps) = tokio::sync::mpsc::channel(64);
    let send = async |begin: v1::Begin, change: v1::Change| {
        for step in [Step::Begin(begin), Step::Changes(v1::Changes::from(vec![change])), Step::Commit(v1::Commit {})] {
            to.send(v1::ApplyRequest { step: Some(step) }).await.unwrap();
        }
    };
    // sent at once
    send(on(base), vrf("a")).await;
    send(on(base), vrf("b")).await;
    let steps = tokio_stream::wrappers::ReceiverStream::new(steps);
    let mut replies = client(&real.path()).await.apply(steps).await.unwrap().into_inner();
    let mut next = async || replies.message().await.unwrap().unwrap().result.unwrap();
    assert_eq!((generation(next().await), generation(next().await)), (base + 1, base + 2));
    // another client in between
    assert_eq!(field(real.batch(on(base), vec![vrf("c")]).await), "if_generation");
    generation(real.batch(by(""), vec![vrf("d")]).await);
    send(on(base), vrf("e")).await;
    assert_eq!(field(next().await), "if_generation");
    send(on(base + 3), vrf("e")).await;
    assert_eq!(generation(next().await), base + 4);
}

#[tokio::test]
async fn who_watches_is_not_told_what_he_said_however_much() {
    let real = Real::start(Bounds::default());
    let base = generation(real.batch(by(""), vec![vrf("red")]).await);
    let from = |not_owner: &str| v1::WatchRequest {
        after: Some(base),
        not_owner: not_owner.into(),
        ..v1::WatchRequest::default()
    };
    let mut bgp = real.watch(from("bgp")).await.unwrap();
    let mut other = real.watch(from("")).await.unwrap();
    generation(real.batch(by("bgp"), vec![route(1)]).await);
    let seen = generation(real.batch(by("cni"), vec![vrf("a")]).await);
    // more than the log holds
    let bulk = generation(real.batch(by("bgp"), (0..70_000).map(route).collect()).await);
    let last = generation(real.batch(by("cni"), vec![vrf("b")]).await);
    let mut told = Vec::new();
    for _ in 0..2 {
        let event = bgp.message().await.unwrap().unwrap();
        told.push((event.generation, event.owner, event.lost));
    }
    assert_eq!(told, [(seen, "cni".to_owned(), false), (last, "cni".to_owned(), false)]);
    // the others lost their place
    loop {
        let event = other.message().await.unwrap().unwrap();
        if event.lost {
            assert!(event.generation >= bulk);
            break;
        }
        assert!(event.generation < bulk, "{event:?}");
    }
}

#[tokio::test]
async fn a_lease_is_kept_by_batches_and_calls_and_its_end_is_an_event() {
    let real = Real::start(Bounds::default());
    generation(real.batch(by(""), vec![vrf("red")]).await);
    let base = generation(real.batch(v1::Begin { lease_ms: Some(700), ..by("cni") }, vec![vrf("a"), route(1)]).await);
    let mut events = real
        .watch(v1::WatchRequest { after: Some(base), not_owner: "cni".into(), ..Default::default() })
        .await
        .unwrap();
    let mut client = client(&real.path()).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let wanted = v1::KeepAliveRequest { owner: "cni".into(), lease_ms: None };
        let kept = client.keep_alive(wanted).await.unwrap().into_inner();
        assert_eq!(kept, v1::KeepAliveReply { lease_ms: 700, expired: false });
    }
    let owners = client.owners(v1::OwnersRequest {}).await.unwrap().into_inner();
    let told: Vec<_> = owners.owners.iter().map(|o| (&*o.name, o.routes, o.objects, o.lease_ms)).collect();
    assert_eq!((owners.generation, told), (base, vec![("cni", 1, 1, 700), ("operator", 0, 1, 0)]));
    let event = tokio::time::timeout(Duration::from_secs(20), events.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((event.generation, &*event.owner, event.changes.len()), (base + 1, "", 2));
    assert!(event.changes.iter().all(|change| matches!(&change.op, Some(Op::Delete(key)) if key.kind.is_some())));
    let wanted = v1::KeepAliveRequest { owner: "cni".into(), lease_ms: Some(0) };
    assert_eq!(
        client.keep_alive(wanted).await.unwrap().into_inner(),
        v1::KeepAliveReply { lease_ms: 0, expired: true }
    );
    for (owner, lease_ms, why) in [("vif", 5, "owner"), ("no name", 5, "owner"), ("cni", 604_800_001, "lease_ms")] {
        let wanted = v1::KeepAliveRequest { owner: owner.into(), lease_ms: Some(lease_ms) };
        let status = client.keep_alive(wanted).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(why), "{status:?}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_in_a_beginning_is_said() {
    let real = Real::start(Bounds::default());
    for (begin, want) in [
        (v1::Begin { kinds: vec![77], replace: true, ..by("") }, "kinds: there is no kind 77"),
        (v1::Begin { kinds: vec![2], ..by("") }, "kinds: only what is replaced has kinds"),
        (v1::Begin { lease_ms: Some(u32::MAX), ..by("") }, "lease_ms: 4294967295 is more than 604800000"),
    ] {
        let steps = [v1::ApplyRequest { step: Some(Step::Begin(begin)) }];
        let mut replies = client(&real.path()).await.apply(tokio_stream::iter(steps)).await.unwrap().into_inner();
        let status = replies.message().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, want));
    }
}

/// The contract as a newer client has it: fields, an operation, a step and a kind of object that are not known here.
mod newer {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ApplyRequest {
        #[prost(message, tag = "1")]
        pub begin: Option<Begin>,
        #[prost(message, tag = "2")]
        pub changes: Option<Changes>,
        #[prost(message, tag = "3")]
        pub commit: Option<Begin>,
        #[prost(message, tag = "77")]
        pub pause: Option<Begin>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Begin {
        #[prost(string, tag = "1")]
        pub owner: String,
        #[prost(uint64, tag = "500")]
        pub urgency: u64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Changes {
        #[prost(message, repeated, tag = "1")]
        pub changes: Vec<Change>,
        #[prost(fixed64, tag = "501")]
        pub checksum: u64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Change {
        #[prost(message, tag = "2")]
        pub put: Option<Object>,
        #[prost(message, tag = "502")]
        pub rename: Option<Object>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Object {
        #[prost(message, tag = "2")]
        pub vrf: Option<Vrf>,
        #[prost(message, tag = "503")]
        pub firewall: Option<Vrf>,
        #[prost(fixed32, tag = "504")]
        pub colour: u32,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Vrf {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "505")]
        pub motto: String,
        #[prost(message, repeated, tag = "506")]
        pub children: Vec<Begin>,
    }
}

/// What a newer client's bytes are answered.
async fn asked(real: &Real, steps: Vec<newer::ApplyRequest>) -> Result<Answer, tonic::Status> {
    let path = real.path();
    let connect = move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    };
    let channel = tonic::transport::Endpoint::from_static("http://control")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<newer::ApplyRequest, v1::ApplyReply>::default();
    let call = tonic::Request::new(tokio_stream::iter(steps));
    let method = "/vrouter.v1.VRouter/Apply".parse().unwrap();
    let mut replies = grpc.streaming(call, method, codec).await?.into_inner();
    replies.message().await.map(|reply| reply.unwrap().result.unwrap())
}

#[tokio::test]
async fn what_a_newer_client_says_is_ignored_where_it_can_be_and_refused_where_it_cannot() {
    use newer::{ApplyRequest, Begin, Change, Changes, Object, Vrf};
    let real = Real::start(Bounds::default());
    let begin = ApplyRequest { begin: Some(Begin { owner: "cni".into(), urgency: 7 }), ..ApplyRequest::default() };
    let commit = ApplyRequest { commit: Some(Begin { urgency: 9, ..Begin::default() }), ..ApplyRequest::default() };
    let vrf = Vrf { name: "red".into(), motto: "ever on".into(), children: vec![Begin::default(), Begin::default()] };
    let change = |change| {
        let changes = Some(Changes { changes: vec![change], checksum: 0x0102_0304_0506_0708 });
        vec![begin.clone(), ApplyRequest { changes, ..ApplyRequest::default() }, commit.clone()]
    };
    let known = Object { vrf: Some(vrf.clone()), firewall: None, colour: 5 };
    let answer = asked(&real, change(Change { put: Some(known.clone()), rename: None })).await.unwrap();
    assert_eq!(answer, Answer::Applied(v1::Applied { generation: 1, ..v1::Applied::default() }));
    let unknown = Object { vrf: None, firewall: Some(vrf), colour: 5 };
    let pause = ApplyRequest { pause: Some(Begin::default()), ..ApplyRequest::default() };
    for (steps, want) in [
        (
            change(Change { put: None, rename: Some(known) }),
            "change 0 has no operation, or one without an object or key",
        ),
        (
            change(Change { put: Some(unknown), rename: None }),
            "change 0 has no operation, or one without an object or key",
        ),
        (vec![begin.clone(), pause], "a message without a step (begin, changes or commit)"),
    ] {
        let status = asked(&real, steps).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, want));
    }
    let bytes = newer::Vrf { name: "red".into(), motto: "x".into(), children: vec![] }.encode_to_vec();
    assert_eq!(v1::Vrf::decode(&*bytes).unwrap(), v1::Vrf { name: "red".into(), ..v1::Vrf::default() });
    let status = client(&real.path()).await.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.generation, 1);
    let key = v1::ObjectKey { kind: Some(Key::Vrf("red".into())) };
    let gone = v1::Change { op: Some(Op::Delete(key)) };
    assert_eq!(generation(real.batch(by("cni"), vec![gone]).await), 2);
}

#[tokio::test]
async fn what_others_refer_to_is_undone_when_they_do_not_any_more() {
    let real = Real::start(Bounds::default());
    let begin = v1::Begin { confirm_ms: 400, ..by("cni") };
    generation(real.batch(begin, vec![vrf("red"), vrf("blue")]).await);
    let vni = v1::Vni { vni: 7, vrf: "red".into(), ..v1::Vni::default() };
    real.apply(vec![v1::Change { op: Some(Op::Put(v1::Object::from(Kind::Vni(vni)))) }]).await;
    // as much as can be, and the rest is to be
    until_there_are(&real, &["red"]).await;
    let past = client(&real.path()).await.revisions(v1::RevisionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(past.unconfirmed[0].remaining_ms, 0);
    let key = Some(Key::Vni(7));
    real.apply(vec![v1::Change { op: Some(Op::Delete(v1::ObjectKey { kind: key })) }]).await;
    until_there_are(&real, &[]).await;
}

/// Waits until there are these VRFs and no others.
async fn until_there_are(real: &Real, vrfs: &[&str]) {
    let filter = v1::ListRequest { kind: v1::Kind::Vrf.into(), ..v1::ListRequest::default() };
    for _ in 0..400 {
        let mut chunks = client(&real.path()).await.list(filter.clone()).await.unwrap().into_inner();
        let objects = chunks.message().await.unwrap().map(|chunk| chunk.objects).unwrap_or_default();
        let names = objects.into_iter().filter_map(|object| match object.kind {
            Some(Kind::Vrf(vrf)) => Some(vrf.name),
            _ => None,
        });
        if names.eq(vrfs.iter().map(|name| (*name).to_owned())) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {vrfs:?}");
}
