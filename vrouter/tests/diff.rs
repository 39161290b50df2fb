//! The product beside a model that knows nothing of it: generated networks, packets and changes. Start at `diff/duel.rs`; what the
//! folder of a kept case holds is in `diff/case.rs`.
//!
//! `scripts/check diff` runs this for longer: VROUTER_DIFF_MINUTES, VROUTER_DIFF_SEED, VROUTER_DIFF_REPLAY.

#[path = "diff/bfd.rs"]
mod bfd;
#[path = "wire/books.rs"]
#[allow(dead_code)]
mod books;
#[path = "diff/bridges.rs"]
mod bridges;
#[path = "diff/candidates.rs"]
mod candidates;
#[path = "diff/case.rs"]
mod case;
#[path = "diff/duel.rs"]
mod duel;
#[path = "diff/fabric.rs"]
mod fabric;
#[path = "wire/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "diff/kernel.rs"]
mod kernel;
#[path = "wire/lab.rs"]
#[allow(dead_code)]
mod lab;
#[path = "wire/network.rs"]
#[allow(dead_code)]
mod network;
#[path = "diff/objects.rs"]
mod objects;
#[path = "oracle/mod.rs"]
mod oracle;
#[path = "diff/outer.rs"]
mod outer;
#[path = "diff/packets.rs"]
mod packets;
#[path = "diff/pieces.rs"]
mod pieces;
#[path = "diff/policy.rs"]
mod policy;
#[path = "diff/product.rs"]
mod product;
#[path = "diff/questions.rs"]
mod questions;
#[path = "diff/random.rs"]
mod random;
#[path = "diff/random_case.rs"]
mod random_case;
#[path = "diff/replay.rs"]
mod replay;
#[path = "diff/run.rs"]
mod run;
#[path = "diff/shrink.rs"]
mod shrink;
#[path = "diff/traffic.rs"]
mod traffic;
#[path = "diff/tunnels.rs"]
mod tunnels;
#[path = "diff/underlay6.rs"]
mod underlay6;
#[path = "diff/uplinks.rs"]
mod uplinks;
#[path = "diff/vifs.rs"]
mod vifs;
#[path = "diff/world.rs"]
mod world;
