//! Objects as rows of a table.

use std::net::IpAddr;

use vrouter::api::yaml::{
    Acl, Action, AddressMatch, Alarm, Bridge, FdbEntry, Group, HashFields, HeaderModel, Label, Neighbour, NextHopGroup,
    Port, Quota, Redirect, Route, Rule, Settings, TenantQuota, TunnelHeaders, Via, Vif, VifKind, Vni, Vrf, Vtep,
};

/// An object that a table shows; columns and cells correspond.
pub trait Row {
    const COLUMNS: &[&str];

    /// What it is asked for by.
    fn name(&self) -> String;

    fn cells(&self) -> Vec<String>;
}

impl Row for Settings {
    const COLUMNS: &[&str] = &[
        "underlay vrf",
        "vtep",
        "router mac",
        "gateway mac",
        "tcp",
        "mss",
        "fragments",
        "icmp/s",
        "tunnel headers",
        "vif quota",
        "tenants",
    ];

    fn name(&self) -> String {
        "settings".into()
    }

    fn cells(&self) -> Vec<String> {
        vec![
            or(&self.underlay_vrf, "-"),
            lines(&[self.vtep.map(IpAddr::V4), self.vtep_v6.map(IpAddr::V6)].into_iter().flatten().collect::<Vec<_>>()),
            or(&self.router_mac, "default"),
            or(&self.gateway_mac, "default"),
            if self.tcp_strict { "strict" } else { "loose" }.into(),
            if self.mss_clamp { "clamped" } else { "as sent" }.into(),
            if self.fragmentation { "made" } else { "not made" }.into(),
            or(&self.icmp_per_second, "default"),
            headers(&self.tunnel_headers.unwrap_or_default()),
            quota(&self.vif_quota, &[]),
            lines(&self.tenant_quotas.iter().map(tenant).collect::<Vec<_>>()),
        ]
    }
}

/// `dscp uniform`, and what else is set.
fn headers(headers: &TunnelHeaders) -> String {
    let model = |model| if model == HeaderModel::Pipe { "pipe" } else { "uniform" };
    let mut text = format!("dscp {}", model(headers.dscp.unwrap_or(HeaderModel::Uniform)));
    if let Some(dscp) = headers.outer_dscp {
        text += &format!(" {dscp}");
    }
    for (what, set) in [("mpls ttl", headers.mpls_ttl), ("mpls tc", headers.mpls_tc)] {
        text += &format!("\n{what} {}", model(set.unwrap_or(HeaderModel::Pipe)));
    }
    if let Some(class) = headers.mpls_congestion_marked {
        text += &format!("\nmpls tc {class} marks congestion");
    }
    text
}

/// What is bounded, and which of it is nearly or wholly used: `flows 1000`, `80 % of flows`.
pub fn quota(quota: &Option<Quota>, alarms: &[Alarm]) -> String {
    let quota = quota.unwrap_or_default();
    let bounds = [
        ("flows", quota.flows, ""),
        ("new flows", quota.new_flows_per_second, "/s"),
        ("punts", quota.punts_per_second, "/s"),
        ("fragments", quota.fragments_per_second, "/s"),
    ];
    let bounds = bounds.into_iter().filter_map(|(what, bound, unit)| Some(format!("{what} {}{unit}", bound?)));
    let alarms = alarms.iter().map(|alarm| format!("{} % of {}", alarm.percent, alarm.quota));
    let all: Vec<String> = bounds.chain(alarms).collect();
    if all.is_empty() { "-".into() } else { lines(&all) }
}

fn tenant(one: &TenantQuota) -> String {
    format!("{}: {}", one.tenant, quota(&Some(one.quota), &one.alarms).replace('\n', ", "))
}

impl Row for Vrf {
    const COLUMNS: &[&str] = &["vrf", "tenant", "flows", "acl", "allowed vteps", "tunnel quota"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let flows = if self.flows { "on" } else { "off" };
        let vteps = if self.allowed_vteps.is_empty() { "any".into() } else { lines(&self.allowed_vteps) };
        vec![
            self.name.clone(),
            or(&self.tenant, "-"),
            flows.into(),
            or(&self.acl, "-"),
            vteps,
            quota(&self.tunnel_quota, &self.alarms),
        ]
    }
}

