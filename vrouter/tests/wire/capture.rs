//! Captures: copies of what ports receive and send, and of what is dropped, byte by byte, and what it costs others.

use vrouter::api::v1::{self, CapturePoint, CapturedPacket};
use vrouter::control::{NotCaptured, Request, Taken};
use vrouter::datapath::capture::WAITING;
use vrouter::drops::DropReason;
use vrouter::tables::CAPTURES;

use super::exception::shared;
use super::flood::lan;
use super::frames::frame;
use super::lab::{Lab, Setup, scenario};
use super::network::{self, BA, RA, RA2, UP};
use super::sub;

pub const RX: CapturePoint = CapturePoint::Rx;
const TX: CapturePoint = CapturePoint::Tx;
const DROP: CapturePoint = CapturePoint::Drop;

pub fn of(points: &[CapturePoint], filter: &str) -> v1::CaptureRequest {
    let points = points.iter().map(|point| (*point).into()).collect();
    v1::CaptureRequest { points, filter: filter.into(), ..v1::CaptureRequest::default() }
}

fn ask(lab: &mut Lab, wanted: v1::CaptureRequest) -> Result<Taken, NotCaptured> {
    lab.rig().ask(|reply| Request::Capture { wanted, reply })
}

/// A capture that every worker knows of.
#[track_caller]
pub fn begin(lab: &mut Lab, wanted: v1::CaptureRequest) -> Taken {
    let mut taken = ask(lab, wanted).unwrap_or_else(|not| panic!("{not}"));
    lab.run();
    lab.advance(700);
    let chunk = taken().expect("every worker has polled");
    assert!(chunk.started && chunk.packets.is_empty());
    taken
}

/// What there is by now, and how many were lost.
pub fn all(taken: &mut Taken) -> (Vec<CapturedPacket>, u64) {
    let chunks: Vec<_> = std::iter::from_fn(taken).collect();
    let lost = chunks.last().map_or(0, |chunk| chunk.lost);
    (chunks.into_iter().flat_map(|chunk| chunk.packets).collect(), lost)
}

fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort();
    frames
}

fn bytes(packets: &[CapturedPacket]) -> Vec<Vec<u8>> {
    sorted(packets.iter().map(|packet| packet.data.clone()).collect())
}

