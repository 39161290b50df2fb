//! Next-hop groups in the network language.

use serde::Deserialize;

use super::config::{self, Config, Path};
use super::language::{Via, way};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopGroup {
    name: String,
    vrf: String,
    paths: Vec<Via>,
    #[serde(default)]
    hash: config::HashFields,
}

/// A statement that says what is said already changes nothing.
pub fn put(config: &mut Config, given: HopGroup) -> Result<(), String> {
    let vrf = config.vrf_named(&given.vrf)?.id;
    let ways: Vec<Path> = given.paths.into_iter().map(|via| way(config, via)).collect::<Result<_, _>>()?;
    let old = config.hop_group_named(&given.name).ok();
    let old_one = old.map(|id| &config.hop_groups[&id]).filter(|old| old.hash == given.hash);
    let same = old_one.map(|old| old.paths).filter(|paths| config.paths[paths] == ways);
    let paths = same.unwrap_or_else(|| config.number());
    config.paths.insert(paths, ways);
    let id = old.unwrap_or_else(|| config.number());
    config.hop_groups.insert(id, config::HopGroup { name: given.name, vrf, paths, hash: given.hash });
    Ok(())
}
