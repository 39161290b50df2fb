//! The first bytes of a dropped frame in one line.

use vrouter::api::text::{Mac, Protocol};

use super::output::address;

/// What the frame says it is, as far as its bytes go: it may be cut, and it may lie.
pub fn head_line(frame: &[u8]) -> String {
    let Some((ethernet, rest)) = frame.split_first_chunk::<14>() else { return "cut in the Ethernet header".into() };
    let mac = |at: usize| ethernet[at..at + 6].try_into().map(|mac| Mac(mac).to_string()).unwrap_or_default();
    let ethertype = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    format!("{} > {}, {}", mac(6), mac(0), l3(ethertype, rest))
}

fn l3(ethertype: u16, packet: &[u8]) -> String {
    match ethertype {
        0x0800 => ipv4(packet),
        0x86dd => ipv6(packet),
        0x0806 => arp(packet),
        other => format!("ethertype 0x{other:04x}"),
    }
}

fn ipv4(packet: &[u8]) -> String {
    let Some(header) = packet.first_chunk::<20>() else { return "IPv4, cut".into() };
    let length = usize::from(header[0] & 0xf) * 4;
    let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    let text = format!("IPv4 {} > {} ttl {}", address(&header[12..16]), address(&header[16..20]), header[8]);
    match packet.get(length..) {
        _ if length < 20 => format!("{text}, header length {length}"),
        _ if offset > 0 => format!("{text}, {} fragment at {}", Protocol(header[9]), u32::from(offset) * 8),
        Some(payload) => format!("{text}, {}", l4(header[9], payload)),
        None => format!("{text}, cut"),
    }
}

fn ipv6(packet: &[u8]) -> String {
    let Some((header, payload)) = packet.split_first_chunk::<40>() else { return "IPv6, cut".into() };
    let text = format!("IPv6 {} > {} hop limit {}", address(&header[8..24]), address(&header[24..40]), header[7]);
    format!("{text}, {}", l4(header[6], payload))
}

fn arp(packet: &[u8]) -> String {
    let Some(body) = packet.first_chunk::<28>() else { return "ARP, cut".into() };
    match u16::from_be_bytes([body[6], body[7]]) {
        1 => format!("ARP who has {} tell {}", address(&body[24..28]), address(&body[14..18])),
        2 => format!("ARP {} is at {}", address(&body[14..18]), body[8..14].try_into().map(Mac).unwrap_or_default()),
        other => format!("ARP operation {other}"),
    }
}

fn l4(protocol: u8, payload: &[u8]) -> String {
    let name = Protocol(protocol).to_string();
    let &[a, b, c, d, ..] = payload else { return format!("{name}, cut") };
    let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    match protocol {
        6 => format!("tcp {first} > {second}{}", payload.get(13).map(|&bits| flags(bits)).unwrap_or_default()),
        17 => {
            format!("udp {first} > {second}{}", payload.get(8..).map(|inner| tunnel(second, inner)).unwrap_or_default())
        }
        132 | 136 => format!("{name} {first} > {second}"),
        1 | 58 => format!("{name} type {a} code {b}"),
        _ => name,
    }
}

fn flags(bits: u8) -> String {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let set: Vec<_> = names.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    if set.is_empty() { String::new() } else { format!(" {}", set.join(" ")) }
}

/// What a UDP datagram to this port carries, if it is one of the overlay's.
fn tunnel(port: u16, payload: &[u8]) -> String {
    match (port, payload) {
        (4789, &[_, _, _, _, a, b, c, _, ref inner @ ..]) => {
            let vni = u32::from_be_bytes([0, a, b, c]);
            let inner = inner.split_first_chunk::<14>();
            let inner = inner
                .map_or("cut".into(), |(ethernet, rest)| l3(u16::from_be_bytes([ethernet[12], ethernet[13]]), rest));
            format!(", VXLAN vni {vni}: {inner}")
        }
        (6081, &[first, _, _, _, a, b, c, _, ref rest @ ..]) => {
            let vni = u32::from_be_bytes([0, a, b, c]);
            let inner = rest.get(usize::from(first & 0x3f) * 4..).and_then(<[u8]>::split_first_chunk::<14>);
            let inner = inner
                .map_or("cut".into(), |(ethernet, rest)| l3(u16::from_be_bytes([ethernet[12], ethernet[13]]), rest));
            format!(", GENEVE vni {vni}: {inner}")
        }
        (6635, &[a, b, c, _, ref inner @ ..]) => {
            let label = u32::from_be_bytes([0, a, b, c]) >> 4;
            let inner = match inner.first().map(|byte| byte >> 4) {
                Some(4) => ipv4(inner),
                Some(6) => ipv6(inner),
                _ => "cut".into(),
            };
            format!(", MPLS label {label}: {inner}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 1, 1, 10, 10, 1, 1, 20];
        packet.extend(payload);
        packet
    }

    #[test]
    fn frames_are_told_as_far_as_they_go() {
        let tcp = [0, 80, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12];
        let inner = v4(1, &[8, 0, 0, 0]);
        let vxlan =
            [&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 100, 0][..], &ethernet(0x800, &inner)].concat();
        let geneve = [
            &[0xc0, 0, 0x17, 0xc1, 0, 0, 0, 0, 1, 0, 0x65, 0x58, 0, 0, 100, 0, 1, 2, 3, 0][..],
            &ethernet(0x800, &inner),
        ]
        .concat();
        let mpls = [&[0xc0, 0, 0x19, 0xeb, 0, 0, 0, 0, 0, 0x06, 0x41, 64][..], &inner].concat();
        let v6 = [&[0x60, 0, 0, 0, 0, 4, 58, 255][..], &[0; 15], &[1], &[0xff; 16], &[135, 0, 0, 0]].concat();
        let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 1, 1, 10, 0, 0, 0, 0, 0, 0, 10, 1, 1, 1];
        for (frame, want) in [
            (ethernet(0x800, &v4(6, &tcp)), "IPv4 10.1.1.10 > 10.1.1.20 ttl 64, tcp 80 > 1000 SYN ACK"),
            (
                ethernet(0x800, &v4(17, &vxlan)),
                "udp 49152 > 4789, VXLAN vni 100: IPv4 10.1.1.10 > 10.1.1.20 ttl 64, icmp type 8 code 0",
            ),
            (
                ethernet(0x800, &v4(17, &geneve)),
                "udp 49152 > 6081, GENEVE vni 100: IPv4 10.1.1.10 > 10.1.1.20 ttl 64, icmp type 8 code 0",
            ),
            (
                ethernet(0x800, &v4(17, &mpls)),
                "udp 49152 > 6635, MPLS label 100: IPv4 10.1.1.10 > 10.1.1.20 ttl 64, icmp type 8 code 0",
            ),
            (
                ethernet(0x86dd, &v6),
                "IPv6 ::1 > ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff hop limit 255, icmpv6 type 135 code 0",
            ),
            (ethernet(0x806, &arp), "ARP who has 10.1.1.1 tell 10.1.1.10"),
            (ethernet(0x1234, &[]), "02:00:00:00:00:01 > 02:00:00:00:00:fe, ethertype 0x1234"),
            (vec![1, 2, 3], "cut in the Ethernet header"),
        ] {
            let line = head_line(&frame);
            assert!(line.ends_with(want), "{line}\n{want}");
            for cut in 0..frame.len() {
                assert!(!head_line(&frame[..cut]).is_empty());
            }
        }
    }
}
