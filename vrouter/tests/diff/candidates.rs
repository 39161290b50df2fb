//! Networks that no daemon has: for generated ones, and packets through them, what `vrctl test` finds is what `explain` says and what the model does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vrouter::api::expect::{Expectation, Wanted};
use vrouter::api::position::At;
use vrouter::api::text::Protocol;
use vrouter::api::yaml::{Network, VifKind};
use vrouter::candidate::{Bed, Candidate, Outcome, Packet, check};

use super::duel::settled;
use super::product::ports;
use super::random::Random;
use super::random_case::random_case;
use crate::oracle::{self, Oracle, Sent, Worlds};

/// Networks, unless VROUTER_NETWORKS says how many, and packets through each.
const NETWORKS: u64 = 60;
const PACKETS: usize = 20;
/// What the clock says.
const NOW: u64 = 1_000_000;

/// What the slow path does with what is for us.
const OURS: &[&str] = &["echo4", "echo6", "local_unanswered"];

struct Trial<'a> {
    text: &'a str,
    network: &'a Network,
    candidate: &'a Candidate,
}

/// Verdicts, and how often each was agreed upon.
type Agreed = BTreeMap<String, u64>;

#[test]
fn expectations_explanations_and_the_model_agree() {
    let mut agreed = Agreed::new();
    let networks = std::env::var("VROUTER_NETWORKS").map_or(NETWORKS, |count| count.parse().expect("a number"));
    for seed in 1..=networks {
        network(seed, &mut agreed);
    }
    println!("{agreed:#?}");
    let all: u64 = agreed.values().sum();
    assert!(all >= networks * PACKETS as u64 * 8 / 10, "only {all} packets were judged: {agreed:?}");
    for verdict in
        ["forward", "forward by a tunnel", "local", "no_route", "acl_from_vif", "acl_vrf", "acl_to_vif", "route_drop"]
    {
        assert!(agreed.get(verdict).is_some_and(|count| *count >= 5), "{verdict}: {agreed:?}");
    }
}

