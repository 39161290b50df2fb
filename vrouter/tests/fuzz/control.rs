//! Bytes as the control socket's messages: whatever can be read as a request is answered or refused. A refused batch leaves no trace,
//! what is accepted compiles to tables in which everything that is named is there, and what watchers are told adds up to the list.

use std::sync::LazyLock;

use prost::Message;
use vrouter::api::v1;
use vrouter::control::{Made, Request};
use vrouter::ids::Mac;
use vrouter::model::{Limits, Model, PortInfo};

use super::input::{Input, counted};
use super::model::{self, LIMITS, changes, ports};
use super::open::Open;
use crate::lab::{Lab, Rig, Setup};
use crate::network;

static BASE: LazyLock<Vec<v1::Change>> = LazyLock::new(|| changes(&network::a()));

/// First byte: whether there is a network already. Then messages, each its kind, its length and its bytes.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Some(shape) = input.byte() else { return };
    let setup = Setup { network: "{}".into(), flows: 16, room: 32, vif_slots: LIMITS.vifs, ..Setup::default() };
    let mut lab = Lab::one(1, &setup);
    if shape & 1 > 0 {
        lab.rig().try_apply(BASE.clone()).expect("the base is good");
    }
    let mut open = Open::default();
    while let (Some(kind), Some(bytes)) = (input.byte(), input.counted()) {
        match kind % 16 {
            0..=2 | 8..=10 => {
                let Ok(read) = v1::Changes::decode(bytes) else { continue };
                let owner = if kind & 8 > 0 { "bgp" } else { "" };
                batch(lab.rig(), v1::Begin { owner: owner.into(), ..v1::Begin::default() }, read);
                open.remember(lab.rig());
            }
            3 | 11 => {
                steps(lab.rig(), bytes);
                open.remember(lab.rig());
            }
            kind @ 4..=7 => ask(lab.rig(), kind, bytes),
            12 => open.sync(lab.rig(), bytes),
            13 => look(lab.rig(), bytes),
            14 => open.read_on(bytes),
            _ => open.watch(lab.rig(), bytes),
        }
        lab.run();
        open.wake(lab.rig());
    }
    open.end(lab.rig());
    rebuild(lab.rig());
}

fn batch(rig: &mut Rig, begin: v1::Begin, changes: v1::Changes) {
    let before = (list(rig), rig.shared.snapshot.load_full());
    let result = rig.ask(|reply| Request::Apply { begin, changes, by: "a test".into(), reply });
    let after = rig.shared.snapshot.load_full();
    match result {
        Ok(Made::Unkept(..)) => unreachable!("nothing is kept"),
        Ok(Made::Plan(plan)) => {
            assert_eq!(plan.generation, after.generation.0);
            assert!(before.0 == list(rig), "a dry run left a trace: {plan:?}");
            assert!(std::sync::Arc::ptr_eq(&before.1, &after));
        }
        Ok(Made::Shadowed(shadowed)) => {
            assert_eq!((shadowed.generation, after.generation.0), (before.1.generation.0 + 1, shadowed.generation));
            assert!(before.0 == list(rig), "a shadow left a trace: {shadowed:?}");
            assert!(after.shadow.is_some());
        }
        Ok(Made::Applied(v1::Applied { generation, .. })) => {
            assert_eq!((generation, after.generation.0), (before.1.generation.0 + 1, generation));
            model::check(&after);
        }
        Err(refused) => {
            assert!(!refused.reason.is_empty(), "{refused:?}");
            assert!(before.0 == list(rig), "a refused batch left a trace: {refused:?}");
            assert!(std::sync::Arc::ptr_eq(&before.1, &after));
        }
    }
}

/// A stream of `Apply`, as far as it can be read without a socket: its batches.
fn steps(rig: &mut Rig, bytes: &[u8]) {
    use v1::apply_request::Step;
    let (mut input, mut open) = (Input(bytes), None);
    while let Some(bytes) = input.counted() {
        let Ok(message) = v1::ApplyRequest::decode(bytes) else { return };
        match (message.step, open.take()) {
            (Some(Step::Begin(begin)), None) => open = Some((begin, v1::Changes::default())),
            (Some(Step::Changes(more)), Some((begin, mut changes))) => {
                changes.append(more);
                open = Some((begin, changes));
            }
            (Some(Step::Commit(_)), Some((begin, changes))) => batch(rig, begin, changes),
            _ => return,
        }
    }
}

