//! A histogram of latencies in cycles: thirty-two buckets to a doubling, so that each is within 3.2 % of what it holds.

/// Buckets to a doubling, as a power of two.
const FINE: u32 = 5;
/// Longer ones count as this, some minutes.
const LONGEST: u64 = (1 << 40) - 1;
/// Buckets in all.
pub const BUCKETS: usize = ((40 - FINE as usize) + 1) << FINE;

/// The bucket of a latency.
#[inline]
pub fn bucket(cycles: u64) -> usize {
    let cycles = cycles.min(LONGEST);
    let doublings = (64 - (cycles | ((1 << FINE) - 1)).leading_zeros()) - FINE;
    if doublings == 0 {
        return cycles as usize;
    }
    let shift = doublings - 1;
    ((doublings as usize) << FINE) + ((cycles >> shift) as usize & ((1 << FINE) - 1))
}

/// The longest latency of a bucket.
pub fn longest(bucket: usize) -> u64 {
    let (doublings, fine) = (bucket as u32 >> FINE, bucket as u64 & ((1 << FINE) - 1));
    match doublings {
        0 => fine,
        _ => (((1_u64 << FINE) + fine + 1) << (doublings - 1)) - 1,
    }
}

/// The latency that a share of the counted ones does not exceed, in parts of a thousand; absent when nothing was counted. `counts` are the buckets'
/// counts, all of them in order.
pub fn quantile(counts: impl Iterator<Item = (usize, u64)> + Clone, per_mille: u64) -> Option<u64> {
    let all: u64 = counts.clone().map(|(_, count)| count).sum();
    let wanted = (u128::from(all) * u128::from(per_mille)).div_ceil(1000) as u64;
    let mut below = 0;
    counts
        .filter(|(_, count)| *count > 0)
        .find(|(_, count)| {
            below += count;
            below >= wanted
        })
        .map(|(bucket, _)| longest(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_near(cycles in (0_u32..40).prop_flat_map(|bits| 0_u64..1 << bits)) {
            let at = bucket(cycles);
            prop_assert!(at < BUCKETS);
            prop_assert!(longest(at) >= cycles);
            prop_assert!((longest(at) - cycles) as f64 <= cycles as f64 / 32.0);
            prop_assert!(at == 0 || longest(at - 1) < cycles);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let mut counts = vec![0_u64; BUCKETS];
        let latencies: Vec<u64> = (1..=10_000).map(|n| n * 37 % 9_973).collect();
        latencies.iter().for_each(|&cycles| counts[bucket(cycles)] += 1);
        let mut sorted = latencies;
        sorted.sort_unstable();
        for (per_mille, at) in [(500, 4_999), (990, 9_899), (999, 9_989), (1000, 9_999)] {
            let told = quantile(counts.iter().copied().enumerate(), per_mille).unwrap();
            assert_eq!(bucket(told), bucket(sorted[at]), "{per_mille}");
        }
        assert_eq!(quantile(std::iter::empty(), 500), None);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
