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
}

impl ToProto for NextHopGroup {
    fn to_proto(&self) -> Result<Kind, (String, String)> {
        let wrong = |(field, reason)| (format!("next_hop_group {} {field}", self.name), reason);
        let paths = Via::paths("paths", &self.paths).map_err(wrong)?;
        Ok(Kind::NextHopGroup(v1::NextHopGroup { name: self.name.clone(), vrf: self.vrf.clone(), paths }))
    }
}

impl TryFrom<&v1::NextHopGroup> for NextHopGroup {
    type Error = TextError;

    fn try_from(group: &v1::NextHopGroup) -> Result<NextHopGroup, TextError> {
        let paths = group.paths.iter().map(Via::try_from).collect::<Result<_, _>>()?;
        Ok(NextHopGroup { name: group.name.clone(), vrf: group.vrf.clone(), paths })
    }
}
