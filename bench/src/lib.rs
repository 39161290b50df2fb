//! What benches share: generated tables and frames.

pub mod random;
pub mod routes;
pub mod rules;
