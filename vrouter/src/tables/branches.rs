//! Sub-interfaces: VIFs that share a port with others, told apart by VLAN tags. To all that decides about packets each is a port of its own,
//! whose number is above those of devices; tags are taken off before anything else looks at a frame, and put on after everything else.

use hashbrown::HashMap;

use crate::ids::{PortIndex, Tags, VifId, Vlan};

/// What a sub-interface's frames go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The device's port.
    pub port: PortIndex,
    pub tags: Tags,
    pub vif: VifId,
}

/// All sub-interfaces, by their own port numbers and by what their frames bear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branches {
    by_port: HashMap<PortIndex, Branch>,
    by_tags: HashMap<(PortIndex, Tags), VifId>,
    /// By device's port: how many it has.
    counts: Vec<u32>,
}

impl Branches {
    /// Whether a device's port has any.
    #[inline]
    pub fn are_on(&self, port: usize) -> bool {
        self.counts.get(port).is_some_and(|count| *count > 0)
    }

    /// The sub-interface with this port number of its own.
    #[inline]
    pub fn of(&self, port: PortIndex) -> Option<&Branch> {
        self.by_port.get(&port)
    }

    /// The sub-interface for frames that came by a device's port with these VLANs, and how many of the tags are its own: that of both, if there
    /// is one, else that of the first alone.
    pub fn find(&self, port: PortIndex, outer: Vlan, inner: Option<Vlan>) -> Option<(VifId, usize)> {
        let vif = |inner| self.by_tags.get(&(port, Tags { outer, inner })).copied();
        let both = inner.and_then(|inner| vif(Some(inner)));
        both.map(|vif| (vif, 2)).or_else(|| vif(None).map(|vif| (vif, 1)))
    }

    /// Adds or takes away (`None`) the sub-interface with this port number of its own.
    pub fn set(&mut self, own: PortIndex, branch: Option<Branch>) {
        if let Some(old) = self.by_port.remove(&own) {
            self.by_tags.remove(&(old.port, old.tags));
            self.counts[old.port.index()] -= 1;
        }
        if let Some(new) = branch {
            self.by_port.insert(own, new);
            self.by_tags.insert((new.port, new.tags), new.vif);
            self.counts.resize(self.counts.len().max(new.port.index() + 1), 0);
            self.counts[new.port.index()] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_specific_tags_win_and_what_is_taken_away_is_gone() {
        let (port, mut branches) = (PortIndex(3), Branches::default());
        let tags = |outer, inner: Option<u16>| Tags { outer: Vlan(outer), inner: inner.map(Vlan) };
        let branch = |tags, vif| Some(Branch { port, tags, vif: VifId(vif) });
        branches.set(PortIndex(100), branch(tags(7, None), 1));
        branches.set(PortIndex(101), branch(tags(7, Some(9)), 2));
        let find = |branches: &Branches, outer, inner: Option<u16>| branches.find(port, Vlan(outer), inner.map(Vlan));
        assert_eq!(find(&branches, 7, Some(9)), Some((VifId(2), 2)));
        assert_eq!(find(&branches, 7, Some(8)), Some((VifId(1), 1)));
        assert_eq!(find(&branches, 7, None), Some((VifId(1), 1)));
        assert_eq!(find(&branches, 8, Some(7)), None);
        assert_eq!(branches.find(PortIndex(2), Vlan(7), None), None, "another port");
        assert!(branches.are_on(3) && !branches.are_on(2) && !branches.are_on(4));
        branches.set(PortIndex(100), None);
        assert_eq!((find(&branches, 7, None), find(&branches, 7, Some(9))), (None, Some((VifId(2), 2))));
        branches.set(PortIndex(101), branch(tags(5, None), 2));
        assert_eq!((find(&branches, 7, Some(9)), find(&branches, 5, None)), (None, Some((VifId(2), 1))));
        assert_eq!(branches.of(PortIndex(101)).map(|branch| branch.tags), Some(tags(5, None)));
        branches.set(PortIndex(101), None);
        assert!(!branches.are_on(3));
    }
}
