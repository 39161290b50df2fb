//! The control socket's contract: the types generated from `proto/vrouter/v1/vrouter.proto`.

/// Package `vrouter.v1`.
pub mod v1 {
    #![allow(clippy::all, missing_docs)]
    tonic::include_proto!("vrouter.v1");
}
