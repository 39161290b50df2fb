//! MSS: what a TCP connection through a tunnel announces as its largest segment is lowered to what fits the tunnel, both ways.

use super::Work;
use super::classify::Classified;
use crate::packet::transport::tcp;
use crate::packet::tuple::protocol;
use crate::packet::{ether, mss};
use crate::tables::{NextHop, NextHopKind, Snapshot};

/// Lowers what `packet`, the L3 packet, announces if it opens a TCP connection and leaves by a tunnel or came out of one.
#[inline]
pub fn clamp(snapshot: &Snapshot, packet: &mut [u8], found: &Classified, row: &NextHop, work: &Work) {
    if found.packet.protocol != protocol::TCP || found.packet.tcp_flags() & tcp::SYN == 0 || found.packet.fragment {
        return;
    }
    if let Some(mtu) = path(snapshot, found, row, work)
        && let Some(segment) = packet.get_mut(usize::from(found.packet.header)..)
    {
        mss::clamp(segment, mss::within(mtu, found.packet.source.is_ipv6()));
    }
}

/// Bytes of L3 packets that fit where the connection goes: by the next hop, and back by the tunnel that the packet came by, if it came by one.
fn path(snapshot: &Snapshot, found: &Classified, row: &NextHop, work: &Work) -> Option<u16> {
    let leaves = matches!(row.kind, NextHopKind::Tunnel(_)).then_some(row.mtu);
    if !snapshot.mss_clamp {
        return None;
    }
    let Some(vif) = found.tunnel.and(work.vif).and_then(|vif| snapshot.vifs.row(vif.index())) else { return leaves };
    let link = ether::HEADER + if vif.vlan.is_some() { ether::TAG } else { 0 };
    Some(row.mtu.min(vif.mtu.saturating_sub(found.l3.saturating_sub(link as u16))))
}
