//! ACLs: rules in order, of which the first that matches decides; and how they are given.

use std::net::IpAddr;

use serde::Deserialize;

use super::config::{Config, Prefix};
use super::headers::Tuple;
use super::texts::{prefix, protocol};

#[derive(Clone, Debug, Default)]
pub struct Acl {
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub permit: bool,
    pub protocol: Option<u8>,
    pub source: Match,
    pub destination: Match,
    pub source_ports: Vec<(u16, u16)>,
    pub destination_ports: Vec<(u16, u16)>,
    pub icmp_type: Option<u8>,
    pub icmp_code: Option<u8>,
    pub redirect: Option<Redirect>,
}

/// Where a rule sends what it permits, by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Redirect {
    Vrf(String),
    Vif(String),
}

#[derive(Clone, Debug)]
pub enum Match {
    Any,
    Prefix(Prefix),
    Group(String),
}

impl Config {
    /// Whether an ACL permits; the absent one does.
    pub fn permits(&self, acl: &Option<String>, tuple: &Tuple) -> bool {
        let Some(acl) = acl.as_ref().and_then(|name| self.acls.get(name)) else { return true };
        acl.rules.iter().find(|rule| self.matches(rule, tuple)).is_some_and(|rule| rule.permit)
    }

    /// Where an ACL that permits sends a packet.
    pub fn sends(&self, acl: &Option<String>, tuple: &Tuple) -> Option<&Redirect> {
        let acl = acl.as_ref().and_then(|name| self.acls.get(name))?;
        acl.rules.iter().find(|rule| self.matches(rule, tuple))?.redirect.as_ref()
    }

    fn matches(&self, rule: &Rule, tuple: &Tuple) -> bool {
        let address = |matched: &Match, address: IpAddr| match matched {
            Match::Any => true,
            Match::Prefix(prefix) => prefix.holds(address),
            Match::Group(name) => self.groups.get(name).into_iter().flatten().any(|prefix| prefix.holds(address)),
        };
        let port = |ranges: &[(u16, u16)], port: Option<u16>| {
            ranges.is_empty()
                || port.is_some_and(|port| ranges.iter().any(|(first, last)| (first..=last).contains(&&port)))
        };
        let (ports, icmp) = (tuple.ports(), tuple.icmp());
        rule.protocol.is_none_or(|protocol| protocol == tuple.protocol)
            && address(&rule.source, tuple.source)
            && address(&rule.destination, tuple.destination)
            && port(&rule.source_ports, ports.map(|ports| ports.0))
            && port(&rule.destination_ports, ports.map(|ports| ports.1))
            && rule.icmp_type.is_none_or(|kind| icmp.is_some_and(|icmp| icmp.0 == kind))
            && rule.icmp_code.is_none_or(|code| icmp.is_some_and(|icmp| icmp.1 == code))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenAcl {
    name: String,
    #[serde(default)]
    rules: Vec<GivenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRule {
    #[serde(default)]
    name: Option<String>,
    action: String,
    #[serde(default)]
    protocol: Option<Scalar>,
    #[serde(default)]
    source: Option<GivenMatch>,
    #[serde(default)]
    destination: Option<GivenMatch>,
    #[serde(default)]
    source_ports: Option<OneOrMany>,
    #[serde(default)]
    destination_ports: Option<OneOrMany>,
    #[serde(default)]
    icmp_type: Option<u8>,
    #[serde(default)]
    icmp_code: Option<u8>,
    #[serde(default)]
    redirect: Option<GivenRedirect>,
}

#[derive(Deserialize)]
struct GivenRedirect {
    #[serde(default)]
    vrf: Option<String>,
    #[serde(default)]
    vif: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Scalar>),
    One(Scalar),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GivenMatch {
    Text(String),
    Group { group: String },
}

impl GivenAcl {
    /// Its name, and what it is.
    pub fn read(self) -> Result<(String, Acl), String> {
        Ok((self.name, Acl { rules: self.rules.into_iter().map(rule).collect::<Result<_, _>>()? }))
    }
}

fn rule(given: GivenRule) -> Result<Rule, String> {
    let _ = given.name;
    let protocol = match given.protocol {
        None => None,
        Some(Scalar::Number(number)) => Some(u8::try_from(number).map_err(|_| format!("protocol {number}"))?),
        Some(Scalar::Text(text)) if text == "any" => None,
        Some(Scalar::Text(text)) => Some(protocol(&text)?),
    };
    Ok(Rule {
        permit: match &*given.action {
            "permit" => true,
            "deny" => false,
            other => return Err(format!("action {other}")),
        },
        protocol,
        source: matched(given.source)?,
        destination: matched(given.destination)?,
        source_ports: port_ranges(given.source_ports)?,
        destination_ports: port_ranges(given.destination_ports)?,
        icmp_type: given.icmp_type,
        icmp_code: given.icmp_code,
        redirect: given.redirect.and_then(|to| to.vrf.map(Redirect::Vrf).or(to.vif.map(Redirect::Vif))),
    })
}

fn matched(given: Option<GivenMatch>) -> Result<Match, String> {
    Ok(match given {
        None => Match::Any,
        Some(GivenMatch::Text(text)) if text == "any" => Match::Any,
        Some(GivenMatch::Text(text)) => Match::Prefix(prefix(&text)?),
        Some(GivenMatch::Group { group }) => Match::Group(group),
    })
}

fn port_ranges(given: Option<OneOrMany>) -> Result<Vec<(u16, u16)>, String> {
    let all = match given {
        None => return Ok(Vec::new()),
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    };
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("ports {text}"));
    all.into_iter()
        .map(|one| match one {
            Scalar::Number(port) => number(&port.to_string()).map(|port| (port, port)),
            Scalar::Text(text) => {
                let (first, last) = text.split_once('-').unwrap_or((&text, &text));
                Ok((number(first)?, number(last)?))
            }
        })
        .collect()
}
