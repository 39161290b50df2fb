//! Which rules and routes of a network no expectation touched.

use std::collections::HashSet;

use super::{Candidate, Tested};
use crate::api::text::Prefix;
use crate::api::v1;

/// Rules of ACLs and routes that decided something.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    rules: HashSet<(String, u32)>,
    /// By VRF and prefix.
    routes: HashSet<(String, Prefix)>,
}

/// A rule, or a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Rule,
    Route,
}

/// A rule or route of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub what: What,
    /// "acl web rule 2 (allow-dns)", "route 10.1.0.0/16 in vrf red".
    pub text: String,
    /// Where it stands: "network.yaml:12:3"; what a policy was expanded into at its policy.
    pub place: String,
    pub is_touched: bool,
}

impl Coverage {
    /// What decided about these packets and their answers.
    pub fn of<'a>(tests: impl IntoIterator<Item = &'a Tested>) -> Coverage {
        let mut coverage = Coverage::default();
        for test in tests {
            coverage.add(&test.steps);
            coverage.add(&test.reply_steps);
        }
        coverage
    }

    fn add(&mut self, steps: &[v1::Step]) {
        for step in steps {
            if let Some(rule) = step.rule {
                self.rules.insert((step.acl.clone(), rule));
            }
            if let Some(prefix) = step.prefix.as_ref().and_then(|prefix| Prefix::try_from(prefix).ok()) {
                self.routes.insert((step.vrf.clone(), prefix));
            }
        }
    }

    /// All rules and routes of the files, in their order.
    pub fn items(&self, candidate: &Candidate) -> Vec<Item> {
        let mut items = Vec::new();
        for (file, network) in candidate.files() {
            for acl in &network.acls {
                for (at, rule) in acl.rules.iter().enumerate() {
                    let name = rule.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
                    items.push(Item {
                        what: What::Rule,
                        text: format!("acl {} rule {at}{name}", acl.name),
                        place: format!("{file}:{}:{}", rule.position.line, rule.position.column),
                        is_touched: self.rules.contains(&(acl.name.clone(), at as u32)),
                    });
                }
            }
            for route in &network.routes {
                items.push(Item {
                    what: What::Route,
                    text: format!("route {} in vrf {}", route.prefix, route.vrf),
                    place: format!("{file}:{}:{}", route.position.line, route.position.column),
                    is_touched: self.routes.contains(&(route.vrf.clone(), route.prefix)),
                });
            }
        }
        items
    }
}
