//! What the configured limits cost, and the memory that is taken at start.

use flowtable::{FlowTable, LayoutError, Notes, Pages, Region};

use super::flow_file::Sizes;
use super::revisions::RevisionLimits;
use crate::api::config::Config;
use crate::api::v1;
use crate::control::log;
use crate::datapath::assembly;
use crate::datapath::capture;
use crate::datapath::counters::Counters;
use crate::datapath::flood::COPIES;
use crate::datapath::fragments;
use crate::datapath::punt;
use crate::datapath::quota::Accounts;
use crate::datapath::sight;
use crate::datapath::split::{LARGE_PIECES, PIECES};
use crate::model;
use crate::port::{BURST, Frame, HEADROOM, LARGE_ROOM, ROOM};
use crate::tables::{CAPTURES, Sighting};

/// Bytes of a route in the model and in the FIB, measured over a full table.
const ROUTE: u64 = 256;
/// The same of the other objects, from their rows' sizes.
const OBJECT: u64 = 512;

/// Bytes of a port's place at one worker: a burst on its way out, places in two rings.
const PORT: u64 = (BURST * (size_of::<Frame>() + 8) + 4 * 64) as u64;

/// Bytes of an mbuf beside its room: DPDK's two headers, a place in the ring.
const MBUF: u64 = 128 + 64 + 16;

/// The flow table of this configuration, on huge pages as far as there are some; `seed` keys its hash, `time_base` is milliseconds since
/// boot. Logs what it lies on.
pub fn flow_table(config: &Config, seed: u64, time_base: u64) -> Result<FlowTable, LayoutError> {
    let sizes = flow_config(config, seed, time_base);
    let bytes = sizes.bytes()?;
    let region = if config.eal.huge_pages { Region::huge(bytes)? } else { Region::transparent(bytes)? };
    let (pages, mib) = (region.pages(), bytes.div_ceil(1 << 20));
    match pages {
        Pages::Huge { .. } => tracing::info!(%pages, mib, "flow table"),
        _ if config.eal.huge_pages => {
            let needed = huge_page_mib(config)?;
            tracing::warn!(%pages, mib, needed, "flow table: too few reserved huge pages were free; packets and flows need so many MiB");
        }
        Pages::Plain | Pages::Heap => tracing::warn!(%pages, mib, "flow table: every lookup pays for small pages"),
        Pages::Transparent { .. } => tracing::info!(%pages, mib, "flow table"),
    }
    FlowTable::create(region, &sizes)
}

/// What the flow file of this configuration is made for.
pub fn flow_file_sizes(config: &Config, seed: u64, time_base: u64) -> Sizes {
    Sizes::new(flow_config(config, seed, time_base), &model_limits(config))
}

/// MiB of huge pages that must be reserved for all to lie on them, EAL and flow table, with pages of 2 MiB; 0: none are asked for.
pub fn huge_page_mib(config: &Config) -> Result<u64, LayoutError> {
    if !config.eal.huge_pages {
        return Ok(0);
    }
    let whole = |mib: u64| mib.next_multiple_of(2);
    let flows = flow_config(config, 0, 0).bytes()? as u64;
    Ok(whole(config.eal.memory_mb.into()) + whole(flows.div_ceil(1 << 20)))
}

/// The model's limits of this configuration.
pub fn model_limits(config: &Config) -> model::Limits {
    let limits = &config.limits.value;
    model::Limits {
        ports: limits.ports as usize,
        vrfs: limits.vrfs as usize,
        vifs: limits.vifs as usize,
        routes: limits.routes as usize,
        next_hops: limits.next_hops as usize,
        paths: limits.paths as usize,
        neighbours: limits.neighbours as usize,
        acls: limits.acls as usize,
        acl_rules: limits.acl_rules as usize,
        group_prefixes: limits.group_prefixes as usize,
        ..model::Limits::default()
    }
}

