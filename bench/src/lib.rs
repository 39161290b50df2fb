//! What benches share: generated tables and frames.
