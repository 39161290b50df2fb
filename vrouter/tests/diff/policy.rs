//! Address groups and ACLs of few prefixes, so that they meet.

use super::objects::Object;
use super::random::Random;
use super::world::{TENANT_VRFS, object};

pub const PREFIXES4: [&str; 16] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.1.1.8/29",
    "10.1.1.12/30",
    "10.1.1.20/30",
    "10.1.1.20/31",
    "10.1.1.20/32",
    "10.1.1.21/32",
    "10.1.1.22/32",
    "10.9.0.0/16",
    "10.9.0.0/17",
    "10.9.128.0/17",
    "10.9.7.7/32",
    "10.1.1.10/32",
];
pub const PREFIXES6: [&str; 10] = [
    "::/0",
    "fd00::/8",
    "fd01::/64",
    "fd01::10/124",
    "fd01::20/126",
    "fd01::20/127",
    "fd01::20/128",
    "fd01::21/128",
    "fd09::/32",
    "fd09::7/128",
];

pub fn group(number: usize, random: &mut Random) -> Object {
    let mut prefixes: Vec<&str> = (0..1 + random.below(3)).map(|_| random.pick(&PREFIXES4)).collect();
    if random.chance(40) {
        prefixes.push(random.pick(&PREFIXES6));
    }
    prefixes.sort();
    prefixes.dedup();
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| format!("\"{prefix}\"")).collect();
    object("groups", format!("{{name: g{number}, prefixes: [{}]}}", prefixes.join(", ")))
}

/// Rules may redirect, if there is a service.
pub fn acl(number: usize, random: &mut Random, service: Option<&str>) -> Object {
    let rules: Vec<String> = (0..1 + random.below(5)).map(|_| rule(random, service)).collect();
    object("acls", format!("{{name: a{number}, rules: [{}]}}", rules.join(", ")))
}

fn rule(random: &mut Random, service: Option<&str>) -> String {
    let action = random.weighted(&[(70, "permit"), (30, "deny")]);
    let mut text = format!("{{action: {action}");
    if let Some(vif) = service.filter(|_| action == "permit" && random.chance(60)) {
        let vrf = random.pick(&TENANT_VRFS);
        text += &random
            .weighted(&[(65, format!(", redirect: {{vif: {vif}}}")), (35, format!(", redirect: {{vrf: {vrf}}}"))]);
    }
    let protocol = random.weighted(&[(35, ""), (20, "tcp"), (20, "udp"), (15, "icmp"), (5, "icmpv6"), (5, "sctp")]);
    if !protocol.is_empty() {
        text += &format!(", protocol: {protocol}");
    }
    let v6 = protocol == "icmpv6" || protocol != "icmp" && random.chance(25);
    for side in ["source", "destination"] {
        match random.weighted(&[(55, 0), (30, 1), (15, 2)]) {
            1 if v6 => text += &format!(", {side}: \"{}\"", random.pick(&PREFIXES6)),
            1 => text += &format!(", {side}: {}", random.pick(&PREFIXES4)),
            2 => text += &format!(", {side}: {{group: g{}}}", 1 + random.below(2)),
            _ => {}
        }
    }
    if ["tcp", "udp", "sctp"].contains(&protocol) {
        for side in ["source", "destination"] {
            if random.chance(if side == "source" { 15 } else { 40 }) {
                text += &format!(
                    ", {side}_ports: [{}]",
                    random.pick(&["80", "53-80", "1000-1001", "\"0-52\", 443", "54-65535"])
                );
            }
        }
    }
    if protocol == "icmp" && random.chance(40) {
        text += &format!(", icmp_type: {}", random.pick(&["8", "8, icmp_code: 0", "0", "13"]));
    }
    text + "}"
}
