//! ACLs in the manner of ClassBench (Taylor and Turner 2007), and the flows that they judge: the same ones each run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrouter::tables::acl::{AddressMatch, Rule, Tuple};

use crate::random::Random;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Sites that the prefixes are of.
const SITES: u64 = 512;

/// What a list is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Some sources to some servers' ports; a third from anywhere.
    Firewall,
    /// Hosts and subnets to hosts and subnets, exact ports.
    Access,
    /// Most fields are wildcards, wide prefixes or wide ranges, in all combinations; one field that is narrow keeps each rule from
    /// hiding those below.
    Wildcard,
}

/// The families by name.
pub const FAMILIES: [(&str, Family); 3] =
    [("firewall", Family::Firewall), ("access", Family::Access), ("wildcard", Family::Wildcard)];

/// Ranges of ports as ClassBench classes them.
#[derive(Clone, Copy)]
enum Class {
    Any,
    /// From 1024 on.
    High,
    /// To 1023.
    Low,
    Range,
    /// At least 4,096 ports.
    Wide,
    Exact,
}

/// What may come, with the odds beside it.
type Odds<'a, T> = &'a [(T, u64)];

/// So many rules for one IP version; the last permits nothing from anywhere to anywhere.
pub fn rules(family: Family, v6: bool, count: usize) -> Vec<Rule> {
    let mut random = Random(2 + 8 * family as u64 + u64::from(v6));
    let mut rules: Vec<Rule> = (1..count).map(|_| rule(&mut random, family, v6)).collect();
    rules.push(catch_all());
    rules
}

/// One more rule of this kind.
pub fn rule(random: &mut Random, family: Family, v6: bool) -> Rule {
    use Class::{Any, Exact, High, Low, Range, Wide};
    // Lengths of IPv4; 0: any, 1 to 8: one of these.
    let (source, destination): (Odds<u8>, Odds<u8>) = match family {
        Family::Firewall => (&[(0, 35), (8, 5), (16, 10), (24, 20), (32, 30)], &[(0, 15), (16, 5), (24, 25), (32, 55)]),
        Family::Access => (&[(0, 10), (8, 5), (16, 10), (24, 35), (32, 40)], &[(16, 5), (24, 35), (28, 10), (32, 50)]),
        Family::Wildcard => (&[(0, 40), (8, 30), (24, 10), (32, 20)], &[(0, 40), (8, 30), (24, 10), (32, 20)]),
    };
    let (from, to): (Odds<Class>, Odds<Class>) = match family {
        Family::Firewall => {
            (&[(Any, 60), (High, 20), (Exact, 10), (Range, 10)], &[(Exact, 45), (Any, 20), (High, 10), (Range, 25)])
        }
        Family::Access => (&[(Any, 1)], &[(Exact, 60), (Range, 15), (Any, 20), (High, 5)]),
        Family::Wildcard => {
            let ports = &[(Any, 40), (High, 15), (Low, 5), (Wide, 30), (Exact, 10)];
            (ports, ports)
        }
    };
    let protocol =
        random.pick(&[(Some(TCP), 65), (Some(UDP), 22), (Some(if v6 { ICMPV6 } else { ICMP }), 5), (None, 8)]);
    let (source, destination) = (prefix(random, v6, source), prefix(random, v6, destination));
    let mut rule = Rule { permit: random.below(4) != 0, protocol, source, destination, ..catch_all() };
    match protocol {
        Some(TCP | UDP) => {
            rule.source_ports = ports(random, from);
            rule.destination_ports = ports(random, to);
        }
        Some(_) => rule.icmp_type = Some(random.below(if v6 { 200 } else { 20 }) as u8),
        None => {}
    }
    let narrow =
        |side: &AddressMatch| matches!(side, AddressMatch::Prefix(_, length) if *length > 40 || !v6 && *length >= 24);
    let exact = |ports: &[(u16, u16)]| ports.iter().any(|(first, last)| first == last);
    if !(narrow(&rule.source) || narrow(&rule.destination) || exact(&rule.destination_ports)) {
        match protocol {
            Some(TCP | UDP) => rule.destination_ports = vec![any_port(random)],
            _ => rule.source = prefix(random, v6, &[(24, 1), (32, 1)]),
        }
    }
    rule
}

fn any_port(random: &mut Random) -> (u16, u16) {
    let port = random.below(1 << 16) as u16;
    (port, port)
}

fn catch_all() -> Rule {
    Rule {
        name: "".into(),
        permit: false,
        protocol: None,
        source: AddressMatch::Any,
        destination: AddressMatch::Any,
        source_ports: Vec::new(),
        destination_ports: Vec::new(),
        icmp_type: None,
        icmp_code: None,
        redirect: None,
    }
}

/// An address of one of the sites; `wide`: of any.
fn address(random: &mut Random, v6: bool, wide: bool) -> IpAddr {
    let site = Random(if wide { random.draw() } else { random.below(SITES) }).draw();
    if v6 {
        let (subnet, host) = (u128::from(random.below(256)), u128::from(random.below(1 << 20)));
        let wide = if wide { u128::from(site >> 40) << 96 } else { 0 };
        Ipv6Addr::from_bits(0x2001_0db8 << 96 ^ wide | u128::from(site >> 48) << 80 | subnet << 64 | host).into()
    } else {
        Ipv4Addr::from_bits((site >> 48 << 16 | random.below(1 << 16)) as u32).into()
    }
}

