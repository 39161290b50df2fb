//! The changes of a batch as they came: encoded, and read where they lie. A route among a million takes no memory but its bytes.

mod plain;

use std::fmt;
use std::ops::Deref;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use super::v1;
use plain::Reader;
pub use plain::{Encap, PlainRoute, Tunnel, Verb};
use v1::change::Op;
use v1::object::Kind;

/// The field of a change.
const CHANGE: u32 = 1;
const KEY: u8 = (CHANGE << 3) as u8 | WireType::LengthDelimited as u8;

/// `vrouter.v1.Changes`, encoded. Each of them was read once, so that it can be read again.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Changes {
    /// A field each, as the message has them.
    bytes: Vec<u8>,
    count: usize,
    /// Place of the first one without an operation, or whose operation is without an object or key.
    broken: Option<usize>,
    /// There is one that may give a name a number.
    numbers: bool,
    /// Reads what is added.
    reader: Reader,
}

/// A change that is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    Route(PlainRoute<'a>),
    Other(Other<'a>),
}

/// One that is no plain route.
#[derive(Clone, Debug, PartialEq)]
pub enum Other<'a> {
    Lent(&'a v1::Change),
    Owned(Box<v1::Change>),
}

impl Deref for Other<'_> {
    type Target = v1::Change;

    fn deref(&self) -> &v1::Change {
        match self {
            Other::Lent(change) => change,
            Other::Owned(change) => change,
        }
    }
}

impl Other<'_> {
    /// As a message.
    pub fn into_owned(self) -> v1::Change {
        match self {
            Other::Lent(change) => change.clone(),
            Other::Owned(change) => *change,
        }
    }
}

impl Changes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take, encoded.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Place of the first one that says nothing: it has no operation, or one without an object or key.
    pub fn broken(&self) -> Option<usize> {
        self.broken
    }

    /// Whether one may give a name a number: all but deletes, and routes without paths of their own.
    pub fn may_take_numbers(&self) -> bool {
        self.numbers
    }

    /// Them, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.bytes, reader: Reader::default() }
    }

    /// Adds one behind the others.
    pub fn push(&mut self, change: &v1::Change) {
        encoding::message::encode(CHANGE, change, &mut self.bytes);
        self.note(change);
    }

    /// Adds all of these behind the others.
    pub fn append(&mut self, more: Changes) {
        if self.is_empty() {
            *self = more;
            return;
        }
        self.bytes.extend_from_slice(&more.bytes);
        self.broken = self.broken.or(more.broken.map(|at| self.count + at));
        self.count += more.count;
        self.numbers |= more.numbers;
    }

    fn note(&mut self, change: &v1::Change) {
        let whole = match &change.op {
            None => false,
            Some(Op::Create(object) | Op::Put(object)) => object.kind.is_some(),
            Some(Op::Delete(key)) => key.kind.is_some(),
        };
        if !whole {
            self.broken.get_or_insert(self.count);
        }
        self.numbers |= match &change.op {
            Some(Op::Create(object) | Op::Put(object)) => {
                !matches!(&object.kind, Some(Kind::Route(route)) if route.paths.is_empty())
            }
            _ => false,
        };
        self.count += 1;
    }
}

/// The next change's bytes.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    (*rest).first().filter(|key| **key == KEY)?;
    rest.advance(1);
    let length = encoding::decode_varint(rest).ok()? as usize;
    let (change, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(change)
}

/// Changes from one of them on. A clone goes on from the same one.
#[derive(Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
    reader: Reader,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        Some(Item::read(&mut self.reader, next(&mut self.rest)?).expect("it was read before"))
    }
}

impl<'a> Item<'a> {
    #[inline]
    fn read(reader: &mut Reader, bytes: &'a [u8]) -> Result<Item<'a>, DecodeError> {
        match reader.read(bytes) {
            Some(route) => Ok(Item::Route(route)),
            None => v1::Change::decode(bytes).map(|change| Item::Other(Other::Owned(Box::new(change)))),
        }
    }

    /// As a message.
    pub fn into_change(self) -> v1::Change {
        match self {
            Item::Route(route) => route.to_change(),
            Item::Other(change) => change.into_owned(),
        }
    }
}

impl From<Vec<v1::Change>> for Changes {
    fn from(changes: Vec<v1::Change>) -> Changes {
        changes.iter().collect()
    }
}

impl<'a> FromIterator<&'a v1::Change> for Changes {
    fn from_iter<T: IntoIterator<Item = &'a v1::Change>>(changes: T) -> Changes {
        let mut all = Changes::default();
        changes.into_iter().for_each(|change| all.push(change));
        all
    }
}

impl From<Changes> for Vec<v1::Change> {
    fn from(changes: Changes) -> Vec<v1::Change> {
        changes.iter().map(Item::into_change).collect()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Item::into_change)).finish()
    }
}

impl Message for Changes {
    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.bytes);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != CHANGE {
            return encoding::skip_field(wire, tag, from, context);
        }
        encoding::wire_type::check_wire_type(WireType::LengthDelimited, wire)?;
        let length = encoding::decode_varint(from)?;
        if length > from.remaining() as u64 {
            // says that bytes are missing
            return encoding::skip_field(wire, tag, &mut [1].as_slice(), context);
        }
        self.bytes.push(KEY);
        encoding::encode_varint(length, &mut self.bytes);
        let at = self.bytes.len();
        self.bytes.put(from.take(length as usize));
        let other = match Item::read(&mut self.reader, &self.bytes[at..])? {
            Item::Route(_) => None,
            Item::Other(change) => Some(change.into_owned()),
        };
        match other {
            None => self.count += 1,
            Some(change) => self.note(&change),
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        *self = Changes::default();
    }
}

#[cfg(test)]
mod tests;
