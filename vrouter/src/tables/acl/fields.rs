//! The fields that rules match: from a packet's value to its set of rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::AddressMatch;
use super::rule_sets::{Builder, Class, RuleSets, Set, bits, set_bit};
use crate::tables::fib::{Bits, Fib, PrefixSet};

/// Source or destination.
pub(super) struct Addresses {
    sets: RuleSets,
    v4: Fib<u32, Class>,
    v6: Fib<u128, Class>,
}

/// Source or destination port.
pub(super) struct Ports {
    sets: RuleSets,
    /// Lowest ports of ranges that match the same rules; the first is 0 and each lasts to the next. Empty: no rule asks.
    firsts: Vec<u16>,
    /// By range.
    classes: Vec<Class>,
}

/// IP protocol.
pub(super) struct Protocols {
    sets: RuleSets,
    /// Rising, with the class of each; others match rules for any only.
    known: Vec<(u8, Class)>,
}

impl Addresses {
    /// Of rules with these matches, in order.
    pub(super) fn new<'a>(matches: impl ExactSizeIterator<Item = &'a AddressMatch> + Clone) -> Addresses {
        let rules = matches.len();
        let any = matches.clone().enumerate().filter(|(_, rule)| matches!(rule, AddressMatch::Any)).map(|(at, _)| at);
        let mut builder = Builder::new(rules, any);
        let mut v4 = Prefixes(BTreeMap::new());
        let mut v6 = Prefixes(BTreeMap::new());
        let mut groups: HashMap<*const PrefixSet, (&PrefixSet, Vec<usize>)> = HashMap::new();
        for (rule, addresses) in matches.enumerate() {
            match addresses {
                AddressMatch::Any => {}
                AddressMatch::Prefix(IpAddr::V4(prefix), length) => v4.add(prefix.to_bits(), *length).push(rule),
                AddressMatch::Prefix(IpAddr::V6(prefix), length) => v6.add(prefix.to_bits(), *length).push(rule),
                AddressMatch::In(group) => groups.entry(Arc::as_ptr(group)).or_insert((group, Vec::new())).1.push(rule),
            }
        }
        // Rules that name the same group are one list, however many prefixes it has.
        let groups: Vec<_> =
            groups.into_values().map(|(group, these)| (group, bits(rules, these.into_iter()))).collect();
        for (group, these) in &groups {
            v4.add_group(group.v4(), these);
            v6.add_group(group.v6(), these);
        }
        let (v4, v6) = (v4.classes(rules, &mut builder), v6.classes(rules, &mut builder));
        Addresses { sets: builder.build(), v4, v6 }
    }

    #[inline]
    pub(super) fn set(&self, address: IpAddr) -> Set<'_> {
        let longest = match address {
            IpAddr::V4(address) => self.v4.lookup(address.to_bits()),
            IpAddr::V6(address) => self.v6.lookup(address.to_bits()),
        };
        self.sets.set(longest.map_or(Class::ANY, |(_, class)| class))
    }
}

/// By prefix, which rules name it.
struct Prefixes<'a, A>(BTreeMap<(A, u8), Namers<'a>>);

/// Rules that name a prefix.
#[derive(Default)]
struct Namers<'a> {
    itself: Vec<usize>,
    /// Bits of the rules that name a group, per group that it is in.
    groups: Vec<&'a [u64]>,
}

impl<'a, A: Bits> Prefixes<'a, A> {
    fn add(&mut self, address: A, length: u8) -> &mut Vec<usize> {
        &mut self.0.entry((address.masked(length), length)).or_default().itself
    }

    fn add_group(&mut self, group: &Fib<A, ()>, rules: &'a [u64]) {
        for (address, length, ()) in group.iter() {
            self.0.entry((address, length)).or_default().groups.push(rules);
        }
    }

