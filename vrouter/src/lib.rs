//! A multi-tenant overlay router in user space on DPDK.
//!
//! Start reading at [`datapath`]: the whole path of a packet is one function there.
#![forbid(unsafe_code)]

pub mod api;
pub mod candidate;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod drops;
pub mod durable;
pub mod ids;
pub mod local;
pub mod model;
pub mod packet;
pub mod port;
pub mod tables;

/// Tests end when a worker allocates.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;
