//! How clients come in, as the daemon's config file says it.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Beside the control socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// A listener for clients on other hosts. Default: none.
    pub tls: Option<Tls>,
    /// Who changed what, a line of JSON each. Default: not written.
    pub audit: Option<Audit>,
}

/// gRPC over TLS 1.2 or 1.3 and TCP. A client shows a certificate; `access.rules` say by its names what it may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Address and port, as `192.0.2.1:7443` or `[::]:7443`.
    pub listen: SocketAddr,
    /// The daemon's certificate, with those between it and its authority behind it (PEM). Files are read when the daemon starts.
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The authorities of which one has signed each client's certificate (PEM).
    pub client_ca: PathBuf,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// This file is appended to, and opened anew on SIGHUP, for who moves it away. Default: the daemon's log, standard error.
    #[serde(default)]
    pub file: Option<PathBuf>,
}
