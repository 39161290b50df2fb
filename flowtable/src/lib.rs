//! Concurrent flow table.