#[test]
fn each_point_has_its_frames_with_what_is_known_of_them() {
    scenario("capture-points", Lab::a, |lab| {
        let [mut rx, mut tx, mut drops] = [RX, TX, DROP].map(|point| begin(lab, of(&[point], "")));
        // decided, then by the lane
        (0..2).for_each(|_| lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire"));
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.dropped(BA, "bad.mac-spoofed", DropReason::MacSpoofed);
        let (received, sent, dropped) = (all(&mut rx).0, all(&mut tx).0, all(&mut drops).0);
        let names = ["udp4.vxlan", "udp4.vxlan", "udp4.vxlan.back", "bad.mac-spoofed"];
        assert_eq!(bytes(&received), sorted(names.map(|name| frame(name).to_vec()).into()));
        let told = |packet: &CapturedPacket| {
            assert!(packet.time_ns > 1 << 60 && packet.length as usize == packet.data.len());
            (packet.point(), packet.vif.clone(), packet.vrf.clone(), packet.flow.clone())
        };
        let out = (RX, "ra".into(), "red".into(), "udp 10.1.1.10:1000 > 10.1.1.20:2000".to_owned());
        let mut told_rx: Vec<_> = received.iter().map(told).collect();
        told_rx.sort_by_key(|told| told.1.clone());
        assert_eq!(told_rx[0], (RX, "ba".into(), String::new(), String::new()), "it cannot be classified");
        assert_eq!((&told_rx[1].1, &told_rx[1].2), (&out.1, &out.2), "{told_rx:?}");
        assert!(told_rx[1].3.starts_with("udp 10.1.1.10:") && told_rx[3].3.contains(" > 10.1.1.10:"), "{told_rx:?}");
        assert_eq!((&*told_rx[3].1, &*told_rx[3].2), ("up0", "red"), "out of the tunnel");
        let ways: Vec<_> = sent.iter().map(|packet| (&*packet.vif, &*packet.entered, packet.point())).collect();
        assert_eq!(ways.iter().filter(|way| **way == ("up0", "ra", TX)).count(), 2, "{ways:?}");
        assert_eq!(ways.iter().filter(|way| **way == ("ra", "up0", TX)).count(), 1, "{ways:?}");
        assert_eq!(dropped.len(), 1);
        assert_eq!((&*dropped[0].reason, &*dropped[0].vif, dropped[0].point()), ("mac_spoofed", "ba", DROP));
        assert_eq!(dropped[0].data, frame("bad.mac-spoofed"));
    });
}

#[test]
fn a_drop_names_who_decided() {
    scenario("capture-drop", Lab::a, |lab| {
        lab.apply("acls: [{name: out, rules: [{action: deny, protocol: tcp, name: no-tcp}, {action: permit}]}]");
        lab.apply(&network::ra("acl_from_vif: out"));
        let mut drops = begin(lab, of(&[DROP], "tcp"));
        lab.dropped(RA, "web.out.S", DropReason::AclFromVif);
        lab.dropped(UP, "vxlan.vni-unknown", DropReason::VniUnknown);
        let (packets, _) = all(&mut drops);
        assert_eq!(packets.len(), 1, "the other one is udp");
        let packet = &packets[0];
        assert_eq!(
            (&*packet.reason, &*packet.object, &*packet.vrf),
            ("acl_from_vif", "acl out rule 0 (no-tcp)", "red")
        );
        assert!(packet.flow.starts_with("tcp 10.1.1.10:") && packet.data == frame("web.out.S"), "{packet:?}");
    });
}

/// Everything that went in and out, by whatever way: answers of the slow path, copies, tags, the host's kernel, pieces.
#[test]
fn nothing_passes_unseen() {
    type Network = (fn(usize) -> Lab, &'static [((usize, usize), &'static str)]);
    let networks: [Network; 4] = [
        (
            Lab::a,
            &[(RA, "arp.gateway"), (RA, "local4"), (UP, "udp4.vxlan.back"), (RA, "udp4.vxlan"), (BA, "bad.short")],
        ),
        (lan, &[(super::bridge::L2, "fl.dhcp"), (super::bridge::L2, "fl.arp"), (UP, "fl.back.vxlan")]),
        (sub::a, &[(RA, "sub.pod"), (RA, "sub.nest"), (RA, "sub.ra"), (RA, "sub.ra-pod"), (RA, "sub.pod.arp")]),
        (shared, &[(UP, "exc.ssh"), (super::exception::KERNEL, "exc.ssh.answer"), (UP, "exc.dns-fragment")]),
    ];
    for (at, (make, frames)) in networks.into_iter().enumerate() {
        scenario(&format!("capture-all-{at}"), make, |lab| {
            let mut both = begin(lab, of(&[], ""));
            lab.discard();
            let mut out = Vec::new();
            for (place, name) in frames.iter().chain(frames.iter()) {
                lab.put(*place, name);
                lab.run();
                let places = lab.places();
                out.extend(places.into_iter().flat_map(|place| lab.take(place)));
            }
            let (rx, tx): (Vec<_>, Vec<_>) = all(&mut both).0.into_iter().partition(|packet| packet.point() == RX);
            let put: Vec<_> = frames.iter().chain(frames.iter()).map(|(_, name)| frame(name).to_vec()).collect();
            assert_eq!(bytes(&rx), sorted(put));
            assert_eq!(bytes(&tx), sorted(out));
        });
    }
}

