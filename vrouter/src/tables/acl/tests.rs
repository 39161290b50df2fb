//! The compiled ACL against its slow twin, rule after rule.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;

use super::index::Sizes;
use super::*;
use crate::tables::fib::Bits;
use crate::tables::fib::tests::SlowFib;

/// The slow twin.
pub(super) fn judged_slowly(rules: &[SlowRule], tuple: &Tuple) -> Judgement {
    let rule = rules.iter().position(|rule| rule.matches(tuple));
    Judgement { permit: rule.is_some_and(|index| rules[index].permit), rule }
}

/// A rule with its addresses written out.
#[derive(Clone, Debug)]
pub(super) struct SlowRule {
    permit: bool,
    protocol: Option<u8>,
    source: SlowMatch,
    destination: SlowMatch,
    source_ports: Vec<(u16, u16)>,
    destination_ports: Vec<(u16, u16)>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
}

#[derive(Clone, Debug)]
pub(super) enum SlowMatch {
    Any,
    Prefix(IpAddr, u8),
    /// The group with this number.
    In(usize, Vec<(IpAddr, u8)>),
}

impl SlowRule {
    fn matches(&self, tuple: &Tuple) -> bool {
        let ports = |ranges: &[(u16, u16)], port: Option<u16>| {
            ranges.is_empty()
                || port.is_some_and(|port| ranges.iter().any(|&(first, last)| (first..=last).contains(&port)))
        };
        self.protocol.is_none_or(|protocol| protocol == tuple.protocol)
            && self.source.holds(tuple.source)
            && self.destination.holds(tuple.destination)
            && ports(&self.source_ports, tuple.ports.map(|ports| ports.0))
            && ports(&self.destination_ports, tuple.ports.map(|ports| ports.1))
            && self.icmp_type.is_none_or(|kind| tuple.icmp.is_some_and(|icmp| icmp.0 == kind))
            && self.icmp_code.is_none_or(|code| tuple.icmp.is_some_and(|icmp| icmp.1 == code))
    }

    pub(super) fn matches_one_of(&self, tuples: &[Tuple]) -> bool {
        tuples.iter().any(|tuple| self.matches(tuple))
    }

    pub(super) fn compiled(&self, groups: &[Arc<PrefixSet>]) -> Rule {
        let addresses = |slow: &SlowMatch| match slow {
            SlowMatch::Any => AddressMatch::Any,
            SlowMatch::Prefix(address, length) => AddressMatch::Prefix(*address, *length),
            SlowMatch::In(group, _) => AddressMatch::In(groups[*group].clone()),
        };
        Rule {
            name: "".into(),
            permit: self.permit,
            protocol: self.protocol,
            source: addresses(&self.source),
            destination: addresses(&self.destination),
            source_ports: self.source_ports.clone(),
            destination_ports: self.destination_ports.clone(),
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            redirect: None,
        }
    }
}

impl SlowMatch {
    fn holds(&self, address: IpAddr) -> bool {
        let inside = |&(prefix, length): &(IpAddr, u8)| match (prefix, address) {
            (IpAddr::V4(p), IpAddr::V4(a)) => a.to_bits().masked(length) == p.to_bits().masked(length),
            (IpAddr::V6(p), IpAddr::V6(a)) => a.to_bits().masked(length) == p.to_bits().masked(length),
            _ => false,
        };
        match self {
            SlowMatch::Any => true,
            SlowMatch::Prefix(prefix, length) => inside(&(*prefix, *length)),
            SlowMatch::In(_, prefixes) => prefixes.iter().any(inside),
        }
    }
}

