//! The control socket: a gRPC server in front of the control thread.
//!
//! The control thread owns the model. The server turns each call into a [`Request`] with a place for the answer and sends it over
//! one bounded channel; it judges only what needs no model: the order of a stream's steps and the [`Bounds`].
//!
//! No client can stall the control thread or another client. Long answers ([`Rows`]) are iterators over shared state that the
//! control thread hands out at once and that the server pulls, chunk by chunk, at the pace of the client that asked; a client that
//! stops reading is cut off after [`Bounds::stall`]. Watchers share one bounded [`log`]. `Sync` leaves its reply with the control thread until it is true.

mod accept;
pub mod access;
mod apply;
mod capturing;
mod chunks;
mod connections;
pub mod log;
mod request;
mod server;
mod shadowing;
mod socket;
pub mod upgrade;
mod watching;

pub use request::{Listed, Made, May, NotCaptured, NotPromoted, Reply, Request, Rows, Taken, Watching};
pub use server::{Bounds, ServeError, serve};
pub use socket::{Leave, Socket, SocketError};
pub use watching::{Course, Wanted};
