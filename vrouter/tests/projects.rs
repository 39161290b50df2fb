//! Projects, by the code that forwards: generated ones permit exactly what a slow reading of their policies says, on one host and on two.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use vrouter::api::expect::Expectations;
use vrouter::api::text::address_bytes;
use vrouter::api::v1;
use vrouter::api::yaml::Files;
use vrouter::candidate::{Bed, Candidate, check};

#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;

/// An interface: its network, its tags, and the host that it is on.
#[derive(Clone, Debug)]
struct Interface {
    network: usize,
    tags: Vec<usize>,
    host: usize,
}

/// One end of a policy.
#[derive(Clone, Copy, Debug)]
enum Side {
    Any,
    Network(usize),
    Tag(usize),
    Both(usize, usize),
    /// The addresses of a network, or of one interface alone.
    Pool(usize),
    Address(usize),
}

#[derive(Clone, Debug)]
struct Policy {
    from: Side,
    to: Side,
    /// 6 or 17.
    protocol: Option<u8>,
    /// With a protocol: from here to 10 more.
    port: Option<u16>,
    permit: bool,
}

/// A project of three networks `n0` to `n2`, with three tags `t0` to `t2`, of which the last has a prefix too: the upper half of `n0`.
#[derive(Clone, Debug)]
struct Project {
    interfaces: Vec<Interface>,
    policies: Vec<Policy>,
}

const NETWORKS: usize = 3;
const TAGS: usize = 3;
const SERVICES: [(u8, u16); 4] = [(6, 80), (6, 90), (17, 80), (6, 22)];

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![
        2 => Just(Side::Any),
        3 => (0..NETWORKS).prop_map(Side::Network),
        4 => (0..TAGS).prop_map(Side::Tag),
        2 => (0..NETWORKS, 0..TAGS).prop_map(|(network, tag)| Side::Both(network, tag)),
        1 => (0..NETWORKS).prop_map(Side::Pool),
        2 => (0..7_usize).prop_map(Side::Address),
    ]
}

prop_compose! {
    fn policy()(
        from in side(), to in side(), protocol in prop::option::of(prop_oneof![Just(6_u8), Just(17)]),
        port in prop::option::of(prop_oneof![Just(75_u16), Just(85)]), permit in prop::bool::weighted(0.7),
    ) -> Policy {
        Policy { from, to, protocol, port: port.filter(|_| protocol.is_some()), permit }
    }
}

prop_compose! {
    fn interface()(network in 0..NETWORKS, tags in prop::sample::subsequence(vec![0, 1, 2], 0..=2), host in 0..2_usize) -> Interface {
        Interface { network, tags, host }
    }
}

prop_compose! {
    fn project()(interfaces in prop::collection::vec(interface(), 2..7), policies in prop::collection::vec(policy(), 0..6)) -> Project {
        Project { interfaces, policies }
    }
}

/// Odd ones are in the upper half of their network's pool.
fn address(interfaces: &[Interface], at: usize) -> Ipv4Addr {
    let network = interfaces.get(at).map_or(0, |interface| interface.network);
    Ipv4Addr::new(10, 0, network as u8, (at % 2 * 128 + 10 + at) as u8)
}

impl Project {
    fn side(&self, side: Side) -> String {
        match side {
            Side::Any => "{}".into(),
            Side::Network(network) => format!("{{network: n{network}}}"),
            Side::Tag(tag) => format!("{{tag: t{tag}}}"),
            Side::Both(network, tag) => format!("{{network: n{network}, tag: t{tag}}}"),
            Side::Pool(network) => format!("{{prefix: 10.0.{network}.0/24}}"),
            Side::Address(at) => format!("{{prefix: {}/32}}", address(&self.interfaces, at)),
        }
    }

