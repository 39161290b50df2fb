//! Rooms of heap frames, which go round: who drops a frame, on whatever thread, gives its room back and frees nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;

use super::frame::{Frame, HEADROOM, HeapRoom, LARGE_ROOM, ROOM, Room};

/// At most so many rooms, and so many large ones, and those that no frame uses. Any thread.
pub struct Rooms {
    usual: Class,
    /// For frames that the others are too small for; absent: there are none.
    large: Option<Class>,
}

/// Rooms of one size.
struct Class {
    idle: Arc<ArrayQueue<Box<Room>>>,
    made: AtomicUsize,
    /// The longest frame that fits.
    most: usize,
}

impl Rooms {
    /// None yet; [`Rooms::copy_or_make`] makes up to `most`, and up to `large` that hold up to [`LARGE_ROOM`].
    pub fn up_to(most: usize, large: usize) -> Rooms {
        let large = (large > 0).then(|| Class::up_to(large, LARGE_ROOM));
        Rooms { usual: Class::up_to(most.max(1), ROOM), large }
    }

    /// All of them, made at once.
    pub fn filled(most: usize, large: usize) -> Rooms {
        let rooms = Rooms::up_to(most, large);
        rooms.fill();
        rooms
    }

    /// Makes those that there are not yet. Not on a worker.
    pub fn fill(&self) {
        for class in [Some(&self.usual), self.large.as_ref()].into_iter().flatten() {
            let made: Vec<Box<Room>> = std::iter::from_fn(|| class.make()).collect();
            // it has a place for each of them
            made.into_iter().for_each(|room| drop(class.idle.push(room)));
        }
    }

    /// A frame with these bytes; `None`: every room for so many is in use, or they don't fit. Never allocates.
    pub fn copy(&self, bytes: &[u8]) -> Option<Frame> {
        let class = self.class(bytes.len())?;
        let room = class.idle.pop()?;
        class.frame(room, (bytes, &[]))
    }

    /// The same of two parts, one behind the other.
    pub fn join(&self, head: &[u8], body: &[u8]) -> Option<Frame> {
        let class = self.class(head.len() + body.len())?;
        let room = class.idle.pop()?;
        class.frame(room, (head, body))
    }

    /// The same as [`Rooms::copy`], making a room where none is idle and one may still be made. Not on a worker.
    pub fn copy_or_make(&self, bytes: &[u8]) -> Option<Frame> {
        let class = self.class(bytes.len())?;
        let room = class.idle.pop().or_else(|| class.make())?;
        class.frame(room, (bytes, &[]))
    }

    /// Rooms that no frame uses.
    pub fn idle(&self) -> usize {
        self.usual.idle.len() + self.large.as_ref().map_or(0, |large| large.idle.len())
    }

    /// Rooms in frames somewhere.
    pub fn in_use(&self) -> usize {
        let made = |class: &Class| class.made.load(Ordering::Relaxed);
        (made(&self.usual) + self.large.as_ref().map_or(0, made)).saturating_sub(self.idle())
    }

    fn class(&self, len: usize) -> Option<&Class> {
        if len <= self.usual.most { Some(&self.usual) } else { self.large.as_ref().filter(|large| len <= large.most) }
    }
}

impl Class {
    fn up_to(rooms: usize, size: usize) -> Class {
        Class { idle: Arc::new(ArrayQueue::new(rooms)), made: AtomicUsize::new(0), most: size - HEADROOM }
    }

    /// A room more; `None`: there are as many as there may be.
    fn make(&self) -> Option<Box<Room>> {
        // relaxed: a count, which orders nothing
        let grow = |made: usize| (made < self.idle.capacity()).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok()?;
        Room::fitting(self.most)
    }

    fn frame(&self, mut room: Box<Room>, (head, body): (&[u8], &[u8])) -> Option<Frame> {
        // an idle room has no home: else the queue would own itself
        room.home = Some(self.idle.clone());
        let mut frame = Frame::on_heap(HeapRoom::of(room));
        frame.fill_with(head, body).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_go_round() {
        let rooms = Rooms::filled(3, 0);
        assert_eq!((rooms.idle(), rooms.in_use()), (3, 0));
        let frames: Vec<Frame> = std::iter::from_fn(|| rooms.copy(b"punt")).collect();
        assert_eq!((frames.len(), rooms.idle(), rooms.in_use()), (3, 0, 3));
        assert!(rooms.copy_or_make(b"a fourth").is_none());
        drop(frames);
        assert!(rooms.copy(b"again").is_some_and(|frame| frame.bytes() == b"again"));
        assert!(rooms.copy(&[0; ROOM]).is_none(), "it does not fit, and no room is lost:");
        assert_eq!(rooms.idle(), 3);
    }

    #[test]
    fn large_frames_have_rooms_of_their_own() {
        let rooms = Rooms::filled(1, 2);
        let most = LARGE_ROOM - HEADROOM;
        let usual = rooms.copy(&[1; ROOM - HEADROOM]).unwrap();
        let large: Vec<Frame> = std::iter::from_fn(|| rooms.copy(&[2; ROOM - HEADROOM + 1])).collect();
        assert_eq!((large.len(), rooms.idle(), rooms.in_use()), (2, 0, 3));
        drop(large);
        assert!(rooms.copy(b"small").is_none(), "no small frame takes a large room");
        assert!(rooms.copy(&vec![3; most]).is_some_and(|frame| frame.bytes() == vec![3; most]));
        assert!(rooms.copy(&vec![3; most + 1]).is_none());
        drop(usual);
        assert_eq!((rooms.idle(), rooms.in_use()), (3, 0));
    }

    #[test]
    fn rooms_are_made_as_they_are_needed() {
        let rooms = Rooms::up_to(2, 1);
        assert!(rooms.copy(b"").is_none());
        let one = rooms.copy_or_make(b"one");
        drop(rooms.copy_or_make(b"two"));
        assert_eq!((rooms.idle(), rooms.in_use()), (1, 1));
        assert!(rooms.copy_or_make(&[5; 4000]).is_some_and(|frame| frame.len() == 4000));
        drop(rooms);
        assert!(one.is_some_and(|frame| frame.bytes() == b"one"), "a frame may outlive them");
    }
}
