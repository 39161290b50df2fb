//! Sets of rules as bits, made for intersecting.

use hashbrown::HashMap;

/// The sets of rules that the values of one field match, by *class*: values that match the same rules share one.
///
/// Rules that match any value are kept once, as plain bits. A class adds those that its values match: the words of 64 rules that are
/// not zero, under a summary with one bit a word. So memory is proportional to what rules ask, and an intersection looks at
/// summaries, then only at words that have a rule in every field (aggregated bit vectors, Baboescu and Varghese 2001).
pub(super) struct RuleSets {
    /// Bit per rule that matches any value, and bit per word of that which is not zero.
    any: Box<[u64]>,
    any_summary: Box<[u64]>,
    /// Class after class, as many words each as `any_summary`.
    summaries: Vec<u64>,
    /// Where in `words` a class begins.
    starts: Vec<u32>,
    words: Vec<u64>,
}

/// A set in one of [`RuleSets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u32);

impl Class {
    /// No rule but those that match any value.
    pub(super) const ANY: Class = Class(0);
}

/// Takes a field's sets.
pub(super) struct Builder {
    sets: RuleSets,
    known: HashMap<Box<[u64]>, Class>,
}

/// The rule sets of one packet's fields, to be intersected.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    any: &'a [u64],
    any_summary: &'a [u64],
    summary: &'a [u64],
    words: &'a [u64],
}

impl Builder {
    /// For this many rules, of which those in `any` match any value.
    pub(super) fn new(rules: usize, any: impl Iterator<Item = usize>) -> Builder {
        let any = bits(rules, any);
        let mut builder = Builder {
            sets: RuleSets {
                any_summary: summary(&any),
                any,
                summaries: Vec::new(),
                starts: Vec::new(),
                words: Vec::new(),
            },
            known: HashMap::new(),
        };
        let none = bits(rules, std::iter::empty());
        let empty = builder.class(&none);
        debug_assert_eq!(empty, Class::ANY);
        builder
    }

    /// The class of these rules (bits, as by [`bits`]).
    pub(super) fn class(&mut self, rules: &[u64]) -> Class {
        let summary = summary(rules);
        let words = rules.iter().copied().filter(|&word| word != 0);
        let key: Box<[u64]> = summary.iter().copied().chain(words.clone()).collect();
        let sets = &mut self.sets;
        *self.known.entry(key).or_insert_with(|| {
            let class = Class(sets.starts.len() as u32);
            sets.starts.push(sets.words.len() as u32);
            sets.summaries.extend(summary);
            sets.words.extend(words);
            class
        })
    }

    pub(super) fn build(mut self) -> RuleSets {
        self.sets.summaries.shrink_to_fit();
        self.sets.starts.shrink_to_fit();
        self.sets.words.shrink_to_fit();
        self.sets
    }
}

impl RuleSets {
    /// The rules of a class.
    #[inline]
    pub(super) fn set(&self, Class(class): Class) -> Set<'_> {
        let size = self.any_summary.len();
        Set {
            any: &self.any,
            any_summary: &self.any_summary,
            summary: &self.summaries[class as usize * size..][..size],
            words: &self.words[self.starts[class as usize] as usize..],
        }
    }
}

/// The lowest rule that is in all the sets (which are of the same rules) and that `accepts`. Faster if small sets come first.
#[inline]
pub(super) fn first_common<const N: usize>(sets: [Set<'_>; N], accepts: impl Fn(usize) -> bool) -> Option<usize> {
    let mut begins = [0; N];
    for at in 0..sets[0].any_summary.len() {
        let summaries = sets.map(|set| set.summary[at]);
        let mut common =
            sets.iter().zip(summaries).fold(u64::MAX, |c, (set, summary)| c & (set.any_summary[at] | summary));
        while common != 0 {
            let bit = common.trailing_zeros();
            common &= common - 1;
            let place = at * 64 + bit as usize;
            let mut word = u64::MAX;
            for ((set, summary), begin) in sets.iter().zip(summaries).zip(begins) {
                let mut rules = set.any[place];
                if summary >> bit & 1 != 0 {
                    rules |= set.words[begin + (summary & ((1 << bit) - 1)).count_ones() as usize];
                }
                word &= rules;
                if word == 0 {
                    break;
                }
            }
            while word != 0 {
                let rule = place * 64 + word.trailing_zeros() as usize;
                if accepts(rule) {
                    return Some(rule);
                }
                word &= word - 1;
            }
        }
        for (begin, summary) in begins.iter_mut().zip(summaries) {
            *begin += summary.count_ones() as usize;
        }
    }
    None
}

/// A bit for each of these, of `rules` in all.
pub(super) fn bits(rules: usize, these: impl Iterator<Item = usize>) -> Box<[u64]> {
    let mut bits = vec![0; rules.div_ceil(64)].into_boxed_slice();
    these.for_each(|rule| set_bit(&mut bits, rule));
    bits
}

/// Adds a rule.
pub(super) fn set_bit(bits: &mut [u64], rule: usize) {
    bits[rule / 64] |= 1 << (rule % 64);
}

fn summary(words: &[u64]) -> Box<[u64]> {
    bits(words.len(), words.iter().enumerate().filter(|&(_, &word)| word != 0).map(|(at, _)| at))
}
