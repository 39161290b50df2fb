//! Changes of next-hop groups, as those in [`super::journal`].

use std::sync::Arc;

use super::journal::{Undo, replace, take_number};
use super::records::{HopGroup, HopGroupId};
use super::refusal::Reason;
use super::state::State;

impl State {
    /// A number for a new next-hop group.
    pub fn number_hop_group(&mut self, name: &str) -> Result<HopGroupId, Reason> {
        if let Some(given) = self.given.next_hop_groups.get(name) {
            return Ok(HopGroupId(*given));
        }
        self.journal.push(Undo::NextHopGroup(self.next_hop_group));
        take_number(&mut self.next_hop_group).map(HopGroupId)
    }

    /// A group is a user of its own next hop, and of its paths like an offer that has them.
    pub fn set_hop_group(&mut self, name: Arc<str>, new: Option<Arc<HopGroup>>) {
        let old = replace(&mut self.hop_groups, name.clone(), new.clone());
        for (group, by) in new.iter().map(|group| (group, 1)).chain(old.iter().map(|group| (group, -1))) {
            if by > 0 {
                self.hops.retain(group.next_hop.0);
            } else {
                self.hops.release(group.next_hop.0);
            }
            self.count_paths(group.vrf, group.paths, by);
            let groups = &mut self.of_vrf.entry(group.vrf).or_default().hop_groups;
            *groups = groups.strict_add_signed(by);
            self.drop_unused_vrf(group.vrf);
            self.dirty.hop_groups.insert(group.next_hop);
        }
        if let Some(old) = &old {
            self.hop_group_by_id.remove(&old.id);
        }
        if let Some(new) = new {
            self.hop_group_by_id.insert(new.id, new);
        }
        self.journal.push(Undo::HopGroup(name, old));
    }
}
