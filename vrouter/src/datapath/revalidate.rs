//! Decisions that are made again: something that a live flow's decision rested on has changed.

use super::Fate;
use super::classify::Classified;
use super::decide::{Answer, Silent, Verdict, decide};
use super::flows::{Lookup, NONE};
use super::foresee::Foreseen;
use super::named::{self, Named, is_error, kept, question_of};
use super::punt::Why;
use super::table::{FlowKey, FlowPair, Flows};
use super::victims::Culprit;
use crate::drops::DropReason;
use crate::ids::{Context, NextHopId};

impl Lookup<'_> {
    /// Decides again about a flow whose ground has changed. The ACLs are asked with the initiator's tuple and place, whichever
    /// direction's packet came; each direction asks the FIB for its own destination.
    pub(super) fn revalidate(&mut self, found: &Classified, key: &FlowKey, pair: FlowPair, charge: usize) -> Fate {
        self.counters.worker.revalidated.add(1);
        *self.decided += 1;
        let initiator = pair.forward.0 == *key;
        // an ICMP error may come by another label than the flow that it quotes
        let says = (!is_error(found)).then(|| (initiator, found.named(initiator), found.answers()));
        let Some(question) = question_of(self.snapshot, &pair, says) else {
            // the initiator's place is gone: its flow with it
            self.end(key, pair.handle);
            return self.miss(found, key, charge);
        };
        let handle = if initiator { pair.handle } else { pair.handle.partner() };
        let named = [question.forward, question.answers];
        let had = [kept(&pair.forward.1), kept(&pair.reverse.1)];
        let answer = decide(self.snapshot, &question, &mut Silent);
        if answer.forward == Verdict::Local {
            self.end(key, handle);
            return self.miss(found, key, charge);
        }
        let moved =
            matches!(answer.forward, Verdict::Forward(_)) && Context::from(answer.exit) != pair.reverse.0.context();
        if moved {
            return self.rekey(found, key, &pair, &answer, named, charge);
        }
        // packets may come with a label that names their next hop, then without; bridged, then routed
        let halves = [(pair.handle, &pair.forward.1), (pair.handle.partner(), &pair.reverse.1)];
        for ((half, had), named) in halves.into_iter().zip(named) {
            let (had, bits) = (had.state & named::BITS, named.bits());
            if had & !bits != 0 {
                self.flows.clear_state(key, half, had & !bits);
            }
            if bits & !had != 0 {
                self.flows.set_state(key, half, bits);
            }
        }
        // a flow that is refused is refused both ways
        let denied = matches!(answer.forward, Verdict::Drop(_));
        if denied {
            // it is judged packet by packet, as one without a flow is
            decide(self.snapshot, &question, &mut self.counting());
            self.judge_by_shadow(|| question, &answer);
        }
        let reverse = if denied { answer.forward } else { answer.reverse };
        let answer = Answer { reverse, ..answer };
        // the next hop that is named stands also while the flow is refused: its answers are judged by it
        let halves = (self.half(&answer, 0, named[0].kept(had[0])), self.half(&answer, 1, named[1].kept(had[1])));
        self.flows.update(key, pair.handle, halves.0);
        self.flows.update(key, pair.handle.partner(), halves.1);
        let mine = if initiator { halves.0 } else { halves.1 };
        match self.use_entry(found, key, handle, mine.verdict, NextHopId(mine.next_hop)) {
            Fate::Drop(DropReason::NoRoute, _) if initiator => {
                Fate::DropAndTell(DropReason::NoRoute, answer.culprit, Why::NoRoute(found.vrf))
            }
            Fate::Drop(reason, _) if denied => Fate::Drop(reason, answer.culprit),
            fate => fate,
        }
    }

    /// The flow leaves by another place now: its answers will enter there, so the pair gets a new reverse key.
    fn rekey(
        &mut self,
        found: &Classified,
        key: &FlowKey,
        old: &FlowPair,
        answer: &Answer,
        named: [Named; 2],
        charge: usize,
    ) -> Fate {
        let forward = old.forward.0;
        self.end(&forward, old.handle);
        let foreseen = Foreseen::new(self.flows, (&forward, self.flows.hash(&forward)), *answer);
        let handle = match self.install(&forward, &foreseen, named, None) {
            Ok(Some(handle)) => handle,
            Ok(None) => return self.miss(found, key, charge),
            Err(reason) => return Fate::Drop(reason, Culprit::Frame),
        };
        // the connection goes on where it was, with what was counted of it
        for (handle, was) in [(handle, &old.forward.1), (handle.partner(), &old.reverse.1)] {
            self.flows.set_state(&forward, handle, was.state & !named::BITS);
            self.flows.carry(&forward, handle, was.packets, was.bytes);
        }
        let half = if *key == forward {
            (handle, self.half(answer, 0, NONE))
        } else if *key == foreseen.reverse {
            (handle.partner(), self.half(answer, 1, NONE))
        } else {
            // an answer from the place where the flow no longer leaves
            return self.miss(found, key, charge);
        };
        self.use_entry(found, key, half.0, half.1.verdict, NextHopId(half.1.next_hop))
    }
}
