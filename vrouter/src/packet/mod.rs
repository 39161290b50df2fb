//! Headers: reading, checking and writing them. No I/O, no clock, no tables.

pub mod checksum;
