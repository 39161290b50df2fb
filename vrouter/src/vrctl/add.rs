//! `vrctl add`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::Subcommand;
use serde::de::DeserializeOwned;
use vrouter::api::position::{At, read_yaml};
use vrouter::api::text::{Mac, Prefix};
use vrouter::api::v1;
use vrouter::api::yaml::{
    Acl, Group, HashFields, Label, Lifetimes, Neighbour, NextHopGroup, Port, Quota, Route, RouterAdvertisement, Rule,
    Settings, TenantQuota, ToProto, TunnelHeaders, Via, Vif, VifKind, Vni, Vrf,
};

use super::Failure;
use super::add_bfd::AddBfd;
use super::add_bridge::{AddBridge, AddFdb};
use super::apply::{Batch, commit};
use super::args::Commit;
use super::connect::Daemon;
use super::output::Format;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  vrctl add port vm9 --devargs net_af_packet9,iface=tap9
  vrctl add vrf red --tenant acme
  vrctl add vif web1 --port p1 --vrf red --mac 02:00:00:00:00:01 --address 10.1.1.10 --gateway-v4 10.1.1.1
  vrctl add route --vrf red 10.1.1.20/32 --via 'vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}'
  vrctl add acl web --rule '{action: permit, protocol: tcp, destination_ports: 80}' --rule '{action: deny}'
")]
pub struct Add {
    #[command(subcommand)]
    object: Object,
    /// Replace the object if it is there
    #[arg(long, global = true)]
    replace: bool,
    #[command(flatten)]
    commit: Commit,
}

#[derive(Subcommand)]
enum Object {
    /// A port: a DPDK device, opened now
    Port {
        name: String,
        /// A vdev with its arguments, or a PCI address
        #[arg(long)]
        devargs: String,
        /// Queue pairs; default one for each worker, or what the device has
        #[arg(long)]
        queues: Option<u16>,
        /// L3 bytes; default the device's
        #[arg(long)]
        mtu: Option<u16>,
    },
    /// A VRF: a tenant's routing table
    Vrf(AddVrf),
    /// A VIF: a tenant's interface, or one of the underlay
    Vif(AddVif),
    /// A route of --owner
    Route(AddRoute),
    /// Several ways that routes share: `--via 'group: NAME'`
    NextHopGroup {
        name: String,
        #[arg(long)]
        vrf: String,
        /// A way as in a network file, e.g. '{gateway: 172.31.0.253, name: a, weight: 3}'. Repeatable
        #[arg(long, required = true, value_parser = yaml::<Via>)]
        path: Vec<Via>,
        /// By what the path of a new flow is chosen: five_tuple, addresses, addresses_and_protocol; default five_tuple
        #[arg(long, value_name = "FIELDS", value_parser = yaml::<HashFields>)]
        hash: Option<HashFields>,
    },
    /// A BFD session with a host of the underlay
    Bfd(AddBfd),
    /// A static neighbour of a fabric VIF
    Neighbour {
        #[arg(long)]
        vif: String,
        address: IpAddr,
        #[arg(long)]
        mac: Mac,
    },
    /// A bridge: an L2 network in a VRF
    Bridge(AddBridge),
    /// Where a station of a bridge is
    Fdb(AddFdb),
    /// Packets that arrive with this VNI belong to a VRF, or to a bridge
    Vni {
        vni: u32,
        #[arg(long, required_unless_present = "bridge", conflicts_with = "bridge")]
        vrf: Option<String>,
        #[arg(long)]
        bridge: Option<String>,
    },
    /// Packets that arrive with this label belong to a VRF or a bridge, or go straight to a VIF
    Label {
        label: u32,
        #[arg(long, required_unless_present_any = ["vif", "bridge"], conflicts_with_all = ["vif", "bridge"])]
        vrf: Option<String>,
        #[arg(long, conflicts_with = "bridge")]
        vif: Option<String>,
        #[arg(long)]
        bridge: Option<String>,
    },
    /// An address group for ACLs
    Group {
        name: String,
        /// Repeatable
        #[arg(long)]
        prefix: Vec<Prefix>,
    },
    /// Ordered rules, first match decides, ends in deny
    Acl {
        name: String,
        /// A rule as in a network file, e.g. '{action: permit, protocol: tcp, destination_ports: 80}'. Repeatable
        #[arg(long, value_parser = yaml::<Rule>)]
        rule: Vec<Rule>,
    },
    /// The daemon's settings, replaced whole
    Settings(AddSettings),
}

