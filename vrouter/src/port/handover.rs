//! Fewer queues than workers: a worker without a queue of its own hands its frames over to the worker that owns one.
//!
//! What was handed over counts as sent by who handed it over. So the owner loses none of it: what the device refuses waits
//! here and is offered again, the ring fills, and the senders see [`DropReason::TxHandoverFull`].

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::{BURST, Frame, Port, RxReport, TxReport};
use crate::drops::DropReason;

/// Bursts of others that the owner sends before it receives one of its own.
const BURSTS: usize = 4;

/// The port of a worker that has no queue: receives nothing, hands over what it sends.
pub struct HandoverPort {
    ring: Arc<ArrayQueue<Frame>>,
}

/// The port of the worker that owns the queue: also sends what the others handed over, whenever it receives.
pub struct OwnerPort<P> {
    port: P,
    ring: Arc<ArrayQueue<Frame>>,
    /// Taken off the ring and not yet sent.
    waiting: Vec<Frame>,
}

/// The port of a worker whose queue the peer may not take frames from: a guest polls as many of them as it likes, the first one always.
pub struct GuestPort<P> {
    port: P,
    first: HandoverPort,
}

/// Queues of a guest's device: what it does not take from one of the others goes out by the first one, over a ring of `room` frames; so does
/// what `without` further workers send.
pub fn of_guest<P: Port>(
    first: P,
    others: Vec<P>,
    without: usize,
    room: usize,
) -> (OwnerPort<P>, Vec<GuestPort<P>>, Vec<HandoverPort>) {
    let (owner, mut rings) = handover(first, others.len() + without, room);
    let further = rings.split_off(others.len());
    let others = others.into_iter().zip(rings).map(|(port, first)| GuestPort { port, first }).collect();
    (owner, others, further)
}

/// Shares `port` between its owner and `others` further workers, over one ring of `room` frames.
pub fn handover<P: Port>(port: P, others: usize, room: usize) -> (OwnerPort<P>, Vec<HandoverPort>) {
    let ring = Arc::new(ArrayQueue::new(room.max(1)));
    let others = (0..others).map(|_| HandoverPort { ring: ring.clone() }).collect();
    (OwnerPort { port, ring, waiting: Vec::with_capacity(BURST) }, others)
}

impl<P> OwnerPort<P> {
    /// Frames that were handed over and not yet sent. The owner's thread.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.ring.len()
    }
}

impl Port for HandoverPort {
    fn rx(&mut self, _frames: &mut Vec<Frame>) -> RxReport {
        RxReport::default()
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        let mut report = TxReport::default();
        // From the end, so that taking the first frame moves no other one and needs no second vector.
        frames.reverse();
        while let Some(frame) = frames.pop() {
            let bytes = frame.len();
            if let Err(frame) = self.ring.push(frame) {
                frames.push(frame);
                break;
            }
            report.frames += 1;
            report.bytes += bytes;
        }
        frames.reverse();
        report
    }

    fn refusal(&self) -> DropReason {
        DropReason::TxHandoverFull
    }
}

impl<P: Port> Port for OwnerPort<P> {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let mut handed_over = 0;
        for _ in 0..BURSTS {
            let room = BURST - self.waiting.len();
            self.waiting.extend(std::iter::from_fn(|| self.ring.pop()).take(room));
            if self.waiting.is_empty() {
                break;
            }
            handed_over += self.port.tx(&mut self.waiting).frames;
            if !self.waiting.is_empty() {
                break;
            }
        }
        RxReport { handed_over, ..self.port.rx(frames) }
    }

    fn settle(&mut self) {
        loop {
            let room = BURST - self.waiting.len();
            self.waiting.extend(std::iter::from_fn(|| self.ring.pop()).take(room));
            if self.waiting.is_empty() || self.port.tx(&mut self.waiting).frames == 0 {
                break;
            }
        }
        self.port.settle();
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        self.port.tx(frames)
    }

    fn is_open(&self) -> bool {
        self.port.is_open()
    }

    fn takes_segments(&self, v6: bool) -> bool {
        self.port.takes_segments(v6)
    }

    fn refusal(&self) -> DropReason {
        self.port.refusal()
    }
}

