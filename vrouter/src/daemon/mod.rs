//! Threads: starts workers, the control thread and the socket, and ends them.
