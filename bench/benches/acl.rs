//! ACLs of 10,000 and 1,000 rules: flows judged a second, what building and one edit cost, and memory; beside rte_acl and a walk over
//! the rules, with the same rules and flows. Prints a table. Arguments: names of families; none: all; `--patient` waits for
//! rte_acl however long it builds.
//!
//! Rates are of stretches so short that another process seldom falls into one, the median of each over the rounds. An edit is made
//! three times from the same version, which stays; the fastest counts, and of all edits the median and the 99th percentile.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use bench::random::Random;
use bench::rules::{self, FAMILIES, Family};
use ffi::{Classifier, ClassifierRule, Eal, EalConfig, Packed};
use prost::Message;
use vrouter::api::v1;
use vrouter::ids::Mac;
use vrouter::model::{Limits, Model, PortInfo};
use vrouter::tables::acl::{Acl, AddressMatch, Rule, Tuple};

#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

const FLOWS: usize = 1 << 14;
const STRETCH: usize = 256;
const ROUNDS: usize = 15;
const EDITS: usize = 600;
/// For rte_acl's tries.
const MOST_BYTES: usize = 512 << 20;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let patient = std::env::args().any(|argument| argument == "--patient");
    let prefix = format!("vr-bench-acl-{}", std::process::id());
    let eal = Eal::init(&EalConfig { log_level: Some("error".into()), ..EalConfig::no_huge(&prefix, 1536) });
    let eal = eal.unwrap_or_else(|error| panic!("{error}"));
    println!(
        "{:<26} {:<8} {:>8} {:>9} {:>18} {:>13}",
        "rules", "by", "M/s", "build ms", "edit us p50 / p99", "bytes a rule"
    );
    for (name, family) in FAMILIES {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        for (v6, count) in [(false, 10_000), (true, 10_000), (false, 1000)] {
            let title = format!("{name} {} {count}", if v6 { "IPv6" } else { "IPv4" });
            let rules = rules::rules(family, v6, count);
            let flows = ours(&title, family, v6, &rules);
            if family == Family::Wildcard && count > 1000 && !patient {
                println!("{title:<26} {:<8} left out, it builds for minutes: --patient waits", "rte_acl");
            } else {
                theirs(&title, &eal, v6, &rules, &flows);
            }
            let few = &flows[..1024];
            let rate = rate(few, |flows| {
                flows.iter().for_each(|flow| {
                    black_box(rules::walk(&rules, flow));
                });
            });
            println!("{title:<26} {:<8} {rate:>8.3}", "linear");
        }
    }
    let five = &rules::rules(Family::Firewall, false, 5)[..];
    println!("an ACL of 5 rules takes {} bytes, its rules among them", bytes(five));
    through_the_model();
}

