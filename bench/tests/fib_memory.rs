//! Memory of an Internet table in one VRF, as the kernel counts it: alone in its process, so that nothing else grows meanwhile.

use bench::routes;
use vrouter::ids::NextHopId;
use vrouter::tables::fib::Bits;

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("resident pages");
    pages * 4096
}

/// Resident bytes a route, when inserted in order of prefix as a controller's full table is, and when at random.
fn bytes_a_route<A: Bits>(mut table: Vec<(A, u8, NextHopId)>, sorted: bool) -> usize {
    if sorted {
        table.sort_by_key(|&(address, length, _)| (address, length));
    }
    // The first fills what was freed before and is still resident; the next two have to grow.
    let filling = [routes::fib(&table), routes::fib(&table)];
    let before = resident();
    let measured = [routes::fib(&table), routes::fib(&table)];
    let bytes = (resident() - before) / (2 * table.len());
    println!("{} routes of {} bits: {bytes} B each", table.len(), A::WIDTH);
    // So that the next table cannot grow into their memory.
    std::mem::forget((filling, measured));
    bytes
}

#[test]
fn an_internet_table_takes_at_most_64_bytes_a_route() {
    for sorted in [false, true] {
        assert!(bytes_a_route(routes::v4(1_000_000), sorted) <= 64);
        assert!(bytes_a_route(routes::v6(200_000), sorted) <= 64);
    }
}
