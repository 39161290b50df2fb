//! Numbers and addresses as types of their own, so that none is taken for another.
//!
//! Numbers of VRFs, VIFs and next hops are handed out by the model, rise, and are never reused: a flow entry that holds one
//! from long ago finds nothing rather than somebody else.

use std::fmt;
use std::net::Ipv6Addr;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number as an index into a table of rows.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(/// A VRF's number. Below 2^31.
    VrfId(u32));
number!(/// A VIF's number. Below 2^31.
    VifId(u32));
number!(/// A bridge's number.
    BridgeId(u32));
number!(/// A next hop's number.
    NextHopId(u32));
number!(/// An ECMP member's stable name: 24 bits, 0: none. Returns after 16 million names only.
    MemberId(u32));
number!(/// A port's number, below the limit of ports. Reused once every worker has given back its end of the port before.
    PortIndex(u16));
number!(/// A worker's place, from 0.
    WorkerIndex(u16));
number!(/// A VXLAN network identifier, 24 bits (RFC 7348, section 5).
    Vni(u32));
number!(/// An MPLS label, 20 bits (RFC 3032, section 2.1).
    Label(u32));
number!(/// A VLAN's identifier, 1 to 4094 (IEEE 802.1Q).
    Vlan(u16));
/// The tags before the frames of a sub-interface: an 802.1Q one, or an 802.1ad one with an 802.1Q one behind (Q-in-Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags {
    pub outer: Vlan,
    pub inner: Option<Vlan>,
}

number!(/// A version of the model. Rises with every accepted batch, never goes back.
    Generation(u64));
number!(/// Coarse time: tenths of a second since the host's boot (CLOCK_BOOTTIME). Wraps after 13 years.
    Tick(u32));

impl Tick {
    /// Ticks in a second.
    pub const PER_SECOND: u32 = 10;

    /// Ticks from `earlier` to `self`; 0 if `earlier` is not earlier.
    pub fn since(self, earlier: Tick) -> u32 {
        let ticks = self.0.wrapping_sub(earlier.0);
        if ticks > u32::MAX / 2 { 0 } else { ticks }
    }
}

/// The place where a packet enters: a VIF, or the tunnel side of a VRF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Sent by the tenant behind this VIF (or received on this fabric VIF).
    Vif(VifId),
    /// Came out of a tunnel into this VRF.
    Tunnel(VrfId),
}

/// A place as 32 bits of a flow's key: the *context* (design, section 5b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(pub u32);

impl From<Place> for Context {
    fn from(place: Place) -> Context {
        match place {
            Place::Vif(vif) => Context(vif.0),
            Place::Tunnel(vrf) => Context(vrf.0 | 1 << 31),
        }
    }
}

impl From<Context> for Place {
    fn from(context: Context) -> Place {
        if context.0 >> 31 == 0 { Place::Vif(VifId(context.0)) } else { Place::Tunnel(VrfId(context.0 & !(1 << 31))) }
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Group bit: broadcast or multicast.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The IPv6 link-local address with the modified EUI-64 of this MAC (RFC 4291, appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0.map(u16::from);
        Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::str::FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Mac(mac)) }
    }
}

/// Text that is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address (six pairs of hex digits with colons)")]
pub struct MacError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_names_its_place_again() {
        for place in [Place::Vif(VifId(0)), Place::Vif(VifId(7)), Place::Tunnel(VrfId(0)), Place::Tunnel(VrfId(7))] {
            assert_eq!(Place::from(Context::from(place)), place);
        }
    }

    #[test]
    fn macs_are_read_as_they_are_written() {
        let mac = Mac([2, 0, 0xab, 0, 0, 0xff]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for bad in ["", "02:00", "02:00:ab:00:00:ff:00", "2:0:ab:0:0:ff", "02:00:ab:00:00:+f", "zz:00:ab:00:00:ff"] {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }

    #[test]
    fn a_mac_has_a_link_local_address() {
        // the example of RFC 4291, appendix A (34-56-78-9A-BC-DE) with its universal bit inverted
        assert_eq!(Mac([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]).link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn ticks_wrap() {
        assert_eq!(Tick(3).since(Tick(u32::MAX)), 4);
        assert_eq!(Tick(3).since(Tick(5)), 0);
    }
}