    /// The file, with its lists in this order.
    fn text(&self, turned: bool) -> String {
        let listed = |mut all: Vec<String>| {
            if turned {
                all.reverse();
            }
            all.join(", ")
        };
        let network = |at| format!("{{name: n{at}, pools: [{{prefix: 10.0.{at}.0/24}}], vni: {}}}", 100 + at);
        let interface = |(at, given): (usize, &Interface)| {
            let tags: Vec<_> = given.tags.iter().map(|tag| format!("t{tag}")).collect();
            let address = address(&self.interfaces, at);
            format!("{{name: i{at}, network: n{}, addresses: [{address}], tags: [{}]}}", given.network, tags.join(", "))
        };
        let mut text = format!(
            "projects:\n- name: p\n  networks: [{}]\n  tags: [{}]\n  interfaces: [{}]\n  policies:\n",
            listed((0..NETWORKS).map(network).collect()),
            listed(vec!["{name: t0}".into(), "{name: t1}".into(), "{name: t2, prefixes: [10.0.0.128/25]}".into()]),
            listed(self.interfaces.iter().enumerate().map(interface).collect()),
        );
        for (at, policy) in self.policies.iter().enumerate() {
            let protocol = policy.protocol.map_or("any".into(), |protocol| protocol.to_string());
            let ports = policy.port.map(|port| format!(", ports: {port}-{}", port + 10)).unwrap_or_default();
            let action = if policy.permit { "permit" } else { "deny" };
            let (from, to) = (self.side(policy.from), self.side(policy.to));
            writeln!(
                text,
                "  - {{name: p{at}, from: {from}, to: {to}, protocol: {protocol}{ports}, action: {action}}}"
            )
            .unwrap();
        }
        if self.policies.is_empty() { text.replace("  policies:\n", "") } else { text }
    }

    /// What is fixed of a host; with others if there are any.
    fn host(&self, here: usize, hosts: usize, turned: bool) -> String {
        let mut text = format!(
            "settings: {{underlay_vrf: underlay, vtep: 192.0.2.{}}}\nvrfs: [{{name: underlay, flows: off}}]\n\
             vifs: [{{name: up, kind: fabric, port: eth0, vrf: underlay, addresses: [192.0.2.{0}], subnets: [192.0.2.0/24]}}]\n",
            here + 1
        );
        if hosts > 1 {
            let host = |host: usize| {
                let of = self.interfaces.iter().enumerate().filter(|(_, interface)| interface.host == host);
                let names: Vec<_> = of.map(|(at, _)| format!("{{name: p/i{at}}}")).collect();
                format!("{{name: h{host}, vtep: 192.0.2.{}, interfaces: [{}]}}", host + 1, names.join(", "))
            };
            let mut all: Vec<_> = (0..hosts).map(host).collect();
            if turned {
                all.reverse();
            }
            writeln!(text, "hosts: [{}]", all.join(", ")).unwrap();
        }
        text
    }

    fn files(&self, here: usize, hosts: usize, turned: bool) -> Vec<(String, String)> {
        let mut files = vec![("host".into(), self.host(here, hosts, turned)), ("tenants".into(), self.text(turned))];
        if turned {
            files.reverse();
        }
        files
    }

    /// Whether an interface is on this side.
    fn is_on(&self, side: Side, at: usize) -> bool {
        let interface = &self.interfaces[at];
        let in_prefix = |tag| tag == 2 && interface.network == 0 && at % 2 == 1;
        match side {
            Side::Any => true,
            Side::Network(network) | Side::Pool(network) => interface.network == network,
            Side::Tag(tag) => interface.tags.contains(&tag) || in_prefix(tag),
            Side::Both(network, tag) => interface.network == network && interface.tags.contains(&tag),
            Side::Address(of) => address(&self.interfaces, of) == address(&self.interfaces, at),
        }
    }

    /// What policies say, read from first to last.
    fn permits(&self, from: usize, to: usize, (protocol, port): (u8, u16)) -> bool {
        for policy in &self.policies {
            let is_service = policy.protocol.is_none_or(|of| of == protocol)
                && policy.port.is_none_or(|first| (first..=first + 10).contains(&port));
            if is_service && self.is_on(policy.from, from) && self.is_on(policy.to, to) {
                return policy.permit;
            }
        }
        self.interfaces[from].network == self.interfaces[to].network && self.interfaces[to].tags.is_empty()
    }
}

