//! Bridges and their stations, as they are in YAML.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objects::MplsTunnel;
use crate::api::scalar::{addresses, named_address};
use crate::ids::Mac;

/// An L2 network in a VRF.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    pub name: String,
    pub vrf: String,
    /// Who else has stations of it: frames to everybody go to each.
    #[serde(default)]
    pub vteps: Vec<Vtep>,
    /// Frames to a MAC that no station has go to everybody; default: they are dropped.
    #[serde(default)]
    pub flood_unknown: bool,
    /// Frames to everybody that a VIF may send in a second; default 1000.
    #[serde(default)]
    pub floods_per_second: Option<u32>,
    /// ARP requests and neighbour solicitations for known stations go to everybody; default: they are answered here.
    #[serde(default)]
    pub suppress_off: bool,
    /// Stations are learnt by whom frames come from: VIFs that may send from any MAC, and VTEPs.
    #[serde(default)]
    pub learning: bool,
    /// Seconds without a frame after which a station that was learnt is forgotten; default 300.
    #[serde(default)]
    pub ageing: Option<u32>,
    /// Stations that are learnt at each VIF and VTEP; default 1024.
    #[serde(default)]
    pub learn_limit: Option<u32>,
    /// Frames that are neither IPv4, IPv6 nor ARP are dropped; default: they are bridged.
    #[serde(default)]
    pub ip_only: bool,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A tunnel for frames: exactly one of `vxlan`, `geneve`, `mpls_udp`, `mpls_gre`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vtep {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<FrameVni>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geneve: Option<FrameVni>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mpls_udp: Option<MplsTunnel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mpls_gre: Option<MplsTunnel>,
    /// Stations there that have no FDB entry are leaves, which reach no other leaf.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaf: bool,
}

/// Where a station of a bridge is: exactly one of `vif`, `vxlan`, `geneve`, `mpls_udp`, `mpls_gre`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FdbEntry {
    pub bridge: String,
    pub mac: Mac,
    /// At this VIF of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vif: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<FrameVni>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geneve: Option<FrameVni>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mpls_udp: Option<MplsTunnel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mpls_gre: Option<MplsTunnel>,
    /// The station's addresses: who asks for one is answered here.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "addresses")]
    pub addresses: Vec<IpAddr>,
    /// It is a router, and answers in its name say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub router: bool,
    /// It is a leaf, and reaches no other leaf. At a VIF it is what its VIF is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaf: bool,
    /// What is sent with its MAC from elsewhere is dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sticky: bool,
    /// Learnt; not to be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learnt: bool,
    /// Learnt, and held where it is, as it moved too often; not to be given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Learnt: seconds since the last frame from it, to a quarter of the ageing; not to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// VXLAN or GENEVE that carries frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrameVni {
    /// The peer's VTEP.
    #[serde(deserialize_with = "named_address")]
    pub remote: IpAddr,
    /// 0 to 16777215.
    #[schemars(range(max = 0xff_ffff))]
    pub vni: u32,
}