fn ask(rig: &mut Rig, kind: u8, bytes: &[u8]) {
    match kind {
        4 => {
            let Ok(filter) = v1::ListRequest::decode(bytes) else { return };
            _ = rig.ask(|reply| Request::List { filter, reply }).map(|listed| listed.objects.count());
        }
        5 => {
            let Ok(filter) = v1::FlowsRequest::decode(bytes) else { return };
            _ = rig.ask(|reply| Request::Flows { filter, reply }).map(Iterator::count);
        }
        6 => {
            let Ok(filter) = v1::VictimsRequest::decode(bytes) else { return };
            _ = rig.ask(|reply| Request::Victims { filter, reply });
            let Ok(filter) = v1::HitsRequest::decode(bytes) else { return };
            let routes = filter.clone();
            _ = rig.ask(|reply| Request::RouteHits { filter: routes, reply }).map(Iterator::count);
            _ = rig.ask(|reply| Request::Hits { filter, reply }).map(Iterator::count);
        }
        _ => {
            let Ok(query) = v1::ExplainRequest::decode(bytes) else { return };
            let before = rig.stats().conservation;
            _ = rig.ask(|reply| Request::Explain { query, reply });
            assert_eq!(before, rig.stats().conservation, "explain counts nothing");
        }
    }
}

/// Counters and who serves here.
fn look(rig: &mut Rig, bytes: &[u8]) {
    let generation = rig.shared.snapshot.load().generation.0;
    if v1::StatsRequest::decode(bytes).is_ok() {
        let stats = rig.stats();
        assert_eq!(stats.generation, generation);
        let vifs: Vec<_> = rig.shared.snapshot.load().vifs.iter().map(|(_, vif)| vif.name.to_string()).collect();
        assert!(vifs.len() == stats.vifs.len() && stats.vifs.iter().all(|row| vifs.contains(&row.vif)), "{stats:?}");
        assert!(stats.drops.is_empty() && stats.workers.len() == 1, "nothing was sent: {stats:?}");
    }
    if v1::StatusRequest::decode(bytes).is_ok() {
        let status = rig.ask(|reply| Request::Status { reply });
        assert_eq!((status.generation, status.workers, &*status.idle), (generation, 1, "poll"));
    }
}

fn list(rig: &mut Rig) -> Vec<v1::Object> {
    let filter = v1::ListRequest::default();
    let mut objects: Vec<_> = rig.ask(|reply| Request::List { filter, reply }).expect("all").objects.collect();
    // what devices say, which no batch changes
    objects.retain(|object| !matches!(object.kind, Some(v1::object::Kind::Port(_))));
    objects
}

/// The lab's, and those that were added.
fn all_ports(rig: &mut Rig) -> Vec<PortInfo> {
    let filter = v1::ListRequest { kind: v1::Kind::Port.into(), ..Default::default() };
    let mut all = ports();
    for object in rig.ask(|reply| Request::List { filter, reply }).expect("ports").objects {
        let Some(v1::object::Kind::Port(port)) = object.kind else { panic!("a port") };
        if !all.iter().any(|there| *there.name == *port.name) {
            let mac = Mac(port.mac.try_into().expect("six bytes"));
            let (mtu, queues) = (port.mtu as u16, port.queues as u16);
            all.push(PortInfo { name: port.name, devargs: port.devargs, mac, mtu, queues });
        }
    }
    all
}

/// What is listed makes the same again.
fn rebuild(rig: &mut Rig) {
    use v1::object::Kind;
    let mut listed = list(rig);
    let limits = Limits { vifs: LIMITS.vifs, ..Limits::default() };
    let mut fresh = Model::new(limits, all_ports(rig));
    for object in &listed {
        match object.kind.as_ref().expect("listed") {
            Kind::Route(route) if route.key.as_ref().is_some_and(|key| key.owner == "vif") => {}
            Kind::Neighbour(neighbour) if neighbour.learnt => {
                let key = neighbour.key.clone().expect("listed");
                let address: std::net::IpAddr = match <[u8; 4]>::try_from(&key.address[..]) {
                    Ok(v4) => v4.into(),
                    Err(_) => <[u8; 16]>::try_from(&key.address[..]).expect("IPv6").into(),
                };
                let mac = Mac(neighbour.mac.clone().try_into().expect("six bytes"));
                _ = fresh.learn(fresh.vif_id(&key.vif).expect("listed before"), address, mac);
            }
            // which nobody put
            Kind::Settings(_) if object.owner.is_empty() => {}
            _ => {
                let op = v1::change::Op::Put(object.clone());
                let change = v1::Change { op: Some(op) };
                fresh
                    .apply("", &[change])
                    .unwrap_or_else(|refused| panic!("listed, and refused: {refused:?} {object:?}"));
            }
        }
    }
    let mut again = fresh.list(v1::Kind::All, "");
    again.retain(|object| !matches!(object.kind, Some(Kind::Port(_))));
    // what a session is at is nobody's to make
    for object in listed.iter_mut().chain(&mut again) {
        let Some(Kind::BfdSession(session)) = &mut object.kind else { continue };
        (session.state, session.diagnostic) = (String::new(), String::new());
        (session.failed, session.live) = (false, None);
    }
    assert!(again == listed, "the list does not make itself again:\n{listed:#?}\n{again:#?}");
    model::check(&fresh.snapshot());
}

