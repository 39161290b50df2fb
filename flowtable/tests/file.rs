//! A region in a file outlives its process, however that ends.
#![cfg(all(target_os = "linux", not(loom)))]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flowtable::{AdoptError, Config, FileError, FlowTable, Half, Key, LayoutError, Pages, Region, RegionFile};

const PAIRS: u64 = 20_000;
const CONFIG: Config = Config { narrow_pairs: PAIRS as u32, wide_pairs: 100, seed: 7, time_base: 99 };
/// Flows that nobody touches once they are there.
const QUIET: u64 = 5000;
/// Lines behind the table.
const SPARE: usize = 3;

/// A folder of its own, in memory, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = base.join(format!("flowtable-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("flows")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key(n: u64) -> Key<2> {
    Key { words: [n, n ^ 0xffff], tag: 6 }
}

fn half(n: u64) -> Half {
    Half { stamp: n, next_hop: n as u32, verdict: 0 }
}

fn create(path: &Path) -> Result<FlowTable, FileError> {
    let file = RegionFile::create(path, CONFIG.bytes().expect("possible") + SPARE * 64)?;
    Ok(FlowTable::create(Region::of_file(file)?, &CONFIG).expect("laid out"))
}

fn adopt(path: &Path) -> FlowTable {
    let file = RegionFile::open(path).expect("free").expect("there");
    FlowTable::adopt(Region::of_file(file).expect("mapped")).expect("ours")
}

fn insert(table: &FlowTable, n: u64) -> Option<flowtable::Handle> {
    table.narrow().insert((&key(2 * n), half(n)), (&key(2 * n + 1), half(n)), 0, 5).ok()
}

/// Two threads set up, count, update and end flows for ever.
fn churn(path: &Path) {
    let table = create(path).expect("a file");
    assert!((0..QUIET).all(|n| insert(&table, n).is_some()));
    table.spare()[1].set_word(2, 77);
    table.region().file().expect("in a file").finish().expect("named");
    let parent = std::os::unix::process::parent_id();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while std::os::unix::process::parent_id() == parent {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::process::exit(1);
        });
        for thread in 0..2 {
            let table = &table;
            scope.spawn(move || {
                for round in 0_u64.. {
                    let n = QUIET + (round * 2 + thread) * 7 % (PAIRS / 2);
                    match insert(table, n) {
                        Some(handle) => {
                            _ = table.narrow().touch(handle, 60, 9, 1) && table.narrow().update(handle, half(n))
                        }
                        None => {
                            let found = table.narrow().find(&key(2 * n), table.narrow().hash(&key(2 * n)));
                            found.map(|(handle, _)| table.narrow().remove(handle));
                        }
                    }
                }
            });
        }
    });
}

