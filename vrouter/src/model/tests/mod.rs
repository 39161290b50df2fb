mod answers;
mod compiled;
mod network;
mod properties;
mod random;
mod refusals;
mod stamps;