#[derive(clap::Args)]
struct AddVrf {
    name: String,
    #[arg(long)]
    tenant: Option<String>,
    /// Packet mode: forward by the FIB alone
    #[arg(long)]
    flows_off: bool,
    /// Every flow that passes the VRF must be permitted by it
    #[arg(long)]
    acl: Option<String>,
    /// ARP and ND proxy answer by a default route too
    #[arg(long)]
    proxy_by_default_route: bool,
    /// A VTEP that may send into it; none: any. Repeatable
    #[arg(long, value_name = "ADDRESS")]
    allowed_vtep: Vec<IpAddr>,
    /// What may be taken by what comes by tunnels, in YAML, e.g. '{new_flows_per_second: 1000}'
    #[arg(long, value_name = "YAML", value_parser = yaml::<Quota>)]
    tunnel_quota: Option<Quota>,
}

#[derive(clap::Args)]
struct AddVif {
    name: String,
    /// The port it sits on
    #[arg(long)]
    port: String,
    /// The VRF it belongs to
    #[arg(long)]
    vrf: String,
    /// A fabric VIF: our side of the underlay
    #[arg(long)]
    fabric: bool,
    /// Tenant: the guest's. Fabric: ours, default the port's
    #[arg(long)]
    mac: Option<Mac>,
    /// Tenant: the guest's. Fabric: ours. Repeatable
    #[arg(long)]
    address: Vec<IpAddr>,
    /// Fabric: a connected subnet. Repeatable
    #[arg(long)]
    subnet: Vec<Prefix>,
    /// Tenant: answered by us
    #[arg(long, value_name = "ADDRESS")]
    gateway_v4: Option<Ipv4Addr>,
    /// Tenant: answered by us
    #[arg(long, value_name = "ADDRESS")]
    gateway_v6: Option<Ipv6Addr>,
    /// Default fe80::1 where there is a gateway v6
    #[arg(long, value_name = "ADDRESS")]
    gateway_link_local: Option<Ipv6Addr>,
    /// L3 bytes; default the port's
    #[arg(long)]
    mtu: Option<u16>,
    /// Judges what the tenant sends
    #[arg(long, value_name = "ACL")]
    acl_from_vif: Option<String>,
    /// Judges what the tenant receives
    #[arg(long, value_name = "ACL")]
    acl_to_vif: Option<String>,
    /// Neither source MAC nor source address are checked
    #[arg(long)]
    spoofing_allowed: bool,
    /// Tenant: a service is behind it, by which flows pass: answers to what it sends are delivered to it
    #[arg(long)]
    service: bool,
    /// A further source that the tenant may use. Repeatable
    #[arg(long, value_name = "PREFIX")]
    allowed_source: Vec<Prefix>,
    /// Fabric: the VLAN whose 802.1Q tag its frames carry; default untagged. Tenant: a sub-interface with the frames of this tag
    #[arg(long)]
    vlan: Option<u16>,
    /// The VLAN of a second tag behind it (Q-in-Q)
    #[arg(long, requires = "vlan")]
    inner_vlan: Option<u16>,
    /// Fabric: the port to the host's kernel
    #[arg(long, value_name = "PORT")]
    exception_port: Option<String>,
    /// We are a router of its link, in YAML, e.g. 'prefixes: [{prefix: "fd00::/64"}]'; '{}' for no prefix
    #[arg(long, value_name = "YAML", value_parser = yaml::<RouterAdvertisement>)]
    router_advertisement: Option<RouterAdvertisement>,
    /// A leaf of its bridge: reaches no other leaf
    #[arg(long, requires = "bridge")]
    leaf: bool,
    /// The bridge that it is a port of
    #[arg(long)]
    bridge: Option<String>,
    /// What it may take, in YAML, e.g. '{flows: 10000, new_flows_per_second: 1000}'
    #[arg(long, value_name = "YAML", value_parser = yaml::<Quota>)]
    quota: Option<Quota>,
}