impl Row for Vif {
    const COLUMNS: &[&str] = &[
        "vif",
        "kind",
        "port",
        "vrf",
        "bridge",
        "mac",
        "addresses",
        "gateways",
        "mtu",
        "from_vif",
        "to_vif",
        "sources",
        "advertises",
        "quota",
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let kind = match self.kind {
            VifKind::Tenant => "tenant",
            VifKind::Fabric => "fabric",
        };
        let gateways: Vec<_> = [
            self.gateway_v4.map(|it| it.to_string()),
            self.gateway_v6.map(|it| it.to_string()),
            self.gateway_link_local.map(|it| it.to_string()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let sources = match (self.kind, self.spoofing_allowed) {
            (VifKind::Fabric, _) => lines(&self.subnets),
            (VifKind::Tenant, true) => "any".into(),
            (VifKind::Tenant, false) => lines(&self.allowed_sources),
        };
        let inner = self.inner_vlan.map(|vlan| format!(".{vlan}")).unwrap_or_default();
        let vlan = self.vlan.map(|vlan| format!(" vlan {vlan}{inner}")).unwrap_or_default();
        let kernel = self.exception_port.as_ref().map(|port| format!("\nkernel: {port}")).unwrap_or_default();
        let ports = format!("{}{vlan}{kernel}", self.port);
        vec![
            self.name.clone(),
            if self.service { "service".into() } else { kind.into() },
            ports,
            self.vrf.clone(),
            or(&self.bridge, "-") + if self.leaf { " (leaf)" } else { "" },
            or(&self.mac, "port's"),
            lines(&self.addresses),
            lines(&gateways),
            or(&self.mtu, "port's"),
            or(&self.acl_from_vif, "-"),
            or(&self.acl_to_vif, "-"),
            sources,
            match &self.router_advertisement {
                None => "-".into(),
                Some(advertisement) if advertisement.prefixes.is_empty() => "a router".into(),
                Some(advertisement) => lines(&advertisement.prefixes.iter().map(|one| one.prefix).collect::<Vec<_>>()),
            },
            quota(&self.quota, &self.alarms),
        ]
    }
}

impl Row for Route {
    const COLUMNS: &[&str] = &["vrf", "prefix", "via", "owner", "preference"];

    fn name(&self) -> String {
        self.prefix.to_string()
    }

    fn cells(&self) -> Vec<String> {
        let preference = self.preference.unwrap_or(100).to_string();
        vec![self.vrf.clone(), self.prefix.to_string(), via(&self.via), or(&self.owner, "-"), preference]
    }
}

impl Row for NextHopGroup {
    const COLUMNS: &[&str] = &["group", "vrf", "paths", "hash"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let hash = match self.hash {
            None | Some(HashFields::FiveTuple) => "5-tuple",
            Some(HashFields::Addresses) => "addresses",
            Some(HashFields::AddressesAndProtocol) => "addresses, protocol",
        };
        vec![self.name.clone(), self.vrf.clone(), paths(&self.paths), hash.into()]
    }
}

impl Row for Neighbour {
    const COLUMNS: &[&str] = &["vif", "address", "mac", "state"];

    fn name(&self) -> String {
        self.address.to_string()
    }

    fn cells(&self) -> Vec<String> {
        vec![self.vif.clone(), self.address.to_string(), or(&self.mac, "-"), or(&self.state, "static")]
    }
}

impl Row for Bridge {
    const COLUMNS: &[&str] = &["bridge", "vrf", "vteps", "unknown", "floods/s", "questions", "learning", "carries"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let vteps: Vec<String> = self.vteps.iter().map(vtep).collect();
        let unknown = if self.flood_unknown { "flooded" } else { "dropped" };
        let floods = or(&self.floods_per_second, "default");
        let learning = if self.learning { format!("{}s", self.ageing.unwrap_or(300)) } else { "-".into() };
        let asked = if self.suppress_off { "flooded" } else { "answered" };
        let carries = if self.ip_only { "ip" } else { "all" };
        let [unknown, asked, carries] = [unknown, asked, carries].map(String::from);
        vec![self.name.clone(), self.vrf.clone(), lines(&vteps), unknown, floods, asked, learning, carries]
    }
}

/// A tunnel for frames in words.
fn vtep(tunnel: &Vtep) -> String {
    let leaf = if tunnel.leaf { " (leaf)" } else { "" };
    format!("{}{leaf}", carrier(tunnel))
}

fn carrier(tunnel: &Vtep) -> String {
    if let Some(vxlan) = &tunnel.vxlan {
        format!("vxlan {} vni {}", vxlan.remote, vxlan.vni)
    } else if let Some(geneve) = &tunnel.geneve {
        format!("geneve {} vni {}", geneve.remote, geneve.vni)
    } else if let Some(mpls) = &tunnel.mpls_udp {
        format!("mpls-over-udp {} label {}", mpls.remote, mpls.label)
    } else if let Some(mpls) = &tunnel.mpls_gre {
        format!("mpls-over-gre {} label {}", mpls.remote, mpls.label)
    } else {
        "-".into()
    }
}

impl Row for FdbEntry {
    const COLUMNS: &[&str] = &["bridge", "mac", "to", "addresses", "said by"];

    fn name(&self) -> String {
        self.mac.to_string()
    }

    fn cells(&self) -> Vec<String> {
        let FdbEntry { vxlan, geneve, mpls_udp, mpls_gre, leaf, .. } = self.clone();
        let to = match &self.vif {
            Some(vif) => format!("vif {vif}"),
            None => vtep(&Vtep { vxlan, geneve, mpls_udp, mpls_gre, leaf }),
        };
        let idle = self.idle_seconds.unwrap_or(0);
        let said_by = match (self.learnt, self.pinned, self.sticky) {
            (true, true, _) => format!("learnt, held, {idle}s ago"),
            (true, ..) => format!("learnt, {idle}s ago"),
            (false, _, true) => "given, sticky".into(),
            _ => "given".into(),
        };
        let mut addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        addresses.extend(self.router.then(|| "(router)".into()));
        vec![self.bridge.clone(), self.mac.to_string(), to, lines(&addresses), said_by]
    }
}

impl Row for Vni {
    const COLUMNS: &[&str] = &["vni", "to"];

    fn name(&self) -> String {
        self.vni.to_string()
    }

    fn cells(&self) -> Vec<String> {
        let to = match (&self.vrf, &self.bridge) {
            (Some(vrf), _) => format!("vrf {vrf}"),
            (None, bridge) => format!("bridge {}", or(bridge, "-")),
        };
        vec![self.vni.to_string(), to]
    }
}

impl Row for Label {
    const COLUMNS: &[&str] = &["label", "to"];

    fn name(&self) -> String {
        self.label.to_string()
    }

    fn cells(&self) -> Vec<String> {
        let to = match (&self.vrf, &self.vif, &self.bridge) {
            (Some(vrf), _, _) => format!("vrf {vrf}"),
            (None, Some(vif), _) => format!("vif {vif}"),
            (None, None, Some(bridge)) => format!("bridge {bridge}"),
            (None, None, None) => "-".into(),
        };
        vec![self.label.to_string(), to]
    }
}

impl Row for Group {
    const COLUMNS: &[&str] = &["group", "prefixes"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), lines(&self.prefixes)]
    }
}

