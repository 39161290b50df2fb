//! BFD (RFC 5880) to neighbours in the underlay (RFC 5881) and to hosts some hops away (RFC 5883): pure, `now` is an argument, in
//! microseconds of a clock that does not go back.
//!
//! A session is found by the addresses of a packet, which the datapath knows to be those of one, and by our discriminator in it.

mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use smoltcp::wire::UdpPacket;

use super::emit;
use super::l3::{Fragment, L3};
use crate::drops::DropReason;
use crate::ids::VrfId;
use crate::packet::bfd::{self, Control, Refused};
use crate::tables::{BfdSession, BfdStand, Watched};
pub use session::{Counts, Peer, Session};

/// UDP source ports of sessions (RFC 5881, section 4).
const FIRST_PORT: u16 = 0xc000;
const PORTS: u16 = 0x4000;

/// An L3 packet to be routed in this VRF, as originated by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub vrf: VrfId,
    pub packet: Vec<u8>,
}

/// All sessions.
pub struct Sessions {
    rows: BTreeMap<Watched, Row>,
    /// Nothing is due before.
    due: u64,
    chance: u64,
    next_port: u16,
    /// How those stand that stand otherwise than was told.
    changed: BTreeMap<Watched, BfdStand>,
}

struct Row {
    session: Session,
    port: u16,
    told: Option<BfdStand>,
}

impl Sessions {
    /// None. Discriminators follow from the seed.
    pub fn new(seed: u64) -> Sessions {
        Sessions { rows: BTreeMap::new(), due: u64::MAX, chance: seed | 1, next_port: 0, changed: BTreeMap::new() }
    }

    /// Makes these the sessions that there are. The peers of those that end are told so.
    pub fn renew(&mut self, wanted: &HashMap<Watched, BfdSession>, now: u64, out: &mut Vec<Send>) {
        let (mut gone, changed) = (Vec::new(), &mut self.changed);
        self.rows.retain(|key, row| {
            let was = *row.session.wanted();
            let stays = wanted.get(key).is_some_and(|wanted| (wanted.id, wanted.local) == (was.id, was.local));
            if !stays {
                gone.extend(row.send(key, |session| Some(session.farewell())));
                changed.insert(*key, BfdStand::default());
            }
            stays
        });
        out.append(&mut gone);
        let wanted: BTreeMap<Watched, BfdSession> = wanted.iter().map(|(key, wanted)| (*key, *wanted)).collect();
        for (key, wanted) in wanted {
            if let Some(row) = self.rows.get_mut(&key) {
                if *row.session.wanted() != wanted {
                    row.session.want(wanted, now);
                }
            } else {
                let session = Session::new(wanted, self.discriminator(), now);
                let port = self.port();
                self.rows.insert(key, Row { session, port, told: None });
            }
        }
        self.note_all();
    }

    /// Takes a packet that came from a session's peer to our end of it, read from its IP header on.
    ///
    /// # Errors
    /// Why it is no packet of the session.
    pub fn take(&mut self, vrf: VrfId, packet: &[u8], now: u64) -> Result<(), DropReason> {
        let l3 = L3::read(packet, 0)?;
        let port = udp_port(&l3).ok_or(DropReason::BfdMalformed)?;
        let key = Watched { vrf, remote: l3.source, multihop: port == bfd::MULTIHOP_PORT };
        // the session may have gone meanwhile
        let row = self.rows.get_mut(&key).ok_or(DropReason::BfdNoSession)?;
        let taken = match bfd::read(&l3.payload[8..]) {
            Err(Refused::Malformed) => Err(DropReason::BfdMalformed),
            Err(Refused::Authenticated) => Err(DropReason::BfdAuthenticated),
            Ok(control) if ![0, row.session.mine()].contains(&control.yours) => Err(DropReason::BfdNoSession),
            Ok(control) => {
                row.session.take(&control, now);
                Ok(())
            }
        };
        row.session.counts.refused += u64::from(taken.is_err());
        self.due = self.due.min(row.session.due());
        row.note(key, &mut self.changed);
        taken
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Send>) {
        if now < self.due {
            return;
        }
        for (key, row) in &mut self.rows {
            while row.session.due() <= now {
                out.extend(row.send(key, |session| session.tick(now)));
            }
            row.note(*key, &mut self.changed);
        }
        self.due = self.next();
    }

    /// When [`Sessions::tick`] has something to do.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// How those stand now that stand otherwise than was told; those that are gone, as if they never had been up.
    pub fn take_changed(&mut self) -> BTreeMap<Watched, BfdStand> {
        std::mem::take(&mut self.changed)
    }

    /// A session that there is.
    pub fn session(&self, key: &Watched) -> Option<&Session> {
        self.rows.get(key).map(|row| &row.session)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    fn note_all(&mut self) {
        for (key, row) in &mut self.rows {
            row.note(*key, &mut self.changed);
        }
        self.due = self.next();
    }

    fn next(&self) -> u64 {
        self.rows.values().map(|row| row.session.due()).min().unwrap_or(u64::MAX)
    }

    /// One that no other session has, and not 0.
    fn discriminator(&mut self) -> u32 {
        let taken: HashSet<u32> = self.rows.values().map(|row| row.session.mine()).collect();
        loop {
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            let drawn = (self.chance >> 16) as u32;
            if drawn != 0 && !taken.contains(&drawn) {
                return drawn;
            }
        }
    }

    /// A source port that no other session has, as long as there are any.
    fn port(&mut self) -> u16 {
        let taken: HashSet<u16> = self.rows.values().map(|row| row.port).collect();
        for _ in 0..PORTS {
            let port = FIRST_PORT + self.next_port % PORTS;
            self.next_port = (self.next_port + 1) % PORTS;
            if !taken.contains(&port) {
                return port;
            }
        }
        FIRST_PORT
    }
}

impl Row {
    fn note(&mut self, key: Watched, changed: &mut BTreeMap<Watched, BfdStand>) {
        let stand = self.session.stand();
        if self.told != Some(stand) {
            self.told = Some(stand);
            changed.insert(key, stand);
        }
    }

    fn send(&mut self, key: &Watched, make: impl FnOnce(&mut Session) -> Option<Control>) -> Option<Send> {
        let control = make(&mut self.session)?;
        let to = if key.multihop { bfd::MULTIHOP_PORT } else { bfd::SINGLE_HOP_PORT };
        let ends = (self.session.wanted().local, key.remote);
        let packet = emit::bfd(ends, (self.port, to), &bfd::write(&control))?;
        Some(Send { vrf: key.vrf, packet })
    }
}

/// The destination port of a whole and sound UDP packet.
fn udp_port(l3: &L3<'_>) -> Option<u16> {
    let whole = matches!(l3.fragment, Fragment::Whole | Fragment::Atomic);
    let udp = UdpPacket::new_checked(l3.payload).ok().filter(|_| whole)?;
    // over IPv6 there is always one
    let summed = udp.checksum() != 0 || matches!(l3.source, IpAddr::V4(_));
    let sound = summed && udp.verify_checksum(&l3.source.into(), &l3.destination.into());
    let known = [bfd::SINGLE_HOP_PORT, bfd::MULTIHOP_PORT].contains(&udp.dst_port());
    (sound && known).then(|| udp.dst_port())
}
