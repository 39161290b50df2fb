//! FIB: lookups a second, one by one and batched, and route changes a second with a clone kept, as a snapshot keeps one.

use std::hint::black_box;

use bench::routes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vrouter::ids::NextHopId;
use vrouter::tables::fib::Bits;

const DESTINATIONS: usize = 1 << 16;
const BURST: usize = 64;

fn lookup<A: Bits>(c: &mut Criterion, family: &str, table: &[(A, u8, NextHopId)]) {
    let fib = routes::fib(table);
    let destinations = routes::destinations(table, DESTINATIONS);
    let mut bursts = destinations.chunks(BURST).cycle();
    let mut group = c.benchmark_group("fib");
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_function(BenchmarkId::new(format!("lookup_{family}"), table.len()), |b| {
        b.iter(|| {
            for &address in bursts.next().unwrap_or_default() {
                black_box(fib.lookup(address));
            }
        });
    });
    let mut answers = [None; BURST];
    group.bench_function(BenchmarkId::new(format!("lookup_batch_{family}"), table.len()), |b| {
        b.iter(|| {
            fib.lookup_batch(bursts.next().unwrap_or_default(), &mut answers);
            black_box(&answers);
        });
    });
}

fn change<A: Bits>(c: &mut Criterion, family: &str, table: &[(A, u8, NextHopId)]) {
    let mut fib = routes::fib(table);
    let mut changed = table.iter().cycle();
    let mut group = c.benchmark_group("fib");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new(format!("change_{family}"), table.len()), |b| {
        b.iter(|| {
            let kept = fib.clone();
            if let Some(&(address, length, next_hop)) = changed.next() {
                fib.insert(address, length, NextHopId(next_hop.0 + 1));
            }
            kept
        });
    });
    group.throughput(Throughput::Elements(table.len() as u64));
    group.sample_size(10);
    group.bench_function(BenchmarkId::new(format!("fill_{family}"), table.len()), |b| {
        b.iter_batched(|| (), |()| routes::fib(table), BatchSize::PerIteration);
    });
}

fn fib(c: &mut Criterion) {
    for count in [100, 10_000, 1_000_000] {
        lookup(c, "v4", &routes::v4(count));
    }
    lookup(c, "v6", &routes::v6(200_000));
    change(c, "v4", &routes::v4(1_000_000));
    change(c, "v6", &routes::v6(200_000));
}

criterion_group!(benches, fib);
criterion_main!(benches);
