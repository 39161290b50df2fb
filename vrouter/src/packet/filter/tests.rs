use proptest::prelude::*;

use super::super::ether;
use super::*;
use crate::ids::Mac;

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = ether::write(Mac([2, 0, 0, 0, 0, 0xfe]), Mac([2, 0, 0, 0, 0, 1]), ethertype);
    [&header[..], payload].concat()
}

fn v4(protocol: u8, offset: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = offset.to_be_bytes();
    [&[0x45, 0, 0, 0, 0, 0, high, low, 64, protocol, 0, 0, 10, 1, 1, 10, 10, 1, 1, 20][..], payload].concat()
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |last: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[last]].concat();
    [&[0x60, 0, 0, 0, 0, 0, next, 64][..], &address(1), &address(2), payload].concat()
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0; 16]].concat()
}

fn udp(destination: u16, payload: &[u8]) -> Vec<u8> {
    v4(17, 0, &[&[0xc0, 0][..], &destination.to_be_bytes(), &[0; 4], payload].concat())
}

fn tcp() -> Vec<u8> {
    v4(6, 0, &ports(40000, 80))
}

fn vxlan(vni: u8, inner: &[u8]) -> Vec<u8> {
    udp(4789, &[&[8, 0, 0, 0, 0, 0, vni, 0][..], inner].concat())
}

#[track_caller]
fn check(frame: &[u8], yes: &str, no: &str) {
    for (filters, want) in [(yes, true), (no, false)] {
        for text in filters.split("; ") {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.matches(frame), want, "{text}");
            let negated = Filter::parse(&format!("not ({text})")).unwrap();
            assert_eq!(negated.matches(frame), !want, "not ({text})");
        }
    }
}

#[test]
fn headers_are_tested_as_tcpdump_does() {
    check(
        &ethernet(0x800, &tcp()),
        "ip; tcp; host 10.1.1.10; src host 10.1.1.10; dst host 10.1.1.20; src 10.1.1.10; 10.1.1.20; \
         net 10.1.0.0/16; net 10.1; dst net 10.1.1.16/28; port 80; tcp port 80; dst port 80; \
         src port 40000; src or dst port 80; portrange 79-81; tcp and dst portrange 80-80; proto 6; \
         ip proto tcp; ether host 02:00:00:00:00:fe; ether src 02:00:00:00:00:01; less 54; greater 54; \
         host 10.9.9.9 or 10.1.1.20; port 443 or 80; src and dst net 10.1.1.0/24; ip host 10.1.1.10",
        "ip6; arp; udp; icmp; src host 10.1.1.20; host 10.1.1.1; net 10.2.0.0/16; port 81; \
         udp port 80; src port 80; ip6 proto 6; proto udp; ether dst 02:00:00:00:00:01; less 53; \
         greater 55; vlan; vxlan; broadcast; multicast; src and dst host 10.1.1.10; \
         arp host 10.1.1.10",
    );
    check(
        &ethernet(0x86dd, &v6(17, &ports(1000, 53))),
        "ip6; udp; host 2001:db8::1; dst net 2001:db8::/32; port 53; udp src port 1000; \
         ip6 host 2001:db8::2",
        "ip; tcp; icmp6; host 2001:db8::3; port 54; src host 2001:db8::2",
    );
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 1, 1, 10, 0, 0, 0, 0, 0, 0, 10, 1, 1, 1];
    check(&ethernet(0x806, &arp), "arp; host 10.1.1.1; arp src host 10.1.1.10; dst net 10.1.1", "ip; ip host 10.1.1.1");
    // a later fragment has no ports
    check(&ethernet(0x800, &v4(6, 185, &ports(40000, 80))), "tcp; host 10.1.1.10", "port 80; port 40000");
    check(&ethernet(0x86dd, &v6(44, &[17, 0, 0, 1, 0, 0, 0, 0])), "udp; proto 17", "port 0; tcp");
    check(
        &[&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 8, 6]].concat(),
        "broadcast; ether broadcast; ether multicast; arp",
        "ip",
    );
}