impl Row for Acl {
    const COLUMNS: &[&str] = &["acl", "rules"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let mut rules: Vec<_> = self.rules.iter().enumerate().map(|(at, it)| format!("{at}  {}", rule(it))).collect();
        rules.push("-  deny".into());
        vec![self.name.clone(), rules.join("\n")]
    }
}

impl Row for Port {
    const COLUMNS: &[&str] = &["port", "link", "device", "mac", "mtu", "queues"];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn cells(&self) -> Vec<String> {
        let link = if self.link_up == Some(true) { "up" } else { "down" };
        vec![
            self.name.clone(),
            link.into(),
            self.devargs.clone(),
            or(&self.mac, "-"),
            or(&self.mtu, "-"),
            or(&self.queues, "-"),
        ]
    }
}

/// A next hop in words.
fn via(via: &Via) -> String {
    if !via.ecmp.is_empty() {
        return paths(&via.ecmp);
    }
    if let Some(group) = &via.group {
        format!("group {group}")
    } else if let Some(vif) = &via.vif {
        format!("vif {vif}{}", via.mac.map(|mac| format!(" mac {mac}")).unwrap_or_default())
    } else if let Some(vrf) = &via.vrf {
        format!("vrf {vrf}")
    } else if let Some(gateway) = via.gateway {
        format!("gateway {gateway}")
    } else if let Some(vxlan) = &via.vxlan {
        format!("vxlan {} vni {} mac {}", vxlan.remote, vxlan.vni, vxlan.mac)
    } else if let Some(geneve) = &via.geneve {
        format!("geneve {} vni {} mac {}", geneve.remote, geneve.vni, geneve.mac)
    } else if let Some(mpls) = &via.mpls_udp {
        format!("mpls-over-udp {} label {}", mpls.remote, mpls.label)
    } else if let Some(mpls) = &via.mpls_gre {
        format!("mpls-over-gre {} label {}", mpls.remote, mpls.label)
    } else if via.drop {
        "drop".into()
    } else {
        "-".into()
    }
}

