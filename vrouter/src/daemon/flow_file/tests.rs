//! Files: what is found under a path, and what becomes of it.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;
use crate::ids::VrfId;
use crate::tables::Vrf;

const NOW: Tick = Tick(5000);

fn sizes() -> Sizes {
    let table = Config { narrow_pairs: 64, wide_pairs: 64, seed: 9, time_base: 1 };
    Sizes { table, records: 10, boot: 3 }
}

/// A snapshot with these VRFs.
fn vrfs(names: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot { generation: Generation(40), ..Snapshot::default() };
    for (at, name) in names.iter().enumerate() {
        let vrf = Vrf::new(VrfId(at as u32), (*name).into());
        snapshot.vrfs.set(at, Some(std::sync::Arc::new(vrf)));
    }
    snapshot
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("vrouter-flows-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("flows")
    }

    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Opens or makes the file, as a daemon with these VRFs does.
    fn start(&self, sizes: &Sizes, snapshot: &Snapshot) -> (FlowTable, v1::FlowFile) {
        Found::at(&self.path(), sizes).unwrap().table(sizes, snapshot, NOW).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A flow between the tunnel sides of two VRFs.
fn insert(table: &FlowTable, n: u64, ends: [u64; 2]) {
    let key = |n, vrf| flowtable::Key { words: [n, 1 << 31 | vrf], tag: 17 };
    let half = flowtable::Half { stamp: 77 << 24, ..Default::default() };
    table.narrow().insert((&key(n, ends[0]), half), (&key(n + 1, ends[1]), half), 0, 6000).unwrap();
}

#[test]
fn a_file_is_made_then_adopted_by_who_has_the_names() {
    let folder = Folder::new("adopted");
    let (table, told) = folder.start(&sizes(), &vrfs(&["red", "blue"]));
    assert_eq!(
        (told.adopted, &*told.rebuilt, told.path),
        (0, "there was no file", folder.path().display().to_string())
    );
    insert(&table, 10, [0, 1]);
    insert(&table, 20, [0, 0]);
    insert(&table, 30, [0, 9]);
    assert!(matches!(Found::at(&folder.path(), &sizes()), Err(OpenError::File(FileError::InUse(_)))));
    drop(table);
    let found = Found::at(&folder.path(), &sizes()).unwrap();
    assert_eq!(found.generation(), Generation(40));
    let (table, told) = found.table(&sizes(), &vrfs(&["green", "blue", "red"]), NOW).unwrap();
    let gone = v1::DroppedFlows { cause: "place_gone".into(), flows: 1 };
    assert_eq!((told.adopted, told.rebuilt, told.dropped), (2, String::new(), vec![gone]));
    let pairs: Vec<_> = (0..64).filter_map(|place| table.narrow().pair(place)).collect();
    let ends = pairs.iter().map(|pair| [pair.forward.0, pair.reverse.0].map(|key| key.words));
    let tunnel = |vrf: u64| 1 << 31 | vrf;
    let expected = [[[10, tunnel(2)], [11, tunnel(1)]], [[20, tunnel(2)], [21, tunnel(2)]]];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    for pair in &pairs {
        // nothing is of later than now, and nothing that was decided counts
        assert_eq!((pair.created, pair.forward.1.last_seen, pair.forward.1.stamp), (5000, 5000, 0));
    }
    drop(table);
    assert_eq!(folder.names(), ["flows"]);
}

#[test]
fn what_is_refused_is_out_of_the_way_and_named() {
    let folder = Folder::new("refused");
    let path = folder.path();
    let mut sizes = sizes();
    let snapshot = vrfs(&["red"]);
    let again = |sizes: &Sizes, expected: &str| {
        let (table, told) = folder.start(sizes, &snapshot);
        assert_eq!(told.rebuilt, expected);
        assert_eq!(table.narrow().used(), 0);
        insert(&table, 10, [0, 0]);
    };
    again(&sizes, "there was no file");
    let write = |at: u64, word: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&word.to_le_bytes(), at).unwrap();
    };
    write(8, 3);
    again(&sizes, "layout version: 3 in the region, ours is 4");
    sizes.boot = 4;
    again(&sizes, "it is of another boot of this host");
    sizes.table.wide_pairs = 128;
    again(&sizes, "the limits of flows, VIFs, VRFs or paths were others");
    sizes.records = 2000;
    again(&sizes, "the limits of flows, VIFs, VRFs or paths were others");
    write(24, 3);
    again(&sizes, "header: damaged");
    let spare = sizes.table.bytes().unwrap() as u64;
    write(spare + 8, 2);
    again(&sizes, "its flows mean what version 2 says, ours is 1");
    write(spare, 0);
    again(&sizes, "who made or adopted it last was ended before it was done");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
    again(&sizes, &format!("header: region: 4992 bytes, {spare} are needed"));
    std::fs::write(&path, []).unwrap();
    again(&sizes, "who made or adopted it last was ended before it was done");
    assert_eq!(folder.names(), ["flows"], "nothing is left of those");
}

#[test]
fn what_is_somebody_else_s_is_put_aside() {
    let folder = Folder::new("foreign");
    let aside = folder.0.join("flows.refused");
    for text in ["not mine", &"long ".repeat(2000)] {
        std::fs::write(folder.path(), text).unwrap();
        let (_, told) = folder.start(&sizes(), &vrfs(&["red"]));
        assert_eq!(told.rebuilt, format!("it is no flow file; it was put aside as {}", aside.display()));
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), text);
        std::fs::remove_file(folder.path()).unwrap();
    }
    std::fs::create_dir(folder.path()).unwrap();
    assert!(matches!(Found::at(&folder.path(), &sizes()), Err(OpenError::File(FileError::NoFile(_)))));
}
