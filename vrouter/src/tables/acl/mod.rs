//! Access control lists: ordered rules, the first match decides, the end denies.
//!
//! Rules are compiled into one set of rules per field and value (source, destination, protocol, source and destination port); a
//! flow's verdict is the lowest rule in the intersection of its five sets.

mod fields;
mod index;
mod rule_sets;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use self::index::Index;
use super::fib::PrefixSet;

/// One ACL, compiled. A clone shares all. `Send` and `Sync`.
#[derive(Clone)]
pub struct Acl {
    pub name: Arc<str>,
    rules: Arc<[Rule]>,
    index: Arc<Index>,
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

/// An ACL's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub permit: bool,
    /// Index of the rule that matched; `None`: the end.
    pub rule: Option<usize>,
}

impl Acl {
    /// Compiles these rules. Control thread: it takes time and memory that rise with rules and distinct prefixes and ports.
    pub fn new(name: Arc<str>, rules: Vec<Rule>) -> Acl {
        let index = Arc::new(Index::new(&rules));
        Acl { name, rules: rules.into(), index }
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Judges a flow. Any thread; does not allocate.
    pub fn judge(&self, tuple: &Tuple) -> Judgement {
        let rule = self.index.first(tuple, |rule| self.rules[rule].allows_icmp(tuple.icmp));
        Judgement { permit: rule.is_some_and(|index| self.rules[index].permit), rule }
    }
}

impl Rule {
    /// The part that is not indexed: few rules ask for it.
    fn allows_icmp(&self, icmp: Option<(u8, u8)>) -> bool {
        self.icmp_type.is_none_or(|kind| icmp.is_some_and(|icmp| icmp.0 == kind))
            && self.icmp_code.is_none_or(|code| icmp.is_some_and(|icmp| icmp.1 == code))
    }
}
