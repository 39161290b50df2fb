//! Concurrent flow table: pairs of entries, one a direction, in one region of atomic words. It knows no packet.
//!
//! ```
//! use flowtable::{Config, FlowTable, Half, Narrow, Region};
//! let config = Config { narrow_pairs: 1000, wide_pairs: 0, seed: 42, time_base: 0 };
//! let table = FlowTable::create(Region::heap(config.bytes()?)?, &config)?;
//! let (there, back) = (Narrow { words: [1, 2], tag: 6 }, Narrow { words: [2, 1], tag: 6 });
//! let half = |next_hop| Half { stamp: 1, next_hop, verdict: 0 };
//! let pairs = table.narrow();
//! let handle = pairs.insert((&there, half(7)), (&back, half(8)), 0, 100).expect("room");
//! let (found, entry) = pairs.find(&back, pairs.hash(&back)).expect("there");
//! assert_eq!((found, entry.next_hop), (handle.partner(), 8));
//! assert!(pairs.touch(found, 60, 101, 0));
//! assert!(pairs.remove(handle));
//! # Ok::<(), flowtable::LayoutError>(())
//! ```
//!
//! # The region
//!
//! A [`Region`] is 64-byte lines of eight 64-bit words. It holds indexes and no pointers: its words may be copied or mapped
//! anywhere and adopted there.
//!
//! ```text
//! header       1 line: magic "flowtabl" | layout version | wide pairs, narrow pairs | seed | time base | check | seal
//! narrow       the parts below, for keys of 2 words
//! wide         the same, for keys of 5 words
//!
//! stripes      8 lines: a list of free pairs and the counters of every eighth pair          (free.rs)
//! cold words   1 word a pair: created, link of the free list or mark of both keys           (free.rs)
//! buckets      1 line each: ten slots of 16-bit tag and 32-bit entry index, 3.5 of them used
//!              when the table is full                                                       (bucket.rs)
//! entries      pair p has its forward entry at 2p and its reverse entry at 2p + 1:
//!              1 line each with narrow keys, 2 with wide ones                               (entry.rs)
//! spare        what the region has more is the caller's
//! ```
//!
//! A pair costs 173 bytes with narrow keys and 301 with wide ones. Every key has two buckets; a new entry goes to the first
//! unless that is nearly full, and never moves. The count of those that went to the second spares most misses the second line.
//!
//! # Who may do what at the same time
//!
//! Anybody anything. What follows is why that works; each atomic operation that is not relaxed says its part.
//!
//! - **Readers** (`find`, `entry`, `pair`) take no lock. A bucket's slot is a hint; the entry it names is copied and its key
//!   compared in full. The entry's guard word (incarnation, sequence, verdict) is read before and after the copy, and the copy
//!   is used when it is the same. A reader waits only while a writer is between the three stores of `update`. An entry that is
//!   there for the whole of a `find` is found: it does not move, and its slot is not touched.
//! - **`touch`, `touch_decided`, `count`, `update`, `clear_state`** lock one entry, by one compare-and-swap of the guard that also proves that the handle
//!   is not stale. So a packet is never counted to a later flow in the same place.
//! - **`try_count`** takes no lock where the entry is its thread's own, and whoever locks it waits for that thread's section to end
//!   (`counting.rs`).
//! - **`insert`** locks the first buckets of both keys, and the second bucket of one whose first is crowded. Whoever inserts one of
//!   the two keys locks the same first bucket: two workers that set up one flow from opposite ends find each other. Entries are
//!   written before they are linked, so nobody finds half of one.
//! - **Removal, ageing, eviction** lock the same first buckets, the second ones of entries that are there, and then both entries,
//!   forward first; then both are unlinked and no
//!   longer live, and the pair goes back to its free list (the victims of one search together, when the last has ended). What a packet counted before that is in the copy that they give.
//!   Lookups of the two directions are two lookups: between them a pair may go.
//! - Locks are held for a few hundred instructions, and while the entry's own thread ends its section (a burst); never across a call of the caller's but for the question of ageing and
//!   eviction ("still?"), which must not call back into the table.
//!
//! A writer that dies leaves locks and at most one half-written pair: [`FlowTable::adopt`] clears and drops them (`adopt.rs`). A region in a
//! [`RegionFile`] outlives its process.

mod adopt;
mod bucket;
mod counting;
mod end;
mod entry;
mod file;
mod free;
mod key;
mod layout;
mod level;
mod locks;
mod notes;
mod pages;
mod pairs;
mod place;
mod prefetch;
mod region;
mod scan;
mod sealed;
mod sets;
mod sync;
mod table;
mod view;
mod watchful;

pub use adopt::{Adopted, Judge};
pub use counting::{Counter, Section};
pub use entry::{Entry, Half, Handle, Packet, Pair, Standing};
pub use file::{FileError, RegionFile};
pub use key::{Key, Narrow, Wide};
pub use layout::{AdoptError, Config, LayoutError};
pub use level::{Kernel, Level, at_level};
pub use notes::{Note, Notes};
pub use pages::Pages;
pub use pairs::{Counters, ELSEWHERE, InsertError, NOWHERE, Pairs};
pub use place::Sought;
pub use prefetch::prefetch;
pub use region::{Line, Region};
pub use scan::{Batch, Glance, Outline};
pub use sets::{Set512, first_common};
pub use table::FlowTable;
pub use view::View;
pub use watchful::{Watchful, without_allocation};

#[cfg(all(test, not(loom)))]
mod adopt_tests;
#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod stress;
