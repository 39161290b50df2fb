//! Access control lists: ordered rules, the first match decides, the end denies.
//!
//! A handful of rules is walked; more are compiled, see `index.rs`. A version of a list shares what an edit did not touch with the one
//! before, which whoever holds it may go on asking.

mod classes;
#[cfg(test)]
mod edit_tests;
mod field;
mod hits;
mod index;
mod numbers;
mod prefixes;
mod runs;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use self::index::{Index, SIZES};
use super::fib::{Bits, PrefixSet};
use crate::ids::{VifId, VrfId};
pub use hits::Hits;

/// Rules that are walked rather than compiled: faster, and they cost no memory beside their own.
const WALKED: usize = 16;

/// One ACL, compiled. A clone shares all. `Send` and `Sync`.
#[derive(Clone)]
pub struct Acl {
    pub name: Arc<str>,
    rules: Rules,
    /// How many of them redirect.
    redirecting: usize,
    hits: Arc<Hits>,
}

#[derive(Clone)]
enum Rules {
    Few(Arc<[Arc<Rule>]>),
    Many(Arc<Index>),
}

/// One rule.
#[derive(Clone)]
pub struct Rule {
    /// For people; may be empty.
    pub name: Arc<str>,
    pub permit: bool,
    /// IP protocol number.
    pub protocol: Option<u8>,
    pub source: AddressMatch,
    pub destination: AddressMatch,
    /// Inclusive ranges; empty: any. Never match a packet without ports.
    pub source_ports: Vec<(u16, u16)>,
    pub destination_ports: Vec<(u16, u16)>,
    pub icmp_type: Option<u8>,
    pub icmp_code: Option<u8>,
    /// Where what it permits goes instead of by its route.
    pub redirect: Option<Redirect>,
}

/// Where a rule sends flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// By the routes of this VRF.
    Vrf(VrfId),
    /// To this service.
    Vif(VifId),
}

/// Which addresses. A prefix of one family never holds an address of the other.
#[derive(Clone)]
pub enum AddressMatch {
    Any,
    /// An address group, shared by all rules that name it.
    In(Arc<PrefixSet>),
    /// Bits beyond the length are ignored; the length is at most the family's.
    Prefix(IpAddr, u8),
}

/// What an ACL judges: a flow as its initiator sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// Source and destination port; absent for later fragments and for protocols without ports.
    pub ports: Option<(u16, u16)>,
    /// ICMP and ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
}

/// Where an ACL stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    FromVif(VifId),
    Vrf(VrfId),
    ToVif(VifId),
}

/// An ACL's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub permit: bool,
    /// Index of the rule that matched; `None`: the end.
    pub rule: Option<usize>,
}

impl Acl {
    /// Compiles these rules. Control thread: about a microsecond a rule.
    pub fn new(name: Arc<str>, rules: Vec<Rule>) -> Acl {
        Acl::of(name, rules.into_iter().map(Arc::new).collect())
    }

    fn of(name: Arc<str>, rules: Vec<Arc<Rule>>) -> Acl {
        let few = rules.len() <= WALKED;
        Acl {
            name,
            redirecting: redirecting(&rules),
            hits: Arc::default(),
            rules: if few { Rules::Few(rules.into()) } else { Rules::Many(Arc::new(Index::new(&rules, SIZES))) },
        }
    }

    /// The next version, which counts nothing yet: `into` in place of some rules (none: they are added there). Control thread: what it costs rises with the
    /// distinct prefixes and ports of all rules, by nanoseconds each, and with `into`.
    ///
    /// # Panics
    /// If there are no such rules.
    pub fn spliced(&self, replaced: Range<usize>, into: Vec<Rule>) -> Acl {
        assert!(replaced.start <= replaced.end && replaced.end <= self.len(), "rules {replaced:?} of {}", self.len());
        let into: Vec<_> = into.into_iter().map(Arc::new).collect();
        let left = self.len() - replaced.len();
        let redirecting = if self.redirecting == 0 {
            redirecting(&into)
        } else {
            let gone = self.rules().skip(replaced.start).take(replaced.len());
            self.redirecting + redirecting(&into) - redirecting(gone)
        };
        match &self.rules {
            // Compiled anew when most of it is new, and when it has become much shorter.
            Rules::Many(index) if left > WALKED && left >= into.len() && !index.is_sparse(left + into.len()) => {
                let index = Arc::new(index.spliced(replaced, &into));
                Acl { name: self.name.clone(), rules: Rules::Many(index), redirecting, hits: Arc::default() }
            }
            _ => {
                let mut rules: Vec<_> = self.rules().cloned().collect();
                rules.splice(replaced, into);
                Acl::of(self.name.clone(), rules)
            }
        }
    }

