//! One session: the state machine and the timers of RFC 5880 in asynchronous mode, without echo and authentication.

use crate::packet::bfd::{Control, Diagnostic, State};
use crate::tables::{BfdSession, BfdStand};

/// What is said to a peer that is not up (RFC 5880, section 6.8.3), in microseconds.
const SLOW: u32 = 1_000_000;

/// A session. Times are microseconds of a clock that does not go back.
pub struct Session {
    wanted: BfdSession,
    mine: u32,
    yours: u32,
    state: State,
    diagnostic: Diagnostic,
    /// It was up, and ended otherwise than by someone's will.
    failed: bool,
    peer: Peer,
    /// What our packets say, and what counts until the peer has answered a poll.
    said: Pace,
    counted: Pace,
    polling: bool,
    /// A last packet is due.
    answers: bool,
    next_tx: u64,
    /// When a peer that sent something is taken for gone.
    detect: Option<u64>,
    chance: u32,
    pub counts: Counts,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    /// Received, and not the peer's or nonsense.
    pub refused: u64,
    /// Times that it came up, and that it failed.
    pub ups: u64,
    pub failures: u64,
}

/// What the peer said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub state: State,
    pub diagnostic: Diagnostic,
    demand: bool,
    /// Microseconds.
    pub min_tx: u32,
    pub min_rx: u32,
    pub multiplier: u8,
}

/// Intervals in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    tx: u32,
    rx: u32,
}

impl Session {
    /// A session that has not heard of its peer; `mine` is not 0.
    pub fn new(wanted: BfdSession, mine: u32, now: u64) -> Session {
        let mut session = Session {
            wanted,
            mine,
            yours: 0,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            failed: false,
            peer: Peer::UNHEARD,
            said: Pace { tx: SLOW, rx: SLOW },
            counted: Pace { tx: SLOW, rx: SLOW },
            polling: false,
            answers: false,
            next_tx: now,
            detect: None,
            chance: mine | 1,
            counts: Counts::default(),
        };
        session.set_admin_down(now);
        session.renew_pace();
        session
    }

    /// Takes other timers. Our end is not another.
    pub fn want(&mut self, wanted: BfdSession, now: u64) {
        self.wanted = wanted;
        self.set_admin_down(now);
        self.renew_pace();
        self.hasten(now);
    }

    /// How it is wanted.
    pub fn wanted(&self) -> &BfdSession {
        &self.wanted
    }

    /// Our discriminator.
    pub fn mine(&self) -> u32 {
        self.mine
    }

    /// The peer's; 0: unknown.
    pub fn yours(&self) -> u32 {
        self.yours
    }

    /// What the peer said last.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How it stands.
    pub fn stand(&self) -> BfdStand {
        BfdStand { state: self.state, diagnostic: self.diagnostic, failed: self.failed }
    }

    /// When something is to be done.
    pub fn due(&self) -> u64 {
        let tx = if self.answers { 0 } else { self.next_tx };
        self.detect.map_or(tx, |detect| tx.min(detect))
    }

    /// Microseconds between our packets, before jitter; absent: none are wanted.
    pub fn tx_interval(&self) -> Option<u32> {
        let silent = self.peer.demand && self.state == State::Up && self.peer.state == State::Up && !self.polling;
        (self.peer.min_rx > 0 && !silent).then(|| self.counted.tx.max(self.peer.min_rx))
    }

    /// Microseconds without a packet after which the peer is gone.
    pub fn detection_time(&self) -> u64 {
        u64::from(self.peer.multiplier) * u64::from(self.counted.rx.max(self.peer.min_tx))
    }

