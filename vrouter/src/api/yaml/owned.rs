//! Whose objects of the network language are.

use super::{
    Acl, BfdSession, Bridge, FdbEntry, Group, Label, Neighbour, NextHopGroup, Port, Route, Settings, Vif, Vni, Vrf,
};

/// An object with an owner.
pub(super) trait Owned {
    /// Absent: who applies the file.
    fn owner(&self) -> Option<&str>;

    fn set_owner(&mut self, owner: Option<String>);
}

macro_rules! owned {
    ($($object:ident),*) => {$(
        impl Owned for $object {
            fn owner(&self) -> Option<&str> {
                self.owner.as_deref()
            }

            fn set_owner(&mut self, owner: Option<String>) {
                self.owner = owner;
            }
        }
    )*};
}

owned!(Settings, Port, Vrf, Bridge, Vif, NextHopGroup, Neighbour, FdbEntry, Vni, Label, Group, Acl, BfdSession);

/// A route's is in its key.
impl Owned for Route {
    fn owner(&self) -> Option<&str> {
        None
    }

    fn set_owner(&mut self, _: Option<String>) {}
}