#[derive(clap::Args)]
#[command(after_help = "Next hops, as in a network file:
  --via 'vif: web1'
  --via 'gateway: 172.31.0.254'
  --via 'vxlan: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}'
  --via 'geneve: {remote: 172.31.0.2, vni: 100, mac: 02:ac:1f:00:02:01}'
  --via 'mpls_udp: {remote: 172.31.0.2, label: 100}'
  --via 'mpls_gre: {remote: 172.31.0.2, label: 100}'
  --via 'vrf: shared'
  --via 'ecmp: [{gateway: 172.31.0.253}, {gateway: 172.31.0.254, weight: 3, name: b}, {gateway: 172.31.0.252, backup: true}]'
  --via 'group: spines'
  --via 'drop: true'
")]
struct AddRoute {
    #[arg(long)]
    vrf: String,
    prefix: Prefix,
    /// The next hop, as in a network file
    #[arg(long, value_parser = yaml::<Via>)]
    via: Via,
    /// The highest wins; default 100
    #[arg(long)]
    preference: Option<u32>,
}

#[derive(clap::Args)]
struct AddSettings {
    /// The VRF whose routes resolve tunnels
    #[arg(long, value_name = "VRF")]
    underlay_vrf: Option<String>,
    /// Our outer address
    #[arg(long, value_name = "ADDRESS")]
    vtep: Option<Ipv4Addr>,
    /// The same for tunnels to IPv6 remotes
    #[arg(long, value_name = "ADDRESS")]
    vtep_v6: Option<Ipv6Addr>,
    /// Our inner MAC in VXLAN and GENEVE; default 02:VTEP:01
    #[arg(long, value_name = "MAC")]
    router_mac: Option<Mac>,
    /// The MAC of every gateway; default 00:00:5e:00:01:00
    #[arg(long, value_name = "MAC")]
    gateway_mac: Option<Mac>,
    /// Drop TCP that is new without SYN
    #[arg(long)]
    tcp_strict: bool,
    /// Let TCP announce through tunnels what does not fit them
    #[arg(long)]
    no_mss_clamp: bool,
    /// Answer IPv4 packets that are too big though they may be fragmented, instead of sending them in pieces
    #[arg(long)]
    no_fragmentation: bool,
    /// Idle lifetimes in seconds, e.g. '{udp_answered: 60}'
    #[arg(long, value_parser = yaml::<Lifetimes>)]
    lifetimes: Option<Lifetimes>,
    /// ICMP errors and punts per VIF and second; default 1000
    #[arg(long)]
    icmp_per_second: Option<u32>,
    /// How outer and inner headers follow each other, e.g. '{dscp: pipe, outer_dscp: 46, mpls_ttl: uniform}'
    #[arg(long, value_parser = yaml::<TunnelHeaders>)]
    tunnel_headers: Option<TunnelHeaders>,
    /// What each tenant VIF may take that does not say otherwise itself, in YAML, e.g. '{flows: 10000}'
    #[arg(long, value_name = "YAML", value_parser = yaml::<Quota>)]
    vif_quota: Option<Quota>,
    /// What a tenant may take, in YAML, e.g. '{tenant: acme, quota: {flows: 100000}}'. Repeatable
    #[arg(long, value_name = "YAML", value_parser = yaml::<TenantQuota>)]
    tenant_quota: Vec<TenantQuota>,
}

pub async fn run(daemon: &Daemon, format: Format, add: Add) -> Result<(), Failure> {
    let put = add.replace || matches!(add.object, Object::Settings(_));
    let kind = object(add.object).map_err(|(field, reason)| Failure::Usage(format!("{field}: {reason}")))?;
    let object = v1::Object::from(kind);
    let op = if put { v1::change::Op::Put(object) } else { v1::change::Op::Create(object) };
    let batch = Batch { changes: vec![v1::Change { op: Some(op) }], begin: add.commit.begin(), sync: add.commit.sync };
    commit(daemon, format, batch, |_| String::new()).await
}

