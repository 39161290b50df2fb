//! Router advertisements in the network language, with the contract's defaults.

use std::net::{IpAddr, Ipv6Addr};

use serde::Deserialize;

use super::config;
use super::language::prefix;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Advertisement {
    managed: bool,
    other: bool,
    prefixes: Vec<Advertised>,
    lifetime: Option<u16>,
    max_interval: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advertised {
    prefix: String,
    #[serde(default = "yes")]
    on_link: bool,
    #[serde(default = "yes")]
    autonomous: bool,
    #[serde(default)]
    valid_lifetime: Option<u32>,
    #[serde(default)]
    preferred_lifetime: Option<u32>,
}

fn yes() -> bool {
    true
}

pub fn read(given: Advertisement) -> Result<config::Advertisement, String> {
    let prefixes = given.prefixes.into_iter().map(advertised).collect::<Result<_, _>>()?;
    let lifetime = given.lifetime.unwrap_or(1800);
    let max_interval = match (given.max_interval, lifetime) {
        (0, 0 | 600..) => 600,
        // an interval is 4 s at least
        (0, lifetime) => lifetime.max(4).into(),
        (given, _) => given,
    };
    Ok(config::Advertisement { managed: given.managed, other: given.other, prefixes, lifetime, max_interval })
}

fn advertised(given: Advertised) -> Result<config::Advertised, String> {
    let prefix = prefix(&given.prefix)?;
    let IpAddr::V6(address) = prefix.address else { return Err(format!("{} is no IPv6 prefix", given.prefix)) };
    let low = u128::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
    let valid = given.valid_lifetime.unwrap_or(30 * 24 * 3600);
    Ok(config::Advertised {
        address: Ipv6Addr::from_bits(address.to_bits() & !low),
        length: prefix.length,
        on_link: given.on_link,
        autonomous: given.autonomous,
        valid,
        preferred: given.preferred_lifetime.unwrap_or(valid.min(7 * 24 * 3600)),
    })
}
