//! Next-hop groups, as they are in YAML.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::objects::Via;
use super::{TextError, ToProto, v1};
use v1::object::Kind;

/// Several ways that routes share: `via: {group: NAME}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextHopGroup {
    pub name: String,
    pub vrf: String,
    /// The ways, as in `ecmp` of a route.
    pub paths: Vec<Via>,
    /// By what the path of a new flow is chosen; default five_tuple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashFields>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What flows have in common that are given the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashFields {
    FiveTuple,
    Addresses,
    AddressesAndProtocol,
}

impl ToProto for NextHopGroup {
    fn to_proto(&self) -> Result<Kind, (String, String)> {
        let wrong = |(field, reason)| (format!("next_hop_group {} {field}", self.name), reason);
        let paths = Via::paths("paths", &self.paths).map_err(wrong)?;
        let hash = match self.hash {
            None | Some(HashFields::FiveTuple) => v1::HashFields::Default,
            Some(HashFields::Addresses) => v1::HashFields::Addresses,
            Some(HashFields::AddressesAndProtocol) => v1::HashFields::AddressesAndProtocol,
        };
        let (name, vrf) = (self.name.clone(), self.vrf.clone());
        Ok(Kind::NextHopGroup(v1::NextHopGroup { name, vrf, paths, hash: hash.into() }))
    }
}

impl TryFrom<&v1::NextHopGroup> for NextHopGroup {
    type Error = TextError;

    fn try_from(group: &v1::NextHopGroup) -> Result<NextHopGroup, TextError> {
        let paths = group.paths.iter().map(Via::try_from).collect::<Result<_, _>>()?;
        let hash = match group.hash() {
            v1::HashFields::Default => None,
            v1::HashFields::Addresses => Some(HashFields::Addresses),
            v1::HashFields::AddressesAndProtocol => Some(HashFields::AddressesAndProtocol),
        };
        Ok(NextHopGroup { name: group.name.clone(), vrf: group.vrf.clone(), paths, hash, owner: None })
    }
}
