//! The largest segment that TCP announces, lowered to what fits a tunnel.

use super::Oracle;
use super::config::{Hop, Which};
use super::forward::Arrived;
use super::headers::{be16, ones_sum};

impl Oracle {
    /// A SYN that leaves by a tunnel, or that came out of one. `mtu`: the next hop's.
    pub(super) fn clamp_mss(&mut self, arrived: &mut Arrived, hop: Hop, mtu: usize) {
        let packet = &arrived.packet;
        let syn = packet.tuple.protocol == 6 && !packet.fragment && packet.bytes[packet.payload + 13] & 2 == 2;
        if !syn || !self.config.settings.mss_clamp {
            return;
        }
        let out = matches!(hop.which, Which::Tunnel { .. });
        // what waited for a neighbour was looked at when it came
        let back = match (arrived.remote, arrived.entered) {
            (Some(remote), Some(vif)) if !arrived.ours => {
                Some(usize::from(self.config.vifs[&vif].mtu).saturating_sub(remote.before))
            }
            _ => None,
        };
        let fits = match (out, back) {
            (_, Some(back)) => mtu.min(back),
            (true, None) => mtu,
            (false, None) => return,
        };
        let most = fits.saturating_sub(if packet.source().is_ipv4() { 40 } else { 60 });
        let at = packet.payload;
        let places = announced(&packet.bytes[at..]);
        for place in places {
            let given = usize::from(be16(&arrived.packet.bytes, at + place));
            if given <= most {
                self.feature("mss_fits");
                continue;
            }
            self.feature(if back.is_some() { "mss_from_tunnel" } else { "mss_to_tunnel" });
            if place % 2 == 1 {
                self.feature("mss_at_odd_place");
            }
            rewrite(&mut arrived.packet.bytes[at..], place, most as u16);
        }
    }
}

/// Where in the header of a TCP segment an MSS stands: up to the end of the options, or what cannot be one.
fn announced(segment: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut rest = 20..usize::from(segment[12] >> 4) * 4;
    while !rest.is_empty() {
        let kind = segment[rest.start];
        if kind == 0 {
            break;
        }
        if kind == 1 {
            rest.start += 1;
            continue;
        }
        if rest.len() < 2 || segment[rest.start + 1] < 2 || usize::from(segment[rest.start + 1]) > rest.len() {
            break;
        }
        if (kind, segment[rest.start + 1]) == (2, 4) {
            places.push(rest.start + 2);
        }
        rest.start += usize::from(segment[rest.start + 1]);
    }
    places
}

/// Changes two bytes, and the checksum as RFC 1624 says: HC' = ~(~HC + ~m + m'), over the words that the bytes are in.
fn rewrite(segment: &mut [u8], place: usize, value: u16) {
    let words = place / 2 * 2..(place + 3) / 2 * 2;
    let old = segment[words.clone()].to_vec();
    segment[place..place + 2].copy_from_slice(&value.to_be_bytes());
    let mut summed = vec![!segment[16], !segment[17]];
    summed.extend(old.iter().map(|byte| !byte));
    summed.extend(&segment[words]);
    let sum = !ones_sum(&summed);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}
