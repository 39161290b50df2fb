//! ACLs and address groups.

use std::net::IpAddr;
use std::sync::Arc;

use super::Mode;
use crate::api::v1;
use crate::model::read;
use crate::model::records::{Acl, AddressMatch, Group, Redirect, Rule};
use crate::model::refusal::{At, Reason, Refusal, shown};
use crate::model::state::State;
use v1::address_match::By;
use v1::redirect::To;

/// Protocols with ports: TCP, UDP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 4] = [6, 17, 132, 136];
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

pub(super) fn write(state: &mut State, mode: Mode, given: &v1::Acl) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.acls.get(name).cloned();
    mode.allows(old.is_some())?;
    let rules = rules(state, old.as_deref(), &given.rules)?;
    let redirects = rules.iter().filter_map(|rule| rule.redirect.clone()).collect();
    let acl = Acl { name: name.into(), rules, redirects };
    if old.is_none_or(|old| *old != acl) {
        state.set_acl(acl.name.clone(), Some(Arc::new(acl)));
    }
    Ok(())
}

pub(super) fn delete(state: &mut State, name: &str) -> Result<(), Refusal> {
    let acl = state.acls.get(name).ok_or(Reason::NotThere).at("")?.clone();
    if let Some(of) = state.of_acl.get(name) {
        let vrf = of.vrfs.first().map(|&vrf| format!("VRF {}", state.vrf_name(vrf)));
        let vif = of.vifs.first().map(|&vif| format!("VIF {}", state.vif_name(vif)));
        return Err(Reason::InUse(vrf.or(vif).unwrap_or_default()).at(""));
    }
    state.set_acl(acl.name.clone(), None);
    Ok(())
}

pub(super) fn write_group(state: &mut State, mode: Mode, given: &v1::AddressGroup) -> Result<(), Refusal> {
    let name = read::name(&given.name).at("name")?;
    let old = state.groups.get(name).cloned();
    mode.allows(old.is_some())?;
    let prefixes = read::each("prefixes", &given.prefixes, state.limits.group_prefixes, read::prefix)?;
    read::no_twins("prefixes", &prefixes)?;
    let group = Group { name: name.into(), prefixes };
    if old.is_none_or(|old| *old != group) {
        state.set_group(group.name.clone(), Some(Arc::new(group)));
    }
    Ok(())
}

pub(super) fn delete_group(state: &mut State, name: &str) -> Result<(), Refusal> {
    let group = state.groups.get(name).ok_or(Reason::NotThere).at("")?.clone();
    if let Some(acl) = state.of_group.get(name).and_then(|acls| acls.first()) {
        return Err(Reason::InUse(format!("ACL {acl}")).at(""));
    }
    state.set_group(group.name.clone(), None);
    Ok(())
}

/// Reads rules. Those at the beginning and at the end that are as they were are not made again.
fn rules(state: &State, old: Option<&Acl>, given: &[v1::Rule]) -> Result<Vec<Arc<Rule>>, Refusal> {
    let old = old.map_or(&[][..], |old| &old.rules);
    let same = |(old, given): &(&Arc<Rule>, &v1::Rule)| says(old, given);
    let first = old.iter().zip(given).take_while(same).count();
    let last = old[first..].iter().rev().zip(given[first..].iter().rev()).take_while(same).count();
    let mut at = 0;
    read::each("rules", given, state.limits.acl_rules, |rule_given| {
        at += 1;
        match at {
            _ if at <= first => Ok(old[at - 1].clone()),
            _ if given.len() - at < last => Ok(old[old.len() - 1 - (given.len() - at)].clone()),
            _ => rule(state, rule_given).map(Arc::new),
        }
    })
}

/// Whether this is what a rule was read from. It is still good then: a group that a rule names cannot be deleted.
fn says(rule: &Rule, given: &v1::Rule) -> bool {
    let side = |side: &AddressMatch, given: &Option<v1::AddressMatch>| match (side, given.as_ref().map(|g| &g.by)) {
        (AddressMatch::Any, None) => true,
        (AddressMatch::Prefix(prefix), Some(Some(By::Prefix(given)))) => {
            let bytes_are = |bytes: &[u8]| given.address == bytes;
            u32::from(prefix.length) == given.length
                && match prefix.address {
                    IpAddr::V4(address) => bytes_are(&address.octets()),
                    IpAddr::V6(address) => bytes_are(&address.octets()),
                }
        }
        (AddressMatch::Group(name), Some(Some(By::Group(given)))) => **name == **given,
        _ => false,
    };
    let ports = |ranges: &[(u16, u16)], given: &[v1::PortRange]| {
        let is = |(range, given): (&(u16, u16), &v1::PortRange)| {
            (given.first, given.last) == (range.0.into(), range.1.into())
        };
        ranges.len() == given.len() && ranges.iter().zip(given).all(is)
    };
    *rule.name == *given.name
        && rule.permit == given.permit
        && rule.protocol.map(u32::from) == given.protocol
        && side(&rule.source, &given.source)
        && side(&rule.destination, &given.destination)
        && ports(&rule.source_ports, &given.source_ports)
        && ports(&rule.destination_ports, &given.destination_ports)
        && rule.icmp_type.map(u32::from) == given.icmp_type
        && rule.icmp_code.map(u32::from) == given.icmp_code
        && match (&rule.redirect, given.redirect.as_ref().map(|given| &given.to)) {
            (None, None) => true,
            (Some(Redirect::Vrf(name)), Some(Some(To::Vrf(given)))) => **name == **given,
            (Some(Redirect::Vif(name)), Some(Some(To::Vif(given)))) => **name == **given,
            _ => false,
        }
}

