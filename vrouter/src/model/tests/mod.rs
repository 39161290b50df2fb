mod answers;
mod compiled;
mod network;
mod ports;
mod properties;
mod random;
mod refusals;
mod stamps;
