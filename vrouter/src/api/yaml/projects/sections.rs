//! The sections of projects and hosts, as they are in YAML.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::acls::Action;
use super::super::quotas::Quota;
use crate::api::position::At;
use crate::api::scalar::{
    addresses, named_address, one_or_many, one_or_many_schema, optional_address, protocol_or_any,
};
use crate::api::text::{Ports, Prefix, Protocol};
use crate::ids::Mac;

/// A tenant, and the scope of the names in it: `web` of project `acme` is `acme/web` outside, and `acme.web` as an object.
///
/// Names are 1 to 63 of A-Z, a-z, 0-9, `_` and `-`, without a dot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    pub name: String,
    /// Whose it is: its names begin with it then (`retail/acme/web`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What all its networks may take together; needs `settings` in one of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    #[serde(default)]
    pub networks: Vec<At<VirtualNetwork>>,
    #[serde(default)]
    pub interfaces: Vec<At<Interface>>,
    #[serde(default)]
    pub tags: Vec<At<Tag>>,
    /// The first that fits decides. What none fits passes within a network to interfaces without tags, and nowhere else.
    #[serde(default)]
    pub policies: Vec<At<Policy>>,
    #[serde(default)]
    pub chains: Vec<At<Chain>>,
}

/// A network of a project: a VRF.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualNetwork {
    pub name: String,
    /// Where its addresses are from; no two pools of a project overlap.
    pub pools: Vec<Pool>,
    /// Its VNI on all hosts, for VXLAN and GENEVE; default that of `vnis` with its VRF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 0xff_ffff))]
    pub vni: Option<u32>,
    /// Its label on all hosts, for MPLS; default that of `labels` with its VRF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 0xf_ffff))]
    pub label: Option<u32>,
    /// It is an L2 network too: a bridge with the VRF's name, of which its interfaces are stations. What policies cannot judge, as it is
    /// neither IP nor ARP, is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<FrameNumbers>,
}

/// What carries a bridge's frames between hosts, on all of them, beside what carries packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrameNumbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 0xff_ffff))]
    pub vni: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 0xf_ffff))]
    pub label: Option<u32>,
}

/// Addresses of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub prefix: Prefix,
    /// Default its first address behind that of the prefix itself.
    #[serde(default, deserialize_with = "optional_address", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// No interface has an address of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Prefix>,
}

/// A guest's interface, wherever it is: a VIF on its host, routes by tunnel on others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    pub name: String,
    pub network: String,
    /// Default made of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Of pools of its network; default one of the first pool of each family, which its name alone gives.
    #[serde(default, deserialize_with = "addresses", skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// With any, only what policies permit reaches it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its port where no host says another; default the VIF's name (`acme.web1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// L3 bytes; default the port's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// A label of interfaces, which name it, and of prefixes; of nobody yet, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    pub name: String,
    /// What has it beside interfaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<Prefix>,
}

/// Who may begin what. Answers need no policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub name: String,
    /// Who begins; default any.
    #[serde(default)]
    pub from: Side,
    /// Default any.
    #[serde(default)]
    pub to: Side,
    /// Absent or `any`: every protocol.
    #[serde(default, deserialize_with = "protocol_or_any", skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Destination ports, one or a list; absent: any.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "one_or_many_schema::<Ports>")]
    pub ports: Vec<Ports>,
    /// Needs protocol icmp or icmpv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// Default permit.
    #[serde(default = "permit")]
    pub action: Action,
    /// By this chain: what it permits passes the service, and so do its answers. Both sides name a network then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}

fn permit() -> Action {
    Action::Permit
}

/// One end of what a policy is about: a network, a tag, what of a network has a tag, or a prefix; nothing: any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// All its addresses, those in networks too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Prefix>,
}

/// A service by which flows pass: they enter it by the left interface and leave it by the right one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    pub name: String,
    /// A host's flows pass the first one that is there.
    pub instances: Vec<Instance>,
}

/// A pair of interfaces of one host; of a service with one interface, twice the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Of the network from which the policies are.
    pub left: String,
    /// Of the network to which they are; default the left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

/// A host, and which interfaces it has. The same list is good for all hosts of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub name: String,
    #[serde(deserialize_with = "named_address")]
    pub vtep: IpAddr,
    /// Its inner MAC in VXLAN and GENEVE; default 02:VTEP:01, where the VTEP is an IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_mac: Option<Mac>,
    /// How others send to it; default vxlan.
    #[serde(default)]
    pub encap: Encap,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<At<Placed>>,
}

/// A tunnel's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encap {
    #[default]
    Vxlan,
    Geneve,
    MplsUdp,
    MplsGre,
}

/// An interface that is on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// `acme/web1`
    pub name: String,
    /// Default the interface's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VLAN of its frames on that port; default untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<u16>,
}
