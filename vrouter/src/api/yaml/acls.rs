//! ACLs and address groups.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::position::At;
use crate::api::scalar::{one_or_many, one_or_many_schema, protocol_or_any};
use crate::api::text::{Ports, Prefix, Protocol};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    #[serde(default)]
    pub prefixes: Vec<Prefix>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Ordered rules, first match decides, ends in deny.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acl {
    pub name: String,
    #[serde(default)]
    pub rules: Vec<At<Rule>>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Permit,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub name: Option<String>,
    pub action: Action,
    /// Absent or `any`: every protocol.
    #[serde(default, deserialize_with = "protocol_or_any")]
    pub protocol: Option<Protocol>,
    /// A prefix, `{group: NAME}`, or `any`.
    #[serde(default, deserialize_with = "match_or_any")]
    pub source: Option<AddressMatch>,
    #[serde(default, deserialize_with = "match_or_any")]
    pub destination: Option<AddressMatch>,
    /// One or a list; absent: any. Needs protocol tcp, udp, sctp or udplite.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(schema_with = "one_or_many_schema::<Ports>")]
    pub source_ports: Vec<Ports>,
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(schema_with = "one_or_many_schema::<Ports>")]
    pub destination_ports: Vec<Ports>,
    /// Needs protocol icmp or icmpv6.
    #[serde(default)]
    pub icmp_type: Option<u8>,
    #[serde(default)]
    pub icmp_code: Option<u8>,
    /// Where what it permits goes instead of by its route: `{vif: NAME}`, a service, or `{vrf: NAME}`, by the routes of that VRF.
    #[serde(default)]
    pub redirect: Option<Redirect>,
}

/// Another way than the route's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    Vrf(String),
    Vif(String),
}

/// A prefix, or an address group by name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AddressMatch {
    Prefix(Prefix),
    Group { group: String },
}

fn match_or_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<AddressMatch>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ByGroup {
        group: String,
    }

    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Option<AddressMatch>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a prefix, {group: NAME}, or any")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text == "any" { Ok(None) } else { text.parse().map(AddressMatch::Prefix).map(Some).map_err(E::custom) }
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let ByGroup { group } = ByGroup::deserialize(MapAccessDeserializer::new(map))?;
            Ok(Some(AddressMatch::Group { group }))
        }
    }

    from.deserialize_any(Either)
}
