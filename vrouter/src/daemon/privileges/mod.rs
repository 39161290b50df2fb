//! What the process may do is cut down to what it needs, before it has threads: those that it starts from then on inherit it, the ones
//! of DPDK's too.

mod capabilities;
pub mod reach;

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};

use crate::api::config::Config;
pub use reach::Reach;

/// Why what it may do cannot be cut down.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    #[error("privileges: capabilities cannot be dropped: {0}")]
    Capabilities(#[source] io::Error),
    #[error("privileges: no_new_privs cannot be set: {0}")]
    NoNewPrivileges(#[source] io::Error),
    #[error("privileges: files cannot be put out of reach: {0}")]
    Landlock(#[from] RulesetError),
}

/// Cuts down what this thread, and all that it starts, may do, if the configuration does not say otherwise. What files are left; absent: all.
pub fn drop_to_needed(config: &Config) -> Result<Option<Reach>, PrivilegesError> {
    if !config.privileges.drop {
        tracing::warn!("privileges.drop is false: the daemon keeps all that it was started with");
        return Ok(None);
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        tracing::warn!(threads, "threads that were there before keep what they may do");
    }
    let devices = capabilities::of_devices(config.ports.iter().map(|port| &*port.devargs));
    let kept = capabilities::drop_all_but(config.privileges.kept() | devices).map_err(PrivilegesError::Capabilities)?;
    rustix::thread::set_no_new_privs(true).map_err(|error| PrivilegesError::NoNewPrivileges(error.into()))?;
    let reach = Reach::of(config);
    let status = restrict(&reach)?;
    tracing::info!(capabilities = %kept, no_new_privs = true, files = %told(&status), "privileges were dropped");
    if status == RulesetStatus::NotEnforced {
        tracing::warn!(
            "this kernel has no landlock: all files of the host that its user may open are in the daemon's reach"
        );
        return Ok(None);
    }
    Ok(Some(reach))
}

/// The same of a process that was started by one with this reach, which files and privileges are left of: landlock counts how often it is asked.
pub fn keep_dropped(config: &Config, reach: Option<Vec<PathBuf>>) -> Result<Option<Reach>, PrivilegesError> {
    let Some(write) = reach.filter(|_| config.privileges.drop) else { return drop_to_needed(config) };
    let devices = capabilities::of_devices(config.ports.iter().map(|port| &*port.devargs));
    let kept = capabilities::drop_all_but(config.privileges.kept() | devices).map_err(PrivilegesError::Capabilities)?;
    tracing::info!(capabilities = %kept, "privileges are those of the daemon before");
    Ok(Some(Reach { write, ..Reach::default() }))
}

/// Files beyond reach cannot be opened, made, renamed or removed from now on, and nothing is connected to by TCP. A kernel that knows less
/// keeps less away.
fn restrict(reach: &Reach) -> Result<RulesetStatus, RulesetError> {
    let newest = ABI::V7;
    let read = AccessFs::from_read(newest);
    let all = AccessFs::from_all(newest);
    let status = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::ConnectTcp)?
        .create()?
        .add_rules(path_beneath_rules(&reach.read, read))?
        .add_rules(path_beneath_rules(&reach.write, all))?
        .restrict_self()?;
    Ok(status.ruleset)
}

fn told(status: &RulesetStatus) -> &'static str {
    match status {
        RulesetStatus::FullyEnforced => "needed ones",
        RulesetStatus::PartiallyEnforced => "needed ones, as far as this kernel keeps them apart",
        RulesetStatus::NotEnforced => "all",
    }
}
