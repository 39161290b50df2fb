//! Virtual-wire tests: whole vRouters in memory, between frames that scapy built. Start at `wire/lab.rs`.

#[path = "wire/adopt.rs"]
mod adopt;
#[path = "wire/allocation.rs"]
mod allocation;
#[path = "wire/answers.rs"]
mod answers;
#[path = "wire/assembly.rs"]
mod assembly;
#[path = "wire/asymmetric.rs"]
mod asymmetric;
#[path = "wire/bfd.rs"]
mod bfd;
#[path = "wire/books.rs"]
mod books;
#[path = "wire/bridge.rs"]
mod bridge;
#[path = "wire/capture.rs"]
mod capture;
#[path = "wire/change.rs"]
mod change;
#[path = "wire/corners.rs"]
mod corners;
#[path = "wire/drops.rs"]
mod drops;
#[path = "wire/ecmp.rs"]
mod ecmp;
#[path = "wire/etree.rs"]
mod etree;
#[path = "wire/exception.rs"]
mod exception;
#[path = "wire/flood.rs"]
mod flood;
#[path = "wire/flows.rs"]
mod flows;
#[path = "wire/fragments.rs"]
mod fragments;
#[path = "wire/frames.rs"]
mod frames;
#[path = "wire/geneve.rs"]
mod geneve;
#[path = "wire/grace.rs"]
mod grace;
#[path = "wire/gre.rs"]
mod gre;
#[path = "wire/groups.rs"]
mod groups;
#[path = "wire/headers.rs"]
mod headers;
#[path = "wire/hits.rs"]
mod hits;
#[path = "wire/hostile.rs"]
mod hostile;
#[path = "wire/jumbo.rs"]
mod jumbo;
#[path = "wire/lab.rs"]
mod lab;
#[path = "wire/learning.rs"]
mod learning;
#[path = "wire/mss.rs"]
mod mss;
#[path = "wire/nd.rs"]
mod nd;
#[path = "wire/nested.rs"]
mod nested;
#[path = "wire/network.rs"]
mod network;
#[path = "wire/noisy.rs"]
mod noisy;
#[path = "wire/non_ip.rs"]
mod non_ip;
#[path = "wire/offload.rs"]
mod offload;
#[path = "wire/owners.rs"]
mod owners;
#[path = "wire/packet_mode.rs"]
mod packet_mode;
#[path = "wire/plans.rs"]
mod plans;
#[path = "wire/policy.rs"]
mod policy;
#[path = "wire/ports.rs"]
mod ports;
#[path = "wire/quota_views.rs"]
mod quota_views;
#[path = "wire/quotas.rs"]
mod quotas;
#[path = "wire/reasons.rs"]
mod reasons;
#[path = "wire/redirect.rs"]
mod redirect;
#[path = "wire/router.rs"]
mod router;
#[path = "wire/scapy.rs"]
mod scapy;
#[path = "wire/shadow.rs"]
mod shadow;
#[path = "wire/skew.rs"]
mod skew;
#[path = "wire/split.rs"]
mod split;
#[path = "wire/spoof.rs"]
mod spoof;
#[path = "wire/sub.rs"]
mod sub;
#[path = "wire/suppression.rs"]
mod suppression;
#[path = "wire/tenants.rs"]
mod tenants;
#[path = "wire/underlay.rs"]
mod underlay;
#[path = "wire/underlay6.rs"]
mod underlay6;
#[path = "wire/unicast.rs"]
mod unicast;
#[path = "wire/uplinks.rs"]
mod uplinks;
#[path = "wire/verdicts.rs"]
mod verdicts;
#[path = "wire/views.rs"]
mod views;
#[path = "wire/vrfs.rs"]
mod vrfs;

/// A worker that allocates ends the process.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;
#[path = "wire/vlan.rs"]
mod vlan;
