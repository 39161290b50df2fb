//! Where in the files what decides stands.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::api::position::Position;
use crate::api::text::Prefix;
use crate::api::v1;
use crate::api::yaml::{Network, Stands, Vif};

/// A route's preference where none is said.
const PREFERENCE: u32 = 100;

/// Objects that steps name, by name.
#[derive(Default)]
pub(super) struct Places {
    /// With their rules.
    acls: HashMap<String, (Stands, Vec<Position>)>,
    /// By VRF, with the preference of the one that stands there; those of VIFs at their VIFs.
    routes: HashMap<(String, Prefix), (u32, Stands)>,
    vifs: HashMap<String, Stands>,
    vrfs: HashMap<String, Stands>,
    bridges: HashMap<String, Stands>,
}

impl Places {
    /// Of all files, with plain objects.
    pub(super) fn of(files: &[(String, Network)]) -> Places {
        let mut places = Places::default();
        for (file, (_, network)) in files.iter().enumerate() {
            let at = |position| Stands { file, position };
            for acl in &network.acls {
                let rules = acl.rules.iter().map(|rule| rule.position).collect();
                places.acls.insert(acl.name.clone(), (at(acl.position), rules));
            }
            for route in &network.routes {
                let preference = route.preference.unwrap_or(PREFERENCE);
                places.add_route(&route.vrf, route.prefix, preference, at(route.position));
            }
            for vif in &network.vifs {
                places.vifs.insert(vif.name.clone(), at(vif.position));
                for prefix in prefixes(vif) {
                    // nobody's route is preferred to a VIF's own
                    places.add_route(&vif.vrf, prefix, u32::MAX, at(vif.position));
                }
            }
            places.vrfs.extend(network.vrfs.iter().map(|vrf| (vrf.name.clone(), at(vrf.position))));
            places.bridges.extend(network.bridges.iter().map(|bridge| (bridge.name.clone(), at(bridge.position))));
        }
        places
    }

    fn add_route(&mut self, vrf: &str, prefix: Prefix, preference: u32, at: Stands) {
        let place = self.routes.entry((vrf.to_owned(), prefix)).or_insert((preference, at));
        if place.0 < preference {
            *place = (preference, at);
        }
    }

    /// Where the object of a step stands: the rule, or its ACL where the end of that decided; the route, or its VIF; the VIF; where no route
    /// was found, the VRF. `None`: in no file.
    pub(super) fn of_step(&self, step: &v1::Step) -> Option<Stands> {
        if !step.acl.is_empty() {
            let (acl, rules) = self.acls.get(&step.acl)?;
            let rule = step.rule.and_then(|rule| rules.get(rule as usize).copied());
            return Some(Stands { position: rule.unwrap_or(acl.position), ..*acl });
        }
        if let Some(prefix) = step.prefix.as_ref().and_then(|prefix| Prefix::try_from(prefix).ok()) {
            return self.routes.get(&(step.vrf.clone(), prefix)).map(|(_, at)| *at);
        }
        let mut words = step.object.split(' ');
        let all = match words.next()? {
            "vif" => &self.vifs,
            "vrf" => &self.vrfs,
            "bridge" => &self.bridges,
            _ => return None,
        };
        all.get(words.next()?).copied()
    }
}

/// What a VIF makes routes of in its VRF.
fn prefixes(vif: &Vif) -> impl Iterator<Item = Prefix> {
    let gateways = [vif.gateway_v4.map(IpAddr::V4), vif.gateway_v6.map(IpAddr::V6)].into_iter().flatten();
    gateways.chain(vif.addresses.iter().copied()).map(Prefix::host).chain(vif.subnets.iter().copied())
}
