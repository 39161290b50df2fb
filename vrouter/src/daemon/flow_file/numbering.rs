//! The numbering: which names the numbers in flows stand for, kept in the flow file behind the table.
//!
//! A flow's keys hold the numbers of VIFs and VRFs, its entries those of ECMP members. The model of another process may give other numbers to
//! the same names, or the same numbers to others. So each number that a worker may put into a flow has a record here before the snapshot
//! that has it is published, and none once it is gone: what a number of the file meant is what its record says, or nothing.
//!
//! ```text
//! line 0      "vrflows1" | meaning | boot | newest generation | records | check
//! records     half a line each: kind (32), number (32) | digest of the name (128) | check; all 0: free
//! ```

use flowtable::Line;
use hashbrown::HashMap;

use super::{Refused, Sizes};
use crate::ids::Generation;
use crate::tables::{Rows, Snapshot, Vif, Vrf};

const MAGIC: u64 = u64::from_le_bytes(*b"vrflows1");
/// Of what keys and entries say to us: contexts, tags, state bits, verdicts, stamps.
const MEANING: u64 = 1;

/// Stamps of flows have 40 bits for generations: no host comes so far.
const MOST_GENERATIONS: u64 = 1 << 39;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// By its name and that of its VRF.
    Vif = 1,
    Vrf = 2,
    /// An ECMP member.
    Member = 3,
}

/// A name, told from others.
pub type Digest = [u64; 2];

/// What the numbers in a file stood for.
#[derive(Debug)]
pub struct Names {
    pub generation: Generation,
    names: HashMap<(Kind, u32), Digest>,
}

/// The records of what is published. Control thread.
pub struct Numbering {
    seed: u64,
    places: HashMap<(Kind, u32), Placed>,
    free: Vec<usize>,
    vifs: Rows<Vif>,
    vrfs: Rows<Vrf>,
    members: Rows<Box<str>>,
}

#[derive(Clone, Copy)]
struct Placed {
    record: usize,
    digest: Digest,
}

/// Lines that so many records take, with their header.
pub fn lines(records: usize) -> usize {
    1 + records.div_ceil(2)
}

/// What this boot of the host is told by.
pub fn boot() -> u64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    digest(0, Kind::Vif, &[id.trim()])[0]
}

impl Names {
    /// Reads the records of a file whose table has this seed.
    pub fn read(spare: &[Line], seed: u64, sizes: &Sizes) -> Result<Names, Refused> {
        let Some(header) = spare.first().filter(|header| header.word(0) == MAGIC) else {
            return Err(Refused::Unfinished);
        };
        let there = [1, 2, 4].map(|at| header.word(at));
        let [meaning, of_boot, count] = there;
        if meaning != MEANING {
            return Err(Refused::Meaning { found: meaning, ours: MEANING });
        }
        if of_boot != sizes.boot {
            return Err(Refused::Boot);
        }
        let (fits, whole) = (spare.len() >= lines(count.min(1 << 32) as usize), header.word(5) == check(there, seed));
        if !fits || !whole || (count as usize) < sizes.records {
            return Err(if fits && whole { Refused::Limits } else { Refused::Numbering });
        }
        let generation = Generation(header.word(3));
        if generation.0 >= MOST_GENERATIONS {
            return Err(Refused::Numbering);
        }
        let mut names = HashMap::new();
        for at in 0..count as usize {
            let [first, high, low, sum] = std::array::from_fn(|word| spare[1 + at / 2].word(at % 2 * 4 + word));
            let kind = [Kind::Vif, Kind::Vrf, Kind::Member].into_iter().find(|&kind| kind as u64 == first >> 32);
            if let Some(kind) = kind.filter(|_| sum == check([first, high, low], seed)) {
                names.insert((kind, first as u32), [high, low]);
            }
        }
        Ok(Names { generation, names })
    }

    /// Which number each number of the file has by now; those whose names are gone have none.
    pub fn numbers(&self, kind: Kind, seed: u64, snapshot: &Snapshot) -> HashMap<u32, u32> {
        let now: HashMap<Digest, u32> = match kind {
            Kind::Vif => snapshot.vifs.iter().map(|(at, vif)| (of_vif(seed, vif, snapshot), at as u32)).collect(),
            Kind::Vrf => snapshot.vrfs.iter().map(|(at, vrf)| (of_vrf(seed, vrf), at as u32)).collect(),
            Kind::Member => snapshot.member_names.iter().map(|(at, name)| (of_member(seed, name), at as u32)).collect(),
        };
        let of_kind = self.names.iter().filter(|((of, _), _)| *of == kind);
        of_kind.filter_map(|((_, number), digest)| Some((*number, *now.get(digest)?))).collect()
    }
}

impl Numbering {
    /// Begins to keep records for a table with this seed, whatever was there: of what is in this snapshot.
    pub fn begin(spare: &[Line], seed: u64, sizes: &Sizes, snapshot: &Snapshot) {
        let Some(header) = spare.first() else { return };
        header.set_word(0, 0);
        for line in spare {
            (0..8).for_each(|at| line.set_word(at, 0));
        }
        let words = [MEANING, sizes.boot, sizes.records as u64];
        for (at, word) in [1, 2, 4].into_iter().zip(words) {
            header.set_word(at, word);
        }
        header.set_word(5, check(words, seed));
        let mut numbering = Numbering::empty(seed, sizes.records);
        numbering.renew(spare, snapshot);
        // last: who finds it finds all of it
        header.set_word(0, MAGIC);
    }

