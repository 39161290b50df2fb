//! Sources and sinks as ports, and each profile's frames beside a slow twin that smoltcp makes.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr,
    Ipv6Packet, Ipv6Repr, UdpPacket, UdpRepr,
};

use super::args::parse;
use super::overflows::Overflow;
use super::profile::{IMIX, Profile, Sizes, Tunnel, TunnelKind};
use super::stamp::Stamp;
use super::*;
use crate::ids::Mac;
use crate::port::BURST;

const OUTER: &str = "outer_source=172.31.0.2,outer_destination=172.31.0.1,outer_source_mac=02:00:00:00:00:12,\
                     outer_destination_mac=02:00:00:00:00:34";
const HERTZ: u64 = 1_000_000_000;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn now() -> u64 {
    NOW.get()
}

type Ports = Vec<TrafficPort<Arc<Rooms>>>;

fn open_with(devargs: &str, queues: u16, rooms: &Arc<Rooms>) -> (TrafficDevice, Ports) {
    open(devargs, queues, Cycles { now, hertz: HERTZ }, || rooms.clone()).unwrap()
}

fn one(devargs: &str, rooms: &Arc<Rooms>) -> (TrafficDevice, TrafficPort<Arc<Rooms>>) {
    let (device, mut ports) = open_with(devargs, 1, rooms);
    (device, ports.remove(0))
}

fn rooms() -> Arc<Rooms> {
    Arc::new(Rooms::filled(2 * BURST, 0))
}

fn burst(port: &mut impl Port) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(BURST);
    let report = port.rx(&mut frames);
    assert_eq!(report, RxReport { frames: frames.len(), ..RxReport::default() });
    frames
}

// ------------------------------------------------------------------------------------------------ the slow twin

/// The frame of a flow, header by header.
fn twin(profile: &Profile, flow: u64, size: u16, stamp: Stamp) -> Vec<u8> {
    let address = |range: profile::Range| -> IpAddr {
        match range.first {
            IpAddr::V4(first) => IpAddr::V4((first.to_bits() + (flow % (1 << range.bits)) as u32).into()),
            IpAddr::V6(first) => IpAddr::V6((first.to_bits() + u128::from(flow) % (1 << range.bits)).into()),
        }
    };
    let client = (address(profile.clients), profile.first_port + (flow >> profile.clients.bits) as u16);
    let server = (address(profile.servers), profile.server_port);
    let (from, to) = if profile.reply { (server, client) } else { (client, server) };
    let headers = if from.0.is_ipv4() { 42 } else { 62 };
    let mut payload = vec![0; usize::from(size - 4).saturating_sub(headers + 16)];
    payload.extend(stamp.bytes());
    let packet = packet(from, to, &payload, from.0.is_ipv6());
    let ethertype = if from.0.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    match &profile.tunnel {
        None => ethernet(profile.macs, ethertype, &packet),
        Some(tunnel) => {
            let inner = match tunnel.kind {
                TunnelKind::Vxlan(_) => ethernet(profile.macs, ethertype, &packet),
                TunnelKind::MplsOverUdp(_) => packet,
            };
            wrapped(tunnel, 49152 + ((flow * 0x9e37_79b1 % (1 << 32)) / (1 << 18)) as u16, &inner)
        }
    }
}

fn wrapped(tunnel: &Tunnel, entropy: u16, inner: &[u8]) -> Vec<u8> {
    let (port, mut payload) = match tunnel.kind {
        TunnelKind::Vxlan(vni) => (4789, [vec![8, 0, 0, 0], vni.0.to_be_bytes()[1..].to_vec(), vec![0]].concat()),
        TunnelKind::MplsOverUdp(label) => (6635, (label.0 * 4096 + 256 + 64).to_be_bytes().to_vec()),
    };
    payload.extend(inner);
    let outer = packet((tunnel.source.into(), entropy), (tunnel.destination.into(), port), &payload, false);
    ethernet(tunnel.macs, EthernetProtocol::Ipv4, &outer)
}