fn prefix(random: &mut Random, v6: bool, lengths: Odds<u8>) -> AddressMatch {
    let length = match random.pick(lengths) {
        0 => return AddressMatch::Any,
        8 => 1 + random.below(8) as u8,
        length => length,
    };
    let wide = length <= 8;
    let address = address(random, v6, wide);
    let length = match (v6, length) {
        (false, length) => length,
        (true, 1..=8) => 12 + 2 * length,
        (true, 16) => 48,
        (true, 24) => 64,
        (true, 28) => 124,
        (true, _) => 128,
    };
    AddressMatch::Prefix(masked(address, length), length)
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            Ipv4Addr::from_bits(v4.to_bits() & !(u32::MAX.checked_shr(length.into()).unwrap_or(0))).into()
        }
        IpAddr::V6(v6) => {
            Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX.checked_shr(length.into()).unwrap_or(0))).into()
        }
    }
}

fn ports(random: &mut Random, classes: Odds<Class>) -> Vec<(u16, u16)> {
    let known =
        [22_u16, 25, 53, 80, 110, 123, 143, 179, 389, 443, 445, 993, 1433, 1521, 3306, 3389, 5060, 5432, 8080, 8443];
    let known = known.map(|port| (port, 2));
    let range = |random: &mut Random, width: u64| {
        let first = random.below((1 << 16) - width);
        (first as u16, (first + width) as u16)
    };
    let class = random.pick(classes);
    vec![match class {
        Class::Any => return Vec::new(),
        Class::High => (1024, u16::MAX),
        Class::Low => (0, 1023),
        Class::Range => range(random, 100),
        Class::Wide => range(random, 8192),
        Class::Exact if random.below(2) == 0 => any_port(random),
        Class::Exact => {
            let port = random.pick(&known);
            (port, port)
        }
    }]
}

/// So many flows, each of a rule drawn from all of them, but a third for which only the last rule is: `last` says so of a flow.
pub fn flows(rules: &[Rule], v6: bool, count: usize, last: impl Fn(&Tuple) -> bool) -> Vec<Tuple> {
    let mut random = Random(3);
    let anywhere = rules.last().expect("a last rule");
    let of = |random: &mut Random| {
        if random.below(3) > 0 {
            let rule = &rules[random.below(rules.len() as u64) as usize];
            return flow(random, rule, v6);
        }
        (0..1000).map(|_| flow(random, anywhere, v6)).find(|flow| last(flow)).expect("few flows fall to the last rule")
    };
    (0..count).map(|_| of(&mut random)).collect()
}

/// A flow that a rule is for.
fn flow(random: &mut Random, rule: &Rule, v6: bool) -> Tuple {
    let icmp = if v6 { ICMPV6 } else { ICMP };
    let protocol = rule.protocol.unwrap_or_else(|| random.pick(&[(TCP, 6), (UDP, 3), (icmp, 1)]));
    let mut within = |side: &AddressMatch| match side {
        AddressMatch::Prefix(IpAddr::V4(prefix), length) => {
            let hosts = u32::MAX.checked_shr((*length).into()).unwrap_or(0);
            Ipv4Addr::from_bits(prefix.to_bits() | random.draw() as u32 & hosts).into()
        }
        AddressMatch::Prefix(IpAddr::V6(prefix), length) => {
            let hosts = u128::MAX.checked_shr((*length).into()).unwrap_or(0);
            let bits = u128::from(random.draw()) << 64 | u128::from(random.draw());
            Ipv6Addr::from_bits(prefix.to_bits() | bits & hosts).into()
        }
        _ => {
            let wide = random.below(2) == 0;
            address(random, v6, wide)
        }
    };
    let (source, destination) = (within(&rule.source), within(&rule.destination));
    let mut port = |ranges: &[(u16, u16)]| match ranges {
        [] => random.below(1 << 16) as u16,
        [(first, last), ..] => first + random.below(u64::from(last - first) + 1) as u16,
    };
    let with_ports = matches!(protocol, TCP | UDP);
    let ports = with_ports.then(|| (port(&rule.source_ports), port(&rule.destination_ports)));
    let icmp = (!with_ports).then(|| (rule.icmp_type.unwrap_or(255), 0));
    Tuple { source, destination, protocol, ports, icmp }
}

/// The reference: rule after rule.
pub fn walk(rules: &[Rule], flow: &Tuple) -> Option<usize> {
    let holds = |matched: &AddressMatch, address: IpAddr| match (matched, address) {
        (AddressMatch::Any, _) => true,
        (AddressMatch::In(group), address) => group.contains(address),
        (AddressMatch::Prefix(IpAddr::V4(prefix), length), IpAddr::V4(address)) => {
            (prefix.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*length)
        }
        (AddressMatch::Prefix(IpAddr::V6(prefix), length), IpAddr::V6(address)) => {
            (prefix.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*length)
        }
        _ => false,
    };
    let within = |ranges: &[(u16, u16)], port: Option<u16>| {
        ranges.is_empty() || port.is_some_and(|port| ranges.iter().any(|&(first, last)| (first..=last).contains(&port)))
    };
    rules.iter().position(|rule| {
        rule.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && holds(&rule.source, flow.source)
            && holds(&rule.destination, flow.destination)
            && within(&rule.destination_ports, flow.ports.map(|ports| ports.1))
            && within(&rule.source_ports, flow.ports.map(|ports| ports.0))
            && rule.icmp_type.is_none_or(|kind| flow.icmp.is_some_and(|icmp| icmp.0 == kind))
    })
}