#[test]
fn a_sub_interface_s_frames_are_its_own() {
    scenario("capture-sub", sub::a, |lab| {
        let mut pod = begin(lab, v1::CaptureRequest { vif: "pod".into(), ..of(&[RX, TX], "") });
        lab.pass(RA, "sub.pod", UP, "sub.pod.wire");
        lab.pass(RA, "sub.ra", UP, "sub.ra.wire");
        lab.pass(RA, "sub.nest", UP, "sub.nest.wire");
        lab.pass(UP, "sub.pod.back", RA, "sub.pod.back.out");
        let (packets, _) = all(&mut pod);
        assert_eq!(bytes(&packets), sorted(vec![frame("sub.pod").to_vec(), frame("sub.pod.back.out").to_vec()]));
        let rx = packets.iter().find(|packet| packet.point() == RX).unwrap();
        assert_eq!((&*rx.vif, &*rx.vrf), ("pod", "red"));
        assert!(rx.flow.contains(" 10.1.1.31"), "{rx:?}");
    });
}

#[test]
fn a_vif_a_filter_a_length_and_a_number_narrow_it() {
    scenario("capture-narrow", Lab::a, |lab| {
        let mut ra = begin(lab, v1::CaptureRequest { vif: "ra".into(), snaplen: 40, ..of(&[RX, TX], "") });
        let mut inner = begin(lab, v1::CaptureRequest { packets: 1, ..of(&[TX], "vxlan 100 and src host 10.1.1.10") });
        for _ in 0..2 {
            lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
            lab.pass(RA2, "local4.back", RA, "local4.back.out");
        }
        let (packets, _) = all(&mut ra);
        let points: Vec<_> = packets.iter().map(|packet| packet.point()).collect();
        assert_eq!(points.iter().filter(|point| **point == RX).count(), 2, "{points:?}");
        assert_eq!(points.iter().filter(|point| **point == TX).count(), 2, "{points:?}");
        assert!(packets.iter().all(|packet| packet.data.len() == 40 && packet.length > 40), "{packets:?}");
        let flows = packets.iter().filter(|packet| packet.flow.starts_with("udp 10.1.1.10:")).count();
        assert_eq!(flows, 2, "what is told does not depend on what is kept");
        let chunk = inner().expect("a frame");
        assert!(chunk.last && chunk.packets.len() == 1 && inner().is_none(), "{chunk:?}");
        assert_eq!(chunk.packets[0].vif, "up0");
        let mut ended = begin(lab, v1::CaptureRequest { duration_ms: 1, ..of(&[RX], "") });
        std::thread::sleep(std::time::Duration::from_millis(2));
        let chunk = ended().expect("it is over");
        assert!(chunk.last && chunk.packets.is_empty(), "{chunk:?}");
    });
}

/// Who does not take them loses frames, and nobody else does.
#[test]
fn a_full_ring_loses_copies_and_no_packet() {
    scenario("capture-full", Lab::a, |lab| {
        let mut slow = begin(lab, of(&[RX], "udp"));
        let mut other = begin(lab, of(&[TX], "host 10.1.1.11"));
        let frames = WAITING * lab.rig().workers.len() + 10;
        for at in 0..frames {
            lab.put(RA, "udp4.vxlan");
            if at % 32 == 0 {
                lab.run();
                lab.discard();
            }
        }
        lab.pass_silently(RA2, "local4.back");
        lab.discard();
        let books = lab.rig().stats().conservation.unwrap();
        assert_eq!((books.dropped, books.sent), (0, frames as u64 + 1));
        let (packets, lost) = all(&mut slow);
        assert_eq!(packets.len() as u64 + lost, frames as u64, "each is there or counted");
        assert!(lost >= 9 && packets.len() <= WAITING * lab.rig().workers.len(), "{lost}");
        assert_eq!((all(&mut other).0.len(), all(&mut other).1), (1, 0), "another capture has its own room");
        // and goes on
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(all(&mut slow).0.len(), 1);
    });
}

