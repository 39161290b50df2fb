//! HTTP/2 by hand, for clients that do what no library does.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use prost::Message;

use super::Daemon;

/// HTTP/2 by hand: the preface, settings, and what is asked for.
pub struct Raw(UnixStream, Vec<u8>);

impl Raw {
    /// Who is turned away may be so before it has greeted: what it was told is read all the same.
    pub fn connect(daemon: &Daemon) -> Raw {
        let mut raw = UnixStream::connect(daemon.path()).unwrap();
        raw.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        raw.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        match raw.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            greeted => greeted.unwrap(),
        }
        Raw(raw, Vec::new())
    }

    /// A frame (RFC 9113, section 4.1); false: the server takes no more.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        self.0.write_all(&bytes).is_ok()
    }

    /// Opens a call: HEADERS with END_HEADERS only, literal fields without indexing (RFC 7541, section 6.2.2).
    pub fn open(&mut self, stream: u32, call: &str) -> bool {
        let mut block = vec![0x83, 0x86];
        for (name, value) in [
            (":path", format!("/vrouter.v1.VRouter/{call}").as_str()),
            (":authority", "x"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ] {
            block.push(0);
            for text in [name, value] {
                block.push(text.len() as u8);
                block.extend(text.as_bytes());
            }
        }
        self.frame(1, 4, stream, &block)
    }

    /// A whole call with one message.
    pub fn ask(&mut self, stream: u32, call: &str, message: &impl Message) -> bool {
        let message = message.encode_to_vec();
        let mut bytes = vec![0];
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend(message);
        self.open(stream, call) && self.frame(0, 1, stream, &bytes)
    }

    /// Lets the server send as much as HTTP/2 can say: 2^31 - 1 bytes of each stream and of the connection.
    pub fn any_amount(&mut self) {
        assert!(self.frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
        assert!(self.frame(8, 0, 0, &(0x7fff_ffff - 65_535_u32).to_be_bytes()));
    }

    /// False: the server hung up. Reads nothing.
    pub fn ping(&mut self) -> bool {
        self.frame(6, 0, 0, &[0; 8])
    }

    /// Takes what the server has sent, without waiting; false: it hung up.
    pub fn drain(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let mut bytes = [0; 65_536];
        let open = loop {
            match self.0.read(&mut bytes) {
                Ok(0) => break false,
                Ok(_) => {}
                Err(error) => break error.kind() == std::io::ErrorKind::WouldBlock,
            }
        };
        self.0.set_nonblocking(false).unwrap();
        open
    }

    /// Reads frames until one of this kind of this stream comes, and gives its payload; absent: the server hung up, or was silent so long.
    pub fn expect(&mut self, kind: u8, stream: u32, patience: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + patience;
        let Raw(socket, bytes) = self;
        while Instant::now() < end {
            while bytes.len() >= 9 {
                let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
                if bytes.len() < 9 + length {
                    break;
                }
                let of = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
                let (found, payload) = (bytes[3], bytes[9..9 + length].to_vec());
                bytes.drain(..9 + length);
                if found == kind && of == stream {
                    return Some(payload);
                }
            }
            let mut more = [0; 4096];
            match socket.read(&mut more) {
                Ok(0) => return None,
                Ok(count) => bytes.extend(&more[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        None
    }
}
