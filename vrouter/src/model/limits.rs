//! What is fixed when the model is made.

use crate::ids::{Mac, PortIndex};

/// How many of each the model takes; also used to count how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Those whose devices are not closed yet too. Never below the number of ports given at start.
    pub ports: usize,
    pub vrfs: usize,
    pub vifs: usize,
    /// Offers of routes of all VRFs and owners, the implicit ones of VIFs too. Those of neighbours are limited with them: what is learnt
    /// takes no place that a controller could take meanwhile.
    pub routes: usize,
    /// Different next hops, counted per VRF, but for neighbours.
    pub next_hops: usize,
    /// Paths of all different lists of them, of routes and of next-hop groups.
    pub paths: usize,
    pub next_hop_groups: usize,
    pub bfd_sessions: usize,
    pub acls: usize,
    /// Rules of all ACLs.
    pub acl_rules: usize,
    pub groups: usize,
    /// Prefixes of all address groups.
    pub group_prefixes: usize,
    /// Static and learnt ones of fabric VIFs, each with its route and its next hop.
    pub neighbours: usize,
    pub bridges: usize,
    /// Of all bridges; VIFs' own MACs are not counted.
    pub fdb_entries: usize,
    /// Of all FDB entries; VIFs' own are not counted.
    pub fdb_addresses: usize,
    /// Stations that are learnt, of all bridges.
    pub learnt: usize,
    pub vnis: usize,
    pub labels: usize,
    /// Names of owners.
    pub owners: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            ports: 16,
            vrfs: 4096,
            vifs: 4096,
            routes: 1_200_000,
            next_hops: 131_072,
            paths: 131_072,
            next_hop_groups: 16_384,
            bfd_sessions: 256,
            acls: 4096,
            acl_rules: 131_072,
            groups: 4096,
            group_prefixes: 262_144,
            neighbours: 16_384,
            bridges: 4096,
            fdb_entries: 131_072,
            fdb_addresses: 262_144,
            learnt: 65_536,
            vnis: 4096,
            labels: 65_536,
            owners: 256,
        }
    }
}

impl Limits {
    /// All counts at zero.
    pub const NONE: Limits = Limits {
        ports: 0,
        vrfs: 0,
        vifs: 0,
        routes: 0,
        next_hops: 0,
        paths: 0,
        next_hop_groups: 0,
        bfd_sessions: 0,
        acls: 0,
        acl_rules: 0,
        groups: 0,
        group_prefixes: 0,
        neighbours: 0,
        bridges: 0,
        fdb_entries: 0,
        fdb_addresses: 0,
        learnt: 0,
        vnis: 0,
        labels: 0,
        owners: 0,
    };

    /// Names and numbers, in the order of the fields.
    pub fn named(&self) -> [(&'static str, usize); 20] {
        [
            ("ports", self.ports),
            ("vrfs", self.vrfs),
            ("vifs", self.vifs),
            ("routes", self.routes),
            ("next_hops", self.next_hops),
            ("paths", self.paths),
            ("next_hop_groups", self.next_hop_groups),
            ("bfd_sessions", self.bfd_sessions),
            ("acls", self.acls),
            ("acl_rules", self.acl_rules),
            ("groups", self.groups),
            ("group_prefixes", self.group_prefixes),
            ("neighbours", self.neighbours),
            ("bridges", self.bridges),
            ("fdb_entries", self.fdb_entries),
            ("fdb_addresses", self.fdb_addresses),
            ("learnt", self.learnt),
            ("vnis", self.vnis),
            ("labels", self.labels),
            ("owners", self.owners),
        ]
    }
}

/// An open device. In the list that a model is made with, its place is its [`PortIndex`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    pub name: String,
    pub devargs: String,
    pub mac: Mac,
    /// Largest L3 packet in bytes.
    pub mtu: u16,
    /// Pairs of rx and tx queues in use.
    pub queues: u16,
}

/// A port that a batch adds: what its device is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPort<'a> {
    pub index: PortIndex,
    pub name: &'a str,
    pub devargs: &'a str,
    /// Absent: one for each worker, or what the device has.
    pub queues: Option<u16>,
    /// Absent: the device's own.
    pub mtu: Option<u16>,
}

/// Why a device cannot be opened: the port's field (empty: the port as such), and the reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopened {
    pub field: &'static str,
    pub reason: String,
}

/// Opens the device of a port that a batch adds, and says what it is. Whoever gives it undoes it when the batch is refused.
pub type Open<'a> = dyn FnMut(NewPort) -> Result<PortInfo, Unopened> + 'a;
