//! Turns: which ports a worker polls. What a tenant's burst costs more than plain packets, by far, is a debt of its port, which is left out until the
//! turns of the others have paid it: who sends what is dear (new flows, fragments, ARP, frames to everybody) has a small share of
//! a worker that has more to do than it can, and what does not fit is lost in that port's own ring, where it costs nothing. While
//! nobody else has work, debts are forgiven: nothing is left undone.

use super::{Worker, vif_of};
use crate::port::BURST;
use crate::tables::VifKind;

/// A frame that goes the longer way costs so many plain ones more.
pub const LONGER_WAY: u32 = 4;
/// The same of a decision about a flow.
pub const DECISION: u32 = 16;
/// The same of a frame made here.
pub const COPY: u32 = 4;
/// How dear what is dear is counted: a port in debt has at most an eighth of a worker that is never idle, or as much as nobody else wants.
const SURCHARGE: u32 = 8;

/// Who waits.
pub struct Turns {
    /// By port; in plain packets.
    debts: Vec<u32>,
    /// How many are in debt.
    owing: usize,
    /// What the burst in hand has cost more than plain packets.
    pub spent: u32,
}

impl Turns {
    /// For this many ports.
    pub fn new(ports: usize) -> Turns {
        Turns { debts: vec![0; ports], owing: 0, spent: 0 }
    }

    /// Whether it is this port's turn.
    #[inline]
    pub fn is_due(&self, port: usize) -> bool {
        self.owing == 0 || self.debts.get(port).is_none_or(|&debt| debt == 0)
    }

    /// A burst that came by this port was done with: what it has cost more than twice a burst of plain packets is a debt.
    #[inline]
    pub fn charge(&mut self, port: usize) {
        let over = self.spent.saturating_sub(BURST as u32);
        self.spent = 0;
        if let Some(debt) = self.debts.get_mut(port).filter(|_| over > 0) {
            self.owing += usize::from(*debt == 0);
            *debt = debt.saturating_add(over.saturating_mul(SURCHARGE));
        }
    }

    /// A turn in which somebody had work pays a burst of everybody's debt; one in which nobody had forgives the least. True: it was forgiven, and
    /// somebody may be polled who was not.
    #[inline]
    pub fn pay(&mut self, worked: bool) -> bool {
        if self.owing == 0 {
            return false;
        }
        self.settle(worked)
    }

    #[inline(never)]
    fn settle(&mut self, worked: bool) -> bool {
        let least = || self.debts.iter().filter(|debt| **debt > 0).min();
        let paid = if worked { BURST as u32 } else { least().copied().unwrap_or(0) };
        for debt in self.debts.iter_mut().filter(|debt| **debt > 0) {
            *debt = debt.saturating_sub(paid);
            self.owing -= usize::from(*debt == 0);
        }
        !worked
    }
}

impl Worker {
    /// One burst from each port whose turn it is. Returns the frames moved.
    pub(super) fn receive_all(&mut self) -> usize {
        let mut moved = 0;
        for port in 0..self.ports.polled() {
            if self.turns.is_due(port) {
                moved += self.receive(port);
            }
        }
        moved
    }

    /// What a tenant's burst has cost beyond plain packets delays its port's next turns. What comes from the fabric is everybody's.
    #[inline]
    pub(super) fn charge(&mut self, port: usize) {
        if self.turns.spent <= BURST as u32 {
            return;
        }
        let of_tenants = match vif_of(&self.snapshot, port) {
            Some(vif) => vif.kind == VifKind::Tenant,
            None => self.snapshot.branches.are_on(port),
        };
        if of_tenants {
            self.turns.charge(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of a worker with two ports that always have a full burst, of which the second one's frames are dear: how many bursts of each were taken.
    fn bursts(turns: u32, first_has_work: bool) -> [u32; 2] {
        let mut state = Turns::new(2);
        let mut bursts = [0, 0];
        for _ in 0..turns {
            let mut poll = |state: &mut Turns| {
                let mut worked = false;
                for port in [0, 1] {
                    if state.is_due(port) && (port == 1 || first_has_work) {
                        bursts[port] += 1;
                        worked = true;
                        state.spent += if port == 1 { LONGER_WAY * BURST as u32 } else { 0 };
                        state.charge(port);
                    }
                }
                worked
            };
            let worked = poll(&mut state);
            if state.pay(worked) {
                poll(&mut state);
            }
        }
        bursts
    }

    #[test]
    fn dear_bursts_wait_while_others_have_work_and_not_longer() {
        let [plain, dear] = bursts(3300, true);
        assert_eq!(plain, 3300);
        assert!((132..=142).contains(&dear), "{dear}");
        assert_eq!(bursts(100, false), [0, 100]);
    }

    #[test]
    fn few_dear_frames_are_no_debt() {
        let mut turns = Turns::new(1);
        turns.spent = 3 * (LONGER_WAY + DECISION);
        turns.charge(0);
        assert!(turns.is_due(0) && !turns.pay(true));
        turns.spent = 1000;
        turns.charge(7);
        assert!(turns.is_due(7));
    }
}