/// Million a second.
fn rate<T>(flows: &[T], mut judge: impl FnMut(&[T])) -> f64 {
    let mut times = vec![Vec::new(); flows.len().div_ceil(STRETCH)];
    for _ in 0..ROUNDS {
        for (stretch, times) in flows.chunks(STRETCH).zip(&mut times) {
            let start = Instant::now();
            judge(black_box(stretch));
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let seconds: f64 = times.iter_mut().map(|times| at(times, 50)).sum();
    flows.len() as f64 / seconds / 1e6
}

/// The percentile of what is sorted by it.
fn at(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * percent / 100]
}

/// What an ACL of these rules holds.
fn bytes(rules: &[Rule]) -> usize {
    let before = ALLOCATOR.allocated();
    let acl = Acl::new("bench".into(), rules.to_vec());
    let bytes = ALLOCATOR.allocated() - before;
    drop(acl);
    bytes
}

fn ours(title: &str, family: Family, v6: bool, rules: &[Rule]) -> Vec<Tuple> {
    let mut builds: Vec<f64> = (0..7)
        .map(|_| {
            let rules = rules.to_vec();
            let start = Instant::now();
            black_box(Acl::new("bench".into(), rules));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let first = Acl::new("bench".into(), rules.to_vec());
    let last = |flow: &Tuple| first.judge(flow).rule == Some(rules.len() - 1);
    let flows = rules::flows(rules, v6, FLOWS, last);
    let agree = |flow: &Tuple| first.judge(flow).rule == rules::walk(rules, flow);
    assert!(flows.iter().step_by(8).all(agree), "the ACL and the walk disagree");
    let rate = rate(&flows, |flows| {
        flows.iter().for_each(|flow| {
            black_box(first.judge(flow));
        });
    });
    let mut random = Random(9);
    let mut acl = first;
    let mut edits: Vec<f64> = (0..EDITS)
        .map(|edit| {
            let place = random.below(acl.len() as u64 - 1) as usize;
            let rule = rules::rule(&mut random, family, v6);
            let (replaced, into) = match edit % 3 {
                0 => (place..place, vec![rule]),
                1 => (place..place + 1, vec![]),
                _ => (place..place + 1, vec![rule]),
            };
            let fastest = (0..3).map(|_| {
                let into = into.clone();
                let start = Instant::now();
                let next = acl.spliced(replaced.clone(), into);
                let time = start.elapsed().as_secs_f64() * 1e6;
                (time, next)
            });
            let (time, next) = fastest.min_by(|(a, _), (b, _)| a.total_cmp(b)).expect("three");
            acl = next;
            time
        })
        .collect();
    let bytes = bytes(rules) as f64 / rules.len() as f64;
    let (build, p50, p99) = (at(&mut builds, 50), at(&mut edits, 50), at(&mut edits, 99));
    println!("{title:<26} {:<8} {rate:>8.3} {build:>9.2} {p50:>9.0} / {p99:>6.0} {bytes:>13.0}", "ours");
    flows
}

fn theirs(title: &str, eal: &Eal, v6: bool, rules: &[Rule], flows: &[Tuple]) {
    let any = (0, u16::MAX);
    let side = |side: &AddressMatch| match side {
        AddressMatch::Prefix(address, length) => Some((*address, *length)),
        _ => None,
    };
    let given: Vec<_> = rules
        .iter()
        .map(|rule| ClassifierRule {
            protocol: rule.protocol,
            source: side(&rule.source),
            destination: side(&rule.destination),
            // An ICMP type stands where ports would.
            source_ports: match (rule.icmp_type, &rule.source_ports[..]) {
                (Some(kind), _) => (kind.into(), kind.into()),
                (None, ports) => ports.first().copied().unwrap_or(any),
            },
            destination_ports: rule.destination_ports.first().copied().unwrap_or(any),
        })
        .collect();
    let start = Instant::now();
    let built = Classifier::build(eal, v6, &given, MOST_BYTES);
    let build = start.elapsed().as_secs_f64() * 1e3;
    let classifier = match built {
        Ok(classifier) => classifier,
        Err(error) => {
            return println!(
                "{title:<26} {:<8} {error} after {build:.0} ms, within {} MiB",
                "rte_acl",
                MOST_BYTES >> 20
            );
        }
    };
    let pack = |flow: &Tuple| {
        let icmp = flow.icmp.map(|(kind, code)| (kind.into(), code.into()));
        Packed::new(flow.protocol, flow.source, flow.destination, flow.ports.or(icmp).unwrap_or_default())
    };
    let packed: Vec<_> = flows.iter().map(pack).collect();
    let mut answers = vec![0; packed.len()];
    classifier.classify(&packed, &mut answers);
    let agree = |(flow, answer): (&Tuple, &u32)| rules::walk(rules, flow) == Some(*answer as usize);
    assert!(flows.iter().zip(&answers).step_by(8).all(agree), "rte_acl and the walk disagree");
    let mut answers = [0; STRETCH];
    let rate = rate(&packed, |packed| {
        classifier.classify(packed, &mut answers[..packed.len()]);
        black_box(&answers);
    });
    println!("{title:<26} {:<8} {rate:>8.3} {build:>9.2} {:>18} {:>13}", "rte_acl", "builds anew", "-");
}

/// One rule of 10,000 changed by a batch: an ACL's message brings all of its rules.
fn through_the_model() {
    let limits = Limits::default();
    let port =
        PortInfo { name: "p".into(), devargs: "net_null0".into(), mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500, queues: 1 };
    let mut model = Model::new(limits, vec![port]);
    let mut random = Random(9);
    let rules = rules::rules(Family::Firewall, false, 10_000);
    let mut acl = v1::Acl { name: "bench".into(), rules: rules.iter().map(message).collect() };
    let put = |kind| v1::Change { op: Some(v1::change::Op::Put(v1::Object::from(kind))) };
    let kind = |acl: &v1::Acl| v1::object::Kind::Acl(acl.clone());
    let vrf = v1::Vrf { name: "red".into(), acl: "bench".into(), ..Default::default() };
    let start = Instant::now();
    let made = model.apply("", &[put(kind(&acl)), put(v1::object::Kind::Vrf(vrf))]);
    println!("10,000 rules by a batch: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    made.expect("a good batch");
    let (mut decoded, mut applied) = (Vec::new(), Vec::new());
    for edit in 0..EDITS / 2 {
        let place = random.below(acl.rules.len() as u64 - 1) as usize;
        let rule = message(&rules::rule(&mut random, Family::Firewall, false));
        match edit % 3 {
            0 => acl.rules.insert(place, rule),
            1 => drop(acl.rules.remove(place)),
            _ => acl.rules[place] = rule,
        }
        let bytes = put(kind(&acl)).encode_to_vec();
        let start = Instant::now();
        let change = v1::Change::decode(&bytes[..]).expect("what was encoded");
        decoded.push(start.elapsed().as_secs_f64() * 1e6);
        let held = model.snapshot();
        let start = Instant::now();
        let made = model.apply("", &[change]);
        applied.push(start.elapsed().as_secs_f64() * 1e6);
        made.expect("a good change");
        drop(held);
    }
    let both = |times: &mut Vec<f64>| format!("{:.0} / {:.0}", at(times, 50), at(times, 99));
    println!(
        "one rule of 10,000 changed, us p50 / p99: {} to decode the message, {} in the model",
        both(&mut decoded),
        both(&mut applied)
    );
}

fn message(rule: &Rule) -> v1::Rule {
    let side = |side: &AddressMatch| {
        let AddressMatch::Prefix(address, length) = side else { return None };
        let address = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let prefix = v1::Prefix { address, length: (*length).into() };
        Some(v1::AddressMatch { by: Some(v1::address_match::By::Prefix(prefix)) })
    };
    let ports = |ranges: &[(u16, u16)]| {
        ranges.iter().map(|&(first, last)| v1::PortRange { first: first.into(), last: last.into() }).collect()
    };
    v1::Rule {
        name: rule.name.to_string(),
        permit: rule.permit,
        protocol: rule.protocol.map(u32::from),
        source: side(&rule.source),
        destination: side(&rule.destination),
        source_ports: ports(&rule.source_ports),
        destination_ports: ports(&rule.destination_ports),
        icmp_type: rule.icmp_type.map(u32::from),
        icmp_code: None,
        redirect: None,
    }
}
