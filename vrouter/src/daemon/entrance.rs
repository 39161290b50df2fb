//! Where clients come in, and by which rules: the socket first, as it says that nobody else runs by this configuration.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::notify;
use crate::api::config::Config;
use crate::control::access::{Access, Audit, Names, Terms, Tls, TlsError, UnknownName, Writer};
use crate::control::{Bounds, Socket, SocketError};
use crate::port::dpdk::inherited;

/// The socket, the rules, and what writes the audit log, if there is one.
pub struct Entrance {
    pub socket: Socket,
    pub terms: Terms,
    pub writer: Option<Writer>,
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum EntranceError {
    #[error(transparent)]
    Access(#[from] UnknownName),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("control.audit.file: {}: {error}", .path.display())]
    Audit { path: PathBuf, error: io::Error },
}

impl EntranceError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            EntranceError::Access(_) => 3,
            EntranceError::Socket(SocketError::InUse(_)) => 5,
            _ => 4,
        }
    }
}

/// What another process listened at.
#[derive(Debug, Default)]
pub struct Listening {
    /// The socket, and the lock of its path.
    pub socket: Option<(OwnedFd, OwnedFd)>,
    /// The socket alone, kept by the service manager.
    pub kept: Option<OwnedFd>,
    pub tls: Option<OwnedFd>,
}

impl Listening {
    /// What the service manager has kept of the process before.
    pub fn stored() -> Listening {
        let mut listening = Listening::default();
        for (name, descriptor) in notify::stored(inherited) {
            match &*name {
                notify::CONTROL => listening.kept = Some(descriptor),
                notify::TLS => listening.tls = Some(descriptor),
                _ => tracing::warn!(name, "the service manager's store holds what means nothing here"),
            }
        }
        listening
    }
}

impl Entrance {
    /// Opens what the configuration says, but for what is open already.
    pub fn open(config: &Config, names: Names, listening: Listening) -> Result<Entrance, EntranceError> {
        let access = Arc::new(Access::new(&config.access, names)?);
        let group = config.access.group.is_some().then(|| access.group());
        let socket = match listening.socket {
            Some((listener, lock)) => Socket::of(&config.socket, listener, lock)?,
            None => Socket::bind_unless(&config.socket, group, listening.kept)?,
        };
        let tls = config.control.tls.as_ref().map(|tls| Tls::listen_at(tls, listening.tls)).transpose()?;
        if let Some(address) = tls.as_ref().and_then(|tls| tls.address().ok()) {
            tracing::info!(%address, "clients of other hosts come in by TLS");
        }
        let audit = config.control.audit.as_ref().map(|audit| {
            let path = audit.file.as_deref();
            Audit::to(path).map_err(|error| EntranceError::Audit { path: path.unwrap_or("".as_ref()).into(), error })
        });
        let (audit, writer) = audit.transpose()?.unzip();
        let terms = Terms { bounds: Bounds::default(), access, tls, audit: audit.unwrap_or_default(), upgrades: None };
        Ok(Entrance { socket, terms, writer })
    }
}
