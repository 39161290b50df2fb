use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::packet::bfd::{Diagnostic, State};

const MS: u64 = 1000;
const KEY: Watched = Watched { vrf: VrfId(1), remote: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), multihop: false };

fn wanted(tx: u32, multiplier: u8) -> BfdSession {
    let local = Ipv4Addr::new(10, 0, 0, 1).into();
    BfdSession { id: 0, local, least_ttl: 255, min_tx: tx, min_rx: tx, multiplier, admin_down: false }
}

/// Two ends and a line between them, each of whose packets takes a millisecond, unless it is cut.
struct Pair {
    ends: [Sessions; 2],
    way: Vec<(u64, usize, Vec<u8>)>,
    now: u64,
    cut: [bool; 2],
    sent: [Vec<(u64, Control)>; 2],
    turns: [Vec<(u64, BfdStand)>; 2],
}

impl Pair {
    fn new(left: BfdSession, right: BfdSession) -> Pair {
        let mut pair = Pair {
            ends: [Sessions::new(7), Sessions::new(99)],
            way: Vec::new(),
            now: 1_000_000,
            cut: [false; 2],
            sent: [Vec::new(), Vec::new()],
            turns: [Vec::new(), Vec::new()],
        };
        pair.want(0, left);
        pair.want(1, right);
        pair
    }

    fn key(end: usize) -> Watched {
        Watched { remote: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2 - end as u8)), ..KEY }
    }

    fn want(&mut self, end: usize, wanted: BfdSession) {
        let local = Ipv4Addr::new(10, 0, 0, 1 + end as u8).into();
        let mut out = Vec::new();
        let wanted = HashMap::from([(Pair::key(end), BfdSession { local, ..wanted })]);
        self.ends[end].renew(&wanted, self.now, &mut out);
        self.carry(end, out);
    }

    fn carry(&mut self, end: usize, out: Vec<Send>) {
        for send in out {
            self.sent[end].push((self.now, bfd::read(&send.packet[28..]).unwrap()));
            if !self.cut[end] {
                self.way.push((self.now + MS, 1 - end, send.packet));
            }
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms * 2 {
            self.now += MS / 2;
            let (come, stay) = std::mem::take(&mut self.way).into_iter().partition(|(at, ..)| *at <= self.now);
            self.way = stay;
            for (_, end, packet) in come {
                let taken = self.ends[end].take(VrfId(1), &packet, self.now);
                assert!(taken.is_ok() || self.ends[end].count() == 0, "{taken:?}");
            }
            for end in 0..2 {
                let mut out = Vec::new();
                self.ends[end].tick(self.now, &mut out);
                self.carry(end, out);
                let (now, turns) = (self.now, &mut self.turns[end]);
                turns.extend(self.ends[end].take_changed().into_values().map(|stand| (now, stand)));
            }
        }
    }

    fn stand(&self, end: usize) -> BfdStand {
        self.ends[end].session(&Pair::key(end)).unwrap().stand()
    }

    fn both_up(&self) -> bool {
        (0..2).all(|end| self.stand(end).state == State::Up)
    }
}

#[test]
fn two_ends_come_up_and_slow_down_until_then() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    assert!(!pair.both_up());
    pair.run(3000);
    assert!(pair.both_up());
    let first = &pair.sent[0][0].1;
    assert_eq!((first.state, first.yours, first.desired_min_tx), (State::Down, 0, 1_000_000));
    // once up, at the pace that was configured, less jitter of at most a quarter
    let gaps: Vec<u64> = pair.sent[0].windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let gaps = &gaps[gaps.len() - 30..];
    assert!(gaps.iter().all(|gap| (37 * MS..=51 * MS).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap != &gaps[0]), "no jitter");
    // the change of pace was polled for, and answered
    assert!(pair.sent[0].iter().any(|(_, control)| control.poll && control.state == State::Up));
    assert!(pair.sent[1].iter().any(|(_, control)| control.last && !control.poll));
    assert!(!pair.sent[0].last().unwrap().1.poll, "the poll does not end");
}

