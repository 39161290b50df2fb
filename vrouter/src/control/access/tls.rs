//! The listener for clients on other hosts: TLS, and only with a certificate that our authority has signed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Peer, certificate};
use crate::api::config;

/// Listens.
#[derive(Debug)]
pub struct Tls {
    listener: TcpListener,
    acceptor: Arc<ServerConfig>,
}

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("control.tls.{field}: {}: {reason}", .path.display())]
    File { field: &'static str, path: PathBuf, reason: String },
    #[error("control.tls.client_ca: {0}")]
    Authority(#[from] VerifierBuilderError),
    #[error("control.tls: {0}")]
    Keys(#[from] rustls::Error),
    #[error("control.tls.listen: {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
}

impl Tls {
    /// Reads keys and certificates, and listens.
    pub fn listen(config: &config::Tls) -> Result<Tls, TlsError> {
        Tls::listen_at(config, None)
    }

    /// The same at a socket that another process listened at, if there is one.
    pub fn listen_at(config: &config::Tls, listener: Option<OwnedFd>) -> Result<Tls, TlsError> {
        let file = |field, path: &Path, reason: &dyn std::fmt::Display| TlsError::File {
            field,
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let certificates = |field, path: &Path| -> Result<Vec<CertificateDer<'static>>, TlsError> {
            let read = CertificateDer::pem_file_iter(path).map_err(|error| file(field, path, &error))?;
            let all = read.collect::<Result<Vec<_>, _>>().map_err(|error| file(field, path, &error))?;
            if all.is_empty() { Err(file(field, path, &"has no certificate")) } else { Ok(all) }
        };
        let mut authorities = RootCertStore::empty();
        for authority in certificates("client_ca", &config.client_ca)? {
            authorities.add(authority)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone()).build()?;
        let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| file("key", &config.key, &error))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates("certificate", &config.certificate)?, key)?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // each connection shows its certificate: none that has expired meanwhile comes by an old session
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let fits =
            |there: &TcpListener| there.local_addr().is_ok_and(|at| config.listen.port() == 0 || at == config.listen);
        let there = listener.map(TcpListener::from).filter(fits);
        let listening = there.map_or_else(|| TcpListener::bind(config.listen), Ok);
        let listener = listening
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| TlsError::Listen { address: config.listen, error })?;
        Ok(Tls { listener, acceptor: Arc::new(server) })
    }

    /// Where it listens: the port that it got, if 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What another process needs for [`Tls::listen_at`].
    pub fn hand_over(&self) -> io::Result<OwnedFd> {
        Ok(self.listener.try_clone()?.into())
    }

    /// Its parts, on the runtime.
    pub(in crate::control) fn split(&self) -> io::Result<(tokio::net::TcpListener, Door)> {
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        Ok((listener, Door(TlsAcceptor::from(self.acceptor.clone()))))
    }
}

/// Lets those in who have a certificate.
#[derive(Clone)]
pub(in crate::control) struct Door(TlsAcceptor);

impl Door {
    /// The handshake. An error: it is no client of ours.
    pub async fn let_in(self, stream: TcpStream, address: SocketAddr) -> io::Result<(TlsStream<TcpStream>, Peer)> {
        let stream = self.0.accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
        let shown = shown.ok_or_else(|| io::Error::other("no certificate was shown"))?;
        let names = certificate::names(shown);
        Ok((stream, Peer::Certificate { names, address }))
    }
}
