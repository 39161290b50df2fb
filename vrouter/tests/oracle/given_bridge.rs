//! Bridges and stations in the network language.

use serde::Deserialize;

use super::config::{Bridge, Config, Encap, Station, Which};
use super::headers::Mac;
use super::language::{GivenMpls, address, list, mac};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenBridge {
    name: String,
    vrf: String,
    #[serde(default)]
    vteps: Vec<GivenVtep>,
    #[serde(default)]
    flood_unknown: bool,
    #[serde(default)]
    floods_per_second: Option<u32>,
    #[serde(default)]
    suppress_off: bool,
    #[serde(default)]
    learning: bool,
    #[serde(default)]
    ageing: Option<u32>,
    #[serde(default)]
    ip_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenVtep {
    #[serde(default)]
    vxlan: Option<GivenFrames>,
    #[serde(default)]
    geneve: Option<GivenFrames>,
    #[serde(default)]
    mpls_udp: Option<GivenMpls>,
    #[serde(default)]
    mpls_gre: Option<GivenMpls>,
    #[serde(default)]
    leaf: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenStation {
    bridge: String,
    mac: String,
    #[serde(default)]
    vif: Option<String>,
    #[serde(default)]
    vxlan: Option<GivenFrames>,
    #[serde(default)]
    geneve: Option<GivenFrames>,
    #[serde(default)]
    mpls_udp: Option<GivenMpls>,
    #[serde(default)]
    mpls_gre: Option<GivenMpls>,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    router: bool,
    #[serde(default)]
    leaf: bool,
    #[serde(default)]
    sticky: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenFrames {
    remote: String,
    vni: u32,
}

pub(super) fn put(config: &mut Config, given: GivenBridge) -> Result<(), String> {
    let id = config.bridge_named(&given.name).map(|old| old.id).unwrap_or_else(|_| config.number());
    let vrf = config.vrf_named(&given.vrf)?.id;
    let _ = given.floods_per_second;
    let ageing = 1000 * given.ageing.filter(|seconds| *seconds != 0).map_or(300, u64::from);
    let learning = given.learning;
    let (flood_unknown, suppress_off) = (given.flood_unknown, given.suppress_off);
    let vteps = given.vteps.into_iter().map(vtep).collect::<Result<_, _>>()?;
    config.bridges.insert(
        id,
        Bridge {
            id,
            name: given.name,
            vrf,
            vteps,
            flood_unknown,
            suppress_off,
            learning,
            ageing,
            ip_only: given.ip_only,
        },
    );
    Ok(())
}

pub(super) fn station(config: &Config, given: GivenStation) -> Result<((u32, Mac), Station), String> {
    let key = (config.bridge_named(&given.bridge)?.id, mac(&given.mac)?);
    let tunnel = GivenVtep {
        vxlan: given.vxlan,
        geneve: given.geneve,
        mpls_udp: given.mpls_udp,
        mpls_gre: given.mpls_gre,
        leaf: given.leaf,
    };
    let which = match given.vif {
        Some(vif) => Which::Bridged(config.vif_named(&vif)?.id),
        None => vtep(tunnel)?,
    };
    Ok((
        key,
        Station { which, addresses: list(&given.addresses, address)?, router: given.router, sticky: given.sticky },
    ))
}

/// A tunnel for frames.
fn vtep(given: GivenVtep) -> Result<Which, String> {
    let (mut tunnels, leaf) = (Vec::new(), given.leaf);
    if let Some(GivenFrames { remote, vni }) = given.vxlan {
        tunnels.push((address(&remote)?, Encap::FramesInVxlan { vni, leaf }));
    }
    if let Some(GivenFrames { remote, vni }) = given.geneve {
        tunnels.push((address(&remote)?, Encap::FramesInGeneve { vni, leaf }));
    }
    if let Some(GivenMpls { remote, label }) = given.mpls_udp {
        tunnels.push((address(&remote)?, Encap::FramesInMplsOverUdp { label, leaf }));
    }
    if let Some(GivenMpls { remote, label }) = given.mpls_gre {
        tunnels.push((address(&remote)?, Encap::FramesInMplsOverGre { label, leaf }));
    }
    match tunnels[..] {
        [(remote, encap)] => Ok(Which::Tunnel { remote, encap }),
        _ => Err("a tunnel for frames is one".into()),
    }
}
