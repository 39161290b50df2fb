//! ACLs and the flows that they judge.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use vrouter::tables::acl::{AddressMatch, Rule, Tuple};
use vrouter::tables::fib::PrefixSet;

use crate::random::Random;

/// Addresses of the hosts that rules and flows are about: 64 subnets of 256.
fn host(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 | (random.below(64) as u32) << 16 | random.below(256) as u32)
}

/// So many rules as a data centre has them: most from a subnet, a host or a group to a host's or subnet's port; few for any.
pub fn rules(count: usize) -> Vec<Rule> {
    let mut random = Random(2);
    let groups: Vec<_> = (0..16)
        .map(|_| {
            let mut group = PrefixSet::default();
            (0..50).for_each(|_| group.insert(host(&mut random).into(), 32));
            Arc::new(group)
        })
        .collect();
    let addresses = |random: &mut Random| match random.pick(&[(0, 5), (32, 50), (28, 15), (24, 15), (16, 5), (99, 10)])
    {
        0 => AddressMatch::Any,
        99 => AddressMatch::In(groups[random.below(16) as usize].clone()),
        length => AddressMatch::Prefix(host(random).into(), length),
    };
    let rule = |random: &mut Random| {
        let first = random.pick(&[(22, 2), (53, 2), (80, 3), (443, 5), (5432, 1), (8000, 1), (30_000, 1)]);
        let last = first + random.pick(&[(0, 8), (10, 1), (2767, 1)]);
        Rule {
            name: "".into(),
            permit: random.below(4) != 0,
            protocol: random.pick(&[(Some(6), 7), (Some(17), 3)]),
            source: addresses(random),
            destination: addresses(random),
            source_ports: Vec::new(),
            destination_ports: vec![(first, last)],
            icmp_type: None,
            icmp_code: None,
        }
    };
    (0..count).map(|_| rule(&mut random)).collect()
}

/// So many flows between the hosts that the rules are about.
pub fn flows(count: usize) -> Vec<Tuple> {
    let mut random = Random(3);
    let flow = |random: &mut Random| Tuple {
        source: IpAddr::V4(host(random)),
        destination: IpAddr::V4(host(random)),
        protocol: random.pick(&[(6, 3), (17, 1)]),
        ports: Some((
            32_768 + random.below(28_000) as u16,
            random.pick(&[(22, 1), (80, 2), (443, 4), (8005, 1), (9, 2)]),
        )),
        icmp: None,
    };
    (0..count).map(|_| flow(&mut random)).collect()
}