fn sorted(files: &[(String, String)]) -> Vec<String> {
    let files = Files::parse(files).unwrap_or_else(|error| panic!("{error}\n{files:?}"));
    let mut all: Vec<_> = files.changes().unwrap().iter().map(|(change, _)| format!("{change:?}")).collect();
    all.sort();
    all
}

/// What a host does with a packet.
fn asked(bed: &Bed, place: v1::explain_request::Place, ends: [Ipv4Addr; 2], service: (u8, u16)) -> v1::ExplainReply {
    let [source, destination] = ends.map(|end| address_bytes(IpAddr::V4(end)));
    let request = v1::ExplainRequest {
        place: Some(place),
        source,
        destination,
        protocol: service.0.into(),
        source_port: 40_000,
        destination_port: service.1.into(),
        ..v1::ExplainRequest::default()
    };
    bed.explain(&request).unwrap_or_else(|error| panic!("{error}"))
}

fn from_vif(bed: &Bed, from: usize, ends: [Ipv4Addr; 2], service: (u8, u16)) -> v1::ExplainReply {
    asked(bed, v1::explain_request::Place::Vif(format!("p.i{from}")), ends, service)
}

fn from_tunnel(bed: &Bed, vrf: &str, ends: [Ipv4Addr; 2], service: (u8, u16)) -> v1::ExplainReply {
    asked(bed, v1::explain_request::Place::TunnelVrf(vrf.into()), ends, service)
}

