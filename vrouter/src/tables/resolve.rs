//! From a VRF and a destination to the next hop that forwards: routes into other VRFs are followed, one of several ways is chosen.

use std::net::IpAddr;

use super::{Group, Member, NextHopKind, Snapshot, Vrf};
use crate::ids::{MemberId, NextHopId, VrfId};

/// VRFs that one packet passes at most, its own included.
pub const VRF_DEPTH: usize = 8;

/// Where routes lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// It leads into no other VRF, and is no group.
    pub next_hop: NextHopId,
    /// The group that it was chosen of, and under which name.
    pub chosen: Option<(NextHopId, MemberId)>,
    /// The prefix length of the first route, that of the VRF asked.
    pub length: u8,
    passed: [VrfId; VRF_DEPTH],
    count: u8,
}

impl Resolved {
    /// A next hop that was found without a route, in this VRF.
    pub fn without_route(vrf: VrfId, next_hop: NextHopId) -> Resolved {
        Resolved { next_hop, chosen: None, length: 0, passed: [vrf; VRF_DEPTH], count: 1 }
    }

    /// The name of the chosen member; 0: the route has one way.
    pub fn member(&self) -> MemberId {
        self.chosen.map_or(MemberId(0), |(_, member)| member)
    }

    /// The VRFs passed, in order: at least the one asked.
    pub fn passed(&self) -> &[VrfId] {
        &self.passed[..usize::from(self.count)]
    }
}

/// Why routes lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// This VRF has no route there.
    NoRoute(VrfId),
    /// More than [`VRF_DEPTH`] VRFs, perhaps in a circle; this was the last.
    TooDeep(VrfId),
    /// A number without a row.
    Gone(VrfId),
}

impl Snapshot {
    /// The next hop to `destination` by the routes of this VRF, and of those that they lead into; `choose` has its say where there are
    /// several. `see` is told each lookup: the VRF, and the matching prefix length and next hop.
    ///
    /// # Errors
    /// See [`Unresolved`].
    pub fn resolve(
        &self,
        vrf: VrfId,
        destination: IpAddr,
        choose: impl FnOnce(&Group) -> Member,
        see: impl FnMut(&Vrf, Option<(u8, NextHopId)>),
    ) -> Result<Resolved, Unresolved> {
        self.follow(Resolved { count: 0, ..Resolved::without_route(vrf, NextHopId(0)) }, vrf, destination, choose, see)
    }

    /// The same by the routes of another VRF than the packet came into, which it has passed.
    ///
    /// # Errors
    /// See [`Unresolved`].
    pub fn resolve_from(
        &self,
        passed: VrfId,
        vrf: VrfId,
        destination: IpAddr,
        choose: impl FnOnce(&Group) -> Member,
        see: impl FnMut(&Vrf, Option<(u8, NextHopId)>),
    ) -> Result<Resolved, Unresolved> {
        let count = u8::from(passed != vrf);
        self.follow(Resolved { count, ..Resolved::without_route(passed, NextHopId(0)) }, vrf, destination, choose, see)
    }

    #[inline(always)]
    fn follow(
        &self,
        mut resolved: Resolved,
        mut asked: VrfId,
        destination: IpAddr,
        choose: impl FnOnce(&Group) -> Member,
        mut see: impl FnMut(&Vrf, Option<(u8, NextHopId)>),
    ) -> Result<Resolved, Unresolved> {
        while usize::from(resolved.count) < VRF_DEPTH {
            let vrf = self.vrfs.row(asked.index()).ok_or(Unresolved::Gone(asked))?;
            let found = vrf.route(destination);
            see(vrf, found);
            let (length, next_hop) = found.ok_or(Unresolved::NoRoute(asked))?;
            if resolved.count == 0 {
                resolved.length = length;
            }
            resolved.passed[usize::from(resolved.count)] = asked;
            resolved.count += 1;
            match self.next_hops.row(next_hop.index()).map(|row| &row.kind) {
                Some(NextHopKind::Vrf(other)) => asked = *other,
                Some(NextHopKind::Group(group)) => {
                    let Member { id, next_hop: way, .. } = choose(group);
                    return Ok(Resolved { next_hop: way, chosen: Some((next_hop, id)), ..resolved });
                }
                Some(_) => return Ok(Resolved { next_hop, ..resolved }),
                None => return Err(Unresolved::Gone(asked)),
            }
        }
        Err(Unresolved::TooDeep(asked))
    }
}
