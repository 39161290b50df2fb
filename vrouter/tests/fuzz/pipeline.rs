//! Bytes through a whole vRouter: packets, steps of the clock, changes of the configuration, a busy control thread. No panic, no
//! allocation on a worker, the books close after each step, and at the end every frame and every buffer is back.

use std::sync::LazyLock;

use vrouter::api::v1;
use vrouter::daemon::clock::tick_at;
use vrouter::ids::PortIndex;
use vrouter::packet::checksum;
use vrouter::port::Undone;

use super::input::{Input, counted};
use super::model::changes;
use crate::lab::{Lab, PORTS, Setup};
use crate::{books, frames, network};

static BASE: LazyLock<Vec<v1::Change>> = LazyLock::new(|| changes(&network::a_dynamic()));
static CHANGES: LazyLock<Vec<Vec<v1::Change>>> =
    LazyLock::new(|| include_str!("changes.yaml").split("\n---\n").map(changes).collect());

/// Frames that one wire holds; before it is full the vRouter runs.
const ROOM: usize = 48;
/// Documents that there may be.
const MOST_CHANGES: usize = 128;
const FLOWS: [u32; 4] = [4, 16, 64, 256];

/// First byte: workers and the size of the flow table. Second: where in `changes.yaml` the eight changes stand that are made at once
/// by the bits of the third. Then steps, each a byte and what it needs.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let [Some(shape), Some(from), Some(mask)] = [input.byte(), input.byte(), input.byte()] else { return };
    let mut lab = made(shape);
    for bit in (0..8).filter(|bit| mask >> bit & 1 == 1) {
        change(&mut lab, usize::from(from) + bit);
    }
    let mut put = 0;
    while let Some(step) = input.byte() {
        match step % 16 {
            8 => link(&mut lab, input.byte().unwrap_or_default()),
            0..=7 => {
                let (Some(how), Some(bytes)) = (input.byte(), input.counted()) else { break };
                put += frame(&mut lab, how, bytes);
                if put < 16 && step % 16 != 0 {
                    continue;
                }
            }
            9 | 10 => change(&mut lab, input.byte().unwrap_or_default().into()),
            11 => lab.now += 100 * u64::from(input.byte().unwrap_or(1)),
            12 => lab.now += 10_000,
            13 => delete(&mut lab, input.byte().unwrap_or_default().into()),
            14 => {
                let now = lab.now;
                // the control thread is elsewhere
                lab.rig().workers.iter_mut().for_each(|worker| _ = worker.poll(tick_at(now)));
                continue;
            }
            _ => reflect(&mut lab, input.byte().unwrap_or_default()),
        }
        put = 0;
        settle(&mut lab);
    }
    settle(&mut lab);
    end_sessions(&mut lab);
    // packets that wait for a neighbour who is not there end
    for _ in 0..5 {
        lab.now += 1000;
        lab.run();
        lab.discard();
    }
    books::close(&mut lab);
}

fn made(shape: u8) -> Lab {
    let flows = FLOWS[usize::from(shape >> 1) % FLOWS.len()];
    let lonely_port = (shape & 8 > 0).then_some(3);
    let shared_port = (shape & 16 > 0).then_some(0);
    let setup = Setup {
        network: "{}".into(),
        flows,
        room: ROOM,
        // an input's time goes mostly to adding up their counters
        vif_slots: 10,
        lonely_port,
        shared_port,
        new_flows_per_second: if shape & 32 > 0 { 3 } else { 1_000_000 },
        ..Setup::default()
    };
    let mut lab = Lab::one(1 + usize::from(shape & 1), &setup);
    lab.rig().try_apply(BASE.clone()).expect("the base is good");
    lab
}

/// Ours speak for ever, also to neighbours who are not there.
fn end_sessions(lab: &mut Lab) {
    let sessions = list(lab).into_iter().filter_map(|object| match object.kind {
        Some(v1::object::Kind::BfdSession(session)) => Some(v1::object_key::Kind::BfdSession(session.name)),
        _ => None,
    });
    for key in sessions.collect::<Vec<_>>() {
        lab.rig().delete(key);
    }
}

