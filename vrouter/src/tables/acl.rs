//! Access control lists: ordered rules, the first match decides, the end denies.

use std::net::IpAddr;
use std::sync::Arc;

use super::fib::PrefixSet;

/// One ACL, compiled.
#[derive(Clone)]
pub struct Acl {
    pub name: Arc<str>,
    rules: Vec<Rule>,
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

/// Which addresses.
#[derive(Clone)]
pub enum AddressMatch {
    Any,
    /// An address group, shared by all rules that name it.
    In(Arc<PrefixSet>),
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
    /// Compiles these rules.
    pub fn new(name: Arc<str>, rules: Vec<Rule>) -> Acl {
        Acl { name, rules }
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Judges a flow. Any thread.
    pub fn judge(&self, tuple: &Tuple) -> Judgement {
        let rule = self.rules.iter().position(|rule| rule.matches(tuple));
        Judgement { permit: rule.is_some_and(|index| self.rules[index].permit), rule }
    }
}

impl Rule {
    fn matches(&self, tuple: &Tuple) -> bool {
        let ports = |ranges: &[(u16, u16)], port: Option<u16>| {
            ranges.is_empty()
                || port.is_some_and(|port| ranges.iter().any(|&(first, last)| (first..=last).contains(&port)))
        };
        self.protocol.is_none_or(|protocol| protocol == tuple.protocol)
            && self.source.holds(tuple.source)
            && self.destination.holds(tuple.destination)
            && ports(&self.source_ports, tuple.ports.map(|ports| ports.0))
            && ports(&self.destination_ports, tuple.ports.map(|ports| ports.1))
            && self.icmp_type.is_none_or(|kind| tuple.icmp.is_some_and(|icmp| icmp.0 == kind))
            && self.icmp_code.is_none_or(|code| tuple.icmp.is_some_and(|icmp| icmp.1 == code))
    }
}

impl AddressMatch {
    fn holds(&self, address: IpAddr) -> bool {
        match self {
            AddressMatch::Any => true,
            AddressMatch::In(set) => set.contains(address),
            AddressMatch::Prefix(IpAddr::V4(prefix), length) => {
                use super::fib::Bits;
                matches!(address, IpAddr::V4(a) if a.to_bits().masked(*length) == prefix.to_bits().masked(*length))
            }
            AddressMatch::Prefix(IpAddr::V6(prefix), length) => {
                use super::fib::Bits;
                matches!(address, IpAddr::V6(a) if a.to_bits().masked(*length) == prefix.to_bits().masked(*length))
            }
        }
    }
}
