//! The connection to the daemon.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use vrouter::api::position::FileError;
use vrouter::api::v1::v_router_client::VRouterClient;

use super::Failure;

/// Answers are as large as the daemon makes them: it is trusted.
const MOST_BYTES: usize = 1 << 30;

pub type Client = VRouterClient<Channel>;

/// Where the daemon is.
#[derive(clap::Args)]
pub struct Address {
    /// The daemon's control socket
    #[arg(long, global = true, help_heading = super::args::GLOBAL, env = "VROUTER_SOCKET", default_value = vrouter::api::config::SOCKET, value_name = "PATH")]
    socket: PathBuf,
    /// A daemon on another host instead, as its control.tls lets clients in; needs --cert, --key and --ca
    #[arg(long, global = true, help_heading = super::args::GLOBAL, env = "VROUTER_SERVER", value_name = "tls://HOST:PORT")]
    server: Option<String>,
    /// Our certificate for it (PEM)
    #[arg(long, global = true, help_heading = super::args::GLOBAL, env = "VROUTER_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The key of our certificate (PEM)
    #[arg(long, global = true, help_heading = super::args::GLOBAL, env = "VROUTER_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// The authority that the daemon's certificate is of (PEM)
    #[arg(long, global = true, help_heading = super::args::GLOBAL, env = "VROUTER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// One of the two ways in.
pub enum Daemon {
    Socket(PathBuf),
    Tls(Box<Remote>),
}

/// Over TLS.
pub struct Remote {
    host: String,
    port: u16,
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl Address {
    /// The way that was asked for.
    pub fn chosen(self) -> Result<Daemon, Failure> {
        let Some(server) = self.server else { return Ok(Daemon::Socket(self.socket)) };
        let wrong = || Failure::Usage(format!("--server {server}: is to be tls://HOST:PORT"));
        let (host, port) = server.strip_prefix("tls://").and_then(|rest| rest.rsplit_once(':')).ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (Some(cert), Some(key), Some(ca)) = (self.cert, self.key, self.ca) else {
            return Err(Failure::Usage("--server needs --cert, --key and --ca".into()));
        };
        Ok(Daemon::Tls(Box::new(Remote { host, port, cert, key, ca })))
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Daemon::Socket(path) => path.display().fmt(f),
            Daemon::Tls(remote) => write!(f, "{} port {}", remote.host, remote.port),
        }
    }
}

/// A client of the daemon.
pub async fn connect(daemon: &Daemon) -> Result<Client, Failure> {
    let unreachable =
        |reason: &dyn fmt::Display| Failure::Unreachable(format!("cannot reach the daemon at {daemon}: {reason}"));
    match daemon {
        Daemon::Socket(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| unreachable(&error))?;
            client(stream).await.map_err(|error| unreachable(&error))
        }
        Daemon::Tls(remote) => {
            let keys = Arc::new(keys(remote)?);
            let name = ServerName::try_from(remote.host.clone()).map_err(|error| Failure::Usage(error.to_string()))?;
            let stream = TcpStream::connect((&*remote.host, remote.port)).await.map_err(|error| unreachable(&error))?;
            let stream = TlsConnector::from(keys).connect(name, stream).await.map_err(|error| unreachable(&error))?;
            client(stream).await.map_err(|error| unreachable(&error))
        }
    }
}

/// One connection for one command: when it breaks, the command fails.
async fn client(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Client, tonic::transport::Error> {
    let stream = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().map_or(None, |mut stream| stream.take());
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    let channel = Endpoint::from_static("http://vrouter").connect_with_connector(connector).await?;
    Ok(VRouterClient::new(channel).max_decoding_message_size(MOST_BYTES))
}

fn keys(remote: &Remote) -> Result<ClientConfig, Failure> {
    let wrong = |path: &Path, error: &dyn fmt::Display| {
        Failure::File(FileError {
            file: path.display().to_string(),
            position: None,
            field: String::new(),
            reason: error.to_string(),
        })
    };
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, Failure> {
        let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, &error))?;
        read.collect::<Result<_, _>>().map_err(|error| wrong(path, &error))
    };
    let mut authorities = RootCertStore::empty();
    for authority in certificates(&remote.ca)? {
        authorities.add(authority).map_err(|error| wrong(&remote.ca, &error))?;
    }
    let key = PrivateKeyDer::from_pem_file(&remote.key).map_err(|error| wrong(&remote.key, &error))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Usage(error.to_string()))?
        .with_root_certificates(authorities)
        .with_client_auth_cert(certificates(&remote.cert)?, key)
        .map_err(|error| wrong(&remote.cert, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