/// A port loses its link, or all have theirs again.
fn link(lab: &mut Lab, port: u8) {
    lab.run();
    let mut links = lab.rig().links.lock().expect("no panic before");
    let number = u16::from(port) % (PORTS as u16 + 1);
    if usize::from(number) == PORTS {
        links.iter_mut().for_each(|(_, up)| *up = true);
    } else {
        links.retain(|(at, _)| at.0 != number);
        links.push((PortIndex(number), false));
    }
    drop(links);
    // when links are looked at
    lab.now += 100;
}

/// Until nothing moves; then the books close but for what waits for a neighbour.
fn settle(lab: &mut Lab) {
    lab.run();
    lab.discard();
    lab.exchanged.clear();
    let rig = lab.rig();
    books::held(rig);
    let flows = &rig.shared.flows;
    assert!(flows.narrow().used() <= flows.narrow().capacity() && flows.wide().used() <= flows.wide().capacity());
}

fn change(lab: &mut Lab, number: usize) {
    // the same number means the same when there are more
    let Some(changes) = CHANGES.get(number % MOST_CHANGES).cloned() else { return };
    let before = lab.rig().shared.snapshot.load_full();
    if lab.rig().try_apply(changes).is_err() {
        assert_eq!(lab.rig().shared.snapshot.load().generation, before.generation, "a refused batch did something");
    }
}

/// Deletes the object that stands there in the list, if nothing refers to it.
fn delete(lab: &mut Lab, number: usize) {
    use v1::{object::Kind, object_key::Kind as Key};
    let objects = list(lab);
    let key = match objects[number % objects.len()].kind.clone() {
        Some(Kind::Vrf(vrf)) => Key::Vrf(vrf.name),
        Some(Kind::Vif(vif)) => Key::Vif(vif.name),
        Some(Kind::Route(v1::Route { key: Some(key), .. })) => Key::Route(key),
        Some(Kind::Neighbour(v1::Neighbour { key: Some(key), .. })) => Key::Neighbour(key),
        Some(Kind::Vni(vni)) => Key::Vni(vni.vni),
        Some(Kind::Label(label)) => Key::Label(label.label),
        Some(Kind::Acl(acl)) => Key::Acl(acl.name),
        Some(Kind::Group(group)) => Key::Group(group.name),
        Some(Kind::NextHopGroup(group)) => Key::NextHopGroup(group.name),
        Some(Kind::BfdSession(session)) => Key::BfdSession(session.name),
        // not those that the lab began with: its ends of them stay
        Some(Kind::Port(port)) if !port.name.starts_with('p') => Key::Port(port.name),
        _ => return,
    };
    let op = v1::change::Op::Delete(v1::ObjectKey { kind: Some(key) });
    _ = lab.rig().try_apply(vec![v1::Change { op: Some(op) }]);
}

fn list(lab: &mut Lab) -> Vec<v1::Object> {
    let request = |reply| vrouter::control::Request::List { filter: v1::ListRequest::default(), reply };
    lab.rig().ask(request).expect("everything can be listed").objects.collect()
}

/// One frame, or a few of the same. Low bits of `how`: the port; then: checksums are made right, and how many; the upper two: what its sender
/// left undone.
fn frame(lab: &mut Lab, how: u8, bytes: &[u8]) -> usize {
    let mut bytes = bytes[..bytes.len().min(1900)].to_vec();
    if how & 8 > 0 {
        mend(&mut bytes);
    }
    let count = if how & 16 > 0 { 3 } else { 1 };
    for _ in 0..count {
        let mut frame = lab.rooms.copy_or_make(&bytes).expect("fits");
        frame.undone = match how >> 6 {
            0 => Undone::NOTHING,
            1 => Undone::CHECKSUM,
            2 => Undone::segments(64),
            _ => Undone::segments(1400),
        };
        lab.put_frame((0, usize::from(how) % PORTS), frame);
    }
    count
}

