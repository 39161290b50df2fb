//! Threads: starts workers, the control thread and the socket, and ends them.

pub mod answer;
pub mod bfd;
mod captures;
pub mod clock;
#[cfg(feature = "dpdk")]
pub mod devices;
#[cfg(feature = "dpdk")]
mod entrance;
pub mod flow_file;
mod leases;
pub mod ledger;
mod memory;
pub mod notify;
pub mod ports;
#[cfg(feature = "dpdk")]
mod privileges;
pub mod publish;
mod quotas;
#[cfg(feature = "dpdk")]
mod restore;
mod revisions;
#[cfg(feature = "dpdk")]
mod serving;
mod shadow;
pub mod slow_path;
#[cfg(feature = "dpdk")]
mod start;
#[cfg(feature = "dpdk")]
mod traffic;
mod unconfirmed;
#[cfg(feature = "dpdk")]
mod upgrade;
pub mod verdicts;
pub mod view;
mod wanted;
pub mod workers;

use crate::api::config::Config;
use crate::control::access::{Access, Names, UnknownName};

pub use memory::{flow_file_sizes, flow_table, huge_page_mib, limits};
#[cfg(feature = "dpdk")]
pub use start::{StartError, Work, run};

/// That this host knows the users and groups that a configuration names.
///
/// # Errors
/// One that it does not know.
pub fn check_names(config: &Config) -> Result<(), UnknownName> {
    Access::new(&config.access, Names::of_host()).map(drop)
}
