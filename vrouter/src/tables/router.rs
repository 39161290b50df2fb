//! What a VIF says in router advertisements.

use std::net::Ipv6Addr;

/// Router advertisements of a VIF; what is absent has the contract's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvertisement {
    pub managed: bool,
    pub other: bool,
    pub prefixes: Vec<AdvertisedPrefix>,
    /// Seconds.
    pub lifetime: Option<u16>,
    /// Seconds.
    pub max_interval: Option<u16>,
}

/// A prefix of the link, for the hosts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvertisedPrefix {
    /// Its bits beyond `length` are zero.
    pub address: Ipv6Addr,
    pub length: u8,
    pub on_link: bool,
    pub autonomous: bool,
    /// Seconds.
    pub valid_lifetime: Option<u32>,
    /// Seconds.
    pub preferred_lifetime: Option<u32>,
}

impl RouterAdvertisement {
    /// Seconds for which hosts take us for a default router (RFC 4861, section 6.2.1: AdvDefaultLifetime).
    pub fn lifetime(&self) -> u16 {
        self.lifetime.unwrap_or(1800)
    }

    /// Seconds between two unasked advertisements at most (MaxRtrAdvInterval).
    pub fn max_interval(&self) -> u16 {
        let given = self.lifetime().max(RouterAdvertisement::LEAST_INTERVAL);
        let lifetime = if self.lifetime() == 0 { 600 } else { given };
        self.max_interval.unwrap_or(lifetime.min(600))
    }

    /// The least MaxRtrAdvInterval in seconds.
    pub const LEAST_INTERVAL: u16 = 4;
}

impl AdvertisedPrefix {
    /// Seconds (AdvValidLifetime).
    pub fn valid_lifetime(&self) -> u32 {
        self.valid_lifetime.unwrap_or(30 * 24 * 3600)
    }

    /// Seconds (AdvPreferredLifetime).
    pub fn preferred_lifetime(&self) -> u32 {
        self.preferred_lifetime.unwrap_or(self.valid_lifetime().min(7 * 24 * 3600))
    }
}
