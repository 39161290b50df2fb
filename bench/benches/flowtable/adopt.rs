//! Adoption of a full table in a file by the next process.

use std::path::{Path, PathBuf};
use std::time::Instant;

use flowtable::{Config, FlowTable, Region, RegionFile};

use crate::keys::{flow, half};

/// Seconds that it may take, mapping included.
const MOST: f64 = 1.0;

/// A table of so many pairs, as many of them in use, in memory that outlives its process.
pub fn full_table(count: u32, broken: &mut Vec<String>) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path: PathBuf = folder.join(format!("flows-{}", std::process::id()));
    let config = Config { narrow_pairs: count, wide_pairs: 0, seed: 42, time_base: 0 };
    let file = RegionFile::create(&path, config.bytes().expect("possible")).expect("room");
    let table = FlowTable::create(Region::of_file(file).expect("mapped"), &config).expect("laid out");
    for n in 0..u64::from(count) {
        let [there, back] = flow(n);
        table.narrow().insert((&there, half(n, 1)), (&back, half(n, 2)), 0, 1).expect("room");
    }
    table.region().file().into_iter().for_each(|file| file.finish().expect("named"));
    drop(table);
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let region = Region::of_file(RegionFile::open(&path).expect("free").expect("there")).expect("mapped");
        let mapped = start.elapsed().as_secs_f64();
        let table = FlowTable::adopt(region).expect("ours");
        assert_eq!(table.narrow().used(), count, "{:?}", table.adopted());
        times.push((start.elapsed().as_secs_f64(), mapped));
    }
    std::fs::remove_file(&path).expect("there");
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (whole, mapped) = times[times.len() / 2];
    println!("{count} pairs of a file adopted in {whole:.3} s, {mapped:.3} s of it mapped");
    if whole > MOST {
        broken.push(format!("adoption of {count} pairs: {whole:.2} s, {MOST} is the most"));
    }
}
