//! Bytes to BFD: packets of the peers of two sessions, changes of their timers, and time. Nothing panics, what is sent is bounded and whole,
//! and a session is up only while its peer speaks.

use std::net::IpAddr;

use vrouter::ids::VrfId;
use vrouter::local::bfd::{Send, Sessions};
use vrouter::packet::bfd;
use vrouter::tables::{BfdSession, Watched};

use super::input::{Input, counted};
use crate::frames;

const NEAR: Watched =
    Watched { vrf: VrfId(0), remote: IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 2)), multihop: false };
const FAR: Watched =
    Watched { vrf: VrfId(0), remote: IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9)), multihop: true };
/// The longest that a peer may be silent: 255 times what 32 bits of microseconds hold.
const LONGEST: u64 = 255 * (1 << 32);

/// What a session is to be, by one byte; `None`: it is not there.
fn wanted(watched: &Watched, byte: u8) -> Option<BfdSession> {
    let local = if watched.multihop { [10, 0, 0, 1] } else { [10, 0, 1, 1] };
    let ms = [10, 50, 300, 60_000][usize::from(byte % 4)];
    let session = BfdSession {
        id: 0,
        local: local.into(),
        least_ttl: 255,
        min_tx: ms,
        min_rx: ms,
        multiplier: [1, 3, 255, 2][usize::from(byte / 4 % 4)],
        admin_down: byte & 0x10 != 0,
    };
    (byte & 0xe0 != 0xe0).then_some(session)
}

pub fn run(bytes: &[u8]) {
    // the seed with which the frames of `wire/frames/bfd.py` fit
    let (mut sessions, mut now) = (Sessions::new(1_000_000), 1_000_000_000);
    let (mut input, mut out) = (Input(bytes), Vec::new());
    let mut said = [0x05, 0x05];
    let renew = |sessions: &mut Sessions, said: [u8; 2], now, out: &mut Vec<Send>| {
        let all = [NEAR, FAR].into_iter().zip(said);
        let wanted = all.filter_map(|(watched, byte)| Some((watched, wanted(&watched, byte)?))).collect();
        sessions.renew(&wanted, now, out);
    };
    renew(&mut sessions, said, now, &mut out);
    while let Some(step) = input.byte() {
        match step % 4 {
            0 | 1 => {
                let Some(packet) = input.counted() else { break };
                _ = sessions.take(VrfId(0), packet, now);
            }
            2 => now += (u64::from(input.byte().unwrap_or_default()) * 1000) << (step >> 4),
            _ => {
                said[usize::from(step >> 7)] = input.byte().unwrap_or_default();
                renew(&mut sessions, said, now, &mut out);
            }
        }
        sessions.tick(now, &mut out);
        assert!(sessions.due() > now, "due for ever");
        check(&mut out);
    }
    // who hears nothing is not up, whatever was agreed
    now += LONGEST;
    sessions.tick(now, &mut out);
    for watched in [NEAR, FAR] {
        let up = sessions.session(&watched).is_some_and(|session| session.stand().state == bfd::State::Up);
        assert!(!up, "{watched:?} is up in silence");
    }
}

fn check(out: &mut Vec<Send>) {
    assert!(out.len() <= 8, "{} packets at once", out.len());
    for send in out.drain(..) {
        let packet = bfd::read(&send.packet[28..]).expect("sound");
        assert!(send.packet.len() == 52 && !(packet.poll && packet.last), "{packet:?}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let packet = |name: &str| [&[0][..], &counted(&frames::frame(name)[14..])].concat();
    let of = |peer: &str, said: &[&str]| {
        said.iter().flat_map(|what| packet(&format!("bfd.{peer}.{what}"))).collect::<Vec<u8>>()
    };
    let mut seeds = Vec::new();
    for peer in ["up1", "far"] {
        let up = of(peer, &["hello", "up", "final"]);
        seeds.push([&up[..], &[2, 200, 2, 255, 2, 255, 2, 255]].concat());
        seeds.push(
            [&up[..], &of(peer, &["poll"]), &[3, 0x06, 2, 60], &of(peer, &["final", "down"]), &[0x82, 9]].concat(),
        );
        seeds.push([&up[..], &of(peer, &["admin"]), &[3, 0xff, 0x83, 0x10, 2, 1, 0x83, 0x01, 3, 0x0b], &up].concat());
    }
    let bad = frames::names().into_iter().filter(|name| name.starts_with("bfd.bad."));
    seeds.extend(bad.map(|name| [&of("up1", &["hello", "up"])[..], &packet(name), &[2, 10]].concat()));
    seeds
}
