//! BFD control packets (RFC 5880, section 4.1).

use super::be32;

/// UDP destination port of single-hop sessions (RFC 5881, section 4).
pub const SINGLE_HOP_PORT: u16 = 3784;
/// The same of multihop ones (RFC 5883, section 5).
pub const MULTIHOP_PORT: u16 = 4784;
/// Bytes of a packet without authentication.
pub const LENGTH: usize = 24;
/// Bytes that one with an authentication section has at least.
const WITH_AUTHENTICATION: u8 = 26;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A session's state as packets say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    AdminDown = 0,
    #[default]
    Down = 1,
    Init = 2,
    Up = 3,
}

/// Why a session left the state Up last, or is in none (RFC 5880, section 4.1); those that are sent here have names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    pub const NONE: Diagnostic = Diagnostic(0);
    pub const DETECTION_TIME_EXPIRED: Diagnostic = Diagnostic(1);
    pub const NEIGHBOUR_SAID_DOWN: Diagnostic = Diagnostic(3);
    pub const ADMIN_DOWN: Diagnostic = Diagnostic(7);

    /// For people.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 9] = [
            "none",
            "detection_time_expired",
            "echo_failed",
            "neighbour_said_down",
            "forwarding_plane_reset",
            "path_down",
            "concatenated_path_down",
            "admin_down",
            "reverse_concatenated_path_down",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or("reserved")
    }
}

/// A control packet; times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub diagnostic: Diagnostic,
    pub state: State,
    pub poll: bool,
    pub last: bool,
    pub demand: bool,
    pub multiplier: u8,
    /// The sender's.
    pub mine: u32,
    /// What the sender has of the receiver; 0: nothing yet.
    pub yours: u32,
    pub desired_min_tx: u32,
    pub required_min_rx: u32,
}

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It makes no sense (RFC 5880, section 6.8.6).
    Malformed,
    /// It is authenticated, and no session here is.
    Authenticated,
}

/// Reads a UDP payload as RFC 5880, section 6.8.6 says, as far as it needs no session.
pub fn read(payload: &[u8]) -> Result<Control, Refused> {
    let Some(packet) = payload.first_chunk::<LENGTH>() else { return Err(Refused::Malformed) };
    let (flags, multiplier, length) = (packet[1], packet[2], packet[3]);
    let authenticated = flags & AUTHENTICATION != 0;
    let least = if authenticated { WITH_AUTHENTICATION } else { LENGTH as u8 };
    let control = Control {
        diagnostic: Diagnostic(packet[0] & 0x1f),
        state: [State::AdminDown, State::Down, State::Init, State::Up][usize::from(flags >> 6)],
        poll: flags & POLL != 0,
        last: flags & FINAL != 0,
        demand: flags & DEMAND != 0,
        multiplier,
        mine: be32(packet, 4),
        yours: be32(packet, 8),
        desired_min_tx: be32(packet, 12),
        required_min_rx: be32(packet, 16),
    };
    let silent = control.yours == 0 && !matches!(control.state, State::AdminDown | State::Down);
    if packet[0] >> 5 != VERSION
        || length < least
        || usize::from(length) > payload.len()
        || multiplier == 0
        || flags & MULTIPOINT != 0
        || control.mine == 0
        || silent
    {
        return Err(Refused::Malformed);
    }
    if authenticated { Err(Refused::Authenticated) } else { Ok(control) }
}

/// The packet's bytes; no echo packets are asked for.
pub fn write(control: &Control) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    packet[0] = VERSION << 5 | control.diagnostic.0 & 0x1f;
    packet[1] = (control.state as u8) << 6
        | flag(control.poll, POLL)
        | flag(control.last, FINAL)
        | flag(control.demand, DEMAND);
    packet[2] = control.multiplier;
    packet[3] = LENGTH as u8;
    let words = [control.mine, control.yours, control.desired_min_tx, control.required_min_rx];
    for (at, word) in words.into_iter().enumerate() {
        packet[4 + 4 * at..8 + 4 * at].copy_from_slice(&word.to_be_bytes());
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By scapy: `BFD(version=1, diag=3, sta=1, flags="P", detect_mult=3, my_discriminator=0x11223344, your_discriminator=0x55667788,
    /// min_tx_interval=50000, min_rx_interval=60000, echo_rx_interval=0)`.
    const DOWN: [u8; 24] = [
        0x23, 0x60, 3, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 0, 0xc3, 0x50, 0, 0, 0xea, 0x60, 0, 0, 0,
        0,
    ];

    #[test]
    fn a_packet_is_read_and_written() {
        let control = read(&DOWN).unwrap();
        let expected = Control {
            diagnostic: Diagnostic::NEIGHBOUR_SAID_DOWN,
            state: State::Down,
            poll: true,
            last: false,
            demand: false,
            multiplier: 3,
            mine: 0x1122_3344,
            yours: 0x5566_7788,
            desired_min_tx: 50_000,
            required_min_rx: 60_000,
        };
        assert_eq!(control, expected);
        assert_eq!(write(&control), DOWN);
        // what UDP carries behind it is nobody's
        assert_eq!(read(&[&DOWN[..], &[0; 9]].concat()), Ok(expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let with = |changes: &[(usize, u8)]| {
            let mut bytes = DOWN;
            changes.iter().for_each(|&(at, byte)| bytes[at] = byte);
            read(&bytes)
        };
        let malformed = Err(Refused::Malformed);
        assert_eq!(with(&[(0, 0x03)]), malformed, "version 0");
        assert_eq!(with(&[(0, 0x43)]), malformed, "version 2");
        assert_eq!(with(&[(3, 23)]), malformed, "too short by its own word");
        assert_eq!(with(&[(3, 25)]), malformed, "longer than what is there");
        assert_eq!(with(&[(2, 0)]), malformed, "multiplier 0");
        assert_eq!(with(&[(1, 0x61)]), malformed, "multipoint");
        assert_eq!(with(&[(4, 0), (5, 0), (6, 0), (7, 0)]), malformed, "no discriminator");
        let unanswered = [(8, 0), (9, 0), (10, 0), (11, 0)];
        assert!(with(&unanswered).is_ok());
        assert_eq!(with(&[&unanswered[..], &[(1, 0xc0)]].concat()), malformed, "up without having heard us");
        assert_eq!(with(&[&unanswered[..], &[(1, 0x80)]].concat()), malformed, "init without having heard us");
        assert_eq!(read(&DOWN[..23]), malformed);
        let mut authenticated = [&DOWN[..], &[1, 2]].concat();
        (authenticated[1], authenticated[3]) = (0x64, 26);
        assert_eq!(read(&authenticated), Err(Refused::Authenticated));
        authenticated[3] = 25;
        assert_eq!(read(&authenticated), malformed, "no room for what it says is there");
    }

    proptest! {
        #[test]
        fn bytes_are_read_as_they_were_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(control) = read(&bytes) {
                prop_assert_eq!(read(&write(&control)), Ok(control));
            }
        }
    }
}