/// IPv4 header checksums, where a header may be: outer, and inner behind VXLAN or GENEVE, MPLS over UDP and MPLS over GRE.
fn mend(bytes: &mut [u8]) {
    for at in [64, 54, 46, 42, 14] {
        let Some(packet) = bytes.get_mut(at..) else { continue };
        let header = packet.first().map_or(0, |byte| usize::from(byte & 15) * 4);
        if packet.first().is_some_and(|byte| byte >> 4 == 4) && header >= 20 && packet.len() >= header {
            packet[10..12].fill(0);
            let sum = checksum::of(&packet[..header]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// What came out of one port goes into another.
fn reflect(lab: &mut Lab, ways: u8) {
    lab.run();
    let (from, to) = (usize::from(ways) % PORTS, usize::from(ways >> 4) % PORTS);
    for bytes in lab.take((0, from)).into_iter().take(16) {
        lab.put_bytes((0, to), &bytes);
    }
}

/// Each frame alone where it may enter; and flows: several frames in a row under several configurations.
pub fn seeds() -> Vec<Vec<u8>> {
    let names = || frames::names().into_iter().filter(|name| !name.contains("flood") && !name.contains("quiet"));
    let put = |how: u8, name: &str| [&[0, how][..], &counted(frames::frame(name))].concat();
    let mut seeds = Vec::new();
    for (number, name) in names().enumerate() {
        let from = number as u8;
        seeds.push([vec![2, 0, 1], put(0, name), put(1, name), vec![11, 5], put(24, name), put(25, name)].concat());
        seeds.push([vec![3, from, 0x0f], put(0, name), put(1, name), vec![9, from], put(1, name)].concat());
    }
    let all: Vec<&str> = names().collect();
    for (number, few) in all.chunks(6).enumerate() {
        let frames: Vec<u8> = few.iter().flat_map(|name| [put(0, name), put(1, name), put(3, name)].concat()).collect();
        let tail = [15, 0x00, 9, number as u8, 12, 13, number as u8, 14, 15, 0x10];
        seeds.push([&[number as u8, (number * 3) as u8, 0x11][..], &frames, &tail, &frames].concat());
    }
    // with what senders leave undone, at a tenant's port and at the uplink, small segments and large ones
    for (number, name) in names().filter(|name| name.starts_with("off.") || name.starts_with("tcp.")).enumerate() {
        let frames: Vec<u8> = [0x41, 0x81, 0xc1, 0x40, 0x80, 0x84].iter().flat_map(|how| put(*how, name)).collect();
        seeds.push([&[2, number as u8, 0x03][..], &frames, &[11, 5], &frames].concat());
    }
    seeds.extend(OF_A_FEATURE.iter().flat_map(|(documents, beginnings)| {
        let changes: Vec<u8> = documents.iter().flat_map(|&number| [9, number]).collect();
        let names: Vec<&str> = names().filter(|name| beginnings.iter().any(|with| name.starts_with(with))).collect();
        assert!(!names.is_empty(), "{beginnings:?}");
        // some of each kind, and all kinds: frames of a feature are sorted by what they are
        let apart = names.len().div_ceil(6);
        let anywhere = move |name: &&str| [put(0, name), put(1, name), put(4, name)].concat();
        (0..apart.min(12)).map(move |first| {
            let frames: Vec<u8> = names.iter().skip(first).step_by(apart).flat_map(anywhere).collect();
            let tail = [11, 50, 8, 0, 15, 0x00, 8, 8, 14, 13, first as u8, 15, 0x40];
            [&[2, 0, 1][..], &changes, &frames, &tail, &frames[..frames.len() / 3]].concat()
        })
    }));
    seeds
}

/// Documents of `changes.yaml`, and how frames are called that these concern.
const OF_A_FEATURE: [(&[u8], &[&str]); 16] = [
    (&[37, 38, 39], &["u6."]),
    (&[37, 40], &["nd6.", "u6."]),
    (&[41, 38], &["tagged.", "nd6."]),
    (&[42], &["exc."]),
    (&[43], &["exc.", "tagged."]),
    (&[44, 46], &["ecn.", "dscp.", "ttl.", "tc."]),
    (&[45, 46], &["ecn.", "dscp.", "ttl.", "tc."]),
    (&[47, 48], &["ra.", "own.", "forged.", "echo-out-of."]),
    (&[49, 50, 52, 53], &["ecmp.", "any."]),
    (&[51, 4, 16], &["udp4.", "tcp.", "udp6."]),
    (&[54, 55, 56], &["vrf.", "udp4."]),
    (&[57, 58, 60], &["hot.", "numbered.0", "udp4."]),
    (&[61, 37, 62], &["gnv", "u6.geneve"]),
    (&[63, 38], &["mss"]),
    (&[12, 64], &["split"]),
    (&[83, 84], &["bfd."]),
];
