//! Words and descriptors between two processes: each word is one message (SOCK_SEQPACKET), written as JSON.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::Word;

/// Bytes of a word.
const LONGEST: usize = 64 << 10;
/// Descriptors with one.
const MOST: usize = 16;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    #[error("it is gone")]
    Gone,
    #[error("it was silent for {0:?}")]
    Late(Duration),
    #[error("it said what makes no sense: {0}")]
    Garbled(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Channel {
    /// Both ends, of which one is for another process.
    pub fn pair() -> io::Result<(Channel, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
        Ok((Channel(ours), theirs))
    }

    /// An end that was given.
    pub fn of(end: OwnedFd) -> Channel {
        Channel(end)
    }

    /// Says a word. Blocks while the other end has not heard many.
    pub fn say(&self, word: &Word, parcels: &[BorrowedFd]) -> io::Result<()> {
        let bytes = serde_json::to_vec(word)?;
        if bytes.len() > LONGEST || parcels.len() > MOST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !parcels.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(parcels));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next word, with its descriptors; waits so long.
    pub fn hear(&self, within: Duration) -> Result<(Word, Vec<OwnedFd>), HearError> {
        let end = Instant::now() + within;
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let heard = loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            set_socket_timeout(&self.0, Timeout::Recv, Some(left)).map_err(io::Error::from)?;
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Ok(heard) => break heard,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(HearError::Late(within)),
                Err(Errno::CONNRESET) => return Err(HearError::Gone),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        };
        let mut parcels = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(given) = message {
                parcels.extend(given);
            }
        }
        if heard.bytes == 0 {
            return Err(HearError::Gone);
        }
        if heard.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(HearError::Garbled("more than fits".into()));
        }
        let word = serde_json::from_slice(&bytes[..heard.bytes]);
        Ok((word.map_err(|error| HearError::Garbled(error.to_string()))?, parcels))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Memory with these bytes, to be handed over.
pub fn parcel_of(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all_at(bytes, 0)?;
    Ok(file.into())
}

/// The bytes of a descriptor that [`parcel_of`] made.
pub fn bytes_of(parcel: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(parcel);
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn words_come_whole_and_in_order_with_what_is_beside_them() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::of(other);
        let parcel = parcel_of("test", b"all there is").unwrap();
        one.say(&Word::Stopped, &[]).unwrap();
        one.say(&Word::Ready { version: "1.2.3".into(), waits: Vec::new() }, &[parcel.as_fd(), parcel.as_fd()])
            .unwrap();
        assert!(matches!(other.hear(SOON).unwrap(), (Word::Stopped, parcels) if parcels.is_empty()));
        let (word, parcels) = other.hear(SOON).unwrap();
        assert!(matches!(word, Word::Ready { version, .. } if version == "1.2.3"));
        for parcel in parcels {
            assert_eq!(bytes_of(parcel).unwrap(), b"all there is");
        }
        assert!(matches!(other.hear(SOON), Err(HearError::Late(_))));
        drop(one);
        assert!(matches!(other.hear(SOON), Err(HearError::Gone)));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::of(other);
        let mut space = [];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        sendmsg(&one, &[IoSlice::new(b"{\"Later\":1}")], &mut beside, SendFlags::empty()).unwrap();
        let told = other.hear(SOON).unwrap_err().to_string();
        assert!(told.contains("unknown variant `Later`"), "{told}");
    }
}