#[test]
fn silence_is_a_failure_within_the_detection_time() {
    for multiplier in [1, 3, 5] {
        let mut pair = Pair::new(wanted(50, multiplier), wanted(50, multiplier));
        pair.run(4000);
        assert!(pair.both_up());
        let cut_at = pair.now;
        pair.cut[1] = true;
        pair.run(u64::from(multiplier) * 50 + 5);
        let stand = pair.stand(0);
        assert_eq!((stand.state, stand.failed), (State::Down, true));
        assert_eq!(stand.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
        let (at, _) = pair.turns[0].last().unwrap();
        assert!(at - cut_at >= (u64::from(multiplier) - 1) * 50 * MS, "too early");
        // the other end hears of it, and both come up again
        assert_eq!(pair.stand(1).diagnostic, Diagnostic::NEIGHBOUR_SAID_DOWN);
        assert!(pair.stand(1).failed);
        pair.cut[1] = false;
        pair.run(4000);
        assert!(pair.both_up() && !pair.stand(0).failed && !pair.stand(1).failed);
        let counts = pair.ends[0].session(&Pair::key(0)).unwrap().counts;
        assert_eq!((counts.ups, counts.failures), (2, 1));
    }
}

#[test]
fn who_never_came_up_did_not_fail() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.cut = [true; 2];
    pair.run(10_000);
    assert_eq!(pair.stand(0), BfdStand { state: State::Down, diagnostic: Diagnostic::NONE, failed: false });
    assert!(pair.sent[0].len() <= 14, "more than one a second, less jitter");
    // who is heard, but does not hear us
    pair.cut[1] = false;
    pair.run(3000);
    assert_eq!(pair.stand(0).state, State::Init);
    pair.cut[1] = true;
    pair.run(4000);
    let expired = Diagnostic::DETECTION_TIME_EXPIRED;
    assert_eq!(pair.stand(0), BfdStand { state: State::Down, diagnostic: expired, failed: false });
    assert_eq!(pair.ends[0].session(&Pair::key(0)).unwrap().counts.failures, 0);
}

#[test]
fn an_end_that_is_switched_off_did_not_fail() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.run(3000);
    pair.want(1, BfdSession { admin_down: true, ..wanted(50, 3) });
    pair.run(10);
    let stand = pair.stand(0);
    assert_eq!((stand.state, stand.failed), (State::Down, false));
    pair.run(3000);
    assert_eq!((pair.stand(0).state, pair.stand(1).state), (State::Down, State::AdminDown));
    pair.want(1, wanted(50, 3));
    pair.run(3000);
    assert!(pair.both_up());
    // one that failed, and is switched off by its peer then, is no failure any more
    pair.cut[1] = true;
    pair.run(200);
    assert!(pair.stand(0).failed);
    pair.cut[1] = false;
    pair.want(1, BfdSession { admin_down: true, ..wanted(50, 3) });
    pair.run(1500);
    assert!(!pair.stand(0).failed);
}

#[test]
fn who_goes_says_so() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.run(3000);
    let mut out = Vec::new();
    pair.ends[1].renew(&HashMap::new(), pair.now, &mut out);
    assert_eq!(pair.ends[1].count(), 0);
    pair.carry(1, out);
    pair.run(300);
    assert_eq!((pair.stand(0).state, pair.stand(0).failed), (State::Down, false));
}

#[test]
fn intervals_change_by_polls_without_a_flap() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.run(3000);
    let before = pair.turns[0].len();
    for (end, ms) in [(0, 400), (1, 30), (0, 20), (1, 700)] {
        pair.want(end, wanted(ms, 3));
        pair.run(5000);
        assert!(pair.both_up());
    }
    // what is told anew is the same
    assert!(pair.turns[0][before..].iter().all(|(_, stand)| stand.state == State::Up));
    let session = pair.ends[0].session(&Pair::key(0)).unwrap();
    assert_eq!((session.tx_interval(), session.detection_time()), (Some(700_000), 2_100_000));
    let mut slower = Pair::new(wanted(50, 3), wanted(50, 3));
    slower.run(3000);
    slower.cut[1] = true;
    slower.want(0, wanted(100, 3));
    let session = slower.ends[0].session(&Pair::key(0)).unwrap();
    assert_eq!(session.tx_interval(), Some(50_000), "slower before the peer knows");
}

#[test]
fn a_peer_that_wants_no_packets_gets_none() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.run(3000);
    let demand = Control {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        last: false,
        demand: true,
        multiplier: 3,
        mine: pair.ends[1].session(&Pair::key(1)).unwrap().mine(),
        yours: pair.ends[0].session(&Pair::key(0)).unwrap().mine(),
        desired_min_tx: 50_000,
        required_min_rx: 50_000,
    };
    let ends = (Pair::key(0).remote, Ipv4Addr::new(10, 0, 0, 1).into());
    for demand in [demand, Control { demand: false, required_min_rx: 0, ..demand }] {
        pair.cut[1] = true;
        let packet = emit::bfd(ends, (50_000, 3784), &bfd::write(&demand)).unwrap();
        pair.ends[0].take(VrfId(1), &packet, pair.now).unwrap();
        pair.run(60);
        let sent = pair.sent[0].len();
        pair.run(80);
        assert_eq!(pair.sent[0].len(), sent);
        pair.cut[1] = false;
        pair.run(4000);
        assert!(pair.both_up());
    }
}

