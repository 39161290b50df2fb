//! `vrctl add bridge` and `add fdb`.

use std::net::IpAddr;

use vrouter::api::text::Mac;
use vrouter::api::yaml::{Bridge, FdbEntry, FrameVni, MplsTunnel, Vtep};

use super::add::yaml;

#[derive(clap::Args)]
pub(super) struct AddBridge {
    name: String,
    #[arg(long)]
    vrf: String,
    /// Who else has stations of it, as in a network file, e.g. 'vxlan: {remote: 172.31.0.2, vni: 5000}'. Repeatable
    #[arg(long, value_parser = yaml::<Vtep>)]
    vtep: Vec<Vtep>,
    /// Frames to a MAC that no station has go to everybody
    #[arg(long)]
    flood_unknown: bool,
    /// Frames to everybody that a VIF may send in a second; default 1000
    #[arg(long)]
    floods_per_second: Option<u32>,
    /// ARP requests and neighbour solicitations for known stations go to everybody
    #[arg(long)]
    suppress_off: bool,
    /// Learn where stations are by whom frames come from
    #[arg(long)]
    learning: bool,
    /// Seconds without a frame after which a learnt station is forgotten; default 300
    #[arg(long, requires = "learning")]
    ageing: Option<u32>,
    /// Stations that are learnt at each VIF and VTEP; default 1024
    #[arg(long, requires = "learning")]
    learn_limit: Option<u32>,
    /// Drop frames that are neither IPv4, IPv6 nor ARP
    #[arg(long)]
    ip_only: bool,
}

#[derive(clap::Args)]
pub(super) struct AddFdb {
    #[arg(long)]
    bridge: String,
    mac: Mac,
    /// As in a network file, e.g. 'vif: web1' or 'vxlan: {remote: 172.31.0.2, vni: 5000}'
    #[arg(long, value_parser = yaml::<Station>)]
    at: Station,
    /// Its address, in whose name questions are answered. Repeatable
    #[arg(long)]
    address: Vec<IpAddr>,
    /// It is a router
    #[arg(long)]
    router: bool,
    /// It is a leaf, behind its tunnel
    #[arg(long)]
    leaf: bool,
    /// Drop what is sent with its MAC from elsewhere
    #[arg(long)]
    sticky: bool,
}

/// Where a station is: one of these.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Station {
    vif: Option<String>,
    vxlan: Option<FrameVni>,
    geneve: Option<FrameVni>,
    mpls_udp: Option<MplsTunnel>,
    mpls_gre: Option<MplsTunnel>,
}

impl AddBridge {
    pub(super) fn given(self) -> Bridge {
        let AddBridge {
            name,
            vrf,
            vtep,
            flood_unknown,
            floods_per_second,
            suppress_off,
            learning,
            ageing,
            learn_limit,
            ip_only,
        } = self;
        let vteps = vtep;
        Bridge {
            name,
            vrf,
            vteps,
            flood_unknown,
            floods_per_second,
            suppress_off,
            learning,
            ageing,
            learn_limit,
            ip_only,
            owner: None,
        }
    }
}

impl AddFdb {
    pub(super) fn given(self) -> FdbEntry {
        let AddFdb { bridge, mac, at, address: addresses, router, leaf, sticky } = self;
        let Station { vif, vxlan, geneve, mpls_udp, mpls_gre } = at;
        let (learnt, pinned, idle_seconds) = (false, false, None);
        FdbEntry {
            bridge,
            mac,
            vif,
            vxlan,
            geneve,
            mpls_udp,
            mpls_gre,
            addresses,
            router,
            leaf,
            sticky,
            learnt,
            pinned,
            idle_seconds,
            owner: None,
        }
    }
}
