//! The objects of the network language. An absent field takes the contract's default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quotas::{Alarm, Quota, TenantQuota};
use crate::api::scalar::{addresses, named_address, optional_address};
use crate::api::text::Prefix;
use crate::ids::Mac;

/// One per daemon; replaced whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The VRF whose routes resolve tunnels.
    pub underlay_vrf: Option<String>,
    /// Our outer address.
    #[serde(deserialize_with = "optional_address")]
    pub vtep: Option<Ipv4Addr>,
    /// The same for tunnels to IPv6 remotes.
    #[serde(deserialize_with = "optional_address")]
    pub vtep_v6: Option<Ipv6Addr>,
    /// Our inner MAC in VXLAN and GENEVE; default 02:VTEP:01.
    pub router_mac: Option<Mac>,
    /// The MAC of every VIF's gateway; default 00:00:5e:00:01:00.
    pub gateway_mac: Option<Mac>,
    /// Drop TCP that is new without SYN.
    pub tcp_strict: bool,
    /// What TCP announces through tunnels as its largest segment is lowered to what fits them; default true.
    pub mss_clamp: bool,
    /// IPv4 packets that are too big for their next hop leave in pieces, unless they say Don't Fragment; default true.
    pub fragmentation: bool,
    pub lifetimes: Option<Lifetimes>,
    /// ICMP errors and punts per VIF and second; default 1000.
    pub icmp_per_second: Option<u32>,
    pub tunnel_headers: Option<TunnelHeaders>,
    /// What each tenant VIF may take, where it does not say otherwise itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vif_quota: Option<Quota>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenant_quotas: Vec<TenantQuota>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            underlay_vrf: None,
            vtep: None,
            vtep_v6: None,
            router_mac: None,
            gateway_mac: None,
            tcp_strict: false,
            mss_clamp: true,
            fragmentation: true,
            lifetimes: None,
            icmp_per_second: None,
            tunnel_headers: None,
            vif_quota: None,
            tenant_quotas: Vec::new(),
            owner: None,
        }
    }
}

/// How outer and inner headers of tunnels follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelHeaders {
    /// RFC 2983; default uniform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<HeaderModel>,
    /// With `dscp: pipe`: 0 to 63; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 63))]
    pub outer_dscp: Option<u8>,
    /// RFC 3443; default pipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpls_ttl: Option<HeaderModel>,
    /// Uniform: the DSCP's upper three bits; default pipe: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpls_tc: Option<HeaderModel>,
    /// With `mpls_tc: pipe`: the TC that means "congestion marked" (RFC 5129), 1 to 7; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub mpls_congestion_marked: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderModel {
    Uniform,
    Pipe,
}