#[test]
fn and_binds_as_or_does_and_not_binds_more() {
    let frame = ethernet(0x800, &tcp());
    check(
        &frame,
        "udp and ip or tcp; not udp and tcp; !udp&&(tcp||arp); ip and not (udp or arp)",
        "tcp or ip and udp; not tcp and not udp; (ip6 or arp) and ip",
    );
    assert!(Filter::parse(" ").unwrap().matches(&frame));
}

#[test]
fn what_follows_a_tag_or_a_tunnel_is_about_what_is_in_it() {
    let inner = ethernet(0x800, &tcp());
    let outer = ethernet(0x800, &vxlan(100, &inner));
    check(
        &outer,
        "vxlan; vxlan 100; udp port 4789; vxlan 100 and tcp port 80; port 4789 and vxlan and not udp; \
         vxlan and ether src 02:00:00:00:00:01",
        "vxlan 101; tcp; vxlan 100 and udp; geneve; mpls; vxlan and vxlan",
    );
    let tagged = |vlan: u8, frame: &[u8]| [&frame[..12], &[0x81, 0, 0x20, vlan], &frame[12..]].concat();
    check(
        &tagged(7, &inner),
        "vlan; vlan 7; vlan 7 and port 80; vlan and ether dst 02:00:00:00:00:fe",
        "vlan 8; port 80; ip; vlan and vlan",
    );
    check(&tagged(7, &tagged(9, &inner)), "vlan 7 and vlan 9 and tcp; vlan and vlan", "vlan 9; vlan 7 and tcp");
    check(&tagged(7, &outer), "vxlan 100 and tcp; vlan 7 and vxlan 100 and tcp", "udp");
    let geneve = |kind: u16, inner: &[u8]| {
        let [a, b] = kind.to_be_bytes();
        ethernet(0x800, &udp(6081, &[&[1, 0, a, b, 0, 0, 100, 0, 1, 2, 3, 0][..], inner].concat()))
    };
    check(
        &geneve(0x6558, &inner),
        "geneve 100 and tcp port 80; geneve and ether host 02:00:00:00:00:01",
        "geneve 99; tcp",
    );
    check(&geneve(0x800, &tcp()), "geneve and tcp", "geneve and ether host 02:00:00:00:00:01");
    let label = [0, 6, 0x41, 64];
    let mpls = ethernet(0x800, &udp(6635, &[&label[..], &tcp()].concat()));
    check(&mpls, "mpls; mpls 100; mpls 100 and tcp and dst port 80", "mpls 101; mpls and broadcast");
    let gre =
        ethernet(0x800, &v4(47, 0, &[&[0x30, 0, 0x88, 0x47, 0, 0, 0, 1, 0, 0, 0, 2][..], &label, &inner].concat()));
    check(&gre, "mpls 100 and ether src 02:00:00:00:00:01 and tcp", "mpls and udp");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, column, reason) in [
        ("tcp and", 8, "there must be a test here"),
        ("host", 5, "there must be an address or a number here"),
        ("host web1", 6, "\"web1\" is no IP address (names are not looked up)"),
        ("tcp port http", 10, "\"http\" is no port (0 to 65535)"),
        ("portrange 90-80", 11, "the first port is greater than the last"),
        ("net 10.1.1.1/24", 5, "\"10.1.1.1/24\" has bits beyond its length"),
        ("tcp host 10.1.1.1", 10, "a transport protocol does not go with an address"),
        ("ip port 80", 9, "this protocol does not go with a port"),
        ("(tcp or udp", 12, "there must be and, or, or a closing parenthesis here"),
        ("tcp) or udp", 4, "a parenthesis that was not opened"),
        ("tcp udp", 5, "there must be \"and\" or \"or\" here"),
        ("tcp & udp", 5, "there must be \"and\" or \"or\" here"),
        ("tcp[13] & 2 != 0", 1, "\"tcp[13]\" is none of a filter's words, nor an address"),
        ("vlan 4096", 6, "\"4096\" is no VLAN (0 to 4095)"),
        ("ether", 1, "there must be ether host, src or dst here"),
        ("ether host 1.2.3.4", 12, "\"1.2.3.4\" is no MAC address"),
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!((error.column, error.fault.to_string()), (column, reason.to_owned()), "{text}");
    }
    let long = vec!["tcp"; 100].join(" or ");
    assert_eq!(Filter::parse(&long).unwrap_err().fault, Fault::TooLong("128 tests and operators"));
    for (open, close) in [("(", ")"), ("!", "")] {
        let deep = format!("{}tcp{}", open.repeat(1000), close.repeat(1000));
        assert!(matches!(Filter::parse(&deep).unwrap_err().fault, Fault::TooLong(_)));
    }
    assert!(matches!(Filter::parse(&"vlan and ".repeat(7)).unwrap_err().fault, Fault::TooLong(_)));
}

