//! Ports and protocols: the numbers that rules name, and which rules each matches.

use std::collections::BTreeMap;
use std::ops::Range;

use super::classes::Classes;
use super::field::Values;

/// Source or destination ports. A value is a port; its number is that of the longest run of ports around it that all rules treat alike.
#[derive(Clone)]
pub(super) struct Ports {
    /// The lowest port of each run; the first is 0, and each lasts to the next.
    firsts: Vec<u16>,
    numbers: Vec<u32>,
    /// Ranges of rules that begin there or end just before.
    users: Vec<u32>,
}

/// IP protocols. Each that a rule names has a number.
#[derive(Clone, Default)]
pub(super) struct Protocols {
    /// Rising: protocol, number, rules that name it.
    named: Vec<(u8, u32, u32)>,
}

/// Inclusive ranges; none: any.
pub(super) type Ranges = Vec<(u16, u16)>;

impl Ports {
    pub fn new(classes: &mut Classes) -> Ports {
        Ports { firsts: vec![0], numbers: vec![classes.add(|| 0)], users: vec![0] }
    }

    /// The number of a port; no port is matched by no range.
    #[inline]
    pub fn number(&self, port: Option<u16>) -> u32 {
        let Some(port) = port else { return 0 };
        self.numbers[self.run(port)]
    }

    #[inline]
    fn run(&self, port: u16) -> usize {
        self.firsts.partition_point(|&first| first <= port) - 1
    }
}

impl Values for Ports {
    type Match = Ranges;

    fn turn<'a>(
        &mut self,
        out: impl Iterator<Item = &'a Ranges>,
        into: impl Iterator<Item = &'a Ranges>,
        classes: &mut Classes,
    ) {
        let mut turns: BTreeMap<u16, i64> = BTreeMap::new();
        for (ranges, more) in out.map(|ranges| (ranges, -1)).chain(into.map(|ranges| (ranges, 1))) {
            merged(ranges, |first, last| {
                *turns.entry(first).or_default() += more;
                if let Some(next) = last.checked_add(1) {
                    *turns.entry(next).or_default() += more;
                }
            });
        }
        turns.remove(&0);
        let mut next = Ports { firsts: Vec::new(), numbers: Vec::new(), users: Vec::new() };
        let mut from = 0;
        for (first, more) in turns {
            let at = self.firsts.partition_point(|&other| other < first);
            next.extend(self, from..at);
            from = at;
            if self.firsts.get(at) == Some(&first) {
                from += 1;
                let users = (i64::from(self.users[at]) + more) as u32;
                if users > 0 {
                    next.push(first, self.numbers[at], users);
                } else {
                    classes.remove(self.numbers[at]);
                }
            } else if more > 0 {
                let before = *next.numbers.last().expect("the run of port 0 is always there");
                next.push(first, classes.add(|| before), more as u32);
            }
        }
        next.extend(self, from..self.firsts.len());
        *self = next;
    }

    fn order(&self) -> Vec<u32> {
        self.numbers.clone()
    }

    fn asked(&self, ranges: &Ranges, mut ask: impl FnMut(Range<usize>)) -> bool {
        merged(ranges, |first, last| ask(self.run(first)..self.run(last) + 1));
        !ranges.is_empty()
    }
}

impl Ports {
    fn extend(&mut self, from: &Ports, range: Range<usize>) {
        self.firsts.extend_from_slice(&from.firsts[range.clone()]);
        self.numbers.extend_from_slice(&from.numbers[range.clone()]);
        self.users.extend_from_slice(&from.users[range]);
    }

    fn push(&mut self, first: u16, number: u32, users: u32) {
        self.firsts.push(first);
        self.numbers.push(number);
        self.users.push(users);
    }
}

/// The ports of these ranges as ranges that are apart, rising. A range whose end is before its beginning is empty.
fn merged(ranges: &Ranges, mut each: impl FnMut(u16, u16)) {
    if let &[(first, last)] = &ranges[..] {
        if first <= last {
            each(first, last);
        }
        return;
    }
    let mut sorted: Vec<_> = ranges.iter().filter(|(first, last)| first <= last).collect();
    sorted.sort_unstable();
    let mut open: Option<(u16, u16)> = None;
    for &&(first, last) in &sorted {
        match &mut open {
            Some((_, end)) if u32::from(first) <= u32::from(*end) + 1 => *end = last.max(*end),
            _ => {
                if let Some((first, last)) = open.replace((first, last)) {
                    each(first, last);
                }
            }
        }
    }
    if let Some((first, last)) = open {
        each(first, last);
    }
}

impl Protocols {
    /// The number of a protocol.
    #[inline]
    pub fn number(&self, protocol: u8) -> u32 {
        self.named.iter().find(|(known, ..)| *known == protocol).map_or(0, |&(_, number, _)| number)
    }
}

impl Values for Protocols {
    type Match = Option<u8>;

    fn turn<'a>(
        &mut self,
        out: impl Iterator<Item = &'a Option<u8>>,
        into: impl Iterator<Item = &'a Option<u8>>,
        classes: &mut Classes,
    ) {
        let mut turns: BTreeMap<u8, i64> = BTreeMap::new();
        out.flatten().for_each(|&protocol| *turns.entry(protocol).or_default() -= 1);
        into.flatten().for_each(|&protocol| *turns.entry(protocol).or_default() += 1);
        for (protocol, more) in turns {
            match self.named.binary_search_by_key(&protocol, |&(known, ..)| known) {
                Ok(at) => {
                    let users = (i64::from(self.named[at].2) + more) as u32;
                    self.named[at].2 = users;
                    if users == 0 {
                        classes.remove(self.named.remove(at).1);
                    }
                }
                Err(at) if more > 0 => self.named.insert(at, (protocol, classes.add(|| 0), more as u32)),
                Err(_) => {}
            }
        }
    }

    fn order(&self) -> Vec<u32> {
        self.named.iter().map(|&(_, number, _)| number).collect()
    }

    fn asked(&self, asked: &Option<u8>, mut ask: impl FnMut(Range<usize>)) -> bool {
        if let Some(at) = asked.and_then(|asked| self.named.iter().position(|&(known, ..)| known == asked)) {
            ask(at..at + 1);
        }
        asked.is_some()
    }
}
