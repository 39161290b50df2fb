//! Why a change is refused.

use std::net::{IpAddr, Ipv6Addr};

use super::records::Prefix;

/// A name as given, which may be of any length, cut for a message.
pub(crate) fn shown(name: &str) -> String {
    const MOST: usize = 63;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.into(),
    }
}

/// A refusal: the path of the bad field inside its object, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Empty: the object as such.
    pub field: String,
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("names no object")]
    NoObject,
    #[error("is missing")]
    Missing,
    #[error("a name is 1 to 63 of A-Z a-z 0-9 . _ - and does not start with -")]
    Name,
    #[error("at most 63 bytes, none of them a control character")]
    Text,
    #[error("{got} bytes, but {want} are needed")]
    Bytes { got: usize, want: &'static str },
    #[error("{got} is not within {low} to {high}")]
    Range { got: u64, low: u64, high: u64 },
    #[error("{got} entries, at most {most}")]
    TooMany { got: usize, most: usize },
    #[error("bits beyond the prefix length are set: {0} is meant perhaps")]
    HostBits(Prefix),
    #[error("of another address family")]
    Family,
    #[error("an IPv6 tunnel needs vtep_v6 in the settings")]
    NoVtepV6,
    #[error("{0} is no address of one host")]
    NotUnicast(IpAddr),
    #[error("link-local addresses are not routed")]
    LinkLocal,
    #[error("{0} is link-local and belongs into gateway_link_local")]
    LinkLocalField(Ipv6Addr),
    #[error("{0} is not link-local")]
    NotLinkLocal(IpAddr),
    #[error("needs gateway_v6 or gateway_link_local")]
    NoLinkLocalGateway,
    #[error("a group or zero MAC address")]
    MacNotUnicast,
    #[error("the gateway's own MAC address")]
    MacOfGateway,
    #[error("our router MAC address")]
    MacOfRouter,
    #[error("the MAC address of VIF {0} in this bridge")]
    MacOfVif(String),
    #[error("VIF {vif} is no port of bridge {bridge}")]
    NotOfBridge { vif: String, bridge: String },
    #[error("bridge {bridge} is of VRF {vrf}")]
    OtherVrf { bridge: String, vrf: String },
    #[error("needs a bridge")]
    NoBridge,
    #[error("next-hop group {group} is of VRF {vrf}")]
    GroupOfOtherVrf { group: String, vrf: String },
    #[error("exactly one of vrf and bridge is needed")]
    VrfOrBridge,
    #[error("there is no {kind} {name}")]
    Unknown { kind: &'static str, name: String },
    #[error("exists already")]
    Exists,
    #[error("does not exist")]
    NotThere,
    #[error("still referred to by {0}")]
    InUse(String),
    #[error("1 to 511 bytes, none of them a control character")]
    Devargs,
    #[error("the device {device} is port {port} already")]
    DeviceTaken { device: String, port: String },
    #[error("{0}")]
    Device(String),
    #[error("learnt neighbours cannot be written")]
    Learnt,
    #[error("what is learnt cannot be written")]
    LearntStation,
    #[error("the owner vif is reserved for the routes of VIFs")]
    OwnerReserved,
    #[error("is of owner {0}, and not to be changed by others unless they take it over")]
    OfOwner(String),
    #[error("generation {newer}, by {by}, is newer than {given}")]
    Stale { given: u64, newer: u64, by: String },
    #[error("there is no generation {given} yet, {now} is the newest")]
    NotYet { given: u64, now: u64 },
    #[error("cannot change: delete and create it anew")]
    Fixed,
    #[error("port {port} has VIF {vif} already")]
    PortTaken { port: String, vif: String },
    #[error("frames of port {port} with these tags are VIF {vif}'s already")]
    TagsTaken { port: String, vif: String },
    #[error("{address} is an address of VIF {vif} in this VRF")]
    AddressOfVif { address: IpAddr, vif: String },
    #[error("{address} is a gateway of VIF {vif} in this VRF")]
    AddressOfGateway { address: IpAddr, vif: String },
    #[error("{address} is neighbour of VIF {vif} in this VRF")]
    AddressOfNeighbour { address: IpAddr, vif: String },
    #[error("given twice")]
    Twice,
    #[error("only a tenant VIF has it")]
    TenantOnly,
    #[error("only a fabric VIF has it")]
    FabricOnly,
    #[error("VRF {vrf} is of the fabric ({why})")]
    FabricVrf { vrf: String, why: String },
    #[error("VRF {vrf} is of tenants (it has {why})")]
    TenantVrf { vrf: String, why: String },
    #[error("exactly one of next_hop, paths and group is needed")]
    OneOrSeveral,
    #[error("gateways have their flows by the tunnel's own hash")]
    NotOfGateways,
    #[error("a path is a tunnel, a VIF or a gateway")]
    NotAPath,
    #[error("all of them are backups: at least one must not be")]
    AllBackups,
    #[error("a VRF does not lead into itself")]
    IntoItself,
    #[error("VIF {0} is no tenant VIF")]
    NotTenantVif(String),
    #[error("VIF {0} is no fabric VIF")]
    NotFabricVif(String),
    #[error("holds none of the VIF's addresses")]
    SubnetWithoutAddress,
    #[error("{0} is a connected subnet of VIF {1} already")]
    SubnetTaken(Prefix, String),
    #[error("{0} is on no connected subnet of a fabric VIF in this VRF")]
    NotConnected(IpAddr),
    #[error("{0} would be on no connected subnet, but {1} needs it")]
    NoLongerConnected(IpAddr, &'static str),
    #[error("session {session} watches {remote} already")]
    Watched { remote: IpAddr, session: String },
    #[error("only a multihop session has it")]
    MultihopOnly,
    #[error("{0} is no address of a fabric VIF in this VRF")]
    NotOurs(IpAddr),
    #[error("{0} is our own address")]
    Ours(IpAddr),
    #[error("{0} is no address of a fabric VIF in the underlay VRF")]
    VtepNotOurs(IpAddr),
    #[error("{0} is the VTEP of the settings")]
    VtepInUse(IpAddr),
    #[error("tunnels need an underlay VRF")]
    NoUnderlay,
    #[error("needs {0}: pipe")]
    NeedsPipe(&'static str),
    #[error("flows are off in VRF {0}")]
    FlowsAreOff(String),
    #[error("flows cannot be off: {0}")]
    FlowsNeeded(String),
    #[error("first is greater than last")]
    Inverted,
    #[error("needs protocol {0}")]
    Protocol(&'static str),
    #[error("needs icmp_type")]
    IcmpType,
    #[error("only a rule that permits redirects")]
    NeedsPermit,
    #[error("a shadow holds policies only: ACLs, address groups, and which ACLs VIFs and VRFs have")]
    PoliciesOnly,
    #[error("VIF {0} is no service")]
    NotAService(String),
    #[error("the limit of {limit} {what} is reached")]
    Limit { what: &'static str, limit: usize },
    #[error("all numbers are used up")]
    NumbersUsedUp,
}

impl Reason {
    /// At this field of the object.
    pub fn at(self, field: impl Into<String>) -> Refusal {
        Refusal { field: field.into(), reason: self }
    }
}

impl Refusal {
    /// The same refusal seen from the object around: `outer.field`.
    pub fn under(mut self, outer: &str) -> Refusal {
        let joint = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{outer}{joint}{}", self.field);
        self
    }
}

/// Puts a field's name to a result.
pub(crate) trait At<T> {
    /// At this field of the object.
    fn at(self, field: &str) -> Result<T, Refusal>;
}

impl<T> At<T> for Result<T, Reason> {
    fn at(self, field: &str) -> Result<T, Refusal> {
        self.map_err(|reason| reason.at(field))
    }
}

impl<T> At<T> for Result<T, Refusal> {
    fn at(self, field: &str) -> Result<T, Refusal> {
        self.map_err(|refusal| refusal.under(field))
    }
}
