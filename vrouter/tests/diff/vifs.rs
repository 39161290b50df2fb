//! Tenants' VIFs as the generator knows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::objects::Object;
use super::random::Random;
use super::world::{mac, object};

/// A tenant's VIF.
#[derive(Clone)]
pub struct Vif {
    pub number: usize,
    /// A sub-interface of this port, with these VLANs; else it has the port of its number.
    pub on: Option<(usize, u16, Option<u16>)>,
    pub vrf: &'static str,
    pub mac: [u8; 6],
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
    pub gateway_v4: Option<Ipv4Addr>,
    pub gateway_v6: bool,
    /// What we advertise there as a router.
    pub advertises: Option<&'static str>,
    pub mtu: Option<u16>,
    pub from: Option<&'static str>,
    pub to: Option<&'static str>,
    pub spoofing: bool,
    pub service: bool,
    pub sources: Vec<&'static str>,
    pub bridge: Option<&'static str>,
    pub leaf: bool,
    pub quota: Option<String>,
}

/// Low, so that it is felt.
pub fn quota(random: &mut Random) -> String {
    let mut low = |most| 1 + random.below(most);
    let (flows, fragments, punts) = (low(4), low(2), low(3));
    let pairs = random.pick(&[1, 1, 2, 3, 3]);
    random.pick(&[
        format!("{{new_flows_per_second: {flows}}}"),
        format!("{{fragments_per_second: {fragments}}}"),
        format!("{{flows: {pairs}}}"),
        format!("{{flows: {pairs}}}"),
        format!("{{punts_per_second: {punts}}}"),
        format!("{{new_flows_per_second: {flows}, fragments_per_second: {fragments}}}"),
        format!("{{flows: {pairs}, punts_per_second: {punts}}}"),
    ])
}

pub fn vif_object(vif: &Vif) -> Object {
    let Vif { number, vrf, .. } = vif;
    let port = vif.on.map_or(*number, |(port, ..)| port);
    let mut text = format!("{{name: v{number}, port: p{port}, vrf: {vrf}, mac: \"{}\"", mac(vif.mac));
    if let Some((_, outer, inner)) = vif.on {
        text += &format!(", vlan: {outer}");
        text.extend(inner.map(|inner| format!(", inner_vlan: {inner}")));
    }
    let addresses = vif.v4.map(IpAddr::V4).into_iter().chain(vif.v6.map(IpAddr::V6));
    let addresses: Vec<String> = addresses.map(|address| format!("\"{address}\"")).collect();
    text += &format!(", addresses: [{}]", addresses.join(", "));
    text.extend(vif.gateway_v4.map(|gateway| format!(", gateway_v4: {gateway}")));
    text.extend(vif.gateway_v6.then_some(", gateway_v6: \"fd01::1\""));
    if let Some(advertises) = vif.advertises.filter(|_| vif.gateway_v6) {
        text += &format!(", router_advertisement: {advertises}");
    }
    text.extend(vif.mtu.map(|mtu| format!(", mtu: {mtu}")));
    text.extend(vif.from.map(|acl| format!(", acl_from_vif: {acl}")));
    text.extend(vif.to.map(|acl| format!(", acl_to_vif: {acl}")));
    text.extend(vif.spoofing.then_some(", spoofing_allowed: true"));
    text.extend(vif.service.then_some(", service: true"));
    let leaf = if vif.leaf { ", leaf: true" } else { "" };
    text.extend(vif.bridge.map(|bridge| format!(", bridge: {bridge}{leaf}")));
    text.extend(vif.quota.iter().map(|quota| format!(", quota: {quota}")));
    if !vif.sources.is_empty() {
        let sources: Vec<String> = vif.sources.iter().map(|prefix| format!("\"{prefix}\"")).collect();
        text += &format!(", allowed_sources: [{}]", sources.join(", "));
    }
    object("vifs", text + "}")
}