fn object(object: Object) -> Result<v1::object::Kind, (String, String)> {
    match object {
        Object::Port { name, devargs, queues, mtu } => {
            let (queues, mtu) = (queues.map(u32::from), mtu.map(u32::from));
            Port { name, devargs, mac: None, mtu, link_up: None, queues, owner: None }.to_proto()
        }
        Object::Vrf(vrf) => Vrf {
            name: vrf.name,
            tenant: vrf.tenant,
            flows: !vrf.flows_off,
            acl: vrf.acl,
            proxy_by_default_route: vrf.proxy_by_default_route,
            allowed_vteps: vrf.allowed_vtep,
            tunnel_quota: vrf.tunnel_quota,
            alarms: Vec::new(),
            owner: None,
        }
        .to_proto(),
        Object::Vif(vif) => Vif {
            name: vif.name,
            kind: if vif.fabric { VifKind::Fabric } else { VifKind::Tenant },
            port: vif.port,
            vrf: vif.vrf,
            mac: vif.mac,
            addresses: vif.address,
            subnets: vif.subnet,
            gateway_v4: vif.gateway_v4,
            gateway_v6: vif.gateway_v6,
            gateway_link_local: vif.gateway_link_local,
            mtu: vif.mtu,
            acl_from_vif: vif.acl_from_vif,
            acl_to_vif: vif.acl_to_vif,
            spoofing_allowed: vif.spoofing_allowed,
            service: vif.service,
            allowed_sources: vif.allowed_source,
            vlan: vif.vlan,
            inner_vlan: vif.inner_vlan,
            exception_port: vif.exception_port,
            router_advertisement: vif.router_advertisement,
            bridge: vif.bridge,
            leaf: vif.leaf,
            quota: vif.quota,
            alarms: Vec::new(),
            owner: None,
        }
        .to_proto(),
        Object::Route(AddRoute { vrf, prefix, via, preference }) => {
            Route { vrf, prefix, owner: None, preference, via, drop: false }.to_proto()
        }
        Object::NextHopGroup { name, vrf, path, hash } => {
            NextHopGroup { name, vrf, paths: path, hash, owner: None }.to_proto()
        }
        Object::Neighbour { vif, address, mac } => {
            Neighbour { vif, address, mac: Some(mac), learnt: false, state: None, owner: None }.to_proto()
        }
        Object::Bfd(session) => session.given().to_proto(),
        Object::Bridge(bridge) => bridge.given().to_proto(),
        Object::Fdb(entry) => entry.given().to_proto(),
        Object::Vni { vni, vrf, bridge } => Vni { vni, vrf, bridge, owner: None }.to_proto(),
        Object::Label { label, vrf, vif, bridge } => Label { label, vrf, vif, bridge, owner: None }.to_proto(),
        Object::Group { name, prefix } => Group { name, prefixes: prefix, owner: None }.to_proto(),
        Object::Acl { name, rule } => {
            Acl { name, rules: rule.into_iter().map(At::nowhere).collect(), owner: None }.to_proto()
        }
        Object::Settings(settings) => Settings::from(settings).to_proto(),
    }
}

impl From<AddSettings> for Settings {
    fn from(settings: AddSettings) -> Settings {
        Settings {
            underlay_vrf: settings.underlay_vrf,
            vtep: settings.vtep,
            vtep_v6: settings.vtep_v6,
            router_mac: settings.router_mac,
            gateway_mac: settings.gateway_mac,
            tcp_strict: settings.tcp_strict,
            mss_clamp: !settings.no_mss_clamp,
            fragmentation: !settings.no_fragmentation,
            lifetimes: settings.lifetimes,
            icmp_per_second: settings.icmp_per_second,
            tunnel_headers: settings.tunnel_headers,
            vif_quota: settings.vif_quota,
            tenant_quotas: settings.tenant_quota,
            owner: None,
        }
    }
}

/// An argument that is written as in a network file.
pub(super) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read_yaml("argument", text).map_err(|error| error.reason)
}