fn packet(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8], udp_checksum: bool) -> Vec<u8> {
    let udp = UdpRepr { src_port: from.1, dst_port: to.1 };
    let mut caps = ChecksumCapabilities::default();
    if !udp_checksum {
        caps.udp = smoltcp::phy::Checksum::None;
    }
    let length = 8 + payload.len();
    let mut datagram = vec![0; length];
    let (source, destination) = (IpAddress::from(from.0), IpAddress::from(to.0));
    let fill = |place: &mut [u8]| place.copy_from_slice(payload);
    udp.emit(&mut UdpPacket::new_unchecked(&mut datagram), &source, &destination, payload.len(), fill, &caps);
    let mut bytes = match (from.0, to.0) {
        (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
            let repr =
                Ipv4Repr { src_addr, dst_addr, next_header: IpProtocol::Udp, payload_len: length, hop_limit: 64 };
            let mut bytes = vec![0; 20];
            repr.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &caps);
            bytes
        }
        (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
            let repr =
                Ipv6Repr { src_addr, dst_addr, next_header: IpProtocol::Udp, payload_len: length, hop_limit: 64 };
            let mut bytes = vec![0; 40];
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut bytes));
            bytes
        }
        mixed => panic!("{mixed:?}"),
    };
    bytes.extend(datagram);
    bytes
}

fn ethernet(macs: (Mac, Mac), ethertype: EthernetProtocol, packet: &[u8]) -> Vec<u8> {
    let (src_addr, dst_addr) = (EthernetAddress(macs.0.0), EthernetAddress(macs.1.0));
    let mut bytes = vec![0; 14];
    EthernetRepr { src_addr, dst_addr, ethertype }.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    bytes.extend(packet);
    bytes
}

proptest! {
    #[test]
    fn frames_are_those_of_the_slow_twin(
        flows in prop_oneof![Just("1"), Just("70000"), Just("16777216"), Just("new")],
        family in prop_oneof![
            Just("clients=10.128.0.0/9,servers=20.0.0.0/30,"),
            Just("clients=10.1.1.10,first_port=1,"),
            Just("clients=2001:db8::/112,servers=2001:db8:1::8000:0/100,"),
            Just("clients=2001:db8::ffff:0:0/96,servers=2001:db8:ffff::1,first_port=65000,server_port=65535,"),
        ],
        reply in any::<bool>(),
        tunnel in prop_oneof![Just(""), Just("vni=16777215,"), Just("label=1048575,")],
        size in prop_oneof![Just("imix".to_owned()), (64_u16..=1518).prop_map(|size| size.to_string())],
        begin in any::<u32>(),
    ) {
        // one client address has but its ports
        let flows = if family.contains("10.1.1.10") && flows.parse().is_ok_and(|it: u32| it > 65535) { "65535" } else { flows };
        let direction = if reply { "direction=reply," } else { "" };
        let wrapping = if tunnel.is_empty() { "" } else { OUTER };
        let text = format!("source5,flows={flows},{family}{direction}{tunnel}size={size},burst=13,{wrapping}");
        let text = text.trim_end_matches(',');
        let profile = parse(text).unwrap().profile.unwrap();
        let rooms = rooms();
        let (device, mut port) = one(text, &rooms);
        NOW.set(u64::from(begin));
        let mut walk = walk::Walk::new(0, profile.flows);
        for round in 0..4_u32 {
            for (at, frame) in (0..).zip(burst(&mut port)) {
                let number = round * 13 + at;
                let size = match profile.sizes {
                    Sizes::One(size) => size,
                    Sizes::Imix => IMIX.0[usize::from(IMIX.1[number as usize % 12])],
                };
                let stamp = Stamp { stream: 5 << 4, sequence: number, time: begin.into() };
                prop_assert_eq!(frame.bytes(), twin(&profile, walk.step(), size, stamp));
            }
        }
        prop_assert_eq!(device.totals().made, 52);
        prop_assert_eq!(rooms.in_use(), 0);
    }
}

