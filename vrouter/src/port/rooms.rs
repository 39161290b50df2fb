//! Rooms of heap frames, which go round: who drops a frame, on whatever thread, gives its room back and frees nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;

use super::frame::{Frame, HeapRoom, ROOM, Room};

/// At most so many rooms, and the ones that no frame uses. Any thread.
pub struct Rooms {
    idle: Arc<ArrayQueue<Box<Room>>>,
    made: AtomicUsize,
}

impl Rooms {
    /// None yet; [`Rooms::copy_or_make`] makes up to `most`.
    pub fn up_to(most: usize) -> Rooms {
        Rooms { idle: Arc::new(ArrayQueue::new(most.max(1))), made: AtomicUsize::new(0) }
    }

    /// All of them, made at once.
    pub fn filled(most: usize) -> Rooms {
        let rooms = Rooms::up_to(most);
        let frames: Vec<Frame> = std::iter::from_fn(|| rooms.copy_or_make(&[])).collect();
        drop(frames);
        rooms
    }

    /// A frame with these bytes; `None`: every room is in use, or they don't fit. Never allocates.
    pub fn copy(&self, bytes: &[u8]) -> Option<Frame> {
        let room = self.idle.pop()?;
        self.frame(room, bytes)
    }

    /// The same, making a room where none is idle and one may still be made. Not on a worker.
    pub fn copy_or_make(&self, bytes: &[u8]) -> Option<Frame> {
        if let Some(room) = self.idle.pop() {
            return self.frame(room, bytes);
        }
        // relaxed: a count, which orders nothing
        let grow = |made: usize| (made < self.idle.capacity()).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok()?;
        self.frame(Box::new(Room { bytes: [0; ROOM], home: None }), bytes)
    }

    /// Rooms that no frame uses.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Rooms in frames somewhere.
    pub fn in_use(&self) -> usize {
        self.made.load(Ordering::Relaxed).saturating_sub(self.idle())
    }

    fn frame(&self, mut room: Box<Room>, bytes: &[u8]) -> Option<Frame> {
        // an idle room has no home: else the queue would own itself
        room.home = Some(self.idle.clone());
        let mut frame = Frame::on_heap(HeapRoom::of(room));
        frame.fill(bytes).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_go_round() {
        let rooms = Rooms::filled(3);
        assert_eq!((rooms.idle(), rooms.in_use()), (3, 0));
        let frames: Vec<Frame> = std::iter::from_fn(|| rooms.copy(b"punt")).collect();
        assert_eq!((frames.len(), rooms.idle(), rooms.in_use()), (3, 0, 3));
        assert!(rooms.copy_or_make(b"a fourth").is_none());
        drop(frames);
        assert!(rooms.copy(b"again").is_some_and(|frame| frame.bytes() == b"again"));
        assert!(rooms.copy(&[0; ROOM]).is_none(), "it does not fit, and its room is not lost:");
        assert_eq!(rooms.idle(), 3);
    }

    #[test]
    fn rooms_are_made_as_they_are_needed() {
        let rooms = Rooms::up_to(2);
        assert!(rooms.copy(b"").is_none());
        let one = rooms.copy_or_make(b"one");
        drop(rooms.copy_or_make(b"two"));
        assert_eq!((rooms.idle(), rooms.in_use()), (1, 1));
        drop(rooms);
        assert!(one.is_some_and(|frame| frame.bytes() == b"one"), "a frame may outlive them");
    }
}
