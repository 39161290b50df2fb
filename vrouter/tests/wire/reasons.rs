//! No drop reason without a test: each is provoked here, with bytes from scapy wherever bytes can provoke it.

use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::drops::DropReason;
use vrouter::port::{self, Store};

use super::books;
use super::capture;
use super::frames::frame;
use super::lab::{At, Lab, Setup};
use super::network::{self, BA, RA, RA2, UP};

/// How a reason comes about.
pub enum By {
    /// This frame at this port of A.
    Frame(At, &'static str),
    /// This lab, and what is done in it.
    Scenario(fn(usize) -> Lab, fn(&mut Lab)),
}

/// Every reason. A new one does not compile until it is here. The first are a device's own word; tests/vdev.rs empties a real device's pool.
fn provoked(reason: DropReason) -> By {
    use By::{Frame, Scenario};
    use DropReason::*;
    match reason {
        RxMissed | RxNoMbuf | RxErrors => Scenario(Lab::a, lost_by_the_device),
        MultiSegment => Scenario(small_buffers, |lab| lab.put(RA, "big4.vxlan")),
        NoVif => Frame((0, 5), "udp4.vxlan"),
        FrameTooShort => Frame(RA, "bad.short"),
        VlanUnknown => Scenario(super::vlan::a, |lab| lab.put(UP, "udp4.vxlan.back")),
        MacNotOurs => Frame(RA, "bad.not-ours"),
        Multicast => Frame(RA, "bad.multicast"),
        EthertypeUnknown => Frame(RA, "bad.vlan"),
        MacSpoofed => Frame(RA, "bad.mac-spoofed"),
        Ipv4Header => Frame(RA, "bad.header-length"),
        Ipv4Checksum => Frame(RA, "bad.checksum"),
        Ipv6Header => Frame(RA, "bad6.chain"),
        IpLength => Frame(RA, "bad.length"),
        TransportHeader => Frame(RA, "bad.tcp-offset"),
        SourceSpoofed => Frame(RA, "bad.source-other"),
        NotForUs => Frame(UP, "fabric.not-for-us"),
        BfdTtl | BfdMalformed | BfdAuthenticated | BfdNoSession => of_a_session(reason),
        OuterFragment | OuterFragmentOverlap | OuterFragmentTooLarge => super::assembly::provoked(reason),
        OuterFragmentFull | OuterFragmentTimedOut => super::assembly::provoked(reason),
        UdpChecksum => Scenario(super::underlay6::a, |lab| lab.put(UP, "u6.vxlan.4.wrong")),
        VxlanHeader => Frame(UP, "vxlan.no-i-bit"),
        GeneveHeader | GeneveControl | GeneveProtocol | GeneveCriticalOption => in_geneve(reason),
        VniUnknown => Frame(UP, "vxlan.vni-unknown"),
        GreHeader => Frame(UP, "gre.version"),
        GreChecksum => Frame(UP, "gre.checksum-wrong"),
        GreProtocol => Frame(UP, "gre.ethernet"),
        MplsHeader => Frame(UP, "mpls.deep"),
        LabelUnknown => Frame(UP, "mpls.label-unknown"),
        EcnForbidden => Frame(UP, "ecn.4.vxlan.0.3"),
        VtepNotAllowed => Scenario(Lab::a, from_a_stranger),
        InnerMacNotOurs => Frame(UP, "vxlan.inner-mac"),
        StickyElsewhere | NotIp | UnknownUnicast | SplitHorizon | LeafToLeaf => in_a_bridge(reason),
        FloodBudget | NobodyElse | FloodNoRoom => in_a_bridge(reason),
        TtlExpired => Frame(RA, "ttl4.1"),
        TcpNotSyn => Scenario(Lab::a, strict),
        IcmpErrorNoFlow => Frame(UP, "error4.in"),
        NoRoute => Frame(RA, "no-route4"),
        VrfDepth => Scenario(Lab::a, in_a_circle),
        RouteDrop => Scenario(Lab::a, to_drop),
        NextHopGone => Scenario(lonely_port, by_the_lonely_port),
        NoUnderlayRoute => Scenario(Lab::a, no_underlay_route),
        AclFromVif | AclVrf | AclToVif | RedirectNotRouted => by_rules(reason),
        FragmentTooShort | FragmentHeadDropped | FragmentOverlap | FragmentHoldFull | FragmentTimedOut => {
            super::fragments::provoked(reason)
        }
        FragmentQuota | NewFlowQuota | FlowQuota | PuntQuota | FlowBudget | FlowTableFull => beyond_a_quota(reason),
        MtuExceeded => Frame(RA, "big4.vxlan"),
        PieceNoRoom => Scenario(Lab::a, super::split::flood),
        NoHeadroom => Scenario(Lab::a, no_headroom),
        NeighbourHoldFull => Scenario(with_c, |lab| (0..20).for_each(|n| lab.put(RA, &format!("to-c.{n}")))),
        NeighbourUnresolved => Scenario(with_c, wait_for_c),
        PuntBudget => Scenario(Lab::a, little_budget),
        PuntRingFull => Scenario(Lab::a, fill_the_ring),
        ArpInvalid => Frame(RA, "arp.forged-sender"),
        NdInvalid => Frame(RA, "nd.hop-limit"),
        NeighbourNotOurs => Frame(RA, "arp.nobody"),
        LocalUnanswered => Frame(RA, "udp4.gateway"),
        ExceptionBudget => Scenario(super::exception::shared, super::exception::flood_the_kernel),
        TxHandoverFull => Scenario(shared_port, |lab| (0..8).for_each(|_| lab.put(RA, "local4"))),
        TxRefused => Scenario(narrow_wires, fill_the_wire),
    }
}

fn by_rules(reason: DropReason) -> By {
    match reason {
        DropReason::AclFromVif => By::Scenario(Lab::a, from_vif),
        DropReason::AclVrf => By::Scenario(Lab::a, vrf),
        DropReason::AclToVif => By::Scenario(Lab::a, to_vif),
        _ => By::Scenario(super::redirect::with_service, super::redirect::by_label),
    }
}

fn beyond_a_quota(reason: DropReason) -> By {
    let fragments: fn(&mut Lab) = |lab| {
        lab.apply(&network::ra("quota: {fragments_per_second: 1}"));
        (0..2).for_each(|_| lab.put(RA, "long-ping.out.first"));
    };
    let flows: fn(&mut Lab) = |lab| {
        lab.apply(&network::ra2("quota: {new_flows_per_second: 1}"));
        (0..2).for_each(|n| lab.put(RA2, &format!("flood.{n}")));
    };
    let punts: fn(&mut Lab) = |lab| {
        lab.apply(&network::ra("quota: {punts_per_second: 1}"));
        (0..2).for_each(|_| lab.put(RA, "arp.gateway"));
    };
    match reason {
        DropReason::FlowBudget => By::Scenario(small, |lab| (0..20).for_each(|n| lab.put(RA2, &format!("flood.{n}")))),
        DropReason::FlowTableFull => By::Scenario(small, fill_the_table),
        DropReason::FragmentQuota => By::Scenario(Lab::a, fragments),
        DropReason::NewFlowQuota => By::Scenario(Lab::a, flows),
        DropReason::PuntQuota => By::Scenario(Lab::a, punts),
        _ => By::Scenario(super::quotas::large, super::quotas::none_found),
    }
}

fn in_geneve(reason: DropReason) -> By {
    By::Frame(
        UP,
        match reason {
            DropReason::GeneveHeader => "gnv.version-1",
            DropReason::GeneveControl => "gnv4.back.control",
            DropReason::GeneveProtocol => "gnv.ipv4",
            _ => "gnv4.back.critical",
        },
    )
}

fn in_a_bridge(reason: DropReason) -> By {
    let done: fn(&mut Lab) = match reason {
        DropReason::StickyElsewhere => super::learning::stolen,
        DropReason::NotIp => super::non_ip::to_a_bridge_of_ip,
        DropReason::UnknownUnicast => |lab| lab.put(RA, "br.unknown"),
        DropReason::SplitHorizon => |lab| lab.put(UP, "br.tunnel-to-tunnel"),
        DropReason::LeafToLeaf => super::etree::two_leaves,
        DropReason::FloodBudget => super::flood::beyond_the_budget,
        DropReason::NobodyElse => super::flood::alone,
        DropReason::FloodNoRoom => super::flood::takes_all_rooms,
        _ => unreachable!("not of bridges"),
    };
    By::Scenario(super::bridge::a, done)
}

fn of_a_session(reason: DropReason) -> By {
    let done: fn(&mut Lab) = match reason {
        DropReason::BfdTtl => |lab| lab.put(super::uplinks::UP1, "bfd.bad.ttl"),
        DropReason::BfdMalformed => |lab| lab.put(super::uplinks::UP1, "bfd.bad.version"),
        DropReason::BfdAuthenticated => |lab| lab.put(super::uplinks::UP1, "bfd.bad.authenticated"),
        _ => |lab| lab.put(super::uplinks::UP1, "bfd.bad.stranger"),
    };
    By::Scenario(super::bfd::up1, done)
}

fn lost_by_the_device(lab: &mut Lab) {
    let mut device = lab.rig().device.lock().unwrap();
    (device.missed, device.no_mbuf, device.errors) = (1, 1, 1);
}

fn from_a_stranger(lab: &mut Lab) {
    lab.apply("vrfs: [{name: red, allowed_vteps: [10.0.0.2]}]");
    lab.put(UP, "vxlan.other-vtep");
}

fn strict(lab: &mut Lab) {
    lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, tcp_strict: true}");
    lab.put(RA, "tcp.out.A");
}

