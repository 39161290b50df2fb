//! The language of expectations: what `vrctl test` holds a network against.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::position::{At, FileError, read_yaml};
use super::scalar::{one_or_many, one_or_many_schema, optional_address};
use super::text::Protocol;
use crate::drops::DropReason;
use crate::ids::Mac;

/// A file of expectations.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    pub expect: Vec<At<Expectation>>,
}

/// What becomes of packets: of one, or of one from each of several places to each of several.
///
/// Where a packet enters is said by `from`, `from_vrf` or `from_tunnel`; where it goes by `to` or `to_vrf`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Default: made of what else is said.
    pub name: Option<String>,
    /// It enters by this VIF, or one by each of these.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "one_or_many_schema::<String>")]
    pub from: Vec<String>,
    /// One by each tenant VIF of this VRF.
    pub from_vrf: Option<String>,
    /// It comes out of a tunnel into this VRF; needs `source`.
    pub from_tunnel: Option<String>,
    /// Its source; default the VIF's first address of the destination's family.
    #[serde(deserialize_with = "optional_address")]
    #[schemars(with = "Option<String>")]
    pub source: Option<IpAddr>,
    /// An address, or a VIF, whose first address of the source's family is meant; or one to each of these.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "one_or_many_schema::<String>")]
    pub to: Vec<String>,
    /// One to each tenant VIF of this VRF.
    pub to_vrf: Option<String>,
    /// Default tcp where a `port` is given, else icmp or icmpv6.
    pub protocol: Option<Protocol>,
    /// Destination port.
    pub port: Option<u16>,
    pub source_port: Option<u16>,
    /// Default: an echo request.
    pub icmp_type: Option<u8>,
    pub icmp_code: Option<u8>,
    /// L3 bytes; default 64.
    pub length: Option<u16>,
    /// IPv4: it may not be cut into pieces.
    pub dont_fragment: bool,
    /// Its frame's destination MAC; default that of the VIF that it goes to where both are ports of one bridge, else the gateway's.
    pub mac: Option<Mac>,
    /// Default `forward`.
    pub result: Wanted,
    /// The VIF that it leaves by; default the one that it goes to.
    pub leaves_by: Option<String>,
    /// Far end of the tunnel that it leaves by.
    #[serde(deserialize_with = "optional_address")]
    #[schemars(with = "Option<String>")]
    pub remote: Option<IpAddr>,
    /// How many frames it leaves in; default 1.
    pub pieces: Option<u32>,
    /// What becomes of the answer; default `forward` where the packet itself is forwarded, else `any`.
    pub reply: Option<Wanted>,
    /// The VIF that the answer leaves by; default the one that the packet entered by.
    pub reply_leaves_by: Option<String>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// It leaves.
    #[default]
    Forward,
    /// It is for the vRouter itself, or the host's kernel.
    Local,
    /// It is dropped, for whatever reason.
    Drop,
    /// It is dropped for this reason.
    DropFor(DropReason),
    Any,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted::Forward => "forward",
            Wanted::Local => "local",
            Wanted::Drop => "drop",
            Wanted::DropFor(reason) => reason.name(),
            Wanted::Any => "any",
        })
    }
}

/// No such result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of forward, local, drop, any, nor a reason for drops as `vrctl drops` names it")]
pub struct UnknownResult(String);

impl FromStr for Wanted {
    type Err = UnknownResult;

    fn from_str(text: &str) -> Result<Wanted, UnknownResult> {
        Ok(match text {
            "forward" => Wanted::Forward,
            "local" => Wanted::Local,
            "drop" => Wanted::Drop,
            "any" => Wanted::Any,
            _ => Wanted::DropFor(DropReason::named(text).ok_or_else(|| UnknownResult(text.to_owned()))?),
        })
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Wanted, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let results = ["forward", "local", "drop", "any"].into_iter();
        let all: Vec<_> = results.chain(DropReason::ALL.iter().map(|reason| reason.name())).collect();
        json_schema!({ "type": "string", "enum": all, "description": "What becomes of a packet; a reason says why it is dropped." })
    }
}

impl Wanted {
    /// Whether this is what became of a packet: `forward`, `local` or a reason's name.
    pub fn is(self, verdict: &str) -> bool {
        match self {
            Wanted::Forward => verdict == "forward",
            Wanted::Local => verdict == "local",
            Wanted::Drop => !matches!(verdict, "forward" | "local"),
            Wanted::DropFor(reason) => verdict == reason.name(),
            Wanted::Any => true,
        }
    }
}

impl Expectations {
    /// Reads a file's text; `file` is for errors.
    pub fn parse(file: &str, text: &str) -> Result<Expectations, FileError> {
        read_yaml(file, text)
    }

    /// The JSON schema of the language.
    pub fn schema() -> Schema {
        schemars::schema_for!(Expectations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_many_are_read_and_what_is_unknown_is_refused_where_it_stands() {
        let text = "expect:\n- {from: web1, to: [db1, 10.1.1.9], port: 5432}\n- {from: [a, b], to_vrf: red, result: acl_deny}\n";
        let read = Expectations::parse("e.yaml", text);
        assert!(read.unwrap_err().to_string().starts_with("e.yaml:3:"), "acl_deny is no reason");
        let read = Expectations::parse("e.yaml", &text.replace("acl_deny", "acl_vrf")).unwrap().expect;
        assert_eq!(
            (&read[0].from[..], &read[0].to[..]),
            (&["web1".into()][..], &["db1".into(), "10.1.1.9".into()][..])
        );
        assert_eq!((read[0].port, read[0].result, read[0].reply), (Some(5432), Wanted::Forward, None));
        assert_eq!((read[1].from.len(), read[1].result.to_string().as_str()), (2, "acl_vrf"));
        assert_eq!(read[1].position.line, 3);
        let unknown = Expectations::parse("e.yaml", "expect:\n- {fro: web1}\n").unwrap_err().to_string();
        assert!(unknown.starts_with("e.yaml:2:") && unknown.contains("fro"), "{unknown}");
    }

    #[test]
    fn what_became_of_a_packet_is_judged() {
        let cases =
            [("forward", [true, false, false]), ("local", [false, true, false]), ("drop", [false, false, true])];
        for (wanted, is) in cases {
            let wanted: Wanted = wanted.parse().unwrap();
            assert_eq!(["forward", "local", "no_route"].map(|verdict| wanted.is(verdict)), is, "{wanted}");
        }
        let no_route = Wanted::DropFor(DropReason::named("no_route").unwrap());
        assert_eq!(["no_route", "forward", "ttl_expired"].map(|verdict| no_route.is(verdict)), [true, false, false]);
    }
}