    /// The longest prefix that holds an address gives the rules of all that do.
    fn classes(self, rules: usize, builder: &mut Builder) -> Fib<A, Class> {
        let mut classes = Fib::default();
        // In order, so those that hold a prefix are the ones before it that have not ended.
        let mut holding: Vec<(A, u8, Box<[u64]>)> = Vec::new();
        for ((address, length), namers) in self.0 {
            while holding.pop_if(|(holder, length, _)| address.masked(*length) != *holder).is_some() {}
            let mut matched =
                holding.last().map_or_else(|| bits(rules, std::iter::empty()), |(_, _, rules)| rules.clone());
            namers.itself.into_iter().for_each(|rule| set_bit(&mut matched, rule));
            for group in namers.groups {
                matched.iter_mut().zip(group).for_each(|(word, more)| *word |= more);
            }
            classes.insert(address, length, builder.class(&matched));
            holding.push((address, length, matched));
        }
        classes
    }
}

impl Ports {
    /// Of rules with these ranges, in order; none: any port, or no port.
    pub(super) fn new<'a>(ranges: impl ExactSizeIterator<Item = &'a [(u16, u16)]> + Clone) -> Ports {
        let rules = ranges.len();
        let any = ranges.clone().enumerate().filter(|(_, ranges)| ranges.is_empty()).map(|(at, _)| at);
        let mut builder = Builder::new(rules, any);
        // By port: rules of which a range begins there, or ended just before.
        let mut changes: BTreeMap<u32, Vec<(usize, i32)>> = BTreeMap::new();
        for (rule, ranges) in ranges.enumerate() {
            for &(first, last) in ranges.iter().filter(|(first, last)| first <= last) {
                changes.entry(u32::from(first)).or_default().push((rule, 1));
                changes.entry(u32::from(last) + 1).or_default().push((rule, -1));
            }
        }
        let (mut firsts, mut classes) = (Vec::new(), Vec::new());
        let mut open = vec![0_i32; rules];
        let mut matched = bits(rules, std::iter::empty());
        if !changes.is_empty() {
            changes.entry(0).or_default();
        }
        for (port, changes) in changes {
            let Ok(port) = u16::try_from(port) else { break };
            for (rule, more) in changes {
                open[rule] += more;
                matched[rule / 64] &= !(1 << (rule % 64));
                if open[rule] > 0 {
                    set_bit(&mut matched, rule);
                }
            }
            firsts.push(port);
            classes.push(builder.class(&matched));
        }
        Ports { sets: builder.build(), firsts, classes }
    }

    #[inline]
    pub(super) fn set(&self, port: Option<u16>) -> Set<'_> {
        // The first range begins at 0, so one is found unless there is none at all.
        let range = port.and_then(|port| self.firsts.partition_point(|&first| first <= port).checked_sub(1));
        self.sets.set(range.map_or(Class::ANY, |range| self.classes[range]))
    }
}

impl Protocols {
    /// Of rules with these protocols, in order; none: any.
    pub(super) fn new(protocols: impl ExactSizeIterator<Item = Option<u8>> + Clone) -> Protocols {
        let rules = protocols.len();
        let mut builder =
            Builder::new(rules, protocols.clone().enumerate().filter(|(_, asked)| asked.is_none()).map(|(at, _)| at));
        let mut by_protocol: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (rule, protocol) in protocols.enumerate() {
            if let Some(protocol) = protocol {
                by_protocol.entry(protocol).or_default().push(rule);
            }
        }
        let known = by_protocol
            .into_iter()
            .map(|(protocol, these)| (protocol, builder.class(&bits(rules, these.into_iter()))))
            .collect();
        Protocols { sets: builder.build(), known }
    }

    #[inline]
    pub(super) fn set(&self, protocol: u8) -> Set<'_> {
        let found = self.known.binary_search_by_key(&protocol, |&(known, _)| known);
        self.sets.set(found.map_or(Class::ANY, |at| self.known[at].1))
    }
}
