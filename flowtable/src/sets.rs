//! Intersection of sets of 512, exported safe.

/// A set of numbers below 512, one bit each, on a cache line of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C, align(64))]
pub struct Set512(pub [u64; 8]);

impl Set512 {
    /// Adds a number, or takes it out if it is in. Panics if it is not below 512.
    pub fn toggle(&mut self, number: usize) {
        self.0[number / 64] ^= 1 << (number % 64);
    }

    /// Whether a number below 512 is in.
    #[inline]
    pub fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 != 0
    }

    /// The lowest number in it for which this holds.
    #[inline]
    pub fn find(&self, mut holds: impl FnMut(usize) -> bool) -> Option<usize> {
        for (at, word) in self.0.iter().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let number = at * 64 + rest.trailing_zeros() as usize;
                if holds(number) {
                    return Some(number);
                }
                rest &= rest - 1;
            }
        }
        None
    }
}

/// Toggles all numbers of the other.
impl std::ops::BitXorAssign for Set512 {
    fn bitxor_assign(&mut self, other: Set512) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word ^= other);
    }
}

/// For each column that is asked (a bit for each of 64) in order: the set that each row chooses of the column's `N` lists of `sets`
/// (by its number there), intersected, and given to `found` unless nothing is in all. Ends with the first answer of `found`.
///
/// With the widest registers that the processor has; any thread, no allocation.
///
/// # Panics
/// If a row is shorter than `columns`, or names a set that is not there, or a column is asked that is not there.
#[inline]
pub fn first_common<const N: usize, C, R>(
    columns: &[C],
    asked: impl Fn(usize) -> u64,
    sets: impl Fn(&C) -> &[Box<[Set512]>; N],
    rows: [&[u16]; N],
    found: impl FnMut(usize, &Set512) -> Option<R>,
) -> Option<R> {
    let rows = rows.map(|row| &row[..columns.len()]);
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { with_avx512(columns, asked, sets, rows, found) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { with_avx2(columns, asked, sets, rows, found) };
        }
    }
    walk(columns, asked, sets, rows, found, common)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f")]
