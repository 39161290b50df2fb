//! Arbitrary bytes: no panic, one outcome each, and every held frame comes out once.

use proptest::prelude::*;

use super::*;

/// Punts of near-valid and of random frames, and steps of the clock.
#[derive(Clone, Debug)]
enum Step {
    Punt { place: Place, why: Why, frame: Vec<u8>, l3_offset: usize, label: u8 },
    Wait(u64),
    Want(u8),
    Unwant(u8),
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    use super::bytes::*;
    let known = prop::sample::select(vec![
        ARP_GATEWAY,
        FABRIC_REQUEST,
        FABRIC_REPLY,
        TUNNEL_REQUEST,
        NS_GATEWAY,
        NS_DAD_GATEWAY,
        RS,
        NA,
        NS_TUNNEL,
        PING_GATEWAY,
        PING6_GATEWAY,
        PING6_LINK_LOCAL,
        UDP4,
        UDP6,
        super::neighbour_v6::ADVERT,
        super::neighbour_v6::BARE_ADVERT,
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let shape = (any::<bool>(), any::<bool>());
    let near = (known, changes, any::<prop::sample::Index>(), shape).prop_map(|(hex, changes, cut, (whole, mend))| {
        let mut frame = super::bytes(hex);
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        // what is behind the checksum of ND is to be reached too
        if mend && frame.len() > 14 + 40 + 8 && frame[14] >> 4 == 6 {
            frame = super::nd::mended(frame);
        }
        if !whole {
            frame.truncate(cut.index(frame.len()));
        }
        frame
    });
    prop_oneof![3 => near, 1 => prop::collection::vec(any::<u8>(), 0..120)]
}

fn steps() -> impl Strategy<Value = Step> {
    let places = (0_u32..5, any::<bool>())
        .prop_map(|(number, vif)| if vif { Place::Vif(VifId(number)) } else { Place::Tunnel(VrfId(number)) });
    let resolve =
        (0_u32..3, 0_u8..9).prop_map(|(vif, last)| Why::Resolve { vif: VifId(vif / 2), neighbour: peer(last) });
    let whys = prop_oneof![
        Just(Why::Arp),
        Just(Why::NeighbourDiscovery),
        Just(Why::ForUs),
        Just(Why::TtlExpired),
        any::<u16>().prop_map(|mtu| Why::TooBig { mtu }),
        Just(Why::NoRoute),
        resolve,
    ];
    let offsets = prop_oneof![4 => Just(14_usize), 1 => 0..40_usize, 1 => Just(usize::MAX)];
    let punts = (places, whys, frames(), offsets, 0_u8..3)
        .prop_map(|(place, why, frame, l3_offset, label)| Step::Punt { place, why, frame, l3_offset, label });
    prop_oneof![
        8 => punts,
        2 => (0_u64..9000).prop_map(Step::Wait),
        1 => (0_u8..9).prop_map(Step::Want),
        1 => (0_u8..9).prop_map(Step::Unwant),
    ]
}

/// A neighbour: from 6 on an IPv6 one, 7 the one that advertises itself.
fn peer(last: u8) -> IpAddr {
    match last {
        6.. => Ipv6Addr::new(0xfd0f, 0, 0, 0, 0, 0, 0, u16::from(last) - 5).into(),
        _ => Ipv4Addr::new(192, 0, 2, last).into(),
    }
}

/// Counts what came out of `out`, and checks each output by itself.
fn count(out: &mut Vec<Output>, limits: Limits, local: &Local) -> usize {
    assert!(local.held() <= limits.held && local.neighbours().count() <= limits.neighbours);
    assert_eq!(local.neighbours().map(|neighbour| neighbour.held).sum::<usize>(), local.held());
    let ended = out.iter().filter(|output| matches!(output, Output::Replay { .. } | Output::Dropped(..))).count();
    for output in out.drain(..) {
        match output {
            Output::Frame { bytes, .. } => assert!(bytes.len() >= 42),
            Output::Routed { packet, .. } => assert!(matches!(packet[0] >> 4, 4 | 6) && packet.len() >= 28),
            _ => {}
        }
    }
    ended
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_punt_has_one_outcome_and_every_held_frame_one_end(steps in prop::collection::vec(steps(), 1..60)) {
        let limits = Limits { neighbours: 4, held: 6, held_per_neighbour: 2 };
        let (mut snapshot, mut local, mut now) = (super::neighbour_v6::world_v6(), Local::new(limits), 0);
        let mut web = vif(WEB, RED, WEB_MAC, &[v4(11).into(), v6(0x11).into()]);
        web.advertise = Some(Arc::default());
        snapshot.vifs.set(WEB.index(), Some(Arc::new(web)));
        let (mut out, mut held, mut ended, mut consumed, mut dropped) = (Vec::new(), 0, 0, 0, 0);
        for step in steps {
            match step {
                Step::Punt { place, why, frame, l3_offset, label } => {
                    let id = match label {
                        0 => TunnelId::Label(crate::ids::Label(16)),
                        1 => TunnelId::Geneve(Vni(100)),
                        _ => TunnelId::Vxlan(Vni(100)),
                    };
                    let tunnel = matches!(place, Place::Tunnel(_)).then_some(TunnelSource { remote: PEER.into(), id });
                    let punt = Punt { place, why, frame: &frame, tunnel, l3_offset };
                    match local.punt(&snapshot, punt, now, &mut out) {
                        Outcome::Consumed => consumed += 1,
                        Outcome::Held => held += 1,
                        Outcome::Dropped(_) => {
                            dropped += 1;
                            prop_assert!(out.iter().all(|output| matches!(output, Output::Forget { .. })), "{:?}", out);
                        }
                    }
                }
                Step::Wait(ms) => now += ms,
                Step::Want(last) => _ = local.want(FABRIC, peer(last)),
                Step::Unwant(last) => local.unwant(FABRIC, peer(last)),
            }
            ended += count(&mut out, limits, &local);
            local.tick(&snapshot, now, &mut out);
            ended += count(&mut out, limits, &local);
            prop_assert_eq!(held, ended + local.held());
        }
        prop_assert_eq!((local.counters().consumed, local.counters().dropped), (consumed, dropped));
    }
}
