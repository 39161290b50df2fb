//! What a worker reads: one immutable [`Snapshot`] of the model, compiled for lookup.
//!
//! Snapshots share structure: cloning one copies a few pointers, and one change rebuilds its own part only. The model compiles
//! them on the control thread, workers read them, nobody writes one that is published.

pub mod acl;
mod bfd;
mod branches;
mod bridge;
mod capture;
mod cut;
pub mod fib;
mod group;
mod next_hop;
mod quota;
mod resolve;
mod rewrite;
mod router;
mod rows;
mod shadow;
mod snapshot;
mod spread;
mod stripes;
mod tunnel_headers;

pub use bfd::{BfdSession, BfdStand, Watched};
pub use branches::{Branch, Branches};
pub use bridge::{Bridge, Pair, SeenAt, Sighting};
pub use capture::{CAPTURES, Capture, Captures, Points};
pub use group::{Group, HashFields, Kept, Member};
pub use next_hop::{Adjacency, Carrier, Encap, NextHop, NextHopKind, Template, Tunnel, Underlay};
pub use quota::{Quota, Tenant, TenantId};
pub use resolve::{Resolved, Unresolved, VRF_DEPTH};
pub use rewrite::{Ready, Rewrite, Shape};
pub use router::{AdvertisedPrefix, RouterAdvertisement};
pub use rows::Rows;
pub use shadow::{DIFFERENCES, Difference, Found, Judged, Shadow};
pub use snapshot::{DecapTarget, Lifetimes, LocalHost, PortRow, Snapshot, Vif, VifKind, VniTarget, Vrf};
pub use spread::{Slots, Way, Ways};
pub use stripes::Stripes;
pub use tunnel_headers::{LabelMarking, Marking, Model, TunnelHeaders};