pub fn seeds() -> Vec<Vec<u8>> {
    let message = |kind: u8, bytes: Vec<u8>| [&[kind][..], &counted(&bytes)].concat();
    let mut seeds = Vec::new();
    let whole = changes(&network::a());
    seeds.push([vec![0], message(0, v1::Changes::from(whole.clone()).encode_to_vec())].concat());
    let documents = include_str!("changes.yaml").split("\n---\n").map(changes);
    for (number, changes) in whole.into_iter().map(|change| vec![change]).chain(documents).enumerate() {
        let one = message(0, v1::Changes::from(changes.clone()).encode_to_vec());
        let create = changes.into_iter().map(|change| match change.op {
            Some(v1::change::Op::Put(object)) => v1::Change { op: Some(v1::change::Op::Create(object)) },
            op => v1::Change { op },
        });
        let create = message(9, v1::Changes::from(create.collect::<Vec<_>>()).encode_to_vec());
        seeds.push([&[1][..], &one, &create].concat());
        seeds.push(
            [
                &[0][..],
                &one,
                &message(
                    4,
                    v1::ListRequest { kind: number as i32 % 12, vrf: "red".into(), revision: 0 }.encode_to_vec(),
                ),
            ]
            .concat(),
        );
    }
    let prefix = Some(v1::Prefix { address: vec![10, 1, 1, 0], length: 24 });
    let flows =
        v1::FlowsRequest { vrf: "red".into(), vif: "ra".into(), source: prefix, port: Some(53), ..Default::default() };
    let victims = v1::VictimsRequest { reason: "no_route".into(), vif: "ra".into(), limit: 3, vrf: "red".into() };
    let explain = v1::ExplainRequest {
        place: Some(v1::explain_request::Place::Vif("ra".into())),
        source: vec![10, 1, 1, 10],
        destination: vec![10, 1, 1, 20],
        protocol: 17,
        source_port: 5000,
        destination_port: 53,
        ..Default::default()
    };
    let tunnel =
        v1::ExplainRequest { place: Some(v1::explain_request::Place::TunnelVrf("red".into())), ..explain.clone() };
    let asked = [
        (5, flows.encode_to_vec()),
        (6, victims.encode_to_vec()),
        (7, explain.encode_to_vec()),
        (7, tunnel.encode_to_vec()),
    ];
    seeds.extend(asked.map(|(kind, bytes)| [&[1][..], &message(kind, bytes)].concat()));
    seeds.extend(super::open::seeds());
    use v1::apply_request::Step;
    let batch = |begin: v1::Begin, changes: Vec<v1::Change>| {
        let steps = [Step::Begin(begin), Step::Changes(v1::Changes::from(changes)), Step::Commit(v1::Commit {})];
        steps.map(|step| counted(&v1::ApplyRequest { step: Some(step) }.encode_to_vec())).concat()
    };
    let cni = v1::Begin { owner: "cni".into(), ..v1::Begin::default() };
    let replace = v1::Begin { replace: true, lease_ms: Some(1000), ..cni.clone() };
    let plan = v1::Begin { dry_run: true, take_over: true, if_generation: Some(2), ..replace.clone() };
    let all = changes(&network::b_dynamic());
    let (some, one) = (all[..all.len() / 2].to_vec(), all[..1].to_vec());
    let first = batch(cni, all);
    seeds.push([&[0][..], &message(3, first.clone())].concat());
    for begin in [replace, plan] {
        let then = [batch(begin.clone(), some.clone()), batch(begin, one.clone())].concat();
        seeds.push([&[0][..], &message(3, first.clone()), &message(3, then)].concat());
    }
    seeds
}