fn addresses() -> impl Strategy<Value = IpAddr> + Clone {
    let v4 = select(vec![0x0a00_0001_u32, 0x0a00_0002, 0x0a00_0101, 0x0a01_0001, 0xc0a8_0001, 0, u32::MAX]);
    let v6 = select(vec![0_u128, 0x0a00_0001, 0xffff_0a00_0001, 0x2001_0db8 << 96 | 1, 0x2001_0db8 << 96 | 1 << 64]);
    prop_oneof![
        2 => v4.prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        1 => v6.prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn prefixes() -> impl Strategy<Value = (IpAddr, u8)> + Clone {
    let lengths = select(vec![0_u8, 1, 8, 15, 16, 24, 31, 32, 48, 64, 128]);
    (addresses(), lengths)
        .prop_map(|(address, length)| (address, if address.is_ipv4() { length.min(32) } else { length }))
}

fn port_ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let edge = || select(vec![0_u16, 1, 22, 79, 80, 81, 1024, 65534, 65535]);
    // Some are the wrong way round, so match nothing.
    let range = prop_oneof![3 => (edge(), edge()), 1 => edge().prop_map(|port| (port, port)), 1 => Just((0, u16::MAX))];
    prop_oneof![2 => Just(Vec::new()), 2 => prop::collection::vec(range, 1..4)]
}

fn protocols() -> impl Strategy<Value = u8> {
    select(vec![0_u8, 1, 6, 17, 58, 255])
}

fn rule(groups: Vec<Group>) -> impl Strategy<Value = SlowRule> {
    let count = groups.len();
    let matched = move || {
        let groups = groups.clone();
        prop_oneof![
            2 => Just(SlowMatch::Any),
            3 => prefixes().prop_map(|(address, length)| SlowMatch::Prefix(address, length)),
            2 => (0..count).prop_map(move |group| SlowMatch::In(group, groups[group].clone())),
        ]
    };
    let icmp = || prop::option::weighted(0.2, select(vec![0_u8, 3, 8, 128]));
    let ports = || port_ranges();
    let asked = prop::option::weighted(0.6, protocols());
    (any::<bool>(), asked, (matched(), matched()), (ports(), ports()), icmp(), icmp()).prop_map(
        |(permit, protocol, (source, destination), (source_ports, destination_ports), icmp_type, icmp_code)| SlowRule {
            permit,
            protocol,
            source,
            destination,
            source_ports,
            destination_ports,
            icmp_type,
            icmp_code,
        },
    )
}

fn tuples() -> impl Strategy<Value = Tuple> {
    let port = || select(vec![0_u16, 1, 22, 23, 79, 80, 81, 82, 1024, 65534, 65535]);
    let icmp = || select(vec![0_u8, 3, 8, 9, 128]);
    (addresses(), addresses(), protocols(), prop::option::of((port(), port())), prop::option::of((icmp(), icmp())))
        .prop_map(|(source, destination, protocol, ports, icmp)| Tuple { source, destination, protocol, ports, icmp })
}

pub(super) type Group = Vec<(IpAddr, u8)>;

/// Groups, rules that may name them, and flows.
pub(super) fn cases(rules: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<Group>, Vec<SlowRule>, Vec<Tuple>)> {
    prop::collection::vec(prop::collection::vec(prefixes(), 0..5), 1..4).prop_flat_map(move |groups| {
        let rules = prop::collection::vec(rule(groups.clone()), rules.clone());
        (Just(groups), rules, prop::collection::vec(tuples(), 1..40))
    })
}

pub(super) fn sets(groups: &[Group]) -> Vec<Arc<PrefixSet>> {
    let set = |prefixes: &Group| {
        let mut set = PrefixSet::default();
        prefixes.iter().for_each(|&(address, length)| set.insert(address, length));
        Arc::new(set)
    };
    groups.iter().map(set).collect()
}

/// As [`Acl::new`], but compiled however few they are.
pub(super) fn compiled(rules: &[SlowRule], groups: &[Arc<PrefixSet>], sizes: Sizes) -> Acl {
    let rules: Vec<_> = rules.iter().map(|rule| Arc::new(rule.compiled(groups))).collect();
    Acl {
        name: "acl".into(),
        rules: Rules::Many(Arc::new(Index::new(&rules, sizes))),
        redirecting: 0,
        hits: Arc::default(),
    }
}

fn twins_agree(groups: &[Group], rules: &[SlowRule], tuples: &[Tuple]) -> Result<(), TestCaseError> {
    let groups = sets(groups);
    let acl = Acl::new("acl".into(), rules.iter().map(|rule| rule.compiled(&groups)).collect());
    let compiled = compiled(rules, &groups, SIZES);
    for acl in [acl, compiled] {
        prop_assert_eq!(acl.len(), rules.len());
        for tuple in tuples {
            prop_assert_eq!(acl.judge(tuple), judged_slowly(rules, tuple), "{:?} by {:?}", tuple, rules);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn few_rules_judge_as_their_slow_twin((groups, rules, tuples) in cases(0..12)) {
        twins_agree(&groups, &rules, &tuples)?;
    }

    #[test]
    fn a_set_of_prefixes_is_its_slow_twin(prefixes in prop::collection::vec(prefixes(), 0..8), asked in addresses()) {
        let set = &sets(std::slice::from_ref(&prefixes))[0];
        let mut v4 = SlowFib::new();
        let mut v6 = SlowFib::new();
        for &(address, length) in &prefixes {
            match address {
                IpAddr::V4(address) => v4.insert(address.to_bits(), length, ()),
                IpAddr::V6(address) => v6.insert(address.to_bits(), length, ()),
            };
        }
        let held = match asked {
            IpAddr::V4(address) => v4.lookup(address.to_bits()).is_some(),
            IpAddr::V6(address) => v6.lookup(address.to_bits()).is_some(),
        };
        prop_assert_eq!(set.contains(asked), held);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Enough for several groups.
    #[test]
    fn many_rules_judge_as_their_slow_twin(
        (groups, rules, tuples) in cases(40..41),
        times in 90..220_usize,
    ) {
        // Only rules that match none of the flows come before, so that the first match is far behind.
        let idle: Vec<_> = rules.iter().filter(|rule| !rule.matches_one_of(&tuples)).cloned().collect();
        let mut all = Vec::new();
        (0..times).for_each(|_| all.extend(idle.iter().cloned()));
        all.extend(rules);
        twins_agree(&groups, &all, &tuples)?;
    }
}

pub(super) fn permit_all() -> Rule {
    Rule {
        name: "".into(),
        permit: true,
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

fn tuple(source: &str, destination: &str, ports: Option<(u16, u16)>) -> Tuple {
    let address = |text: &str| text.parse().expect("an address");
    Tuple { source: address(source), destination: address(destination), protocol: 17, ports, icmp: None }
}

#[test]
fn no_rule_denies_and_the_first_match_decides() {
    let flow = tuple("10.0.0.1", "10.0.0.2", Some((1, 2)));
    assert_eq!(Acl::new("".into(), vec![]).judge(&flow), Judgement { permit: false, rule: None });
    let acl = Acl::new("".into(), vec![Rule { permit: false, ..permit_all() }, permit_all()]);
    assert_eq!(acl.judge(&flow), Judgement { permit: false, rule: Some(0) });
}

#[test]
fn rules_with_ports_never_match_a_packet_without() {
    let acl = Acl::new("".into(), vec![Rule { destination_ports: vec![(0, u16::MAX)], ..permit_all() }]);
    assert!(acl.judge(&tuple("10.0.0.1", "10.0.0.2", Some((1, 65535)))).permit);
    assert!(!acl.judge(&tuple("10.0.0.1", "10.0.0.2", None)).permit);
}

#[test]
fn a_prefix_of_length_zero_is_of_one_family() {
    let v4 = AddressMatch::Prefix(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let v6 = AddressMatch::Prefix(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    let rules = [v4, v6].map(|source| Rule { source, ..permit_all() });
    let acl = Acl::new("".into(), rules.into());
    assert_eq!(acl.judge(&tuple("10.0.0.1", "10.0.0.2", None)).rule, Some(0));
    assert_eq!(acl.judge(&tuple("::ffff:10.0.0.1", "::1", None)).rule, Some(1));
}