#[test]
fn who_goes_ends_it_and_nothing_is_copied_any_more() {
    scenario("capture-off", Lab::a, |lab| {
        let (mut one, two) = (begin(lab, of(&[RX, DROP], "")), begin(lab, of(&[TX], "")));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        drop(two);
        lab.advance(700);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(all(&mut one).0.len(), 2);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        drop(one);
        lab.advance(700);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(lab.rig().shared.snapshot.load().captures.at, Default::default());
        // a ring's next capture has none of the one before
        let mut next = begin(lab, of(&[TX], ""));
        assert!(all(&mut next).0.is_empty());
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        assert_eq!(all(&mut next).0.len(), 1);
        drop(next);
        lab.advance(700);
        let waiting = |lab: &mut Lab| {
            let rings = lab.rig().shared.workers.iter().flat_map(|end| &end.captures);
            rings.map(|ring| ring.copies.len()).sum::<usize>()
        };
        let before = waiting(lab);
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.dropped(BA, "bad.mac-spoofed", DropReason::MacSpoofed);
        assert_eq!(waiting(lab), before, "nothing is copied after the end");
    });
}

#[test]
fn so_many_at_once_and_what_makes_no_sense_is_refused() {
    scenario("capture-refused", Lab::a, |lab| {
        let mut open: Vec<Taken> = (0..CAPTURES).map(|_| begin(lab, of(&[RX], "tcp"))).collect();
        let full = |lab: &mut Lab| ask(lab, of(&[RX], "")).err();
        assert_eq!(full(lab), Some(NotCaptured::Full(CAPTURES)));
        open.pop();
        lab.advance(700);
        open.push(begin(lab, of(&[RX], "")));
        drop(open.remove(1));
        lab.advance(700);
        for (wanted, field, reason) in [
            (of(&[], "port http"), "filter", "column 6: \"http\" is no port (0 to 65535)"),
            (v1::CaptureRequest { vif: "web9".into(), ..of(&[], "") }, "vif", "there is no VIF web9"),
            (v1::CaptureRequest { points: vec![7], ..of(&[], "") }, "points", "there is no point 7"),
        ] {
            let Err(NotCaptured::Refused(refused)) = ask(lab, wanted) else { panic!("{field} was taken") };
            assert_eq!((&*refused.field, &*refused.reason), (field, reason));
        }
        assert!(full(lab).is_none(), "a refusal takes no place");
    });
}

#[test]
fn what_a_port_refuses_is_a_drop_and_was_not_sent() {
    let small = |workers| Lab::one(workers, &Setup { room: 2, network: network::a(), ..Setup::default() });
    scenario("capture-tx-refused", small, |lab| {
        let mut seen = begin(lab, of(&[TX, DROP], ""));
        let workers = lab.rig().workers.len();
        for _ in 0..2 * workers {
            lab.pass_silently(RA, "udp4.vxlan");
        }
        lab.counts_drop(RA, frame("udp4.vxlan"), DropReason::TxRefused, "a third frame");
        let out = lab.take(UP);
        let (sent, dropped): (Vec<_>, Vec<_>) = all(&mut seen).0.into_iter().partition(|packet| packet.point() == TX);
        assert_eq!(bytes(&sent), sorted(out));
        assert_eq!(dropped.len(), 1);
        assert_eq!((&*dropped[0].reason, &*dropped[0].vif), ("tx_refused", "ra"), "of whom it entered by");
        assert_eq!(dropped[0].data.len(), sent[0].data.len(), "as far as it was written");
    });
}

