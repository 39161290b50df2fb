//! The control socket: a gRPC server in front of the model.
