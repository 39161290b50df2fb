//! Router advertisements of a VIF.

use std::net::IpAddr;

use crate::api::v1;
use crate::model::read;
use crate::model::records::Prefix;
use crate::model::refusal::{At, Reason, Refusal};
use crate::tables::{AdvertisedPrefix, RouterAdvertisement};

/// Prefixes in one advertisement, so that it fits the least MTU of IPv6.
const MOST_PREFIXES: usize = 16;
/// The longest MaxRtrAdvInterval in seconds (RFC 4861, section 6.2.1).
const LONGEST_INTERVAL: u32 = 1800;

/// Reads what a VIF advertises.
pub(super) fn read(given: &v1::RouterAdvertisement) -> Result<RouterAdvertisement, Refusal> {
    let least = RouterAdvertisement::LEAST_INTERVAL;
    let max_interval = match given.max_interval {
        0 => None,
        seconds => Some(read::number(seconds, least.into(), LONGEST_INTERVAL).at("max_interval")? as u16),
    };
    let lifetime = match given.lifetime {
        None => None,
        Some(0) => Some(0),
        Some(seconds) => {
            let low = max_interval.unwrap_or(least);
            Some(read::number(seconds, low.into(), u16::MAX.into()).at("lifetime")? as u16)
        }
    };
    let prefixes = read::each("prefixes", &given.prefixes, MOST_PREFIXES, prefix)?;
    let keys: Vec<_> = prefixes.iter().map(|one| (one.address, one.length)).collect();
    read::no_twins("prefixes", &keys)?;
    Ok(RouterAdvertisement { managed: given.managed, other: given.other, prefixes, lifetime, max_interval })
}

fn prefix(given: &v1::AdvertisedPrefix) -> Result<AdvertisedPrefix, Refusal> {
    let prefix = read::needed_prefix(given.prefix.as_ref()).at("prefix")?;
    let Prefix { address: IpAddr::V6(address), length } = prefix else {
        return Err(Reason::Family.at("prefix.address"));
    };
    read::number(length.into(), 1, 128).at("prefix.length")?;
    if address.is_multicast() {
        return Err(Reason::NotUnicast(address.into()).at("prefix.address"));
    }
    if read::is_link_local(prefix) {
        return Err(Reason::LinkLocal.at("prefix"));
    }
    let one = AdvertisedPrefix {
        address,
        length,
        on_link: !given.off_link,
        autonomous: !given.not_autonomous,
        valid_lifetime: given.valid_lifetime,
        preferred_lifetime: given.preferred_lifetime,
    };
    read::number(one.preferred_lifetime(), 0, one.valid_lifetime()).at("preferred_lifetime")?;
    Ok(one)
}