fn network(seed: u64, agreed: &mut Agreed) {
    let case = settled(random_case(seed));
    let text = case.network.text();
    let network = Network::parse("case", &text).unwrap();
    let candidate = Candidate::read(&[("case".into(), text.clone())]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let trial = Trial { text: &text, network: &network, candidate: &candidate };
    let mut random = Random::new(seed);
    let mut bed = Bed::new(&candidate).unwrap();
    for _ in 0..PACKETS {
        let Some((vif, packet)) = trial.packet(&mut random) else { return };
        let explained = trial.explained(&vif, &packet);
        bed.forget();
        let row = candidate.vif(&vif).unwrap();
        let outcome = bed.send(row, &packet, row.our_mac).expect("it is sent");
        let frame = packet.frame(row.our_mac, row.mac, trial.tags(&vif));
        let explained = explained.unwrap_or_else(|why| panic!("seed {seed}: {packet:?} from {vif}: {why}\n{text}"));
        // which way a flow goes that nobody has seen, the model cannot know
        if explained {
            *agreed.entry("forward by one of several ways, or not".into()).or_default() += 1;
            continue;
        }
        let verdict = trial.modelled(&vif, &frame, &outcome).map(|verdict| verdict.unwrap_or_else(|| told(&outcome)));
        let verdict = verdict.unwrap_or_else(|why| panic!("seed {seed}: {packet:?} from {vif}: {why}\n{text}"));
        *agreed.entry(verdict).or_default() += 1;
    }
}

/// What a bed saw, in a word.
fn told(outcome: &Outcome) -> String {
    match &outcome.dropped[..] {
        [reason, ..] => reason.name().into(),
        [] if outcome.left.is_empty() => "local".into(),
        [] => "forward".into(),
    }
}

impl Trial<'_> {
    /// A tenant's VIF, and what its guest sends.
    fn packet(&self, random: &mut Random) -> Option<(String, Packet)> {
        let tenants: Vec<_> =
            self.network.vifs.iter().filter(|vif| vif.kind == VifKind::Tenant && !vif.addresses.is_empty()).collect();
        if tenants.is_empty() {
            return None;
        }
        let vif = random.pick(&tenants);
        let source = random.pick(&vif.addresses);
        let of_vifs = self.network.vifs.iter().flat_map(|vif| vif.addresses.iter().copied());
        let gateways = self.network.vifs.iter().filter_map(|vif| vif.gateway_v4.map(IpAddr::V4));
        let of_routes = self.network.routes.iter().map(|route| route.prefix.address());
        let all = of_vifs.chain(of_routes).chain(gateways).chain(["10.99.0.1".parse().unwrap()]);
        let all: Vec<_> =
            all.filter(|to| to.is_ipv4() == source.is_ipv4() && *to != source && !to.is_unspecified()).collect();
        if all.is_empty() {
            return None;
        }
        let protocol = random.pick(&[6, 6, 17, 17, if source.is_ipv4() { 1 } else { 58 }, 47, 132]);
        let echo = if source.is_ipv4() { 8 << 8 } else { 128 << 8 };
        let port = random.pick(&[80_u16, 53, 443, 1000, 60_000]);
        let packet = Packet {
            source,
            destination: random.pick(&all),
            protocol,
            source_port: random.pick(&[49_152, 1001, 60]),
            destination_port: match protocol {
                6 | 17 | 132 => port,
                47 => 0,
                _ => echo,
            },
            length: random.pick(&[0, 0, 0, 300, 1500]),
            dont_fragment: random.chance(50),
            is_answer: false,
        };
        Some((vif.name.clone(), packet))
    }

    /// Whether explain and the datapath say the same of the packet and its answer. True: it went one of several ways.
    fn explained(&self, vif: &str, packet: &Packet) -> Result<bool, String> {
        let with_ports = [6, 17, 132].contains(&packet.protocol);
        let expectation = Expectation {
            from: vec![vif.to_owned()],
            source: Some(packet.source),
            to: vec![packet.destination.to_string()],
            protocol: Some(Protocol(packet.protocol)),
            port: with_ports.then_some(packet.destination_port),
            source_port: with_ports.then_some(packet.source_port),
            length: Some(packet.length),
            dont_fragment: packet.dont_fragment,
            result: Wanted::Any,
            reply: Some(Wanted::Drop),
            ..Expectation::default()
        };
        let tests = check(self.candidate, &[At::nowhere(expectation)]).unwrap();
        let faults = tests.iter().flat_map(|test| &test.faults);
        let wrong: Vec<_> = faults.filter(|fault| fault.contains("please report")).collect();
        assert!(!tests[0].steps.is_empty(), "nothing was asked about {packet:?}: {:?}", tests[0].faults);
        let chosen = tests[0].steps.iter().any(|step| step.name == "path");
        if wrong.is_empty() { Ok(chosen) } else { Err(format!("{wrong:?}: {:#?}", tests[0].steps)) }
    }

    fn vif(&self, name: &str) -> &vrouter::api::yaml::Vif {
        self.network.vifs.iter().find(|vif| vif.name == name).expect("a VIF of the network")
    }

    fn tags(&self, vif: &str) -> Option<vrouter::ids::Tags> {
        let vif = self.vif(vif);
        let outer = vrouter::ids::Vlan(vif.vlan?);
        Some(vrouter::ids::Tags { outer, inner: vif.inner_vlan.map(vrouter::ids::Vlan) })
    }

    /// Port `pN` has number N.
    fn port(&self, vif: &str) -> usize {
        self.vif(vif).port[1..].parse().expect("a port of the rig")
    }

    /// Holds an outcome against the model, where no neighbour has answered yet: what goes by a tunnel waits there. The verdict; `None`: it is not modelled.
    fn modelled(&self, vif: &str, frame: &[u8], outcome: &Outcome) -> Result<Option<String>, String> {
        let sent = |left: &vrouter::candidate::Left| Sent { port: self.port(&left.vif), bytes: left.bytes.clone() };
        let came: Vec<Sent> = outcome.left.iter().map(sent).collect();
        let port = self.port(vif);
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let mut worlds = Worlds::new(Oracle::new(&ports(), NOW));
            worlds.change(|oracle| oracle.apply(self.text)).expect("the model takes it");
            worlds.advance(NOW, &[]);
            worlds.keep(|_, _| Ok::<_, ()>(())).expect("a world");
            worlds.receive(port, frame, NOW, &came);
            worlds.keep(|_, _| Ok::<_, ()>(())).expect("a world").remove(0)
        }));
        let wanted: oracle::Outcome = match asked {
            Ok(wanted) => wanted,
            Err(cause) if super::duel::text_of(&*cause).starts_with("unmodelled") => return Ok(None),
            Err(cause) => return Err(format!("the model panics: {}", super::duel::text_of(&*cause))),
        };
        // which copy is made first is nobody's word
        let mut drops: Vec<_> = wanted.drops.iter().map(|drop| drop.reason).collect();
        let mut dropped: Vec<_> = outcome.dropped.iter().map(|reason| reason.name()).collect();
        drops.sort_unstable();
        dropped.sort_unstable();
        let by_fabric = outcome.left.iter().any(|left| self.vif(&left.vif).kind == VifKind::Fabric);
        let is_held = wanted.features.contains("held");
        if is_held && (by_fabric || outcome.punted > 0) {
            return Ok(Some("forward by a tunnel".into()));
        }
        let mut frames: Vec<_> = wanted.sent.iter().filter(|sent| self.is_tenants(sent.port)).collect();
        let mut here: Vec<_> = came.iter().filter(|sent| self.is_tenants(sent.port)).collect();
        frames.sort();
        here.sort();
        match (&drops[..], &dropped[..]) {
            // it is the slow path's, which a bed has not
            (_, []) if outcome.punted > 0 && OURS.iter().any(|feature| wanted.features.contains(feature)) => {
                Ok(Some("local".into()))
            }
            (one, other) if one != other => {
                Err(format!("the model drops for {one:?}, the worker for {other:?}; {:?}", wanted.features))
            }
            ([], []) if outcome.punted == 0 && frames != here && !by_fabric => {
                Err(format!("the model sends {frames:?}, the worker {here:?}"))
            }
            _ => Ok(Some(told(outcome))),
        }
    }

    fn is_tenants(&self, port: usize) -> bool {
        self.network.vifs.iter().any(|vif| vif.kind == VifKind::Tenant && vif.port == format!("p{port}"))
    }
}
