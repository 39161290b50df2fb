//! The books: nothing vanishes, nothing stays behind; and the pcap of a failure.

use std::collections::HashMap;
use std::path::Path;

use vrouter::datapath::punt::Ring;

use super::lab::{Lab, Rig};

/// At the end of a scenario: everything sent was looked at, all queues are empty, and the counters add up.
pub fn close(lab: &mut Lab) {
    let places = lab.places();
    for at in places {
        let left = lab.take(at);
        assert!(left.is_empty(), "rig {} port {} sent unlooked-at {}", at.0, at.1, super::frames::hex_all(&left));
    }
    let holds = lab.holds;
    assert_eq!(lab.rooms.in_use(), 0, "frames that were put in are somewhere still");
    for end in lab.rigs.iter().flat_map(|rig| &rig.shared.workers) {
        assert_eq!(end.rings.injected.in_use(), 0, "frames of the slow path are somewhere still");
        assert_eq!(end.rings.pieces.in_use(), 0, "pieces are somewhere still");
    }
    for rig in &mut lab.rigs {
        check(rig, holds);
    }
}

/// Conservation, in all and by VIF, and rings at rest; and so many frames wait for a neighbour.
pub fn check(rig: &mut Rig, holds: u64) {
    assert_eq!(held(rig), holds, "frames are held");
}

/// The same, however many wait for a neighbour: so many.
pub fn held(rig: &mut Rig) -> u64 {
    assert_eq!(rig.frames_on_wires(), 0, "frames are left on the wires");
    for end in &rig.shared.workers {
        let full = |ring: &Ring| ring.punts.is_empty() && ring.free.in_use() == 0;
        assert!(full(&end.rings.underlay) && full(&end.rings.tenant), "punts are left in a ring");
        assert!(end.rings.injections.is_empty(), "injections are left in a ring");
        assert_eq!(end.copies.in_use(), 0, "copies are somewhere still");
        let captured = end.captures.iter().map(|ring| ring.rooms.in_use() - ring.copies.len()).sum::<usize>();
        assert_eq!(captured, 0, "captured copies are somewhere still");
    }
    assert!(rig.shared.accounts.agree_with(&rig.shared.flows), "flows are charged to whom they are not");
    let mut stats = rig.stats();
    // what a device lost never came here
    stats.drops.retain(|row| !["rx_missed", "rx_no_mbuf", "rx_errors"].contains(&&*row.reason));
    let books = stats.conservation.unwrap();
    let [came, went] =
        [books.received + books.originated + books.copied, books.sent + books.dropped + books.held + books.consumed];
    assert_eq!(came, went, "{books:?} {:?}", stats.drops);
    let by_reason: u64 = stats.drops.iter().map(|row| row.packets).sum();
    assert_eq!(by_reason, books.dropped, "drops by reason: {:?}", stats.drops);
    let mut by_vif = HashMap::<&str, u64>::new();
    for row in &stats.drops {
        *by_vif.entry(&row.vif).or_default() += row.packets;
    }
    for vif in &stats.vifs {
        let drops = by_vif.get(&*vif.vif).copied().unwrap_or(0);
        assert_eq!(drops, vif.dropped, "drops of VIF {}: {:?}", vif.vif, stats.drops);
        let came = vif.rx_packets + vif.returned + vif.pieces + vif.copied + vif.fragments_released;
        let went = vif.forwarded + vif.punted + vif.dropped + vif.fragments_held;
        assert_eq!(came, went - vif.punts_dropped, "{vif:?}");
    }
    let workers: [u64; 2] = stats.workers.iter().fold([0, 0], |[rx, tx], w| [rx + w.rx_packets, tx + w.tx_packets]);
    assert_eq!(workers, [books.received, books.sent]);
    books.held
}

/// A pcap file of Ethernet frames; times in milliseconds.
pub fn write_pcap(path: &Path, frames: &[(u64, Vec<u8>)]) {
    let mut bytes = Vec::new();
    bytes.extend([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
    for word in [0, 0, 65_535, 1_u32] {
        bytes.extend(word.to_le_bytes());
    }
    for (millis, frame) in frames {
        let length = frame.len() as u32;
        for word in [(millis / 1000) as u32, (millis % 1000 * 1000) as u32, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    std::fs::write(path, bytes).unwrap();
}