/// Asks about each pair of interfaces.
fn hold(project: &Project, hosts: usize) -> Result<(), TestCaseError> {
    let candidates: Vec<_> = (0..hosts)
        .map(|here| {
            let files = project.files(here, hosts, false);
            Candidate::read(&files).unwrap_or_else(|error| panic!("{error}\n{}", files[1].1))
        })
        .collect();
    let beds: Vec<_> = candidates.iter().map(|candidate| Bed::new(candidate).unwrap()).collect();
    let many = project.interfaces.len();
    for (from, to) in (0..many).flat_map(|from| (0..many).map(move |to| (from, to))).filter(|(from, to)| from != to) {
        let ends = [from, to].map(|at| address(&project.interfaces, at));
        let here = if hosts > 1 { project.interfaces[from].host } else { 0 };
        let there = if hosts > 1 { project.interfaces[to].host } else { 0 };
        for service in SERVICES {
            let told = format!("i{from} to i{to} by {service:?}\n{}", project.text(false));
            let permitted = project.permits(from, to, service);
            let reply = from_vif(&beds[here], from, ends, service);
            prop_assert_eq!(reply.verdict == "forward", permitted, "{:#?}: {}", reply, told);
            if !permitted {
                // the host to which it would go does not take it either, in whatever VRF it came
                for network in (0..NETWORKS).filter(|_| here != there) {
                    let reply = from_tunnel(&beds[there], &format!("p.n{network}"), ends, service);
                    prop_assert_ne!(&reply.verdict, "forward", "out of n{}: {:#?}: {}", network, reply, told);
                }
            } else if here == there {
                prop_assert_eq!(&reply.exit_vif, &format!("p.i{to}"), "{}", told);
            } else {
                prop_assert_eq!(&reply.remote[..], [192, 0, 2, there as u8 + 1], "{}", told);
                let vrf = &reply.exit_tunnel_vrf;
                let arrived = from_tunnel(&beds[there], vrf, ends, service);
                let got = (arrived.verdict.as_str(), &arrived.exit_vif, arrived.answers.as_str());
                prop_assert_eq!(got, ("forward", &format!("p.i{to}"), "forward"), "{:#?}: {}", arrived, told);
                // answers come back in the VRF in which they are expected
                let back = arrived.steps.iter().rfind(|step| step.name == "reverse_route").expect("a way back");
                prop_assert_eq!(&back.vrf, vrf, "{:#?}: {}", arrived, told);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn policies_permit_what_they_say(project in project()) {
        hold(&project, 1)?;
    }

    #[test]
    fn policies_permit_what_they_say_between_two_hosts(project in project()) {
        hold(&project, 2)?;
    }

    #[test]
    fn the_order_of_lists_and_files_does_not_matter(project in project(), hosts in 1..3_usize) {
        prop_assert_eq!(sorted(&project.files(0, hosts, false)), sorted(&project.files(0, hosts, true)));
    }
}

/// Clients in a, a server in b, and a service between them.
const CHAINED: &str = "
projects:
  - name: p
    networks:
      - {name: a, pools: [{prefix: 10.0.1.0/24}], vni: 1}
      - {name: b, pools: [{prefix: 10.0.2.0/24}], vni: 2}
    interfaces:
      - {name: client, network: a, addresses: [10.0.1.11]}
      - {name: server, network: b, addresses: [10.0.2.11]}
      - {name: left, network: a, addresses: [10.0.1.20]}
      - {name: right, network: b, addresses: [10.0.2.20]}
    chains:
      - {name: fw, instances: [{left: left, right: right}]}
    policies:
      - {name: through, from: {network: a}, to: {network: b}, protocol: tcp, ports: 80, chain: fw}
      - {name: beside, from: {network: a}, to: {network: b}, protocol: udp, ports: 53}
";
const UNDERLAY: &str = "
settings: {underlay_vrf: underlay, vtep: 192.0.2.1}
vrfs: [{name: underlay, flows: off}]
vifs: [{name: up, kind: fabric, port: eth0, vrf: underlay, addresses: [192.0.2.1], subnets: [192.0.2.0/24]}]
";
const HOSTS: &str = "
hosts:
  - {name: one, vtep: 192.0.2.1, interfaces: [{name: p/client}, {name: p/left}, {name: p/right}]}
  - {name: two, vtep: 192.0.2.2, interfaces: [{name: p/server}]}
";
/// Wherever the client is.
const THROUGH: &str = "
- {name: the service has it and sends its answer back, from: p.client, to: 10.0.2.11, port: 80, leaves_by: p.left, reply_leaves_by: p.client}
- {name: another port is refused, from: p.client, to: 10.0.2.11, port: 81, result: acl_vrf}
- {name: even to what it sends, from: p.right, source: 10.0.1.11, to: 10.0.2.11, port: 81, result: acl_vrf}
- {name: the service forges nobody else, from: p.right, source: 10.0.3.11, to: 10.0.2.11, port: 80, result: source_spoofed}
";
const ONE_HOST: &str = "
- {name: what it sends on comes back to it, from: p.right, source: 10.0.1.11, to: p.server, port: 80, reply_leaves_by: p.right}
- {name: beside the service, from: p.client, to: p.server, protocol: udp, port: 53}
- {name: the server begins nothing, from: p.server, to: p.client, port: 80, result: acl_vrf}
";
const HOST_ONE: &str = "
- {name: the same by a tunnel, from: p.right, source: 10.0.1.11, to: 10.0.2.11, port: 80, remote: 192.0.2.2, reply_leaves_by: p.right}
- {name: and beside the service, from: p.client, to: 10.0.2.11, protocol: udp, port: 53, remote: 192.0.2.2, reply_leaves_by: p.client}
";
const HOST_TWO: &str = "
- {name: it comes in the network of the server, from_tunnel: p.b, source: 10.0.1.11, to: p.server, port: 80, leaves_by: p.server}
- {name: nothing else does, from_tunnel: p.b, source: 10.0.1.11, to: p.server, port: 81, result: acl_vrf}
- {name: the server begins nothing, from: p.server, to: 10.0.1.11, port: 80, result: acl_vrf}
";

/// Holds files against expectations.
fn holds(files: &[&str], expectations: &str) {
    let files: Vec<_> = files.iter().enumerate().map(|(at, text)| (format!("{at}"), (*text).to_owned())).collect();
    let candidate = Candidate::read(&files).unwrap_or_else(|error| panic!("{error}"));
    let expectations = Expectations::parse("e", &format!("expect:{expectations}")).unwrap().expect;
    for test in check(&candidate, &expectations).unwrap() {
        assert!(test.holds(), "{}: {:#?}\n{:#?}", test.name, test.faults, test.steps);
    }
}

/// Two of a LAN, and who is in another network.
const BRIDGED: &str = "
projects:
  - name: p
    networks:
      - {name: lan, pools: [{prefix: 10.0.1.0/24}], vni: 1, bridge: {vni: 11}}
      - {name: b, pools: [{prefix: 10.0.2.0/24}], vni: 2}
    tags: [{name: shut}]
    interfaces:
      - {name: client, network: lan, addresses: [10.0.1.11]}
      - {name: near, network: lan, addresses: [10.0.1.12]}
      - {name: closed, network: lan, addresses: [10.0.1.13], tags: [shut]}
      - {name: left, network: lan, mac: 02:00:00:00:00:20, addresses: [10.0.1.20]}
      - {name: right, network: lan, mac: 02:00:00:00:00:21, addresses: [10.0.1.21], tags: [shut]}
      - {name: server, network: b, addresses: [10.0.2.11]}
    policies:
      - {name: out, from: {network: lan}, to: {network: b}, protocol: tcp, ports: 80}
      - {name: in, from: {network: lan}, to: {tag: shut}, protocol: tcp, ports: 22}
";
const ON_THE_LAN: &str = "
- {name: a frame to the neighbour, from: p.client, to: p.near, port: 7, leaves_by: p.near}
- {name: one that is closed, from: p.client, to: p.closed, port: 7, result: acl_vrf}
- {name: by its policy, from: p.client, to: p.closed, port: 22}
- {name: routed to another network, from: p.client, to: 10.0.2.11, port: 80}
- {name: not by another port, from: p.client, to: 10.0.2.11, port: 81, result: acl_vrf}
";
const ACROSS: &str = "
- {name: a frame to a far station, from: p.client, to: 10.0.1.20, mac: 02:00:00:00:00:20, port: 7, remote: 192.0.2.2}
- {name: a far one that is closed, from: p.client, to: 10.0.1.21, mac: 02:00:00:00:00:21, port: 7, result: acl_vrf}
- {name: by its policy, from: p.client, to: 10.0.1.21, mac: 02:00:00:00:00:21, port: 22, remote: 192.0.2.2}
- {name: or routed to it, from: p.client, to: 10.0.1.20, port: 7, remote: 192.0.2.2}
";

#[test]
fn policies_judge_frames_as_they_do_packets() {
    let far = HOSTS
        .replace("{name: p/left}, {name: p/right}", "{name: p/near}, {name: p/closed}")
        .replace("{name: p/server}", "{name: p/server}, {name: p/left}, {name: p/right}");
    for (files, expectations) in
        [(vec![UNDERLAY, BRIDGED], ON_THE_LAN.into()), (vec![UNDERLAY, &far, BRIDGED], [ON_THE_LAN, ACROSS].concat())]
    {
        holds(&files, &expectations);
    }
}

#[test]
fn a_chain_is_passed_both_ways() {
    let two = UNDERLAY.replace("192.0.2.1", "192.0.2.2");
    for (files, expectations) in [
        (vec![UNDERLAY, CHAINED], [THROUGH, ONE_HOST].concat()),
        (vec![UNDERLAY, HOSTS, CHAINED], [THROUGH, HOST_ONE].concat()),
        (vec![&two, HOSTS, CHAINED], HOST_TWO.into()),
    ] {
        holds(&files, &expectations);
    }
    // the server's answers leave in the VRF in which the first host expects them
    let files = [two.as_str(), HOSTS, CHAINED].map(|text| (text.to_owned(), text.to_owned()));
    let candidate = Candidate::read(&files).unwrap();
    let bed = Bed::new(&candidate).unwrap();
    let ends = [Ipv4Addr::new(10, 0, 1, 11), Ipv4Addr::new(10, 0, 2, 11)];
    let arrived = from_tunnel(&bed, "p.b", ends, (6, 80));
    let back = arrived.steps.iter().rfind(|step| step.name == "reverse_route").unwrap();
    assert_eq!(back.vrf, "p.b", "{arrived:#?}");
}
