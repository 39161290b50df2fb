//! Later fragments: they have no ports, and go as the first one of their packet went; until it comes they wait.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Oracle;
use super::config::Vif;
use super::flows::Named;
use super::forward::{Arrived, Fate, Place};
use super::headers::{Reason, Tuple, Upper};

/// Milliseconds that a first fragment is remembered.
const REMEMBERED: u64 = 30_000;
/// Two first ones with different ports within so long are of one packet; and so long the others wait.
const ONE_PACKET: u64 = 2_000;

/// Place of entry, source, destination, protocol (of IPv4), identification.
pub type Identity = (Place, IpAddr, IpAddr, u8, u32);

/// What is known of packets in fragments, and frames of those that wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pieces {
    heads: BTreeMap<Identity, Head>,
    waiting: Vec<Waiting>,
    /// What came in last: its port and bytes, the outer tags taken off.
    pub at_hand: (usize, Vec<u8>),
    /// It is one that waited.
    pub again: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Head {
    /// `None`: two contradict each other.
    tuple: Option<Tuple>,
    dropped: bool,
    since: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    identity: Identity,
    /// The VIF that it came in by.
    entered: Option<u32>,
    /// What names its next hop.
    named: Named,
    frame: (usize, Vec<u8>),
    since: u64,
}

fn identity(arrived: &Arrived) -> Identity {
    let (packet, v4) = (&arrived.packet, arrived.packet.source().is_ipv4());
    let protocol = if v4 { packet.tuple.protocol } else { 0 };
    (arrived.place, packet.source(), packet.destination(), protocol, packet.id)
}

impl Oracle {
    /// What of a later fragment is known already: the first one's flow is its own then (`None`), or its end.
    pub(super) fn as_its_head(&mut self, arrived: &mut Arrived) -> Option<Fate> {
        let now = self.now / 100;
        let head = self.pieces.heads.get(&identity(arrived)).filter(|head| now < (head.since + REMEMBERED) / 100);
        let (feature, fate) = match head {
            None => ("fragment_waits", Some(Fate::Wait)),
            Some(Head { tuple: None, .. }) => ("fragment_of_two_heads", Some(Fate::Drop("fragment_overlap"))),
            Some(Head { dropped: true, .. }) => ("fragment_of_dropped_head", Some(Fate::Drop("fragment_head_dropped"))),
            Some(Head { tuple: Some(tuple), .. }) => {
                arrived.key = Some((arrived.place, *tuple));
                ("fragment_follows", None)
            }
        };
        self.feature(feature);
        fate
    }

    /// A first fragment was judged so.
    pub(super) fn remember_head(&mut self, arrived: &Arrived, fate: &Fate) {
        let Upper::Flow { .. } = arrived.packet.upper else { return };
        let dropped = matches!(fate, Fate::Drop(_) | Fate::Tell(..));
        let (tuple, now) = (arrived.packet.tuple, self.now);
        let heads = &mut self.pieces.heads;
        match heads.get_mut(&identity(arrived)) {
            Some(head) if now / 100 < (head.since + ONE_PACKET) / 100 && head.tuple != Some(tuple) => head.tuple = None,
            _ => _ = heads.insert(identity(arrived), Head { tuple: Some(tuple), dropped, since: now }),
        }
    }

    pub(super) fn wait_for_head(&mut self, arrived: &Arrived) {
        let (identity, frame) = (identity(arrived), self.pieces.at_hand.clone());
        let same = |waiting: &&Waiting| waiting.identity.0 == identity.0;
        assert!(
            self.pieces.waiting.iter().filter(same).count() < 40,
            "unmodelled: more fragments wait than there is room for"
        );
        let (entered, named, since) = (arrived.entered, arrived.named(0), self.now);
        self.pieces.waiting.push(Waiting { identity, entered, named, frame, since });
    }

    /// Those that waited for this first fragment come in once more.
    pub(super) fn head_came(&mut self, identity: Identity) {
        let (ready, others) =
            std::mem::take(&mut self.pieces.waiting).into_iter().partition(|waiting| waiting.identity == identity);
        self.pieces.waiting = others;
        let ready: Vec<Waiting> = ready;
        // each worker lets its own go, and the last one's way is the flow's
        let to = |waiting: &Waiting| waiting.frame.1.get(..6).map(<[u8]>::to_vec);
        assert!(
            ready.iter().all(|waiting| (to(waiting), &waiting.named) == (to(&ready[0]), &ready[0].named)),
            "unmodelled: pieces of one packet to several stations, or by several labels"
        );
        for waiting in ready {
            self.feature("fragment_released");
            let vif: Option<Vif> = waiting.entered.and_then(|vif| self.config.vifs.get(&vif).cloned());
            let (port, frame) = waiting.frame;
            self.pieces.again = true;
            match vif {
                Some(vif) => self.come((port, frame), &vif),
                None => self.drop(waiting.entered, "no_vif"),
            }
            self.pieces.again = false;
        }
    }

    /// Those end that have waited too long.
    pub(super) fn fragments_due(&mut self) {
        let now = self.now / 100;
        let late = |waiting: &Waiting| waiting.since / 100 + ONE_PACKET / 100 <= now;
        let (ended, others): (Vec<Waiting>, _) = std::mem::take(&mut self.pieces.waiting).into_iter().partition(late);
        self.pieces.waiting = others;
        let reason: Reason = "fragment_timed_out";
        ended.into_iter().for_each(|waiting| self.drop(waiting.entered, reason));
    }

    /// Whether this is a first fragment, and of which packet.
    pub(super) fn heads(&self, arrived: &Arrived) -> Option<Identity> {
        (arrived.packet.fragment && !arrived.packet.tuple.later).then(|| identity(arrived))
    }
}