/// Filters that go everywhere.
const FILTERS: [&str; 6] = [
    "vxlan and vlan and host 10.1.1.1 or port 80",
    "geneve 100 and (tcp or udp port 53) or not vlan 7",
    "mpls and mpls and mpls and ip6 net 2001:db8::/32 and sctp",
    "vlan and vlan and vxlan and geneve and mpls and vlan and arp host 10.0.0.1",
    "not (icmp6 or icmp or rarp host 10.1.1.1 or ether multicast) and less 100 or greater 20",
    "src and dst portrange 1-1000 or src or dst host 2001:db8::1",
];

/// Frames that begin as those do which reach far into the readers.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let inner = || ethernet(0x800, &tcp());
    let heads = prop::sample::select(vec![
        Vec::new(),
        inner(),
        ethernet(0x8100, &[0, 7, 0x88, 0xa8, 0, 9, 8, 0]),
        ethernet(0x800, &vxlan(100, &inner())),
        ethernet(0x800, &udp(6081, &[0x3f, 0, 0x65, 0x58])),
        ethernet(0x800, &udp(6635, &[0, 0, 0, 0, 0, 0, 0, 0])),
        ethernet(0x800, &v4(47, 0, &[0xff, 0xff, 0x88, 0x47])),
        ethernet(0x86dd, &v6(44, &[17, 0])),
    ]);
    (heads, prop::collection::vec(any::<u8>(), 0..80), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(head, tail, at, byte)| {
            let mut frame = [head, tail].concat();
            let length = frame.len();
            if length > 0 {
                frame[at.index(length)] ^= byte;
            }
            frame
        },
    )
}

proptest! {
    #[test]
    fn no_frame_ends_a_filter(frame in hostile(), cut in any::<prop::sample::Index>()) {
        let cut = &frame[..cut.index(frame.len() + 1)];
        for text in FILTERS {
            let filter = Filter::parse(text).unwrap();
            for frame in [&frame, cut] {
                let negated = Filter::parse(&format!("not ({text})")).unwrap();
                prop_assert_eq!(filter.matches(frame), !negated.matches(frame));
            }
        }
    }

    #[test]
    fn no_text_ends_the_reader(
        words in prop::collection::vec(prop::sample::select(vec![
            "and", "or", "not", "(", ")", "!", "&&", "|", "src", "dst", "host", "net", "port", "tcp", "ip6", "ether", "vlan", "vxlan",
            "10.1.1.1", "::1", "80", "10/8", "1-2", "é", "less", "proto",
        ]), 0..24),
        any_text in "\\PC{0,40}",
    ) {
        for text in [words.join(" "), any_text] {
            if let Ok(filter) = Filter::parse(&text) {
                filter.matches(&ethernet(0x800, &tcp()));
            }
        }
    }
}
