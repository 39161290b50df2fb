//! Threads: starts workers, the control thread and the socket, and ends them.

pub mod clock;
pub mod notify;
pub mod publish;
pub mod slow_path;
pub mod view;
pub mod workers;
