mod compiled;
mod network;
