//! How often rules and routes have decided.

use std::collections::BTreeMap;

use super::{Control, refused};
use crate::api::v1;
use crate::control::Rows;
use crate::daemon::view::{address_bytes, vrf_name};
use crate::datapath::route_hits::Of;
use crate::tables::Snapshot;

impl Control {
    pub(super) fn hits(&mut self, filter: &v1::HitsRequest) -> Result<Rows<v1::RuleHits>, v1::Refused> {
        if !filter.vrf.is_empty() {
            return Err(refused("hits", "vrf: rules have none"));
        }
        let rows = self.model.hits(&filter.acl).map_err(|error| refused("hits", &error))?;
        Ok(Box::new(rows.into_iter()))
    }

    pub(super) fn route_hits(&mut self, filter: &v1::HitsRequest) -> Result<Rows<v1::RouteHits>, v1::Refused> {
        let snapshot = self.publisher.current();
        if !filter.acl.is_empty() {
            return Err(refused("hits", "acl: routes have none"));
        }
        let is_there = || snapshot.vrfs.iter().any(|(_, vrf)| *vrf.name == *filter.vrf);
        if !filter.vrf.is_empty() && !is_there() {
            return Err(refused("hits", &format!("vrf: there is no VRF {}", filter.vrf)));
        }
        let mut sums = BTreeMap::new();
        for (of, hits) in self.shared.workers.iter().flat_map(|end| end.route_hits.read()) {
            *sums.entry(of).or_insert(0_u64) += hits;
        }
        let rest = self.shared.workers.iter().map(|end| end.route_hits.rest()).sum();
        let mut rows = named(snapshot, sums);
        rows.retain(|row| filter.vrf.is_empty() || row.vrf == filter.vrf);
        if rest > 0 && filter.vrf.is_empty() {
            rows.push(v1::RouteHits { vrf: String::new(), prefix: None, hits: rest });
        }
        Ok(Box::new(rows.into_iter()))
    }
}

/// Those of routes that are there yet, and have some, by VRF and prefix.
fn named(snapshot: &Snapshot, sums: BTreeMap<Of, u64>) -> Vec<v1::RouteHits> {
    let there = sums.into_iter().filter(|(of, hits)| *hits > 0 && of.is_there(snapshot));
    let row = |(of, hits): (Of, u64)| {
        let prefix = Some(v1::Prefix { address: address_bytes(of.address), length: of.length.into() });
        v1::RouteHits { vrf: vrf_name(snapshot, of.vrf), prefix, hits }
    };
    let mut rows: Vec<_> = there.map(row).collect();
    rows.sort_by(|a, b| a.vrf.cmp(&b.vrf));
    rows
}
