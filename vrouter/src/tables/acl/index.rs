//! Rules compiled: a verdict costs five lookups and one intersection for each group of rules.
//!
//! Rules stand in groups of at most 512, in order. Each field (source, destination, ports, protocol) gives a packet's value a number,
//! and that number a *class* in each group: which set of the group's rules the value matches, one bit a rule. The first rule in all
//! five sets of a group decides (bit vectors of Lakshman and Stiliadis 1998, cut in pieces). Sets are shared by all values of
//! a class, so they cost what the rules of one group ask for, whatever stands in other groups.
//!
//! That is also why an edit is cheap: it fills the columns of its own group anew and copies the others. What another version holds
//! is never written.

use std::ops::Range;
use std::sync::Arc;

use flowtable::{Set512, first_common};

use super::classes::WORD;
use super::field::Field;
use super::numbers::{Ports, Protocols};
use super::prefixes::Addresses;
use super::{Rule, Tuple};

/// How large groups are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Rules that a group may have: 512 at most.
    pub most: usize,
    /// Rules that it has when it is one of several new ones, so that there is room for more.
    pub full: usize,
    /// Neighbours that have no more together become one.
    pub few: usize,
    /// Sets that a group may have in one field. Rules that want more get smaller groups.
    pub sets: usize,
    /// Rules that never want more, whatever they ask for: each can be in a set or not.
    pub least: usize,
}

/// 256 KiB of sets.
pub(super) const SIZES: Sizes = Sizes { most: 512, full: 448, few: 256, sets: 4096, least: 12 };

/// Compiled rules. Shared by reference; `Send` and `Sync`.
pub(super) struct Index {
    sizes: Sizes,
    groups: Vec<Arc<Group>>,
    /// Where each group's rules begin; then how many rules there are.
    starts: Vec<u32>,
    /// By 64 groups, by field: bits of the groups in which some rule matches any value.
    any: Vec<[u64; 5]>,
    /// The most rules that there were since all was compiled.
    peak: usize,
    source: Field<Addresses>,
    destination: Field<Addresses>,
    source_port: Field<Ports>,
    destination_port: Field<Ports>,
    protocol: Field<Protocols>,
}

/// Some consecutive rules.
struct Group {
    rules: Box<[Arc<Rule>]>,
    permit: Set512,
    /// Rules that ask for an ICMP type.
    icmp: Set512,
    /// By field, by class.
    sets: [Box<[Set512]>; 5],
}

impl Index {
    pub(super) fn new(rules: &[Arc<Rule>], sizes: Sizes) -> Index {
        let none = Index {
            sizes,
            groups: Vec::new(),
            starts: vec![0],
            any: Vec::new(),
            peak: 0,
            source: Field::new(|_| Addresses::default()),
            destination: Field::new(|_| Addresses::default()),
            source_port: Field::new(Ports::new),
            destination_port: Field::new(Ports::new),
            protocol: Field::new(|_| Protocols::default()),
        };
        none.spliced(0..0, rules)
    }

    pub(super) fn len(&self) -> usize {
        self.starts[self.groups.len()] as usize
    }

    /// Whether much of it would be for rules that are gone.
    pub(super) fn is_sparse(&self, rules: usize) -> bool {
        rules < self.peak / 2
    }

    pub(super) fn rule(&self, at: usize) -> Option<&Arc<Rule>> {
        let group = self.starts.partition_point(|&start| start as usize <= at) - 1;
        self.groups.get(group)?.rules.get(at - self.starts[group] as usize)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.groups.iter().flat_map(|group| group.rules.iter())
    }

    /// The first rule that matches, and whether it permits.
    #[inline]
    pub(super) fn first(&self, tuple: &Tuple) -> Option<(usize, bool)> {
        let (source_port, destination_port) = tuple.ports.unzip();
        let fields = [&self.source.values, &self.destination.values];
        let [source, destination] = Addresses::numbers(fields, [tuple.source, tuple.destination]);
        let rows = [
            self.source.row(source),
            self.destination.row(destination),
            self.source_port.row(self.source_port.values.number(source_port)),
            self.destination_port.row(self.destination_port.values.number(destination_port)),
            self.protocol.row(self.protocol.values.number(tuple.protocol)),
        ];
        let asked = |word: usize| {
            let any = &self.any[word];
            rows.iter().zip(any).fold(u64::MAX, |groups, (row, any)| groups & (row.marks(word) | any))
        };
        let classes = rows.map(|row| row.classes);
        first_common(
            &self.groups,
            asked,
            |group| &group.sets,
            classes,
            |at, common| {
                let group = &*self.groups[at];
                let allows = |rule: usize| !group.icmp.contains(rule) || group.rules[rule].allows_icmp(tuple.icmp);
                let rule = common.find(allows)?;
                Some((self.starts[at] as usize + rule, group.permit.contains(rule)))
            },
        )
    }

    /// These rules with others in place of some.
    pub(super) fn spliced(&self, replaced: Range<usize>, into: &[Arc<Rule>]) -> Index {
        let mut size = self.sizes.full;
        loop {
            match self.try_spliced(replaced.clone(), into, size) {
                Some(index) => return index,
                None => size = (size / 2).max(self.sizes.least),
            }
        }
    }

