//! What is fixed when the model is made.

use crate::ids::Mac;

/// How many of each the model takes; also used to count how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub vrfs: usize,
    pub vifs: usize,
    /// Offers of routes of all VRFs and owners, the implicit ones of VIFs and neighbours too.
    pub routes: usize,
    /// Different next hops, counted per VRF.
    pub next_hops: usize,
    pub acls: usize,
    /// Rules of all ACLs.
    pub acl_rules: usize,
    pub groups: usize,
    /// Prefixes of all address groups.
    pub group_prefixes: usize,
    /// Static and learnt ones of fabric VIFs.
    pub neighbours: usize,
    pub vnis: usize,
    pub labels: usize,
    /// Names of owners of routes.
    pub owners: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            vrfs: 4096,
            vifs: 4096,
            routes: 1_200_000,
            next_hops: 131_072,
            acls: 4096,
            acl_rules: 131_072,
            groups: 4096,
            group_prefixes: 262_144,
            neighbours: 16_384,
            vnis: 4096,
            labels: 65_536,
            owners: 256,
        }
    }
}

impl Limits {
    /// All counts at zero.
    pub const NONE: Limits = Limits {
        vrfs: 0,
        vifs: 0,
        routes: 0,
        next_hops: 0,
        acls: 0,
        acl_rules: 0,
        groups: 0,
        group_prefixes: 0,
        neighbours: 0,
        vnis: 0,
        labels: 0,
        owners: 0,
    };

    /// Names and numbers, in the order of the fields.
    pub fn named(&self) -> [(&'static str, usize); 12] {
        [
            ("vrfs", self.vrfs),
            ("vifs", self.vifs),
            ("routes", self.routes),
            ("next_hops", self.next_hops),
            ("acls", self.acls),
            ("acl_rules", self.acl_rules),
            ("groups", self.groups),
            ("group_prefixes", self.group_prefixes),
            ("neighbours", self.neighbours),
            ("vnis", self.vnis),
            ("labels", self.labels),
            ("owners", self.owners),
        ]
    }
}

/// A device, opened when the daemon started. Its place in the list is its [`PortIndex`](crate::ids::PortIndex).
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