fn rule(state: &State, given: &v1::Rule) -> Result<Rule, Refusal> {
    let byte = |given: Option<u32>| given.map(|value| read::number(value, 0, 255).map(|value| value as u8)).transpose();
    let rule = Rule {
        name: read::text(&given.name).at("name")?.into(),
        permit: given.permit,
        protocol: byte(given.protocol).at("protocol")?,
        source: address_match(state, given.source.as_ref()).at("source")?,
        destination: address_match(state, given.destination.as_ref()).at("destination")?,
        source_ports: ports("source_ports", &given.source_ports)?,
        destination_ports: ports("destination_ports", &given.destination_ports)?,
        icmp_type: byte(given.icmp_type).at("icmp_type")?,
        icmp_code: byte(given.icmp_code).at("icmp_code")?,
        redirect: given.redirect.as_ref().map(redirect).transpose().at("redirect")?,
    };
    check(&rule)?;
    Ok(rule)
}

fn redirect(given: &v1::Redirect) -> Result<Redirect, Refusal> {
    match given.to.as_ref().ok_or(Reason::Missing).at("to")? {
        To::Vrf(name) => Ok(Redirect::Vrf(read::name(name).at("vrf")?.into())),
        To::Vif(name) => Ok(Redirect::Vif(read::name(name).at("vif")?.into())),
    }
}

fn check(rule: &Rule) -> Result<(), Refusal> {
    if rule.redirect.is_some() && !rule.permit {
        return Err(Reason::NeedsPermit.at("redirect"));
    }
    let with_ports = rule.protocol.is_some_and(|protocol| WITH_PORTS.contains(&protocol));
    for (field, ranges) in [("source_ports", &rule.source_ports), ("destination_ports", &rule.destination_ports)] {
        if !ranges.is_empty() && !with_ports {
            return Err(Reason::Protocol("6, 17, 132 or 136").at(field));
        }
    }
    if rule.icmp_type.is_some() && !matches!(rule.protocol, Some(ICMP | ICMPV6)) {
        return Err(Reason::Protocol("1 or 58").at("icmp_type"));
    }
    if rule.icmp_code.is_some() && rule.icmp_type.is_none() {
        return Err(Reason::IcmpType.at("icmp_code"));
    }
    let mut family = match rule.protocol {
        Some(ICMP) => Some(true),
        Some(ICMPV6) => Some(false),
        _ => None,
    };
    for (field, side) in [("source.prefix", &rule.source), ("destination.prefix", &rule.destination)] {
        let AddressMatch::Prefix(prefix) = side else { continue };
        if family.is_some_and(|v4| v4 != prefix.address.is_ipv4()) {
            return Err(Reason::Family.at(field));
        }
        family = Some(prefix.address.is_ipv4());
    }
    Ok(())
}

fn address_match(state: &State, given: Option<&v1::AddressMatch>) -> Result<AddressMatch, Refusal> {
    let Some(given) = given else { return Ok(AddressMatch::Any) };
    match given.by.as_ref().ok_or(Reason::Missing).at("by")? {
        By::Prefix(prefix) => Ok(AddressMatch::Prefix(read::prefix(prefix).at("prefix")?)),
        By::Group(name) => match state.groups.get(name.as_str()) {
            Some(group) => Ok(AddressMatch::Group(group.name.clone())),
            None => Err(Reason::Unknown { kind: "address group", name: shown(name) }.at("group")),
        },
    }
}

fn ports(field: &str, given: &[v1::PortRange]) -> Result<Vec<(u16, u16)>, Refusal> {
    read::each(field, given, read::MOST_ENTRIES, |range| {
        let port = |port| read::number(port, 0, u16::MAX.into());
        let (first, last) = (port(range.first).at("first")?, port(range.last).at("last")?);
        if first > last { Err(Reason::Inverted.at("last")) } else { Ok((first as u16, last as u16)) }
    })
}