#[test]
fn packets_that_are_not_the_session_s_are_refused() {
    let mut pair = Pair::new(wanted(50, 3), wanted(50, 3));
    pair.run(3000);
    let yours = pair.ends[0].session(&Pair::key(0)).unwrap().mine();
    let up = [0x20, 0xc0, 3, 24, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0];
    let mut take = |change: &dyn Fn(&mut Vec<u8>), to: u16| {
        let mut payload = up.to_vec();
        payload[8..12].copy_from_slice(&yours.to_be_bytes());
        change(&mut payload);
        let ends = (Pair::key(0).remote, Ipv4Addr::new(10, 0, 0, 1).into());
        let packet = emit::bfd(ends, (50_000, to), &payload).unwrap();
        pair.ends[0].take(VrfId(1), &packet, pair.now)
    };
    assert_eq!(take(&|_| {}, 3784), Ok(()));
    assert_eq!(take(&|_| {}, 4784), Err(DropReason::BfdNoSession));
    assert_eq!(take(&|_| {}, 3785), Err(DropReason::BfdMalformed));
    assert_eq!(take(&|payload| payload[11] ^= 1, 3784), Err(DropReason::BfdNoSession));
    assert_eq!(take(&|payload| payload[2] = 0, 3784), Err(DropReason::BfdMalformed));
    assert_eq!(take(&|payload| payload.truncate(20), 3784), Err(DropReason::BfdMalformed));
    let authenticated = |payload: &mut Vec<u8>| {
        (payload[1], payload[3]) = (0xc4, 28);
        payload.extend([1, 4, 0, 0]);
    };
    assert_eq!(take(&authenticated, 3784), Err(DropReason::BfdAuthenticated));
    let counts = pair.ends[0].session(&Pair::key(0)).unwrap().counts;
    assert_eq!(counts.refused, 4);
    assert!(pair.both_up());
}

#[test]
fn sessions_have_discriminators_and_ports_of_their_own() {
    let mut sessions = Sessions::new(3);
    let key = |at: u8| Watched { remote: IpAddr::V4(Ipv4Addr::new(10, 0, 1, at)), ..KEY };
    let wanted: HashMap<_, _> = (1..=200).map(|at| (key(at), wanted(50, 3))).collect();
    let mut out = Vec::new();
    sessions.renew(&wanted, 5, &mut out);
    sessions.tick(6, &mut out);
    assert_eq!(out.len(), 200);
    let ports: HashSet<&[u8]> = out.iter().map(|send| &send.packet[20..22]).collect();
    let mine: HashSet<&[u8]> = out.iter().map(|send| &send.packet[32..36]).collect();
    assert_eq!((ports.len(), mine.len()), (200, 200));
    assert!(out.iter().all(|send| u16::from_be_bytes([send.packet[20], send.packet[21]]) >= 49152));
    assert!(out.iter().all(|send| send.packet[8] == 255), "TTL");
}

proptest! {
    /// Whatever a peer says: no packet is due at once for ever, and who is up has heard of the peer within the detection time.
    #[test]
    fn any_peer_is_borne(steps in prop::collection::vec((0_u64..400, 0_u8..4, any::<[bool; 3]>(), 1_u8..5, 0_u32..200_000, 0_u32..200_000), 1..60)) {
        let mut sessions = Sessions::new(11);
        let mut out = Vec::new();
        sessions.renew(&HashMap::from([(KEY, wanted(50, 3))]), 0, &mut out);
        let (mut now, mut heard) = (0, None);
        for (wait, state, [poll, last, demand], multiplier, desired_min_tx, required_min_rx) in steps {
            for _ in 0..wait {
                now += MS;
                let before = out.len();
                sessions.tick(now, &mut out);
                prop_assert!(out.len() - before <= 2);
                let session = sessions.session(&KEY).unwrap();
                if session.stand().state == State::Up {
                    prop_assert!(heard.is_some_and(|heard| now < heard + session.detection_time() + 10 * 60_000 * MS));
                }
            }
            let yours = sessions.session(&KEY).unwrap().mine();
            let state = [State::AdminDown, State::Down, State::Init, State::Up][usize::from(state)];
            let control = Control { diagnostic: Diagnostic::NONE, state, poll, last, demand, multiplier, mine: 5, yours, desired_min_tx, required_min_rx };
            let packet = emit::bfd((KEY.remote, Ipv4Addr::new(10, 0, 0, 1).into()), (50_000, 3784), &bfd::write(&control)).unwrap();
            prop_assert_eq!(sessions.take(VrfId(1), &packet, now), Ok(()));
            heard = Some(now);
            let stand = sessions.session(&KEY).unwrap().stand();
            prop_assert!(stand.state != State::Up || state == State::Init || state == State::Up);
            prop_assert!(!stand.failed || stand.state != State::Up);
        }
    }
}