// ------------------------------------------------------------------------------------------------ as ports

#[test]
fn imix_is_seven_to_four_to_one() {
    let (_device, mut port) = one("source0,size=imix,burst=12", &rooms());
    let lengths: Vec<usize> = burst(&mut port).iter().map(Frame::len).collect();
    let of = |length| lengths.iter().filter(|&&it| it == length).count();
    assert_eq!((of(60), of(590), of(1514)), (7, 4, 1));
}

#[test]
fn what_is_moved_arrives_in_order_and_is_counted() {
    let rooms = rooms();
    let (source, mut from) = one("source1,flows=100", &rooms);
    let (sink, mut to) = one("sink0", &rooms);
    for round in 0..10 {
        NOW.set(1000 * round);
        let mut frames = burst(&mut from);
        NOW.set(1000 * round + 250);
        assert_eq!(to.tx(&mut frames), TxReport { frames: BURST, bytes: BURST * 60 });
        assert!(frames.is_empty());
    }
    let (totals, all) = (sink.totals(), 10 * BURST as u64);
    assert_eq!((totals.taken, totals.stamped, totals.bytes), (all, all, all * 60));
    assert_eq!((totals.lost, totals.late, totals.repeated), (0, 0, 0));
    assert_eq!(source.totals().made, all);
    assert_eq!(totals.latencies[latency::bucket(250)], all);
    assert_eq!(totals.latencies.iter().sum::<u64>(), all);
    assert_eq!(rooms.in_use(), 0);
    assert!(burst(&mut to).is_empty(), "a sink makes nothing");
    assert_eq!(sink.nanoseconds(HERTZ), 1_000_000_000);
}

#[test]
fn a_planted_loss_reorder_and_repetition_are_seen() {
    let rooms = rooms();
    let (_source, mut from) = one("source1", &rooms);
    let (sink, mut to) = one("sink0", &rooms);
    let mut frames = burst(&mut from);
    drop(frames.drain(4..7));
    frames.swap(10, 12);
    let again = rooms.copy(frames[20].bytes()).unwrap();
    frames.push(again);
    frames.push(rooms.copy(b"no stamp at the end of this one").unwrap());
    to.tx(&mut frames);
    let totals = sink.totals();
    assert_eq!((totals.taken, totals.stamped), (BURST as u64 - 1, BURST as u64 - 2));
    // of the three that changed places two came after a later one
    assert_eq!((totals.lost, totals.late, totals.repeated), (3, 2, 1));
}

#[test]
fn streams_are_told_apart_by_device_and_queue() {
    let rooms = rooms();
    let (_a, mut a) = open_with("source1,burst=4", 2, &rooms);
    let (_b, mut b) = one("source2,burst=4", &rooms);
    let (sink, mut to) = one("sink0", &rooms);
    for _ in 0..3 {
        for port in a.iter_mut().chain([&mut b]) {
            to.tx(&mut burst(port));
        }
    }
    let totals = sink.totals();
    assert_eq!((totals.stamped, totals.lost, totals.late), (36, 0, 0));
}