impl<P: Port> Port for GuestPort<P> {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        self.port.rx(frames)
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        if self.port.is_open() { self.port.tx(frames) } else { self.first.tx(frames) }
    }

    fn settle(&mut self) {
        self.port.settle();
    }

    fn is_open(&self) -> bool {
        self.port.is_open()
    }

    fn takes_segments(&self, v6: bool) -> bool {
        self.port.is_open() && self.port.takes_segments(v6)
    }

    fn refusal(&self) -> DropReason {
        if self.port.is_open() { self.port.refusal() } else { self.first.refusal() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::wire;

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        bytes.iter().map(|&byte| Frame::from_bytes(&[byte]).unwrap()).collect()
    }

    fn first_bytes<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
        frames.into_iter().map(|frame| frame.bytes()[0]).collect()
    }

    #[test]
    fn what_is_handed_over_leaves_by_the_owner_in_order() {
        let (port, end) = wire::wire(8);
        let (mut owner, mut others) = handover(port, 2, 8);
        let [one, two] = &mut others[..] else { panic!() };
        assert_eq!(one.tx(&mut frames(&[1, 2])), TxReport { frames: 2, bytes: 2 });
        assert_eq!(two.tx(&mut frames(&[3])), TxReport { frames: 1, bytes: 1 });
        assert_eq!(owner.waiting(), 3);
        assert!(end.put(Frame::from_bytes(&[9]).unwrap()));
        let mut received = Vec::with_capacity(BURST);
        assert_eq!(owner.rx(&mut received).frames, 1);
        assert_eq!(one.rx(&mut Vec::with_capacity(BURST)), RxReport::default());
        let sent: Vec<Frame> = std::iter::from_fn(|| end.take()).collect();
        assert_eq!(first_bytes(&sent), [1, 2, 3]);
        assert_eq!(owner.waiting(), 0);
    }

    #[test]
    fn a_full_ring_refuses_by_name_and_keeps_the_order() {
        let (port, _end) = wire::wire(8);
        let (owner, mut others) = handover(port, 1, 2);
        let mut burst = frames(&[1, 2, 3, 4]);
        assert_eq!(others[0].tx(&mut burst), TxReport { frames: 2, bytes: 2 });
        assert_eq!(first_bytes(&burst), [3, 4]);
        assert_eq!(others[0].refusal(), DropReason::TxHandoverFull);
        assert_eq!(owner.refusal(), DropReason::TxRefused);
    }

    #[test]
    fn what_was_handed_over_leaves_before_the_port_is_closed() {
        let (port, end) = wire::wire(100);
        let (mut owner, mut others) = handover(port, 1, 80);
        assert_eq!(others[0].tx(&mut frames(&(0..80).collect::<Vec<_>>())).frames, 80);
        owner.settle();
        let sent: Vec<Frame> = std::iter::from_fn(|| end.take()).collect();
        assert_eq!(first_bytes(&sent), (0..80).collect::<Vec<_>>());
    }

    /// A queue that is open or not.
    struct Door(wire::WirePort, Arc<std::sync::atomic::AtomicBool>);

    impl Port for Door {
        fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
            self.0.rx(frames)
        }

        fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
            if self.is_open() { self.0.tx(frames) } else { TxReport::default() }
        }

        fn is_open(&self) -> bool {
            self.1.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    #[test]
    fn what_a_guest_does_not_take_from_a_queue_leaves_by_the_first_one() {
        let ((zero, at_zero), (one, at_one)) = (wire::wire(8), wire::wire(8));
        let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (mut owner, mut others, none) =
            of_guest(Door(zero, Arc::new(true.into())), vec![Door(one, open.clone())], 0, 2);
        assert!(none.is_empty());
        let other = &mut others[0];
        assert_eq!(other.refusal(), DropReason::TxHandoverFull);
        let mut burst = frames(&[1, 2, 3]);
        assert_eq!(other.tx(&mut burst), TxReport { frames: 2, bytes: 2 });
        assert_eq!(first_bytes(&burst), [3], "the ring is full");
        owner.rx(&mut Vec::with_capacity(BURST));
        assert_eq!(first_bytes(&std::iter::from_fn(|| at_zero.take()).collect::<Vec<_>>()), [1, 2]);
        open.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(other.refusal(), DropReason::TxRefused);
        assert_eq!(other.tx(&mut burst).frames, 1);
        assert_eq!(first_bytes(&at_one.take()), [3]);
        assert!(at_one.put(Frame::from_bytes(&[9]).unwrap()));
        assert_eq!(other.rx(&mut Vec::with_capacity(BURST)).frames, 1);
    }

    #[test]
    fn what_the_device_refuses_waits_and_nothing_is_lost() {
        let (port, end) = wire::wire(1);
        let (mut owner, mut others) = handover(port, 1, 4);
        assert_eq!(others[0].tx(&mut frames(&[1, 2, 3])).frames, 3);
        let mut received = Vec::with_capacity(BURST);
        for expected in [1, 2, 3] {
            owner.rx(&mut received);
            owner.rx(&mut received);
            assert_eq!(owner.waiting(), 3 - usize::from(expected));
            assert_eq!(end.take().unwrap().bytes(), [expected]);
        }
    }
}
