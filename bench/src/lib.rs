//! What benches share: generated tables and frames.

pub mod frames;
pub mod pipeline;
pub mod random;
pub mod routes;
pub mod rules;
