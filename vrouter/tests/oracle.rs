//! The reference model (`oracle/mod.rs`) by itself, held against frames that scapy built. The differential test holds the product
//! against it.

#[path = "oracle_alone/answers.rs"]
mod answers;
#[path = "oracle_alone/bed.rs"]
mod bed;
#[path = "oracle_alone/drops.rs"]
mod drops;
#[path = "oracle_alone/ecmp.rs"]
mod ecmp;
#[path = "oracle_alone/exception.rs"]
mod exception;
#[path = "oracle_alone/flows.rs"]
mod flows;
#[path = "oracle_alone/headers.rs"]
mod headers;
#[path = "oracle_alone/nd.rs"]
mod nd;
#[path = "oracle_alone/neighbours.rs"]
mod neighbours;
#[path = "oracle/mod.rs"]
mod oracle;
#[path = "oracle_alone/router.rs"]
mod router;
#[path = "oracle_alone/tunnels.rs"]
mod tunnels;
#[path = "oracle_alone/underlay6.rs"]
mod underlay6;
#[path = "oracle_alone/unicast.rs"]
mod unicast;
#[path = "oracle_alone/uplinks.rs"]
mod uplinks;
#[path = "oracle_alone/vlan.rs"]
mod vlan;
#[path = "oracle_alone/vrfs.rs"]
mod vrfs;
