//! The path of a packet.
