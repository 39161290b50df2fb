//! The control socket's contract (the types generated from `proto/vrouter/v1/vrouter.proto`) and its human forms: addresses as
//! text, the YAML network language, the daemon's config file, and the records of its state directory.

pub mod config;
pub mod position;
mod scalar;
pub mod text;
pub mod yaml;

/// Package `vrouter.v1`.
pub mod v1 {
    #![allow(clippy::all, missing_docs)]
    tonic::include_proto!("vrouter.v1");
}

impl From<v1::object::Kind> for v1::Object {
    /// An object of whoever's batch it is in.
    fn from(kind: v1::object::Kind) -> v1::Object {
        v1::Object { kind: Some(kind), owner: String::new() }
    }
}

/// Package `vrouter.state.v1`: the records of the state directory.
pub mod state {
    /// Version 1.
    pub mod v1 {
        #![allow(clippy::all, missing_docs)]
        tonic::include_proto!("vrouter.state.v1");
    }
}