    /// With groups of this many rules at most; `None` when the rules of one ask for too much.
    fn try_spliced(&self, replaced: Range<usize>, into: &[Arc<Rule>], size: usize) -> Option<Index> {
        let (touched, rules) = self.touched(&replaced, into, size);
        let most = if size == self.sizes.full { self.sizes.most } else { size };
        let count = if rules.len() <= most { rules.len().min(1) } else { rules.len().div_ceil(size) };
        let out = || self.between(replaced.clone());
        macro_rules! draft {
            ($field:ident, $of:ident) => {
                self.$field.draft(
                    touched.clone(),
                    count,
                    out().map(|rule| &rule.$of),
                    into.iter().map(|rule| &rule.$of),
                )
            };
        }
        let mut source = draft!(source, source);
        let mut destination = draft!(destination, destination);
        let mut source_port = draft!(source_port, source_ports);
        let mut destination_port = draft!(destination_port, destination_ports);
        let mut protocol = draft!(protocol, protocol);
        let mut groups = self.groups.clone();
        let mut made = Vec::with_capacity(count);
        let sets = self.sizes.sets;
        for (at, rules) in rules.chunks(rules.len().div_ceil(count.max(1)).max(1)).enumerate() {
            let at = touched.start + at;
            let sets = [
                source.fill(at, rules.iter().map(|rule| &rule.source), sets)?,
                destination.fill(at, rules.iter().map(|rule| &rule.destination), sets)?,
                source_port.fill(at, rules.iter().map(|rule| &rule.source_ports), sets)?,
                destination_port.fill(at, rules.iter().map(|rule| &rule.destination_ports), sets)?,
                protocol.fill(at, rules.iter().map(|rule| &rule.protocol), sets)?,
            ];
            made.push(Arc::new(Group::new(rules, sets)));
        }
        groups.splice(touched, made);
        let mut starts = Vec::with_capacity(groups.len() + 1);
        starts.push(0);
        starts.extend(groups.iter().scan(0, |end, group| {
            *end += group.rules.len() as u32;
            Some(*end)
        }));
        let any = |groups: &[Arc<Group>]| {
            std::array::from_fn(|field| {
                let any = |group: &Arc<Group>| u64::from(group.sets[field][0] != Set512::default());
                groups.iter().enumerate().fold(0, |bits, (at, group)| bits | any(group) << at)
            })
        };
        let any = groups.chunks(WORD).map(any).collect();
        let peak = self.peak.max(groups.iter().map(|group| group.rules.len()).sum());
        Some(Index {
            sizes: self.sizes,
            groups,
            starts,
            any,
            peak,
            source: source.done(),
            destination: destination.done(),
            source_port: source_port.done(),
            destination_port: destination_port.done(),
            protocol: protocol.done(),
        })
    }

    /// The groups that an edit makes anew, and the rules that they then have.
    fn touched(&self, replaced: &Range<usize>, into: &[Arc<Rule>], size: usize) -> (Range<usize>, Vec<Arc<Rule>>) {
        if self.groups.is_empty() {
            return (0..0, into.to_vec());
        }
        let holding = |at: usize| self.starts.partition_point(|&start| start as usize <= at).min(self.groups.len()) - 1;
        let first = holding(replaced.start);
        let last = if replaced.is_empty() { first } else { holding(replaced.end - 1) };
        let mut touched = first..last + 1;
        let bounds = |touched: &Range<usize>| self.starts[touched.start] as usize..self.starts[touched.end] as usize;
        let count = |touched: &Range<usize>| bounds(touched).len() - replaced.len() + into.len();
        let few = self.sizes.few.min(size);
        loop {
            let wider = [touched.start..touched.end + 1, touched.start.wrapping_sub(1)..touched.end];
            let there = |wider: &Range<usize>| wider.start <= touched.start && wider.end <= self.groups.len();
            match wider.into_iter().find(|wider| there(wider) && count(wider) <= few) {
                Some(wider) => touched = wider,
                None => break,
            }
        }
        let Range { start, end } = bounds(&touched);
        let before = self.between(start..replaced.start);
        let after = self.between(replaced.end..end);
        let rules = before.chain(into).chain(after).cloned().collect();
        (touched, rules)
    }

    fn between(&self, range: Range<usize>) -> impl Iterator<Item = &Arc<Rule>> {
        let first = self.starts.partition_point(|&start| start as usize <= range.start) - 1;
        let skipped = range.start - self.starts[first] as usize;
        self.groups[first..].iter().flat_map(|group| group.rules.iter()).skip(skipped).take(range.len())
    }
}

impl Group {
    fn new(rules: &[Arc<Rule>], sets: [Box<[Set512]>; 5]) -> Group {
        let (mut permit, mut icmp) = (Set512::default(), Set512::default());
        for (at, rule) in rules.iter().enumerate() {
            if rule.permit {
                permit.toggle(at);
            }
            if rule.icmp_type.is_some() || rule.icmp_code.is_some() {
                icmp.toggle(at);
            }
        }
        Group { rules: rules.into(), permit, icmp, sets }
    }
}

/// What it takes, for tests.
#[cfg(test)]
impl Index {
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Values that each field knows.
    pub(super) fn values(&self) -> [usize; 5] {
        use super::field::Values;
        [
            self.source.values.order().len(),
            self.destination.values.order().len(),
            self.source_port.values.order().len(),
            self.destination_port.values.order().len(),
            self.protocol.values.order().len(),
        ]
    }

    /// The most sets of a group in one field.
    pub(super) fn most_sets(&self) -> usize {
        self.groups.iter().flat_map(|group| &group.sets).map(|sets| sets.len()).max().unwrap_or(0)
    }
}