/// A trace: each with what is said of it as it was received.
#[test]
fn what_becomes_of_each_is_told_step_by_step() {
    let asked = |filter: &str| v1::CaptureRequest { explain: true, ..of(&[RX, TX], filter) };
    scenario("capture-explain", Lab::a, |lab| {
        let mut traced = begin(lab, asked(""));
        lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
        lab.pass(UP, "udp4.vxlan.back", RA, "udp4.vxlan.back.out");
        lab.dropped(BA, "bad.mac-spoofed", DropReason::MacSpoofed);
        lab.pass(RA, "arp.gateway", RA, "arp.gateway.reply");
        let (packets, _) = all(&mut traced);
        let (rx, tx): (Vec<_>, Vec<_>) = packets.iter().partition(|packet| packet.point() == RX);
        assert!(tx.iter().all(|packet| packet.explained.is_none()));
        let of_frame = |name: &str| {
            let packet = rx.iter().find(|packet| packet.data == frame(name)).expect("it was received");
            packet.explained.clone().expect("it is explained")
        };
        let out = of_frame("udp4.vxlan");
        assert_eq!((&*out.verdict, &*out.exit_tunnel_vrf), ("forward", "red"), "{out:?}");
        assert!(out.steps.iter().any(|step| step.name == "route" && step.object == "vrf red"), "{out:?}");
        let back = of_frame("udp4.vxlan.back");
        assert_eq!((&*back.verdict, &*back.exit_vif), ("forward", "ra"), "out of its tunnel: {back:?}");
        assert_eq!(of_frame("bad.mac-spoofed").verdict, "mac_spoofed");
        const SLOWER: [&str; 7] = ["rx", "lane_lookup", "classify", "lookup", "decide", "act", "finish"];
        const LANE: [&str; 4] = ["rx", "lane_lookup", "lane_rewrite", "finish"];
        for packet in &rx {
            let live = packet.data == frame("udp4.vxlan.back");
            let way = if live { &LANE[..] } else { &SLOWER };
            assert!(stages(packet).into_iter().eq(way.iter().map(|stage| (*stage, 1))), "{packet:?}");
        }
        assert!(tx.iter().all(|packet| packet.stages.is_empty()));
        assert_eq!(of_frame("arp.gateway").verdict, "local");
    });
    scenario("capture-explain-sub", sub::a, |lab| {
        let mut traced = begin(lab, asked("vlan 10"));
        lab.pass(RA, "sub.pod", UP, "sub.pod.wire");
        let (packets, _) = all(&mut traced);
        let explained = packets[0].explained.clone().expect("it is explained");
        assert_eq!((&*packets[0].vif, &*explained.verdict), ("pod", "forward"), "{explained:?}");
    });
}

/// The stages of a packet's way, and how many packets shared each.
fn stages(packet: &CapturedPacket) -> Vec<(&str, u32)> {
    packet.stages.iter().map(|spent| (&*spent.stage, spent.packets)).collect()
}

/// A burst of plain packets of live flows and one of a new flow among them: each shares what it went through.
#[test]
fn cycles_are_told_by_the_stages_of_each_ones_way() {
    let lab = &mut Lab::a(1);
    lab.pass(RA, "udp4.vxlan", UP, "udp4.vxlan.wire");
    let asked = |vif: &str| v1::CaptureRequest { explain: true, vif: vif.into(), ..of(&[RX], "udp") };
    let (mut traced, mut others) = (begin(lab, asked("ra")), begin(lab, asked("ba")));
    lab.put(RA, "udp4.vxlan");
    lab.put(RA, "udp4.vxlan");
    lab.put(RA, "udp4.mpls");
    lab.put(RA, "udp4.vxlan");
    lab.run();
    lab.take(UP);
    let (packets, _) = all(&mut traced);
    let lane = [("rx", 4), ("lane_lookup", 4), ("lane_rewrite", 3), ("finish", 4)];
    let slower =
        [("rx", 4), ("lane_lookup", 4), ("classify", 1), ("lookup", 1), ("decide", 1), ("act", 1), ("finish", 4)];
    let told: Vec<_> = packets.iter().map(stages).collect();
    assert_eq!(told, [&lane[..], &lane[..], &slower[..], &lane[..]]);
    // the shares of those who went through a stage are one another's
    let cycles = |packet: usize, stage: &str| {
        let found = packets[packet].stages.iter().find(|spent| spent.stage == stage);
        found.map(|spent| spent.cycles)
    };
    assert!(cycles(0, "lane_rewrite") > Some(0) && cycles(0, "lane_rewrite") == cycles(3, "lane_rewrite"));
    assert!(cycles(2, "decide") > Some(0) && cycles(2, "finish") == cycles(0, "finish"));
    assert!(all(&mut others).0.is_empty(), "it entered elsewhere");
    drop((traced, others));
    lab.advance(700);
    // nobody looks: a capture without explanations has none
    let mut plain = begin(lab, of(&[RX], ""));
    lab.put(RA, "udp4.vxlan");
    lab.run();
    lab.take(UP);
    assert!(all(&mut plain).0[0].stages.is_empty());
}
