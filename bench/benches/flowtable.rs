//! Flow lookup, counting and set-up, beside what the memory allows: `probe` reads two dependent random lines a packet, in
//! the same bursts with the same prefetching, from arrays of the table's sizes.
//!
//! N pairs are 2 N entries, and both directions are looked up in random order.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flowtable::{Config, FlowTable, Half, Key, Narrow, Pairs, Region, prefetch};

const BURST: usize = 64;

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys as IPv4 flows have them: addresses of a few subnets, ports, context.
fn keys(n: u64) -> (Narrow, Narrow) {
    let (here, there) = (0x0a00_0000 | n & 0xff, 0x0a01_0000 | n >> 8 & 0xffff);
    let (port, other) = (1024 + (n >> 6 & 0x7fff), 443u64);
    let forward = Key { words: [here << 32 | there, port << 48 | other << 32 | (n & 63)], tag: 6 };
    let reverse = Key { words: [there << 32 | here, other << 48 | port << 32 | 1 << 31], tag: 6 };
    (forward, reverse)
}

fn half(n: u64) -> Half {
    Half { stamp: n, next_hop: n as u32, verdict: 1 }
}

fn filled(pairs: u64) -> FlowTable {
    let config = Config { narrow_pairs: pairs as u32, wide_pairs: 0, seed: 42, time_base: 0 };
    let region = Region::heap(config.bytes().expect("possible")).expect("memory");
    let table = FlowTable::create(region, &config).expect("laid out");
    let mut n = 0;
    while u64::from(table.narrow().used()) < pairs {
        let (forward, reverse) = keys(n);
        // The numbers above make some flows twice.
        let _ = table.narrow().insert((&forward, half(n)), (&reverse, half(n)), 0, 0);
        n += 1;
    }
    table
}

/// Both keys of every pair, in random order.
fn shuffled(pairs: &Pairs<2>) -> Vec<Narrow> {
    let all = (0..pairs.capacity()).filter_map(|place| pairs.pair(place));
    let mut keys: Vec<Narrow> = all.flat_map(|pair| [pair.forward.0, pair.reverse.0]).collect();
    let mut state = 7;
    for i in (1..keys.len()).rev() {
        keys.swap(i, (mix(&mut state) % (i as u64 + 1)) as usize);
    }
    keys
}

/// The next burst of a list that goes round.
fn burst<'a, T>(all: &'a [T], cursor: &mut usize) -> &'a [T] {
    let start = if *cursor + BURST <= all.len() { *cursor } else { 0 };
    *cursor = start + BURST;
    &all[start..start + BURST]
}

fn lookup(pairs: &Pairs<2>, keys: &[Narrow], touch: bool) -> u64 {
    let mut hashes = [0; BURST];
    for (hash, key) in hashes.iter_mut().zip(keys) {
        *hash = pairs.hash(key);
        pairs.prefetch_bucket(*hash);
    }
    hashes.iter().for_each(|&hash| pairs.prefetch_entry(hash));
    let mut sum = 0;
    for (&hash, key) in hashes.iter().zip(keys) {
        let (handle, entry) = pairs.find(key, hash).expect("there");
        sum += u64::from(entry.next_hop);
        if touch {
            sum += u64::from(pairs.touch(handle, 60, 1, 0));
        }
    }
    sum
}

/// A line that names a line of the second array.
#[repr(align(64))]
struct Line([u64; 8]);

fn probe(buckets: &[Line], entries: &[Line], burst: &[u64]) -> u64 {
    burst.iter().for_each(|&at| prefetch(&buckets[at as usize]));
    burst.iter().for_each(|&at| prefetch(&entries[buckets[at as usize].0[3] as usize]));
    burst.iter().map(|&at| entries[buckets[at as usize].0[3] as usize].0[4]).sum()
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("flowtable");
    group.throughput(Throughput::Elements(BURST as u64));
    for pairs in [1_000, 100_000, 1_000_000] {
        let table = filled(pairs);
        let narrow = table.narrow();
        let all = shuffled(narrow);
        let mut cursor = 0;
        for (name, touch) in [("find", false), ("find and touch", true)] {
            group.bench_function(BenchmarkId::new(name, pairs), |b| {
                b.iter(|| black_box(lookup(narrow, burst(&all, &mut cursor), touch)));
            });
        }

        let mut state = 9;
        let mut lines = |count, to| (0..count).map(|_| Line([mix(&mut state) % to; 8])).collect::<Vec<_>>();
        let (buckets, entries) = (lines(pairs * 4 / 9, pairs * 2), lines(pairs * 2, 1 << 32));
        let order: Vec<u64> = (0..pairs * 2).map(|_| mix(&mut state) % buckets.len() as u64).collect();
        group.bench_function(BenchmarkId::new("probe", pairs), |b| {
            b.iter(|| black_box(probe(&buckets, &entries, burst(&order, &mut cursor))));
        });

        group.bench_function(BenchmarkId::new("remove and insert", pairs), |b| {
            b.iter(|| {
                for key in burst(&all, &mut cursor) {
                    let (handle, _) = narrow.find(key, narrow.hash(key)).expect("there");
                    let pair = narrow.take(handle).expect("there");
                    let ends = [pair.forward, pair.reverse];
                    let inserted = narrow.insert((&ends[0].0, ends[0].1.half()), (&ends[1].0, ends[1].1.half()), 0, 1);
                    black_box(inserted.expect("room"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(flowtable_benches, benches);
criterion_main!(flowtable_benches);
