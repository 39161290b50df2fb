//! Every cut of a recorded run, every flipped bit, every operation failed.

mod cuts;
mod damage;
pub(crate) mod disk;
mod failures;
mod run;
mod versions;
