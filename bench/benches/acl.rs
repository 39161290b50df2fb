//! ACL: flows judged a second, beside a walk over the rules, and compilation.

use std::hint::black_box;
use std::net::IpAddr;

use bench::rules;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vrouter::tables::acl::{Acl, AddressMatch, Rule, Tuple};

const FLOWS: usize = 1 << 14;

/// The reference: rule after rule (of IPv4 and ports only, as the generated rules are).
fn walk(rules: &[Rule], flow: &Tuple) -> Option<usize> {
    let holds = |matched: &AddressMatch, address: IpAddr| match (matched, address) {
        (AddressMatch::Any, _) => true,
        (AddressMatch::In(group), address) => group.contains(address),
        (AddressMatch::Prefix(IpAddr::V4(prefix), length), IpAddr::V4(address)) => {
            (prefix.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(*length)
        }
        _ => false,
    };
    let (_, port) = flow.ports?;
    rules.iter().position(|rule| {
        rule.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && rule.destination_ports.iter().any(|&(first, last)| (first..=last).contains(&port))
            && holds(&rule.source, flow.source)
            && holds(&rule.destination, flow.destination)
    })
}

fn acl(c: &mut Criterion) {
    let flows = rules::flows(FLOWS);
    let mut group = c.benchmark_group("acl");
    for count in [10, 100, 1000, 10_000] {
        let rules = rules::rules(count);
        let acl = Acl::new("bench".into(), rules.clone());
        assert!(flows.iter().take(1000).all(|flow| acl.judge(flow).rule == walk(&rules, flow)), "the two disagree");
        let mut next = flows.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("judge", count), |b| {
            b.iter(|| next.next().map(|flow| acl.judge(black_box(flow))));
        });
        group.bench_function(BenchmarkId::new("walk", count), |b| {
            b.iter(|| next.next().map(|flow| walk(&rules, black_box(flow))));
        });
        group.sample_size(10);
        group
            .bench_function(BenchmarkId::new("compile", count), |b| b.iter(|| Acl::new("bench".into(), rules.clone())));
        group.sample_size(100);
    }
}

criterion_group!(benches, acl);
criterion_main!(benches);
