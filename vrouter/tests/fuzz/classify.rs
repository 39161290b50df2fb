//! Bytes to classify: each VIF reads each frame, and what it says of it is true of the bytes. Filters of captures are held against it too.

use std::sync::{Arc, LazyLock};

use vrouter::datapath::classify::{Classified, Exit, classify};
use vrouter::packet::filter::Filter;
use vrouter::port::{Frame, HEADROOM, ROOM};
use vrouter::tables::Snapshot;

use super::input::Input;
use super::model;
use crate::network;

static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| model::of(&network::a()).snapshot());

/// Between them they read all that filters can read.
static FILTERS: LazyLock<Vec<(Filter, Filter)>> = LazyLock::new(|| {
    let texts = [
        "vxlan and vlan and host 10.1.1.1 or port 80 or ether multicast",
        "geneve 100 and (tcp or udp port 53) or net fd01::/16",
        "mpls and mpls and arp host 10.0.0.1 or proto 47 or sctp portrange 1-1000",
        "vlan and vlan and vxlan and geneve and mpls and vlan and ip6 host ::1",
    ];
    let both = |text: &str| Ok((Filter::parse(text)?, Filter::parse(&format!("not ({text})"))?));
    texts.iter().map(|text| both(text)).collect::<Result<_, vrouter::packet::filter::FilterError>>().unwrap()
});

/// The whole input is a frame, but for its first byte: which VIF it enters by.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Some(vif) = input.byte() else { return };
    let Some(frame) = Frame::from_bytes(&input.0[..input.0.len().min(ROOM - HEADROOM)]) else { return };
    let vifs: Vec<_> = SNAPSHOT.vifs.iter().map(|(_, vif)| vif).collect();
    let vif = vifs[usize::from(vif) % vifs.len()];
    let length = frame.len();
    for (filter, negated) in &*FILTERS {
        assert!(filter.matches(frame.bytes()) != negated.matches(frame.bytes()));
    }
    match classify(&SNAPSHOT, vif, &frame) {
        Ok(Classified { vrf, l3, packet, fixed, .. }) => {
            assert!(SNAPSHOT.vrfs.row(vrf.index()).is_some(), "a VRF that is there");
            assert!(fixed.is_none_or(|hop| SNAPSHOT.next_hops.row(hop.index()).is_some()), "a next hop that is there");
            let (l3, whole) = (usize::from(l3), usize::from(packet.length));
            assert!(l3 + whole <= length, "the packet is in the frame: {l3} + {whole} of {length}");
            assert!(usize::from(packet.header) <= whole, "and its header in the packet: {packet:?}");
            let version = frame.bytes()[l3] >> 4;
            assert_eq!(version, if packet.source.is_ipv4() { 4 } else { 6 });
            assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
        }
        Err(Exit::Punt { from, l3, .. }) => {
            assert!(
                usize::from(from) + usize::from(l3) <= length,
                "the copy is of the frame: {from} + {l3} of {length}"
            );
        }
        Err(_) => {}
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let frames = crate::frames::names().into_iter().filter(|name| !name.contains("flood") && !name.contains("quiet"));
    let seed = |name: &str| (0..2).map(|vif| [&[vif], crate::frames::frame(name)].concat()).collect::<Vec<_>>();
    frames.flat_map(seed).collect()
}