fn with_avx512<const N: usize, C, R>(
    columns: &[C],
    asked: impl Fn(usize) -> u64,
    sets: impl Fn(&C) -> &[Box<[Set512]>; N],
    rows: [&[u16]; N],
    found: impl FnMut(usize, &Set512) -> Option<R>,
) -> Option<R> {
    walk(columns, asked, sets, rows, found, |sets| common_avx512(sets))
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx2")]
fn with_avx2<const N: usize, C, R>(
    columns: &[C],
    asked: impl Fn(usize) -> u64,
    sets: impl Fn(&C) -> &[Box<[Set512]>; N],
    rows: [&[u16]; N],
    found: impl FnMut(usize, &Set512) -> Option<R>,
) -> Option<R> {
    walk(columns, asked, sets, rows, found, |sets| common_avx2(sets))
}

/// What all sets have in common, unless it is nothing.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
#[target_feature(enable = "avx512f")]
fn common_avx512<const N: usize>(sets: [&Set512; N]) -> Option<Set512> {
    use std::arch::x86_64::{
        _mm512_and_si512, _mm512_load_si512, _mm512_set1_epi64, _mm512_store_si512, _mm512_test_epi64_mask,
    };
    // SAFETY: a set is 64 bytes, aligned to as many.
    let load = |set: &Set512| unsafe { _mm512_load_si512(set.0.as_ptr().cast()) };
    let all = sets.iter().fold(_mm512_set1_epi64(-1), |all, set| _mm512_and_si512(all, load(set)));
    (_mm512_test_epi64_mask(all, all) != 0).then(|| {
        let mut common = Set512::default();
        // SAFETY: as above, and `common` is ours.
        unsafe { _mm512_store_si512(common.0.as_mut_ptr().cast(), all) };
        common
    })
}

/// What all sets have in common, unless it is nothing.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
#[target_feature(enable = "avx2")]
fn common_avx2<const N: usize>(sets: [&Set512; N]) -> Option<Set512> {
    use std::arch::x86_64::{
        _mm256_and_si256, _mm256_load_si256, _mm256_or_si256, _mm256_set1_epi64x, _mm256_store_si256,
        _mm256_testz_si256,
    };
    // SAFETY: a set is 64 bytes, aligned to as many: each half is 32.
    let load = |set: &Set512, half: usize| unsafe { _mm256_load_si256(set.0[half * 4..].as_ptr().cast()) };
    let halves =
        [0, 1].map(|half| sets.iter().fold(_mm256_set1_epi64x(-1), |all, set| _mm256_and_si256(all, load(set, half))));
    let any = _mm256_or_si256(halves[0], halves[1]);
    (_mm256_testz_si256(any, any) == 0).then(|| {
        let mut common = Set512::default();
        for (half, words) in halves.iter().zip(common.0.chunks_exact_mut(4)) {
            // SAFETY: as above, and `common` is ours.
            unsafe { _mm256_store_si256(words.as_mut_ptr().cast(), *half) };
        }
        common
    })
}

/// What all sets have in common, unless it is nothing.
#[inline(always)]
fn common<const N: usize>(sets: [&Set512; N]) -> Option<Set512> {
    let word = |at: usize| sets.iter().fold(u64::MAX, |all, set| all & set.0[at]);
    let common: [u64; 8] = std::array::from_fn(word);
    (common.iter().fold(0, |any, word| any | word) != 0).then_some(Set512(common))
}

#[inline(always)]
fn walk<const N: usize, C, R>(
    columns: &[C],
    asked: impl Fn(usize) -> u64,
    sets: impl Fn(&C) -> &[Box<[Set512]>; N],
    rows: [&[u16]; N],
    mut found: impl FnMut(usize, &Set512) -> Option<R>,
    common: impl Fn([&Set512; N]) -> Option<Set512>,
) -> Option<R> {
    for word in 0..columns.len().div_ceil(64) {
        let mut ask = asked(word);
        while ask != 0 {
            let at = word * 64 + ask.trailing_zeros() as usize;
            ask &= ask - 1;
            let lists = sets(&columns[at]);
            let chosen = std::array::from_fn(|n| &lists[n][usize::from(rows[n][at])]);
            if let Some(common) = common(chosen)
                && let Some(answer) = found(at, &common)
            {
                return Some(answer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Column([Box<[Set512]>; 3]);

    fn sets(column: &Column) -> &[Box<[Set512]>; 3] {
        &column.0
    }

    /// Repeatable numbers.
    fn draw(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mixed = *state ^ *state >> 33;
        mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ mixed >> 29
    }

    fn set(state: &mut u64) -> Set512 {
        let mut set = Set512::default();
        for _ in 0..draw(state) % 96 {
            let number = (draw(state) % 512) as usize;
            if !set.contains(number) {
                set.toggle(number);
            }
        }
        set
    }

    /// Number after number.
    fn slowly(columns: &[Column], not: u64, rows: [&[u16]; 3]) -> Option<(usize, usize)> {
        let is = |at: usize, number| (0..3).all(|n| columns[at].0[n][usize::from(rows[n][at])].contains(number));
        (0..columns.len())
            .filter(|at| not >> at & 1 == 0)
            .find_map(|at| Some((at, (0..512).find(|&number| is(at, number))?)))
    }

    #[test]
    fn every_width_of_registers_finds_the_same() {
        let mut state = 7;
        for round in 0..400 {
            let columns: Vec<Column> = (0..round % 7)
                .map(|_| Column(std::array::from_fn(|_| (0..5).map(|_| set(&mut state)).collect())))
                .collect();
            let choice: [Vec<u16>; 3] =
                std::array::from_fn(|_| columns.iter().map(|_| (draw(&mut state) % 5) as u16).collect());
            let rows = [&*choice[0], &*choice[1], &*choice[2]];
            let not = draw(&mut state) & draw(&mut state);
            let asked = |word: usize| if word == 0 { !not & ((1 << columns.len()) - 1) } else { 0 };
            let first = |at: usize, common: &Set512| common.find(|_| true).map(|number| (at, number));
            let expected = slowly(&columns, not, rows);
            assert_eq!(first_common(&columns, asked, sets, rows, first), expected);
            assert_eq!(walk(&columns, asked, sets, rows, first, common), expected);
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            {
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has what the function is compiled for.
                    assert_eq!(unsafe { with_avx2(&columns, asked, sets, rows, first) }, expected);
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has what the function is compiled for.
                    assert_eq!(unsafe { with_avx512(&columns, asked, sets, rows, first) }, expected);
                }
            }
        }
    }

    #[test]
    fn an_answer_may_be_refused_and_the_next_column_is_asked() {
        let full = || Column(std::array::from_fn(|_| vec![Set512([u64::MAX; 8])].into()));
        let columns = [full(), full(), full()];
        let rows = [[0; 3]; 3];
        let rows = [&rows[0][..], &rows[1][..], &rows[2][..]];
        let asked = |_| 0b111;
        assert_eq!(first_common(&columns, asked, sets, rows, |at, _| (at == 2).then_some(at)), Some(2));
        assert_eq!(first_common(&columns, asked, sets, rows, |_, _| None::<()>), None);
        assert_eq!(first_common(&columns[..0], |_| 0, sets, rows, |at, _| Some(at)), None);
    }
}
