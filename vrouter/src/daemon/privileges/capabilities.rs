//! Capabilities: those that ports need which are opened later, and no others.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// What AF_XDP needs: it looks for programs on its interface and loads one, of which the kernel lets nobody else see all.
const AF_XDP: CapabilitySet = CapabilitySet::SYS_ADMIN;
/// What is kept, and what for.
const KEPT: [(CapabilitySet, &str); 4] = [
    (CapabilitySet::NET_RAW, "sockets of net_af_packet and net_af_xdp"),
    (CapabilitySet::NET_ADMIN, "taps, MTU and promiscuous mode of the kernel's interfaces, queues of AF_XDP"),
    (CapabilitySet::IPC_LOCK, "memory that devices write to stays where it is"),
    (CapabilitySet::SYS_NICE, "BFD's thread comes before others"),
];

/// Those of a set, by name.
pub struct Names(pub CapabilitySet);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, _)) in self.0.iter_names().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// What these devices need beside that.
pub fn of_devices<'a>(mut devargs: impl Iterator<Item = &'a str>) -> CapabilitySet {
    if devargs.any(|it| it.trim_start().starts_with("net_af_xdp")) { AF_XDP } else { CapabilitySet::empty() }
}

/// Drops all of this thread's but those that are needed, and these. Returns what it has then.
pub fn drop_all_but(besides: CapabilitySet) -> io::Result<Names> {
    let needed = KEPT.iter().fold(besides, |needed, (one, _)| needed | *one);
    let had = capabilities(None)?;
    let kept = had.permitted & needed;
    // a program that is run later gets no more, root's included; who has not SETPCAP has that from no_new_privs alone
    if had.effective.contains(CapabilitySet::SETPCAP) {
        for (_, one) in CapabilitySet::all().iter_names() {
            if !needed.contains(one) {
                leave_out(one)?;
            }
        }
    }
    clear_ambient_capability_set()?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    Ok(Names(kept))
}

/// A capability that this kernel does not know cannot be there.
fn leave_out(one: CapabilitySet) -> io::Result<()> {
    match capability_is_in_bounding_set(one) {
        Ok(true) => Ok(remove_capability_from_bounding_set(one)?),
        Ok(false) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