    /// Takes a packet of the peer (RFC 5880, section 6.8.6), which is not another session's.
    pub fn take(&mut self, control: &Control, now: u64) {
        self.counts.received += 1;
        self.yours = control.mine;
        self.peer = Peer {
            state: control.state,
            diagnostic: control.diagnostic,
            demand: control.demand,
            min_tx: control.desired_min_tx,
            min_rx: control.required_min_rx,
            multiplier: control.multiplier,
        };
        if control.last && self.polling {
            (self.polling, self.counted) = (false, self.said);
        }
        if self.state == State::AdminDown {
            return;
        }
        match (self.state, control.state) {
            (_, State::AdminDown) => {
                // it is not the path that ended (RFC 5882, section 3.2)
                self.failed = false;
                if self.state != State::Down {
                    self.turn(State::Down, Diagnostic::NEIGHBOUR_SAID_DOWN, now);
                }
            }
            (State::Down, State::Down) => self.turn(State::Init, self.diagnostic, now),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.turn(State::Up, Diagnostic::NONE, now);
            }
            (State::Up, State::Down) => self.fail(Diagnostic::NEIGHBOUR_SAID_DOWN, now),
            _ => {}
        }
        self.detect = Some(now + self.detection_time());
        self.answers |= control.poll;
        self.hasten(now);
    }

    /// Does what is due; gives the packet to be sent, if one is.
    pub fn tick(&mut self, now: u64) -> Option<Control> {
        if self.detect.is_some_and(|detect| now >= detect) {
            (self.detect, self.yours) = (None, 0);
            self.peer = Peer::UNHEARD;
            match self.state {
                State::Up => self.fail(Diagnostic::DETECTION_TIME_EXPIRED, now),
                State::Init => self.turn(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, now),
                State::Down | State::AdminDown => {}
            }
        }
        if std::mem::take(&mut self.answers) {
            return Some(self.packet(true));
        }
        if now < self.next_tx {
            return None;
        }
        let Some(interval) = self.tx_interval() else {
            self.next_tx = u64::MAX;
            return None;
        };
        self.next_tx = now + u64::from(self.jittered(interval));
        Some(self.packet(false))
    }

    /// The packet that says that we watch no longer.
    pub fn farewell(&mut self) -> Control {
        (self.state, self.diagnostic, self.polling) = (State::AdminDown, Diagnostic::ADMIN_DOWN, false);
        self.packet(false)
    }

    fn packet(&mut self, last: bool) -> Control {
        self.counts.sent += 1;
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !last,
            last,
            demand: false,
            multiplier: self.wanted.multiplier,
            mine: self.mine,
            yours: self.yours,
            desired_min_tx: self.said.tx,
            required_min_rx: self.said.rx,
        }
    }

    fn fail(&mut self, why: Diagnostic, now: u64) {
        self.failed = true;
        self.counts.failures += 1;
        self.turn(State::Down, why, now);
    }

    /// A new state, which the peer hears of at once.
    fn turn(&mut self, state: State, why: Diagnostic, now: u64) {
        if state == State::Up {
            self.failed = false;
            self.counts.ups += 1;
        }
        (self.state, self.diagnostic) = (state, why);
        self.next_tx = now;
        self.renew_pace();
    }

    fn set_admin_down(&mut self, now: u64) {
        match (self.state, self.wanted.admin_down) {
            (State::AdminDown, false) => self.turn(State::Down, Diagnostic::NONE, now),
            (_, true) => {
                (self.failed, self.detect) = (false, None);
                self.turn(State::AdminDown, Diagnostic::ADMIN_DOWN, now);
            }
            _ => {}
        }
    }

    /// What is said changes with the state and by configuration. While up, the peer must know before we send less often, or expect more
    /// (RFC 5880, section 6.8.3).
    fn renew_pace(&mut self) {
        let [tx, rx] = [self.wanted.min_tx, self.wanted.min_rx].map(|ms| ms * 1000);
        let said = Pace { tx: if self.state == State::Up { tx } else { tx.max(SLOW) }, rx };
        if said == self.said {
            return;
        }
        let up = self.state == State::Up;
        self.counted = Pace {
            tx: if up { said.tx.min(self.counted.tx) } else { said.tx },
            rx: if up { said.rx.max(self.counted.rx) } else { said.rx },
        };
        self.said = said;
        self.polling = up;
    }

    /// The next packet comes no later than the interval allows now.
    fn hasten(&mut self, now: u64) {
        if let Some(interval) = self.tx_interval() {
            self.next_tx = self.next_tx.min(now + u64::from(interval));
        }
    }

    /// 75 to 100 percent of it, or to 90 where the peer misses none (RFC 5880, section 6.8.7).
    fn jittered(&mut self, interval: u32) -> u32 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 17;
        self.chance ^= self.chance << 5;
        let most = if self.wanted.multiplier == 1 { 15 } else { 25 };
        let percent = 75 + u64::from(self.chance) % (most + 1);
        (u64::from(interval) * percent / 100) as u32
    }
}

impl Peer {
    /// RFC 5880, section 6.8.1.
    const UNHEARD: Peer =
        Peer { state: State::Down, diagnostic: Diagnostic::NONE, demand: false, min_tx: 0, min_rx: 1, multiplier: 0 };
}
