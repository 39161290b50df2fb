//! What rules have decided, over all versions of their ACL.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::tables::acl::Hits;

/// Rules from `from` to before `until` gave way to so many others.
#[derive(Clone, Debug)]
pub(super) struct Splice {
    pub from: usize,
    pub until: usize,
    pub into: usize,
    /// Of each that gave way, which of the others says the same, counted from `from`.
    pub again: Vec<Option<u32>>,
}

/// Counts of one ACL's rules as they are now, without those of its newest version.
#[derive(Clone, Default)]
pub(super) struct Counted {
    /// Of versions that nobody has any more: by rule, then the end.
    sums: Vec<u64>,
    /// Versions in which a worker may count yet, and how many of `splices` are older than they.
    past: Vec<(Arc<Hits>, usize)>,
    splices: Vec<Splice>,
}

impl Splice {
    /// What an edit changed: all between the rules that are the same at the beginning and at the end.
    pub fn of<T: Eq + Hash>(before: &[T], after: &[T], (first, last): (usize, usize)) -> Splice {
        let (until, to) = (before.len() - last, after.len() - last);
        let mut places: HashMap<&T, Vec<u32>> = HashMap::new();
        if first < until {
            // the first of those that are alike comes last
            (first..to).rev().for_each(|at| places.entry(&after[at]).or_default().push((at - first) as u32));
        }
        let again = before[first..until].iter().map(|rule| places.get_mut(rule)?.pop()).collect();
        Splice { from: first, until, into: to - first, again }
    }

    /// The index that a rule has now; `None`: it is gone.
    fn moved(&self, rule: usize) -> Option<usize> {
        match rule {
            rule if rule < self.from => Some(rule),
            rule if rule < self.until => Some(self.from + self.again[rule - self.from]? as usize),
            rule => Some(rule - self.until + self.from + self.into),
        }
    }
}

impl Counted {
    /// Goes on to the next version of an ACL that had so many rules: those that the edit did not touch keep their counts.
    pub fn edit(&mut self, before: &Arc<Hits>, rules: usize, splice: Splice) {
        self.sums.resize(rules + 1, 0);
        self.fold();
        self.past.push((before.clone(), self.splices.len()));
        let mut middle = vec![0; splice.into];
        let counted = splice.again.iter().zip(&self.sums[splice.from..splice.until]);
        counted.for_each(|(again, sum)| again.iter().for_each(|at| middle[*at as usize] = *sum));
        self.sums.splice(splice.from..splice.until, middle);
        self.splices.push(splice);
    }

    /// Adds up versions that no worker has any more.
    fn fold(&mut self) {
        let Counted { sums, past, splices } = self;
        past.retain_mut(|(hits, since)| {
            // this is the last one, and what the others wrote has been seen
            let ended = Arc::get_mut(hits).is_some();
            if ended {
                add(sums, hits, &splices[*since..]);
            }
            !ended
        });
        if past.is_empty() {
            splices.clear();
        }
    }

    /// What each rule has decided, and then the end, the newest version's counts included.
    pub fn read(&mut self, newest: &Hits, rules: usize) -> Vec<u64> {
        self.sums.resize(rules + 1, 0);
        self.fold();
        let mut sums = self.sums.clone();
        self.past.iter().for_each(|(hits, since)| add(&mut sums, hits, &self.splices[*since..]));
        add(&mut sums, newest, &[]);
        sums
    }
}

/// Adds what was counted before these edits.
fn add(sums: &mut [u64], hits: &Hits, splices: &[Splice]) {
    let end = sums.len() - 1;
    sums[end] += hits.count(None);
    for rule in 0..hits.rules() {
        let now = splices.iter().try_fold(rule, |rule, splice| splice.moved(rule));
        if let Some(now) = now {
            sums[now] += hits.count(Some(rule));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rules_that_stay_keep_their_counts(
            edits in vec((any::<(u8, u8)>(), 0..4_usize, vec(any::<(u8, bool)>(), 0..20), any::<u8>()), 1..20),
        ) {
            // by rule: what it says, which no other one does, and what it decided
            let mut rules: Vec<(usize, u64)> = Vec::new();
            let (mut end, mut names) = (0, 0);
            let mut counted = Counted::default();
            let mut newest = Arc::new(Hits::new(0, 2));
            let mut held = Vec::new();
            for ((a, b), into, decisions, hold) in edits {
                let among = |byte: u8| usize::from(byte) % (rules.len() + 1);
                let (from, until) = (among(a).min(among(b)), among(a).max(among(b)));
                // some of those that give way come again, in another order
                let again = rules[from..until].iter().rev().step_by(2).copied();
                let new: Vec<_> = again.chain((names..names + into).map(|name| (name, 0))).collect();
                names += into;
                let said = |rules: &[(usize, u64)]| rules.iter().map(|rule| rule.0).collect::<Vec<_>>();
                let (before, count) = (said(&rules), rules.len());
                rules.splice(from..until, new);
                counted.edit(&newest, count, Splice::of(&before, &said(&rules), (from, count - until)));
                // an older version is held for a while, and counts while it is
                held.push((newest, usize::from(hold) % 4, rules.clone()));
                newest = Arc::new(Hits::new(rules.len(), 2));
                for (which, late) in decisions {
                    let worker = usize::from(which) % 2;
                    if late && held.len() > 1 {
                        // what the version had before this edit is what the one held last but one became
                        let (old, _, became) = &held[held.len() - 1];
                        let before = &held[held.len() - 2].2;
                        let at = usize::from(which) % (before.len() + 1);
                        old.add(worker, (at < before.len()).then_some(at), 1);
                        match before.get(at) {
                            None => end += 1,
                            Some((name, _)) if became.iter().any(|rule| rule.0 == *name) => {
                                rules.iter_mut().filter(|rule| rule.0 == *name).for_each(|rule| rule.1 += 1);
                            }
                            Some(_) => {}
                        }
                        continue;
                    }
                    let at = usize::from(which) % (rules.len() + 1);
                    newest.add(worker, (at < rules.len()).then_some(at), 1);
                    match rules.get_mut(at) {
                        Some(rule) => rule.1 += 1,
                        None => end += 1,
                    }
                }
                let all: Vec<u64> = rules.iter().map(|rule| rule.1).chain([end]).collect();
                prop_assert_eq!(counted.read(&newest, rules.len()), all);
                let last = held.len() - 1;
                held.iter_mut().for_each(|row| row.1 = row.1.saturating_sub(1));
                let keep = held.split_off(last);
                held.retain(|row| row.1 > 0);
                held.extend(keep);
            }
        }
    }
}
