//! One field that rules match: its values, and the sets of rules that they match, group by group.

use std::ops::Range;
use std::sync::Arc;

use flowtable::Set512;
use hashbrown::HashMap;

use super::classes::{Classes, Row};

/// The values of a field that rules name, in an order in which what a rule asks for is a few pieces.
pub(super) trait Values: Clone {
    /// What a rule says of the field.
    type Match: 'static;

    /// Rules with these matches go `out`, others come in: values come and go, and with them rows of classes.
    fn turn<'a>(
        &mut self,
        out: impl Iterator<Item = &'a Self::Match>,
        into: impl Iterator<Item = &'a Self::Match>,
        classes: &mut Classes,
    );

    /// The numbers of all values in order.
    fn order(&self) -> Vec<u32>;

    /// Which pieces of the order a match asks for, each place once at most; false: it does not ask, any value is right.
    fn asked(&self, asked: &Self::Match, ask: impl FnMut(Range<usize>)) -> bool;

    /// What matches that ask for the same many pieces have in common, if there is such a thing: those of one address group.
    fn kin(_: &Self::Match) -> Option<*const ()> {
        None
    }
}

/// Values and their classes.
#[derive(Clone)]
pub(super) struct Field<V> {
    pub values: V,
    classes: Arc<Classes>,
}

/// A field while its next version is made.
pub(super) struct Draft<V> {
    values: V,
    classes: Classes,
    order: Vec<u32>,
}

impl<V: Values> Field<V> {
    /// Without rules; `values` may take numbers.
    pub fn new(values: impl FnOnce(&mut Classes) -> V) -> Field<V> {
        let mut classes = Classes::new();
        let values = values(&mut classes);
        Field { values, classes: classes.into() }
    }

    /// The classes of the value with this number, by group.
    #[inline]
    pub fn row(&self, number: u32) -> Row<'_> {
        self.classes.row(number)
    }

    /// Begins the next version: `count` groups, still to be filled, in place of `replaced`; rules out and in.
    pub fn draft<'a>(
        &self,
        replaced: Range<usize>,
        count: usize,
        out: impl Iterator<Item = &'a V::Match>,
        into: impl Iterator<Item = &'a V::Match>,
    ) -> Draft<V> {
        let mut values = self.values.clone();
        let mut classes = self.classes.reshaped(replaced, count, into.size_hint().0);
        values.turn(out, into, &mut classes);
        let order = values.order();
        Draft { values, classes, order }
    }
}

impl<V: Values> Draft<V> {
    /// Fills a group: gives the sets of its rules by class. `None`: there would be more than `most`.
    pub fn fill<'a>(
        &mut self,
        group: usize,
        rules: impl Iterator<Item = &'a V::Match>,
        most: usize,
    ) -> Option<Box<[Set512]>> {
        let mut any = Set512::default();
        // Rules that ask for the same are one asker, however many pieces that are.
        let mut askers: Vec<Set512> = Vec::new();
        let mut kin: HashMap<*const (), usize> = HashMap::new();
        // Place and asker of each beginning and end.
        let mut edges: Vec<(u32, u16)> = Vec::new();
        for (rule, asked) in rules.enumerate() {
            let asker = askers.len();
            if let Some(&known) = V::kin(asked).and_then(|of| kin.get(&of)) {
                askers[known].toggle(rule);
                continue;
            }
            let edge = |at: usize| (at as u32, asker as u16);
            if self.values.asked(asked, |places| edges.extend([edge(places.start), edge(places.end)])) {
                let mut alone = Set512::default();
                alone.toggle(rule);
                askers.push(alone);
                kin.extend(V::kin(asked).map(|of| (of, asker)));
            } else {
                any.toggle(rule);
            }
        }
        edges.sort_unstable();
        let mut sets = vec![any];
        let mut known: HashMap<Set512, u16> = HashMap::from_iter([(any, 0)]);
        let (mut matched, mut edges) = (any, edges.into_iter().peekable());
        while let Some((from, asker)) = edges.next() {
            matched ^= askers[usize::from(asker)];
            while let Some((_, asker)) = edges.next_if(|&(at, _)| at == from) {
                matched ^= askers[usize::from(asker)];
            }
            let to = edges.peek().map_or(from, |&(at, _)| at);
            if from == to || matched == any {
                continue;
            }
            let class = *known.entry(matched).or_insert_with(|| {
                sets.push(matched);
                (sets.len() - 1) as u16
            });
            if sets.len() > most {
                return None;
            }
            for &number in &self.order[from as usize..to as usize] {
                self.classes.set(number, group, class);
            }
        }
        Some(sets.into())
    }

    pub fn done(mut self) -> Field<V> {
        self.classes.shrink();
        Field { values: self.values, classes: self.classes.into() }
    }
}
