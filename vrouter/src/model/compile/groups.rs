//! Rows of next hops that are several.

use std::sync::Arc;

use hashbrown::HashSet;

use super::Touched;
use super::index::Index;
use super::next_hops::set;
use crate::ids::{MemberId, NextHopId};
use crate::model::records::{Hop, Path};
use crate::model::state::{Dirty, State};
use crate::tables::{Group, Member, NextHop, NextHopKind, Snapshot, Underlay};

/// The number of a stable name as flows keep it: 1 to 2^24 - 1.
pub(super) fn member(name: u32) -> MemberId {
    MemberId(name % 0xff_ffff + 1)
}

/// Takes in what next-hop groups changed to. Where all ways are tunnels of one VRF, its answers come from the same place whichever is taken,
/// and no ACL tells one from another: what notices is the flows of ways that are no more (see [`notice`]). Else all flows of the VRF do.
pub(super) fn regroup(state: &State, dirty: &Dirty, index: &mut Index, now: &Snapshot, touched: &mut Touched) {
    let row = |path: &Path| now.next_hops.row(path.next_hop.index()).map(|row| &row.kind);
    let was_tunnel = |path: &Path| matches!(row(path), Some(NextHopKind::Tunnel(_)));
    let is_tunnel = |path: &Path| matches!(state.hop(path.next_hop), Some((_, Hop::Tunnel { .. })));
    for &id in &dirty.hop_groups {
        let Some((vrf, hop)) = state.hop(id) else { continue };
        let Some(ways) = state.several(hop) else { continue };
        touched.groups.insert(id);
        let Some(before) = index.group(id, ways.clone()) else { continue };
        let tunnels = before.iter().all(was_tunnel) && ways.iter().all(is_tunnel);
        if !tunnels && before != ways {
            touched.vrfs.insert(vrf);
        }
    }
}

/// Makes the rows of the groups that were touched, or of which a way may have come up or gone down, and returns them: those of the fabric
/// or those of tenants. After their ways.
pub(super) fn compile(
    state: &State,
    dirty: &Dirty,
    index: &Index,
    next: &mut Snapshot,
    touched: &HashSet<NextHopId>,
    fabric: bool,
) -> Vec<NextHopId> {
    let vifs = dirty.links.iter().flat_map(|port| state.vifs_on(*port));
    let vifs: Vec<_> = vifs.filter_map(|vif| state.vif_by_id.get(&vif)).collect();
    let gateways = vifs.iter().flat_map(|vif| index.gateways(vif.vrf));
    let ways = vifs.iter().flat_map(|vif| index.to_vif(vif.id)).chain(gateways);
    let linked = ways.flat_map(|way| index.groups_of(way));
    let mut made = Vec::new();
    let mut left = Touched::default();
    for id in linked.chain(touched.iter().copied()).collect::<HashSet<_>>() {
        let Some((vrf, hop)) = state.hop(id) else { continue };
        let Some(ways) = state.several(hop) else { continue };
        let named = |group: Group| match state.hop_group(hop) {
            Some(record) => group.named(record.name.clone(), record.hash),
            None => group,
        };
        let is_gateway = |path: &Path| matches!(state.hop(path.next_hop), Some((_, Hop::Gateway(_))));
        if ways.iter().any(is_gateway) != fabric {
            continue;
        }
        made.push(id);
        let live = ways.iter().any(|path| is_up(state, next, path.next_hop));
        let one = |path: &Path| Member {
            id: member(path.name),
            weight: path.weight,
            backup: path.backup,
            next_hop: path.next_hop,
            up: if fabric && !live { is_asked(state, next, path.next_hop) } else { is_up(state, next, path.next_hop) },
        };
        let members: Vec<Member> = ways.iter().map(one).collect();
        if fabric {
            let kind = NextHopKind::Group(named(Group::of_underlay(members)));
            set(next, id, NextHop::new(u16::MAX, kind), false);
            continue;
        }
        let before = match next.next_hops.row(id.index()).map(|row| &row.kind) {
            Some(NextHopKind::Group(group)) => Some(group.clone()),
            _ => None,
        };
        let group = named(Group::new(members));
        if let Some(before) = before
            && notice(next, &before, &group)
            && !state.of_redirect.is_empty()
        {
            // flows that a rule sent elsewhere hang on what they left as well
            left.vrfs.insert(vrf);
        }
        let kind = NextHopKind::Group(group);
        set(next, id, NextHop::new(u16::MAX, kind), false);
    }
    index.reach.raise(next, &mut left);
    made
}

/// Something came up or went down, or the group has other ways: the flows of those that serve no more, or lead elsewhere, look for another.
/// False: there are none.
fn notice(next: &mut Snapshot, before: &Group, group: &Group) -> bool {
    let mut noticed = false;
    let same = |old: &Member, new: &Member| (old.id, old.next_hop) == (new.id, new.next_hop);
    let stays = |old: &&Member| group.members().iter().any(|new| same(old, new) && group.serves(new));
    for member in before.members().iter().filter(|old| before.serves(old) && !stays(old)) {
        noticed = true;
        let at = member.next_hop.index();
        if let Some(row) = next.next_hops.row(at) {
            let mut raised = row.clone();
            raised.set_stamp(next.generation);
            next.next_hops.set(at, Some(Arc::new(raised)));
        }
    }
    noticed
}

/// Whether a way can be sent by, as far as is known.
fn is_up(state: &State, next: &Snapshot, way: NextHopId) -> bool {
    if state.is_cut(way, None) {
        return false;
    }
    match next.next_hops.row(way.index()).map(|row| &row.kind) {
        Some(NextHopKind::Tunnel(tunnel)) => tunnel.leads,
        // a neighbour that does not answer is forgotten: while another does, it has the traffic
        Some(NextHopKind::Fabric(Underlay::Resolved(adjacency))) => !state.links_down.contains(&adjacency.port),
        Some(NextHopKind::Vif { port, .. }) => {
            !state.links_down.contains(&next.branches.of(*port).map_or(*port, |branch| branch.port))
        }
        _ => false,
    }
}

/// Whether packets may wait for the neighbour of an underlay's way: it has a link, and no answer yet.
fn is_asked(state: &State, next: &Snapshot, way: NextHopId) -> bool {
    let row = next.next_hops.row(way.index()).map(|row| &row.kind);
    let Some(NextHopKind::Fabric(Underlay::Resolving { vif, .. })) = row else { return false };
    !state.is_cut(way, None) && next.vifs.row(vif.index()).is_some_and(|vif| !state.links_down.contains(&vif.port))
}
