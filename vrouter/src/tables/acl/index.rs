//! All rules of an ACL, by what their fields match.

use super::fields::{Addresses, Ports, Protocols};
use super::rule_sets::first_common;
use super::{Rule, Tuple};

/// Finds the first rule that matches, by its indexed fields.
pub(super) struct Index {
    source: Addresses,
    destination: Addresses,
    protocol: Protocols,
    source_port: Ports,
    destination_port: Ports,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Index {
        Index {
            source: Addresses::new(rules.iter().map(|rule| &rule.source)),
            destination: Addresses::new(rules.iter().map(|rule| &rule.destination)),
            protocol: Protocols::new(rules.iter().map(|rule| rule.protocol)),
            source_port: Ports::new(rules.iter().map(|rule| &*rule.source_ports)),
            destination_port: Ports::new(rules.iter().map(|rule| &*rule.destination_ports)),
        }
    }

    /// The first rule whose addresses, protocol and ports match and which `accepts`.
    #[inline]
    pub(super) fn first(&self, tuple: &Tuple, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        let sets = [
            self.source.set(tuple.source),
            self.destination.set(tuple.destination),
            self.destination_port.set(tuple.ports.map(|ports| ports.1)),
            self.source_port.set(tuple.ports.map(|ports| ports.0)),
            self.protocol.set(tuple.protocol),
        ];
        first_common(sets, accepts)
    }
}
