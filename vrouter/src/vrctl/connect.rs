//! The connection to the daemon.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use vrouter::api::v1::v_router_client::VRouterClient;

use super::Failure;

/// Answers are as large as the daemon makes them: it is trusted.
const MOST_BYTES: usize = 1 << 30;

pub type Client = VRouterClient<Channel>;

/// A client of the daemon behind this socket.
pub async fn connect(socket: &Path) -> Result<Client, Failure> {
    let unreachable = |reason: &dyn std::fmt::Display| {
        Failure::Unreachable(format!("cannot reach the daemon at {}: {reason}", socket.display()))
    };
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(&error))?;
    // One connection for one command: when it breaks, the command fails.
    let stream = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().map_or(None, |mut stream| stream.take());
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    let channel = Endpoint::from_static("http://vrouter")
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(&error))?;
    Ok(VRouterClient::new(channel).max_decoding_message_size(MOST_BYTES))
}