/// Idle lifetimes of flows, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lifetimes {
    /// Default 7200.
    pub tcp_established: Option<u32>,
    /// Default 30.
    pub tcp_opening: Option<u32>,
    /// Default 15.
    pub tcp_closing: Option<u32>,
    /// Default 30.
    pub udp_unanswered: Option<u32>,
    /// Default 180.
    pub udp_answered: Option<u32>,
    /// Default 30.
    pub icmp: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vrf {
    pub name: String,
    #[serde(default)]
    pub tenant: Option<String>,
    /// Off: packet mode, by the FIB alone.
    #[serde(default = "yes")]
    pub flows: bool,
    /// Every flow that passes the VRF must be permitted by this ACL.
    #[serde(default)]
    pub acl: Option<String>,
    /// ARP and ND proxy answer by a default route too.
    #[serde(default)]
    pub proxy_by_default_route: bool,
    /// Who may send into this VRF by tunnel; empty: anyone.
    #[serde(default, deserialize_with = "addresses")]
    pub allowed_vteps: Vec<IpAddr>,
    /// What may be taken by what comes by tunnels into this VRF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_quota: Option<Quota>,
    /// Output only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VifKind {
    #[default]
    Tenant,
    Fabric,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vif {
    pub name: String,
    #[serde(default)]
    pub kind: VifKind,
    pub port: String,
    pub vrf: String,
    /// Tenant: the guest's. Fabric: ours, default the port's.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Tenant: the guest's. Fabric: ours.
    #[serde(default, deserialize_with = "addresses")]
    pub addresses: Vec<IpAddr>,
    /// Fabric: the connected subnets of the addresses.
    #[serde(default)]
    pub subnets: Vec<Prefix>,
    #[serde(default, deserialize_with = "optional_address")]
    pub gateway_v4: Option<Ipv4Addr>,
    #[serde(default, deserialize_with = "optional_address")]
    pub gateway_v6: Option<Ipv6Addr>,
    /// Default fe80::1 where `gateway_v6` is given.
    #[serde(default, deserialize_with = "optional_address")]
    pub gateway_link_local: Option<Ipv6Addr>,
    /// L3 bytes; default the port's.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// Judges what the tenant sends.
    #[serde(default)]
    pub acl_from_vif: Option<String>,
    /// Judges what the tenant receives.
    #[serde(default)]
    pub acl_to_vif: Option<String>,
    /// Neither source MAC nor source address are checked.
    #[serde(default)]
    pub spoofing_allowed: bool,
    /// Tenant: a service is behind it, by which flows pass: answers to what it sends are delivered to it.
    #[serde(default)]
    pub service: bool,
    /// Further sources that the tenant may use.
    #[serde(default)]
    pub allowed_sources: Vec<Prefix>,
    /// The VLAN of its frames' 802.1Q tag; default untagged. A tenant's is a sub-interface: it has the port's frames with this tag.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<u16>,
    /// Tenant, with a VLAN: that of a second tag behind it (Q-in-Q).
    #[serde(default)]
    #[schemars(range(min = 1, max = 4094))]
    pub inner_vlan: Option<u16>,
    /// Fabric: the port to the host's kernel, which has what is for our addresses and not of a tunnel.
    #[serde(default)]
    pub exception_port: Option<String>,
    /// Tenant: we are a router of its link.
    #[serde(default)]
    pub router_advertisement: Option<RouterAdvertisement>,
    /// Tenant: the bridge that it is a port of; default none.
    #[serde(default)]
    pub bridge: Option<String>,
    /// A leaf of the bridge: no frame goes from it to another leaf.
    #[serde(default)]
    pub leaf: bool,
    /// Tenant: what it may take of what all share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Output only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Router advertisements to a tenant, from its link-local gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouterAdvertisement {
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is.
    pub other: bool,
    pub prefixes: Vec<AdvertisedPrefix>,
    /// Seconds as a default router; default 1800.
    pub lifetime: Option<u16>,
    /// Seconds between two at most; default 600.
    pub max_interval: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvertisedPrefix {
    pub prefix: Prefix,
    /// Its addresses are on the link.
    #[serde(default = "yes")]
    pub on_link: bool,
    /// The tenant makes itself addresses of it (SLAAC).
    #[serde(default = "yes")]
    pub autonomous: bool,
    /// Seconds; default 30 days.
    #[serde(default)]
    pub valid_lifetime: Option<u32>,
    /// Seconds; default 7 days.
    #[serde(default)]
    pub preferred_lifetime: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub vrf: String,
    pub prefix: Prefix,
    /// Default: the batch's.
    #[serde(default)]
    pub owner: Option<String>,
    /// The highest wins; default 100.
    #[serde(default)]
    pub preference: Option<u32>,
    #[serde(default)]
    pub via: Via,
    /// The same as `via: {drop: true}`.
    #[serde(default, skip_serializing)]
    pub drop: bool,
}

/// A next hop: exactly one of `vif` (with an optional `mac`), `vrf`, `gateway`, `vxlan`, `geneve`, `mpls_udp`, `mpls_gre`, `drop`; or several as `ecmp`, or as
/// a next-hop `group`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Via {
    /// Deliver to this tenant VIF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vif: Option<String>,
    /// With `vif`: the destination MAC; default the VIF's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Look the same destination up in this VRF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// A neighbour on a connected subnet of a fabric VIF.
    #[serde(deserialize_with = "optional_address", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<VniTunnel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geneve: Option<VniTunnel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpls_udp: Option<MplsTunnel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpls_gre: Option<MplsTunnel>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Several ways, each with an optional `weight`, `name` and `backup`; a flow keeps its way by its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ecmp: Vec<Via>,
    /// The several ways of this next-hop group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// In `ecmp`: its share of new flows; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// In `ecmp`: default made of the next hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In `ecmp`: has flows only while no way without this is up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VniTunnel {
    /// The peer's VTEP.
    #[serde(deserialize_with = "named_address")]
    pub remote: IpAddr,
    /// 0 to 16777215.
    #[schemars(range(max = 0xff_ffff))]
    pub vni: u32,
    /// The peer's router MAC.
    pub mac: Mac,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MplsTunnel {
    /// The peer's VTEP.
    #[serde(deserialize_with = "named_address")]
    pub remote: IpAddr,
    /// 16 to 1048575.
    #[schemars(range(min = 16, max = 0xf_ffff))]
    pub label: u32,
}

/// A static neighbour of a fabric VIF.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    pub vif: String,
    #[serde(deserialize_with = "named_address")]
    pub address: IpAddr,
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Output only: learnt by ARP or ND.
    #[serde(default)]
    pub learnt: bool,
    /// Output only.
    #[serde(default)]
    pub state: Option<String>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Packets that arrive with this VNI belong to `vrf`, or to `bridge`: exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vni {
    /// 0 to 16777215.
    #[schemars(range(max = 0xff_ffff))]
    pub vni: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Packets that arrive with this label belong to `vrf`, go straight to `vif`, or are frames of `bridge`: exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// 16 to 1048575.
    #[schemars(range(min = 16, max = 0xf_ffff))]
    pub label: u32,
    #[serde(default)]
    pub vrf: Option<String>,
    #[serde(default)]
    pub vif: Option<String>,
    #[serde(default)]
    pub bridge: Option<String>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A DPDK device, opened when it is put and never changed: what is put of one that is there must say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub name: String,
    /// A vdev with its arguments, or a PCI address.
    pub devargs: String,
    /// Output only.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// L3 bytes; default the device's.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Output only.
    #[serde(default)]
    pub link_up: Option<bool>,
    /// Queue pairs; default one for each worker, or what the device has.
    #[serde(default)]
    pub queues: Option<u32>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