#[test]
fn a_paced_source_waits_in_its_ring_and_its_stamps_say_since_when() {
    let rooms = rooms();
    let (device, mut port) = one("source0,rate=1000000", &rooms);
    NOW.set(5_000);
    assert_eq!(burst(&mut port).len(), 1);
    NOW.set(5_999);
    assert_eq!(burst(&mut port).len(), 0);
    NOW.set(15_500);
    let times: Vec<u64> = burst(&mut port).iter().map(|frame| Stamp::read(frame.bytes()).unwrap().time).collect();
    assert_eq!(times, (6..=15).map(|at| at * 1000).collect::<Vec<_>>());
    // 2,000 more fall due at once, of which 1,024 find a place
    NOW.set(15_500 + 2_000_000);
    let (sink, mut to) = one("sink0", &rooms);
    let mut came = 0;
    loop {
        let mut frames = burst(&mut port);
        came += frames.len();
        if frames.is_empty() {
            break;
        }
        to.tx(&mut frames);
    }
    let totals = device.totals();
    assert_eq!((came, totals.made, totals.missed), (1024, 1 + 10 + 1024, 976));
    assert_eq!(totals.overflows, [Overflow { first: NOW.get(), last: NOW.get(), frames: 976 }]);
    assert_eq!(device.ago(NOW.get() - 5000), 5000);
    // then one more, which tells the sink of the gap
    NOW.set(NOW.get() + 1000);
    to.tx(&mut burst(&mut port));
    assert_eq!(sink.totals().lost, 11 + 976, "what came before the sink was there, and what was missed");
}

#[test]
fn a_source_without_buffers_waits_and_loses_nothing() {
    let (device, mut port) = one("source0,frames=40", &Arc::new(Rooms::filled(8, 0)));
    let held = burst(&mut port);
    assert_eq!((held.len(), burst(&mut port).len()), (8, 0));
    drop(held);
    let numbers: Vec<u32> = burst(&mut port).iter().map(|it| Stamp::read(it.bytes()).unwrap().sequence).collect();
    assert_eq!(numbers, (8..16).collect::<Vec<_>>());
    (0..9).for_each(|_| drop(burst(&mut port)));
    assert_eq!(device.totals().made, 40, "it ends when all are made");
}

#[test]
fn a_reply_waits_for_what_it_answers() {
    let rooms = rooms();
    let (_asking, mut asking) = one("source0,flows=40,burst=32", &rooms);
    let (answering, mut ends) = open_with("source1,flows=40,direction=reply,after=40,frames=100,burst=32", 2, &rooms);
    assert!(burst(&mut ends[0]).is_empty());
    ends[1].tx(&mut burst(&mut asking));
    assert!(burst(&mut ends[0]).is_empty(), "32 came");
    ends[0].tx(&mut burst(&mut asking));
    assert_eq!(burst(&mut ends[0]).len(), 32);
    for _ in 0..4 {
        (0..2).for_each(|end| drop(burst(&mut ends[end])));
    }
    assert_eq!(answering.totals().made, 100, "both queues together");
}

#[test]
fn both_directions_are_of_the_same_flows() {
    let rooms = rooms();
    let ends = |text: &str| {
        let (_device, mut port) = one(text, &rooms);
        let mut ends: Vec<[Vec<u8>; 4]> = Vec::new();
        for frame in (0..4).flat_map(|_| burst(&mut port)) {
            let bytes = frame.bytes();
            ends.push([&bytes[26..30], &bytes[34..36], &bytes[30..34], &bytes[36..38]].map(<[u8]>::to_vec));
        }
        ends
    };
    let asked = ends("source0,flows=128,clients=10.0.0.0/28,servers=20.0.0.0/24");
    let answered = ends("source1,flows=128,clients=10.0.0.0/28,servers=20.0.0.0/24,direction=reply");
    let turned: Vec<[Vec<u8>; 4]> = answered.into_iter().map(|[a, b, c, d]| [c, d, a, b]).collect();
    assert_eq!(asked, turned);
}

#[test]
fn queues_make_each_its_flows() {
    let rooms = rooms();
    let (device, mut ports) = open_with("source0,flows=64,clients=10.0.0.0/24,rate=3000000,frames=64", 2, &rooms);
    let mut flows: Vec<u8> = Vec::new();
    NOW.set(0);
    for now in [0, HERTZ] {
        NOW.set(now);
        for port in &mut ports {
            flows.extend(burst(port).iter().map(|it| it.bytes()[29]));
        }
    }
    flows.sort_unstable();
    assert_eq!(flows, (0..64).collect::<Vec<_>>());
    assert_eq!(device.totals().made, 64);
}