fn to_drop(lab: &mut Lab) {
    lab.apply("routes: [{vrf: red, prefix: 10.6.0.0/16, drop: true}]");
    lab.put(RA, "to-drop");
}

fn in_a_circle(lab: &mut Lab) {
    lab.apply("routes: [{vrf: red, prefix: 10.6.0.0/16, via: {vrf: blue}}, {vrf: blue, prefix: 10.6.0.0/16, via: {vrf: red}}]");
    lab.put(RA, "to-drop");
}

fn no_underlay_route(lab: &mut Lab) {
    lab.apply(r#"routes: [{vrf: red, prefix: 10.8.0.0/16, via: {mpls_udp: {remote: 198.51.100.9, label: 77}}}]"#);
    lab.put(RA, "nowhere");
}

fn from_vif(lab: &mut Lab) {
    lab.apply("acls: [{name: none, rules: []}]");
    lab.apply(&network::ra("acl_from_vif: none"));
    lab.put(RA, "udp4.vxlan");
}

fn vrf(lab: &mut Lab) {
    lab.apply("acls: [{name: none, rules: []}]\nvrfs: [{name: blue, acl: none}]");
    lab.put(BA, "udp4.blue");
}

fn to_vif(lab: &mut Lab) {
    lab.apply("acls: [{name: none, rules: []}]");
    lab.apply(&network::ra("acl_to_vif: none"));
    lab.put(UP, "udp4.vxlan.back");
}

fn fill_the_table(lab: &mut Lab) {
    for n in 0..64 {
        lab.put(RA, &format!("quiet.{n}"));
        lab.run();
        lab.put(UP, &format!("quiet.{n}.back"));
        lab.now += 1000;
        lab.run();
    }
    lab.put(RA2, "flood.0");
}

fn no_headroom(lab: &mut Lab) {
    let bytes = frame("udp4.vxlan");
    let Some(Store::Heap(mut room)) = lab.rooms.copy_or_make(&[]).map(port::Frame::into_store) else {
        panic!("a room")
    };
    room.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    lab.put_frame(RA, port::Frame::new(Store::Heap(room), 0, bytes.len() as u16));
}

fn little_budget(lab: &mut Lab) {
    lab.apply("settings: {underlay_vrf: underlay, vtep: 10.0.0.1, icmp_per_second: 1}");
    (0..3).for_each(|_| lab.put(RA, "arp.gateway"));
}

fn fill_the_ring(lab: &mut Lab) {
    // a VIF's budgets fill it over a few ticks only, if nobody empties it
    for round in 0..4 {
        (0..200).for_each(|_| ["arp.gateway", "echo4.gateway"].into_iter().for_each(|name| lab.put(RA, name)));
        (0..200).for_each(|_| ["ba.arp", "ba.echo"].into_iter().for_each(|name| lab.put(BA, name)));
        let now = lab.now + round * 200;
        lab.rig().poll_workers(now);
    }
}

fn wait_for_c(lab: &mut Lab) {
    lab.put(RA, "to-c.0");
    lab.advance(4000);
}

fn fill_the_wire(lab: &mut Lab) {
    for _ in 0..5 {
        lab.put(RA, "udp4.vxlan");
        lab.run();
    }
}

fn by_the_lonely_port(lab: &mut Lab) {
    // worker 1 has no queue of ra2's port
    (0..2).for_each(|_| lab.put(RA, "local4"));
}

/// Port 3 belongs to worker 0 alone.
fn lonely_port(workers: usize) -> Lab {
    Lab::one(workers.max(2), &Setup { lonely_port: Some(3), ..Setup::default() })
}

/// Port 3 has one queue.
fn shared_port(workers: usize) -> Lab {
    Lab::one(workers.max(2), &Setup { shared_port: Some(3), ..Setup::default() })
}

fn small_buffers(workers: usize) -> Lab {
    Lab::one(workers, &Setup { small_buffers: Some((1, 1000)), ..Setup::default() })
}

fn small(workers: usize) -> Lab {
    Lab::one(workers, &Setup { flows: 64, new_flows_per_second: 5, ..Setup::default() })
}

fn narrow_wires(workers: usize) -> Lab {
    Lab::one(workers, &Setup { room: 2, ..Setup::default() })
}

fn with_c(workers: usize) -> Lab {
    let mut lab = Lab::a(workers);
    lab.apply(
        r#"routes: [{vrf: red, prefix: 10.1.1.30/32, via: {vxlan: {remote: 10.0.0.3, vni: 100, mac: "02:0a:00:00:03:01"}}}]"#,
    );
    lab
}

fn dropped(lab: &mut Lab, reason: DropReason) -> u64 {
    let rows = lab.rig().stats().drops.into_iter();
    rows.filter(|row| row.reason == reason.name()).map(|row| row.packets).sum()
}

/// Whether one of the frames that this dropped is kept, with its bytes and, if it entered by a VIF, that one.
fn kept(lab: &mut Lab, reason: DropReason) -> bool {
    use DropReason::*;
    let filter = v1::VictimsRequest { reason: reason.name().into(), ..v1::VictimsRequest::default() };
    let victims = lab.rig().ask(|reply| Request::Victims { filter, reply }).unwrap().victims;
    let whole = |victim: &v1::Victim| {
        let bytes = victim.head.len() == victim.length.min(96) as usize && !victim.head.is_empty();
        bytes && victim.vif.is_empty() == (reason == NoVif)
    };
    match reason {
        // the device has lost them, or they are more pieces than one
        RxMissed | RxNoMbuf | RxErrors | MultiSegment => victims.is_empty(),
        // the last of the ring, which others that were dropped after them have filled
        PuntRingFull | FragmentHoldFull => victims.iter().all(whole),
        _ => !victims.is_empty() && victims.iter().all(whole),
    }
}

#[test]
fn every_drop_reason_is_provoked() {
    let (mut unprovoked, mut unkept) = (Vec::new(), Vec::new());
    for &reason in DropReason::ALL {
        for workers in [1, 2] {
            let mut lab = match provoked(reason) {
                By::Frame(at, name) => {
                    let mut lab = Lab::a(workers);
                    assert_eq!(dropped(&mut lab, reason), 0);
                    lab.put(at, name);
                    lab
                }
                By::Scenario(make, run) => {
                    let mut lab = make(workers);
                    assert_eq!(dropped(&mut lab, reason), 0);
                    run(&mut lab);
                    lab
                }
            };
            lab.run();
            if dropped(&mut lab, reason) == 0 {
                unprovoked.push((reason.name(), workers, lab.rig().stats().drops));
            }
            if !kept(&mut lab, reason) {
                unkept.push((reason.name(), workers));
            }
            // what waits for a neighbour ends
            lab.advance(4000);
            lab.discard();
            books::close(&mut lab);
        }
    }
    assert!(unprovoked.is_empty(), "{unprovoked:#?}");
    assert!(unkept.is_empty(), "no victims: {unkept:#?}");
}

/// What waited for a neighbour that does not answer is kept as it was: a bridged frame, or a packet behind a header of zeros.
#[test]
fn victims_that_waited_are_whole() {
    let last = |lab: &mut Lab| {
        let filter = v1::VictimsRequest { reason: "neighbour_unresolved".into(), ..v1::VictimsRequest::default() };
        lab.rig().ask(|reply| Request::Victims { filter, reply }).unwrap().victims.remove(0)
    };
    let mut lab = super::bridge::a_dynamic(1);
    lab.put(RA, "br.vxlan4");
    lab.advance(4000);
    let (victim, whole) = (last(&mut lab), frame("br.vxlan4"));
    assert_eq!((&victim.head[..], victim.length as usize), (&whole[..whole.len().min(96)], whole.len()));
    assert!(victim.object.contains("10.0.0.2") && victim.slow_path && victim.vif == "ra", "{victim:?}");
    let mut lab = with_c(1);
    lab.put(RA, "to-c.0");
    lab.advance(4000);
    let (victim, whole) = (last(&mut lab), frame("to-c.0"));
    assert_eq!(victim.length as usize, whole.len());
    assert_eq!(victim.head[..14], [&[0; 12][..], &[8, 0]].concat());
    // but for its TTL and checksum as it came
    assert_eq!((&victim.head[26..34], &victim.head[34..42]), (&whole[26..34], &whole[34..42]));
}

/// Of each frame that is dropped when it comes: what a trace says of it, and the last victim, have the reason.
#[test]
fn explanations_and_victims_name_the_cause() {
    use DropReason::*;
    let mut wrong = Vec::new();
    for &reason in DropReason::ALL {
        let By::Frame(at, name) = provoked(reason) else { continue };
        let mut lab = Lab::a(1);
        let wanted = v1::CaptureRequest { explain: true, ..capture::of(&[capture::RX], "") };
        let mut traced = capture::begin(&mut lab, wanted);
        lab.put(at, name);
        lab.run();
        let (packets, _) = capture::all(&mut traced);
        let traced = packets.iter().find(|packet| packet.data == frame(name)).expect("it was received");
        let explained = traced.explained.as_ref().map_or("", |explained| &explained.verdict);
        let remembered = kept(&mut lab, reason);
        let told = match reason {
            // the slow path decides
            ArpInvalid | NdInvalid | NeighbourNotOurs | LocalUnanswered => "local",
            // of a port without a VIF nothing is known
            NoVif => "",
            _ => reason.name(),
        };
        if explained != told || !remembered {
            wrong.push((reason.name(), explained.to_owned(), remembered));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