/// Every limit, its value, and the memory that it costs when used up (of flows, counters and buffers, but those of captures: from the start on).
pub fn limits(config: &Config) -> Result<Vec<v1::Limit>, LayoutError> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: u64, bytes: u64| {
        rows.push(v1::Limit { name: name.into(), value, bytes, used: 0 });
    };
    let flows = flow_config(config, 0, 0);
    let without_v6 = flowtable::Config { wide_pairs: flows.wide_pairs.min(1), ..flows };
    let v4 = without_v6.bytes()? as u64;
    let accounts = |pairs: u32| u64::from(pairs) * Accounts::PER_PAIR as u64;
    row("flows_v4", flows.narrow_pairs.into(), v4 + accounts(flows.narrow_pairs));
    let v6 = (flows.bytes()? as u64).saturating_sub(v4);
    row("flows_v6", flows.wide_pairs.into(), v6 + accounts(flows.wide_pairs));
    if config.flow_table.file.is_some() {
        let records = flow_file_sizes(config, 0, 0).records;
        row("flow_file_names", records as u64, Sizes::bytes_of(records) as u64);
    }
    let workers = config.worker_count() as u64;
    let slots = config.limits.vifs as usize;
    for (name, value) in model_limits(config).named() {
        let bytes = match name {
            "ports" => workers * value as u64 * PORT,
            "vifs" => workers * Counters::bytes(slots) as u64 + Accounts::bytes(slots) as u64 + value as u64 * OBJECT,
            "routes" => value as u64 * ROUTE,
            "neighbours" => value as u64 * (OBJECT + ROUTE),
            // each worker counts them, in two versions while one gives way to the other
            "acl_rules" => value as u64 * (ROUTE + workers * 2 * size_of::<u64>() as u64),
            "fdb_entries" | "fdb_addresses" | "learnt" | "group_prefixes" => value as u64 * ROUTE,
            _ => value as u64 * OBJECT,
        };
        row(name, value as u64, bytes);
    }
    let mempool = &config.mempool.value;
    let mbufs = |count: u32, room: u64| u64::from(count) * (room + MBUF);
    row("mbufs", mempool.mbufs.into(), mbufs(mempool.mbufs, u64::from(mempool.room) + HEADROOM as u64));
    row("large_mbufs", mempool.large.into(), mbufs(mempool.large, LARGE_ROOM as u64));
    let punts = workers * punt::RING as u64 * 3;
    row("punts", punts, (punts + workers * (punt::INJECTED + 2 * punt::RING) as u64) * ROOM as u64);
    let pieces = workers * PIECES as u64;
    row("pieces", pieces, pieces * ROOM as u64);
    let copies = workers * COPIES as u64;
    row("flood_copies", copies, copies * ROOM as u64);
    let buckets = fragments::buckets(flows.narrow_pairs.max(flows.wide_pairs));
    row("fragment_notes", (buckets * Notes::OF_BUCKET) as u64, Notes::bytes(buckets) as u64);
    let packets = workers * assembly::PACKETS as u64;
    row("outer_packets_in_fragments", packets, packets * assembly::BUFFER as u64);
    // three rings of punts, injections, copies; pieces
    let large = workers * (5 * punt::LARGE + LARGE_PIECES) as u64;
    row("large_frames", large, large * LARGE_ROOM as u64);
    let captured = workers * (CAPTURES * capture::WAITING) as u64;
    let large = workers * (CAPTURES * punt::LARGE * LARGE_ROOM) as u64;
    row("captures", CAPTURES as u64, captured * (ROOM + size_of::<capture::Copied>()) as u64 + large);
    let sightings = workers * sight::RING as u64;
    row("sightings", sightings, sightings * size_of::<Sighting>() as u64);
    // what watchers follow: in memory a change is some times larger than it is sent
    row("watched_changes", log::CHANGES as u64, 4 * log::BYTES as u64);
    let revisions = revision_limits(config);
    // of each owner
    row("revisions", revisions.of_owner as u64, 0);
    // what waits to be confirmed takes as much again, and is larger in memory than it is sent
    row("revision_bytes", revisions.bytes as u64, 5 * revisions.bytes as u64);
    Ok(rows)
}

/// What is kept of owners' past.
pub fn revision_limits(config: &Config) -> RevisionLimits {
    let limits = &config.limits.value;
    RevisionLimits { of_owner: limits.revisions as usize, bytes: (limits.revision_mb as usize) << 20 }
}

fn flow_config(config: &Config, seed: u64, time_base: u64) -> flowtable::Config {
    let limits = &config.limits.value;
    flowtable::Config { narrow_pairs: limits.flows_v4, wide_pairs: limits.flows_v6, seed, time_base }
}