/// A process that is killed at the latest when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// This program again, as a process that churns.
fn child(path: &Path) -> Running {
    let program = std::env::current_exe().expect("we are one");
    let arguments = ["--exact", "a_killed_process_leaves_a_table", "--nocapture"];
    let mut command = Command::new(program);
    command.args(arguments).env("FLOWTABLE_CHURNS_IN", path).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Running(command.spawn().expect("started"));
    for _ in 0..1000 {
        if path.exists() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the child made no file");
}

#[test]
fn a_killed_process_leaves_a_table() {
    if let Some(path) = std::env::var_os("FLOWTABLE_CHURNS_IN") {
        churn(Path::new(&path));
    }
    let folder = Folder::new("killed");
    let path = folder.file();
    let mut odd = 0;
    for round in 0..12 {
        let child = child(&path);
        std::thread::sleep(Duration::from_millis(20 + 7 * round));
        assert!(matches!(RegionFile::open(&path), Err(FileError::InUse(_))), "it is the child's");
        drop(child);
        let table = adopt(&path);
        let adopted = table.adopted().expect("it was");
        // a writer each, at most
        assert!(adopted.dropped() <= 2, "{adopted:?}");
        odd += adopted.odd;
        assert_eq!(adopted.pairs, u64::from(table.narrow().used()), "{adopted:?}");
        for n in 0..QUIET {
            let found = [2 * n, 2 * n + 1].map(|n| table.narrow().find(&key(n), table.narrow().hash(&key(n))));
            assert!(found.iter().flatten().all(|(_, entry)| entry.half() == half(n) && entry.packets == 0), "flow {n}");
            assert_eq!(found.iter().flatten().count(), 2, "flow {n}");
        }
        for n in QUIET..QUIET + PAIRS / 2 {
            let found =
                [2 * n, 2 * n + 1].map(|n| table.narrow().find(&key(n), table.narrow().hash(&key(n))).is_some());
            assert_eq!(found[0], found[1], "flow {n}: both halves or none");
        }
        assert_eq!(table.spare()[1].word(2), 77, "what is the caller's stays");
        let used = table.narrow().used();
        assert_eq!(table.narrow().age(&mut 0, u32::MAX, |_| true), used);
        let room = (0..PAIRS).filter(|&n| insert(&table, n).is_some()).count();
        assert_eq!(room as u64, PAIRS, "and every place is of use again");
        drop(table);
        std::fs::remove_file(&path).expect("there");
    }
    println!("{odd} pairs were half written");
}

#[test]
fn one_process_has_a_file_at_a_time() {
    let folder = Folder::new("once");
    let path = folder.file();
    assert!(RegionFile::open(&path).expect("no error").is_none(), "there is none");
    let table = create(&path).expect("a file");
    assert!(RegionFile::open(&path).expect("no error").is_none(), "it is not whole yet");
    assert!(matches!(create(&path), Err(FileError::InUse(_))), "and somebody is about to finish it");
    let file = table.region().file().expect("in a file");
    file.finish().expect("named");
    assert!(matches!(RegionFile::open(&path), Err(FileError::InUse(found)) if found == path));
    assert_eq!(file.is_memory(), path.starts_with("/dev/shm"));
    assert_eq!((table.region().pages(), table.spare().len() >= SPARE), (Pages::Plain, true));
    assert!(insert(&table, 1).is_some());
    drop(table);
    assert_eq!(adopt(&path).narrow().used(), 1);
    // one that was begun and never finished gives way
    drop(create(&path).expect("a second one"));
    let second = create(&path).expect("a third one");
    second.region().file().expect("in a file").finish().expect("named");
    drop(second);
    assert_eq!((adopt(&path).narrow().used(), folder.0.read_dir().expect("there").count()), (0, 1));
}

#[test]
fn what_is_no_table_of_ours_is_refused() {
    let folder = Folder::new("refused");
    let path = folder.file();
    let refused = |path: &Path| {
        let region = Region::of_file(RegionFile::open(path).expect("free").expect("there"));
        region.map(|region| FlowTable::adopt(region).err())
    };
    std::fs::write(&path, [b'x'; 5000]).expect("written");
    assert_eq!(refused(&path).expect("mapped"), Some(AdoptError::NoTable));
    std::fs::write(&path, []).expect("written");
    assert!(matches!(refused(&path), Err(FileError::Refused { what: "map", .. })));
    assert!(matches!(RegionFile::open(&folder.0), Err(FileError::NoFile(_))));
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("link")).expect("made");
    assert!(matches!(RegionFile::open(&folder.0.join("link")), Err(FileError::NoFile(_))));
    std::fs::remove_file(&path).expect("there");
    let table = create(&path).expect("a file");
    table.region().file().expect("in a file").finish().expect("named");
    drop(table);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    assert!(matches!(refused(&path), Ok(Some(AdoptError::Sizes(LayoutError::RegionTooSmall { .. })))));
    std::fs::write(&path, &whole[..63]).expect("written");
    assert!(refused(&path).is_err(), "not even a line");
    let file = RegionFile::open(&path).expect("free").expect("there");
    let aside = file.put_aside().expect("renamed");
    assert!(aside.ends_with("flows.refused") && aside.exists() && !path.exists());
}

#[test]
fn a_file_system_that_is_full_says_so() {
    let folder = Folder::new("full");
    let path = folder.file();
    match RegionFile::create(&path, 1 << 60) {
        Err(FileError::Full { bytes, .. }) => assert_eq!(bytes, 1 << 60),
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(folder.0.read_dir().expect("there").count(), 0, "nothing is left of it");
    assert!(matches!(
        RegionFile::create(&folder.0.join("no/where"), 64),
        Err(FileError::Refused { what: "create", .. })
    ));
}
