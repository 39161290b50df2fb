//! What became of a stream: lost, late and repeated frames, by their sequence numbers (RFC 4737, section 3; RFC 5560).

/// Sequence numbers of which it is remembered whether they came.
const REMEMBERED: u32 = 1024;
const WORDS: usize = REMEMBERED as usize / 64;

/// One stream as a sink sees it. A stream begins at 0: frames before the first one that comes are lost.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The number that comes next in order.
    next: u32,
    /// By number, modulo [`REMEMBERED`]: whether it came.
    came: [u64; WORDS],
}

/// What a frame's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It came in order.
    InOrder,
    /// So many before it are missing, which may come yet.
    Ahead(u32),
    /// It was missing, and came after later ones.
    Late,
    /// It is one of those that came before.
    Repeated,
    /// More than 1,024 later ones came before: nothing is known of it but that it is late.
    Ancient,
}

impl Order {
    /// Takes note of a frame.
    #[inline]
    pub fn see(&mut self, sequence: u32) -> Seen {
        let ahead = sequence.wrapping_sub(self.next);
        if ahead == 0 {
            self.note(sequence);
            self.next = sequence.wrapping_add(1);
            return Seen::InOrder;
        }
        self.out_of_order(sequence, ahead)
    }

    #[cold]
    fn out_of_order(&mut self, sequence: u32, ahead: u32) -> Seen {
        if ahead <= u32::MAX / 2 {
            for missing in 0..ahead.min(REMEMBERED) {
                self.forget(self.next.wrapping_add(missing));
            }
            self.note(sequence);
            self.next = sequence.wrapping_add(1);
            return Seen::Ahead(ahead);
        }
        if self.next.wrapping_sub(sequence) > REMEMBERED {
            return Seen::Ancient;
        }
        let (word, bit) = Self::place(sequence);
        if self.came[word] & bit != 0 {
            return Seen::Repeated;
        }
        self.note(sequence);
        Seen::Late
    }

    #[inline]
    fn note(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.came[word] |= bit;
    }

    fn forget(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.came[word] &= !bit;
    }

    #[inline]
    fn place(sequence: u32) -> (usize, u64) {
        ((sequence / 64) as usize % WORDS, 1 << (sequence % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_planted_loss_and_a_planted_reorder_are_seen() {
        let mut order = Order::default();
        let seen: Vec<Seen> = [0, 1, 4, 5, 3, 3, 6, 5, 7].into_iter().map(|number| order.see(number)).collect();
        use Seen::*;
        assert_eq!(seen, [InOrder, InOrder, Ahead(2), InOrder, Late, Repeated, InOrder, Repeated, InOrder]);
    }

    #[test]
    fn what_is_lost_at_the_beginning_is_lost() {
        assert_eq!(Order::default().see(3), Seen::Ahead(3));
    }

    #[test]
    fn numbers_wrap() {
        let mut order = Order { next: u32::MAX - 1, ..Order::default() };
        assert_eq!(order.see(u32::MAX - 1), Seen::InOrder);
        assert_eq!(order.see(0), Seen::Ahead(1));
        assert_eq!(order.see(u32::MAX), Seen::Late);
        assert_eq!(order.see(1), Seen::InOrder);
    }

    proptest! {
        /// Beside a twin that remembers everything.
        #[test]
        fn what_is_said_is_so(jumps in prop::collection::vec(prop_oneof![8 => Just(0_i32), 1 => -1200_i32..30, 1 => -3_i32..1500], 1..2000)) {
            let (mut order, mut came, mut next) = (Order::default(), HashSet::new(), 0_u32);
            for jump in jumps {
                let number = next.saturating_add_signed(jump);
                let wanted = if number == next {
                    Seen::InOrder
                } else if number > next {
                    Seen::Ahead(number - next)
                } else if next - number > REMEMBERED {
                    Seen::Ancient
                } else if came.contains(&number) {
                    Seen::Repeated
                } else {
                    Seen::Late
                };
                prop_assert_eq!(order.see(number), wanted);
                came.insert(number);
                next = next.max(number + 1);
            }
        }
    }
}