    /// What is in the records counts no more, until they are begun again.
    pub fn suspend(spare: &[Line]) {
        spare.first().inspect(|header| header.set_word(0, 0));
    }

    /// Goes on with the records of this process; `None`: none are kept.
    pub fn resume(spare: &[Line], seed: u64, snapshot: &Snapshot) -> Option<Numbering> {
        let header = spare.first().filter(|header| header.word(0) == MAGIC)?;
        let records = header.word(4) as usize;
        let mut numbering = Numbering::empty(seed, records.min((spare.len() - 1) * 2));
        // the snapshot is the one that they were written of: in the same order they have the same places
        numbering.renew(spare, snapshot);
        Some(numbering)
    }

    fn empty(seed: u64, records: usize) -> Numbering {
        let free = (0..records).rev().collect();
        let (vifs, vrfs, members) = (Rows::default(), Rows::default(), Rows::default());
        Numbering { seed, places: HashMap::new(), free, vifs, vrfs, members }
    }

    /// To be called before a snapshot is published.
    pub fn renew(&mut self, spare: &[Line], snapshot: &Snapshot) {
        let seed = self.seed;
        let [vifs, vrfs] =
            [snapshot.vifs.changed(&self.vifs).collect(), snapshot.vrfs.changed(&self.vrfs).collect::<Vec<_>>()];
        let members: Vec<usize> = snapshot.member_names.changed(&self.members).collect();
        let vif = |at: usize| snapshot.vifs.row(at).map(|vif| of_vif(seed, vif, snapshot));
        let vrf = |at: usize| snapshot.vrfs.row(at).map(|vrf| of_vrf(seed, vrf));
        let member = |at: usize| snapshot.member_names.row(at).map(|name| of_member(seed, name));
        // what goes makes room for what comes
        for gone in [true, false] {
            let of = |digest: Option<Digest>| digest.is_none() == gone;
            for &at in vifs.iter().filter(|&&at| of(vif(at))) {
                self.put(spare, (Kind::Vif, at as u32), vif(at));
            }
            for &at in vrfs.iter().filter(|&&at| of(vrf(at))) {
                self.put(spare, (Kind::Vrf, at as u32), vrf(at));
            }
            for &at in members.iter().filter(|&&at| of(member(at))) {
                self.put(spare, (Kind::Member, at as u32), member(at));
            }
        }
        (self.vifs, self.vrfs) = (snapshot.vifs.clone(), snapshot.vrfs.clone());
        self.members = snapshot.member_names.clone();
        if let Some(header) = spare.first() {
            header.set_word(3, snapshot.generation.0);
        }
    }

    fn put(&mut self, spare: &[Line], of: (Kind, u32), digest: Option<Digest>) {
        let placed = self.places.get(&of).copied();
        if placed.map(|placed| placed.digest) == digest {
            return;
        }
        // one for which there is no room has no record: its flows end with this process
        let Some(record) = placed.map(|placed| placed.record).or_else(|| self.free.pop()) else { return };
        let Some(line) = spare.get(1 + record / 2) else { return };
        let first = record % 2 * 4;
        // a process that is killed between two of these leaves no record
        line.set_word(first, 0);
        match digest {
            Some(digest) => {
                let name = (of.0 as u64) << 32 | u64::from(of.1);
                let [high, low] = digest;
                for (at, word) in [(1, high), (2, low), (3, check([name, high, low], self.seed)), (0, name)] {
                    line.set_word(first + at, word);
                }
                self.places.insert(of, Placed { record, digest });
            }
            None => {
                self.places.remove(&of);
                self.free.push(record);
            }
        }
    }
}

fn of_vif(seed: u64, vif: &Vif, snapshot: &Snapshot) -> Digest {
    let vrf = snapshot.vrfs.row(vif.vrf.index()).map_or("", |vrf| &vrf.name);
    digest(seed, Kind::Vif, &[&vif.name, vrf])
}

fn of_vrf(seed: u64, vrf: &Vrf) -> Digest {
    digest(seed, Kind::Vrf, &[&vrf.name])
}

fn of_member(seed: u64, name: &str) -> Digest {
    digest(seed, Kind::Member, &[name])
}

/// Odd constants of no meaning (fractions of the square roots of 7 and 11).
const LANES: [u64; 2] = [0xa54f_f53a_5f1d_36f1, 0x510e_527f_ade6_82d1];

/// Names of one kind with the same digest there are none: 128 bits, keyed with a secret.
fn digest(seed: u64, kind: Kind, parts: &[&str]) -> Digest {
    LANES.map(|lane| {
        let mut hash = fold(seed ^ lane, lane ^ kind as u64);
        for part in parts {
            hash = fold(hash ^ part.len() as u64, lane);
            for chunk in part.as_bytes().chunks(8) {
                let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
                hash = fold(hash ^ word, lane.rotate_left(17) ^ hash.rotate_left(32));
            }
        }
        fold(hash, lane)
    })
}

fn check(words: [u64; 3], seed: u64) -> u64 {
    words.into_iter().fold(seed ^ MAGIC, |sum, word| fold(sum ^ word, LANES[0]).wrapping_add(word))
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b | 1);
    (product as u64) ^ ((product >> 64) as u64)
}
