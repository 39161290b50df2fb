//! The truth that controllers program, and its compilation to snapshots.
