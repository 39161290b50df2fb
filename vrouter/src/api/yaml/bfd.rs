//! BFD sessions, as they are in YAML.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TextError, ToProto, v1};
use crate::api::scalar::{named_address, optional_address};
use crate::api::text::{address, address_bytes};
use v1::object::Kind;

/// A BFD session with a host of the underlay: all that leads to it is dead while the session has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BfdSession {
    pub name: String,
    /// One of the fabric.
    pub vrf: String,
    /// A neighbour on a connected subnet; with `multihop` any host, a VTEP mostly.
    #[serde(deserialize_with = "named_address")]
    pub remote: IpAddr,
    #[serde(default)]
    pub multihop: bool,
    /// Our end; default the address of the link, with `multihop` the VTEP.
    #[serde(default, deserialize_with = "optional_address")]
    pub local: Option<IpAddr>,
    /// Milliseconds between our packets; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub min_tx: Option<u32>,
    /// Milliseconds that we want between the peer's; default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub min_rx: Option<u32>,
    /// Our packets after whose loss the peer takes us for gone; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub multiplier: Option<u32>,
    /// With `multihop`: the least TTL or hop limit of the peer's packets; default 254.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub min_ttl: Option<u32>,
    /// The peer is told that we do not watch.
    #[serde(default)]
    pub admin_down: bool,
    /// Output only: admin_down, down, init or up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Output only: why it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// Output only: it was up, and ended otherwise than by someone's will.
    #[serde(default)]
    pub failed: bool,
    /// Output only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<BfdLive>,
    /// Whose it is; default: who applies the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// How a session does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BfdLive {
    pub local_discriminator: u32,
    /// 0: unknown.
    pub remote_discriminator: u32,
    pub remote_state: String,
    pub remote_diagnostic: String,
    /// Microseconds.
    pub remote_min_tx_us: u32,
    pub remote_min_rx_us: u32,
    pub remote_multiplier: u32,
    /// Between our packets, before jitter.
    pub tx_interval_us: u32,
    pub detection_time_us: u64,
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
    /// Times that it came up.
    pub ups: u64,
    pub failures: u64,
}

impl ToProto for BfdSession {
    fn to_proto(&self) -> Result<Kind, (String, String)> {
        Ok(Kind::BfdSession(Box::new(v1::BfdSession {
            name: self.name.clone(),
            vrf: self.vrf.clone(),
            remote: address_bytes(self.remote),
            multihop: self.multihop,
            local: self.local.map(address_bytes).unwrap_or_default(),
            min_tx: self.min_tx,
            min_rx: self.min_rx,
            multiplier: self.multiplier,
            min_ttl: self.min_ttl.unwrap_or(0),
            admin_down: self.admin_down,
            state: self.state.clone().unwrap_or_default(),
            diagnostic: self.diagnostic.clone().unwrap_or_default(),
            failed: self.failed,
            live: self.live.as_ref().map(v1::BfdLive::from),
        })))
    }
}

impl TryFrom<&v1::BfdSession> for BfdSession {
    type Error = TextError;

    fn try_from(session: &v1::BfdSession) -> Result<BfdSession, TextError> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let local = if session.local.is_empty() { None } else { Some(address(&session.local)?) };
        Ok(BfdSession {
            name: session.name.clone(),
            vrf: session.vrf.clone(),
            remote: address(&session.remote)?,
            multihop: session.multihop,
            local,
            min_tx: session.min_tx,
            min_rx: session.min_rx,
            multiplier: session.multiplier,
            min_ttl: (session.min_ttl != 0).then_some(session.min_ttl),
            admin_down: session.admin_down,
            state: text(&session.state),
            diagnostic: text(&session.diagnostic),
            failed: session.failed,
            live: session.live.as_ref().map(BfdLive::from),
            owner: None,
        })
    }
}

/// The same fields both ways.
macro_rules! both_ways {
    ($($field:ident),+) => {
        impl From<&BfdLive> for v1::BfdLive {
            fn from(live: &BfdLive) -> v1::BfdLive {
                v1::BfdLive { $($field: live.$field.clone()),+ }
            }
        }

        impl From<&v1::BfdLive> for BfdLive {
            fn from(live: &v1::BfdLive) -> BfdLive {
                BfdLive { $($field: live.$field.clone()),+ }
            }
        }
    };
}

both_ways!(
    local_discriminator,
    remote_discriminator,
    remote_state,
    remote_diagnostic,
    remote_min_tx_us,
    remote_min_rx_us,
    remote_multiplier,
    tx_interval_us,
    detection_time_us,
    sent,
    received,
    refused,
    ups,
    failures
);
