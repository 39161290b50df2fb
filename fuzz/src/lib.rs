//! The bodies of the fuzz targets and the lab that they run in, as the tests of `vrouter` have them.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports)]

#[path = "../../vrouter/tests/wire/books.rs"]
pub mod books;
#[path = "../../vrouter/tests/wire/frames.rs"]
pub mod frames;
#[path = "../../vrouter/tests/fuzz/mod.rs"]
pub mod fuzz;
#[path = "../../vrouter/tests/wire/lab.rs"]
pub mod lab;
#[path = "../../vrouter/tests/wire/network.rs"]
pub mod network;

/// A worker that allocates ends the process, and so is a finding.
#[global_allocator]
static ALLOCATOR: flowtable::Watchful = flowtable::Watchful;
