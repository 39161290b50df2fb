//! What a client is told that may have no connection, in HTTP/2's words, before anything of it was read.

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Says why, and hangs up. gRPC's clients tell of it as RESOURCE_EXHAUSTED.
pub async fn farewell(mut stream: impl AsyncWrite + Unpin, why: &str) {
    let said = async {
        stream.write_all(&frames(why)).await?;
        stream.shutdown().await
    };
    // who does not take it is left all the same
    let _ = tokio::time::timeout(Duration::from_secs(1), said).await;
}

/// SETTINGS with nothing in them, with which a server begins, and GOAWAY: no stream was looked at (RFC 9113, sections 6.5 and 6.8).
fn frames(why: &str) -> Vec<u8> {
    let why = &why.as_bytes()[..why.len().min(1000)];
    let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    bytes.extend(&(8 + why.len() as u32).to_be_bytes()[1..]);
    bytes.extend([7, 0, 0, 0, 0, 0]);
    bytes.extend([0; 4]);
    bytes.extend(ENHANCE_YOUR_CALM.to_be_bytes());
    bytes.extend(why);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_say_it() {
        let literal = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\
                        \x00\x00\x0a\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0bno";
        assert_eq!(frames("no"), literal);
    }
}