    /// The same, with numbers of its own in which so many workers count what its rules decide.
    pub fn counted(self, workers: usize) -> Acl {
        Acl { hits: Arc::new(Hits::new(self.len(), workers)), ..self }
    }

    /// What its rules have decided, since there is this version.
    #[inline]
    pub fn hits(&self) -> &Arc<Hits> {
        &self.hits
    }

    /// The rules in order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let (few, many) = match &self.rules {
            Rules::Few(rules) => (&rules[..], None),
            Rules::Many(index) => (&[][..], Some(index.rules())),
        };
        few.iter().chain(many.into_iter().flatten())
    }

    /// The rule with this index.
    pub fn rule(&self, index: usize) -> Option<&Rule> {
        match &self.rules {
            Rules::Few(rules) => rules.get(index),
            Rules::Many(rules) => rules.rule(index),
        }
        .map(|rule| &**rule)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        match &self.rules {
            Rules::Few(rules) => rules.len(),
            Rules::Many(index) => index.len(),
        }
    }

    /// No rule at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it sends what it judged so, if elsewhere than routes do.
    #[inline]
    pub fn redirect(&self, judgement: &Judgement) -> Option<Redirect> {
        if self.redirecting == 0 {
            return None;
        }
        self.rule(judgement.rule?)?.redirect.filter(|_| judgement.permit)
    }

    /// Some rule redirects.
    pub fn redirects(&self) -> bool {
        self.redirecting > 0
    }

    /// Judges a flow. Any thread; does not allocate.
    pub fn judge(&self, tuple: &Tuple) -> Judgement {
        let found = match &self.rules {
            Rules::Few(rules) => {
                rules.iter().position(|rule| rule.matches(tuple)).map(|index| (index, rules[index].permit))
            }
            Rules::Many(index) => index.first(tuple),
        };
        Judgement { permit: found.is_some_and(|(_, permit)| permit), rule: found.map(|(index, _)| index) }
    }
}

fn redirecting<'a>(rules: impl IntoIterator<Item = &'a Arc<Rule>>) -> usize {
    rules.into_iter().filter(|rule| rule.redirect.is_some()).count()
}

impl Rule {
    /// Whether it is about such a flow. Any thread; does not allocate.
    pub fn matches(&self, tuple: &Tuple) -> bool {
        let within = |ranges: &[(u16, u16)], port: Option<u16>| {
            let holds = |port: u16| ranges.iter().any(|&(first, last)| (first..=last).contains(&port));
            ranges.is_empty() || port.is_some_and(holds)
        };
        self.protocol.is_none_or(|protocol| protocol == tuple.protocol)
            && self.source.holds(tuple.source)
            && self.destination.holds(tuple.destination)
            && within(&self.destination_ports, tuple.ports.map(|ports| ports.1))
            && within(&self.source_ports, tuple.ports.map(|ports| ports.0))
            && self.allows_icmp(tuple.icmp)
    }

    /// The part that is not compiled: few rules ask for it.
    fn allows_icmp(&self, icmp: Option<(u8, u8)>) -> bool {
        self.icmp_type.is_none_or(|kind| icmp.is_some_and(|icmp| icmp.0 == kind))
            && self.icmp_code.is_none_or(|code| icmp.is_some_and(|icmp| icmp.1 == code))
    }
}

impl AddressMatch {
    fn holds(&self, address: IpAddr) -> bool {
        match (self, address) {
            (AddressMatch::Any, _) => true,
            (AddressMatch::In(group), address) => group.contains(address),
            (AddressMatch::Prefix(IpAddr::V4(prefix), length), IpAddr::V4(address)) => {
                prefix.to_bits().common(address.to_bits()) >= *length
            }
            (AddressMatch::Prefix(IpAddr::V6(prefix), length), IpAddr::V6(address)) => {
                prefix.to_bits().common(address.to_bits()) >= *length
            }
            (AddressMatch::Prefix(..), _) => false,
        }
    }
}
