//! What a packet is sent by.

use std::net::IpAddr;

use super::headers::Mac;

/// What a route of a controller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    Drop,
    Vif {
        vif: u32,
        mac: Option<Mac>,
    },
    /// Out of this VIF, the frame as it is.
    Bridged(u32),
    Gateway(IpAddr),
    /// Look the same destination up there.
    Vrf(u32),
    /// Several, of which each flow has one; see [`Config::paths`].
    Paths(u32),
    /// Those of this next-hop group, whatever they are; see [`Config::hop_groups`].
    Group(u32),
    Tunnel {
        remote: IpAddr,
        encap: Encap,
    },
    /// Of VIFs: an address of ours.
    Receive,
    /// Of VIFs: on the subnet of this one; the packet's own destination is the neighbour.
    Connected(u32),
    /// Of VIFs: a neighbour whose MAC is known.
    Neighbour(u32, IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encap {
    Vxlan {
        vni: u32,
        mac: Mac,
    },
    Geneve {
        vni: u32,
        mac: Mac,
    },
    MplsOverUdp {
        label: u32,
    },
    MplsOverGre {
        label: u32,
    },
    /// The whole frame.
    FramesInVxlan {
        vni: u32,
        leaf: bool,
    },
    FramesInGeneve {
        vni: u32,
        leaf: bool,
    },
    FramesInMplsOverUdp {
        label: u32,
        leaf: bool,
    },
    FramesInMplsOverGre {
        label: u32,
        leaf: bool,
    },
}

impl Encap {
    pub fn takes_frames(self) -> bool {
        use Encap::{FramesInGeneve, FramesInMplsOverGre, FramesInMplsOverUdp, FramesInVxlan};
        matches!(
            self,
            FramesInVxlan { .. } | FramesInGeneve { .. } | FramesInMplsOverUdp { .. } | FramesInMplsOverGre { .. }
        )
    }
}

impl Which {
    /// Whether frames lead to a leaf of an E-tree behind a tunnel.
    pub fn leads_to_leaf(self) -> bool {
        use Encap::{FramesInGeneve, FramesInMplsOverGre, FramesInMplsOverUdp, FramesInVxlan};
        let Which::Tunnel { encap, .. } = self else { return false };
        match encap {
            FramesInVxlan { leaf, .. } | FramesInGeneve { leaf, .. } => leaf,
            FramesInMplsOverUdp { leaf, .. } | FramesInMplsOverGre { leaf, .. } => leaf,
            _ => false,
        }
    }

    /// Whether frames leave by it as they are.
    pub fn takes_frames(self) -> bool {
        match self {
            Which::Bridged(_) => true,
            Which::Tunnel { encap, .. } => encap.takes_frames(),
            _ => false,
        }
    }
}