/// Several ways, a line each.
fn paths(all: &[Via]) -> String {
    let path = |path: &Via| {
        let name = path.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let backup = if path.backup { " backup" } else { "" };
        format!("{} x{}{name}{backup}", via(path), path.weight.unwrap_or(1))
    };
    all.iter().map(path).collect::<Vec<_>>().join("\n")
}

/// A rule in words: `permit tcp from any to 10.1.1.0/24 port 80 (http)`.
pub fn rule(rule: &Rule) -> String {
    let side = |by: &Option<AddressMatch>, ports: &[_]| {
        let by = match by {
            None => "any".into(),
            Some(AddressMatch::Prefix(prefix)) => prefix.to_string(),
            Some(AddressMatch::Group { group }) => format!("group {group}"),
        };
        if ports.is_empty() { by } else { format!("{by} port {}", join(ports, ",")) }
    };
    let mut text = format!(
        "{} {} from {} to {}",
        if rule.action == Action::Permit { "permit" } else { "deny" },
        or(&rule.protocol, "any"),
        side(&rule.source, &rule.source_ports),
        side(&rule.destination, &rule.destination_ports),
    );
    for (what, number) in [(" type ", rule.icmp_type), (" code ", rule.icmp_code)] {
        if let Some(number) = number {
            text += &format!("{what}{number}");
        }
    }
    match &rule.redirect {
        None => {}
        Some(Redirect::Vrf(vrf)) => text += &format!(" by vrf {vrf}"),
        Some(Redirect::Vif(vif)) => text += &format!(" by vif {vif}"),
    }
    if let Some(name) = &rule.name {
        text += &format!(" ({name})");
    }
    text
}

fn or<T: ToString>(value: &Option<T>, absent: &str) -> String {
    value.as_ref().map_or_else(|| absent.to_owned(), T::to_string)
}

fn join<T: ToString>(all: &[T], with: &str) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(with)
}

fn lines<T: ToString>(all: &[T]) -> String {
    if all.is_empty() { "-".into() } else { join(all, "\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrouter::api::yaml::Network;

    #[test]
    fn rules_and_next_hops_read_like_sentences() {
        let text = "
acls:
- name: web
  rules:
  - {name: http, action: permit, protocol: tcp, source: {group: lan}, destination: 10.1.1.0/24, destination_ports: [80, 90-99]}
  - {action: deny, protocol: icmp, icmp_type: 8, icmp_code: 0}
routes:
- {vrf: red, prefix: 10.0.0.0/8, via: {mpls_udp: {remote: 1.2.3.4, label: 16}}}
- {vrf: red, prefix: 10.0.0.1/32, via: {vif: web1, mac: 02:00:00:00:00:01}}
- {vrf: red, prefix: 11.0.0.0/8, via: {mpls_gre: {remote: 1.2.3.4, label: 16}}}
- {vrf: red, prefix: 10.7.0.0/16, via: {vrf: shared}}
- {vrf: red, prefix: 12.0.0.0/8, via: {geneve: {remote: 1.2.3.4, vni: 7, mac: 02:00:00:00:00:01}}}
- {vrf: red, prefix: 10.8.0.0/16, via: {ecmp: [{vif: web1, weight: 3, name: a}, {mpls_udp: {remote: 1.2.3.4, label: 16}, backup: true}]}}
";
        let network = Network::parse("n", text).unwrap();
        assert_eq!(
            network.acls[0].cells()[1],
            "0  permit tcp from group lan to 10.1.1.0/24 port 80,90-99 (http)\n\
             1  deny icmp from any to any type 8 code 0\n-  deny"
        );
        assert_eq!(network.routes[0].cells().join("|"), "red|10.0.0.0/8|mpls-over-udp 1.2.3.4 label 16|-|100");
        assert_eq!(network.routes[1].cells()[2], "vif web1 mac 02:00:00:00:00:01");
        assert_eq!(network.routes[2].cells()[2], "mpls-over-gre 1.2.3.4 label 16");
        assert_eq!(network.routes[3].cells()[2], "vrf shared");
        assert_eq!(network.routes[4].cells()[2], "geneve 1.2.3.4 vni 7 mac 02:00:00:00:00:01");
        assert_eq!(network.routes[5].cells()[2], "vif web1 x3 (a)\nmpls-over-udp 1.2.3.4 label 16 x1 backup");
    }
}
