//! Routes through one tunnel, and deletes of routes, read without a copy: nearly all changes of large batches.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::from_utf8;

use prost::Message as _;

use super::super::v1;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Put,
    Delete,
}

/// A change of a route that says nothing but this. What its fields hold is not checked.
#[derive(Clone, Copy, PartialEq)]
pub struct PlainRoute<'a> {
    bytes: &'a [u8],
    at: Places,
}

/// `vrouter.v1.Tunnel`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunnel<'a> {
    pub remote: &'a [u8],
    pub encap: Encap<'a>,
}

/// Its encapsulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encap<'a> {
    Vxlan { vni: u32, inner_mac: &'a [u8] },
    Geneve { vni: u32, inner_mac: &'a [u8] },
    MplsOverUdp { label: u32 },
    MplsOverGre { label: u32 },
}

impl<'a> PlainRoute<'a> {
    pub fn verb(&self) -> Verb {
        self.at.verb
    }

    pub fn vrf(&self) -> &'a str {
        self.text(self.at.vrf)
    }

    /// Address and length.
    pub fn prefix(&self) -> (&'a [u8], u32) {
        (self.bytes(self.at.address), self.number(self.at.length))
    }

    /// Of the key; empty: the batch's.
    pub fn owner(&self) -> &'a str {
        self.text(self.at.owner)
    }

    pub fn preference(&self) -> u32 {
        self.number(self.at.preference)
    }

    /// `None`: of a delete.
    pub fn tunnel(&self) -> Option<Tunnel<'a>> {
        let (number, inner_mac) = (self.number(self.at.number), self.bytes(self.at.inner_mac));
        let encap = match self.at.encap {
            0 => return None,
            2 => Encap::Vxlan { vni: number, inner_mac },
            3 => Encap::MplsOverUdp { label: number },
            4 => Encap::MplsOverGre { label: number },
            _ => Encap::Geneve { vni: number, inner_mac },
        };
        Some(Tunnel { remote: self.bytes(self.at.remote), encap })
    }

    /// The message that it was read from.
    pub fn to_change(&self) -> v1::Change {
        v1::Change::decode(self.bytes).expect("a plain change is a change")
    }

    fn bytes(&self, at: Place) -> &'a [u8] {
        self.bytes.get(at.range()).unwrap_or_default()
    }

    fn text(&self, at: Place) -> &'a str {
        // it was text when it was read
        from_utf8(self.bytes(at)).unwrap_or_default()
    }

    fn number(&self, at: Place) -> u32 {
        self.bytes(at).iter().rev().fold(0, |number, byte| number << 7 | u32::from(byte & 0x7f))
    }
}

impl fmt::Debug for PlainRoute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_change().fmt(f)
    }
}

/// Which bytes hold what.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Places {
    verb: Verb,
    vrf: Place,
    address: Place,
    length: Place,
    owner: Place,
    preference: Place,
    remote: Place,
    /// The field of the tunnel; 0: there is no tunnel.
    encap: u8,
    number: Place,
    inner_mac: Place,
}

/// Bytes from one to before another; none: the field is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Place {
    from: u8,
    to: u8,
}

impl Place {
    fn range(self) -> Range<usize> {
        usize::from(self.from)..usize::from(self.to)
    }
}

impl Places {
    /// Of a `Change`; `None`: it is another one, longer, has a field twice, or one that is not known here.
    fn read(change: &[u8]) -> Option<Places> {
        let whole = Message { whole: change, place: Place { from: 0, to: u8::try_from(change.len()).ok()? } };
        let (field, object) = whole.only()?;
        let verb = [Verb::Create, Verb::Put, Verb::Delete].get(usize::from(field).checked_sub(1)?).copied()?;
        // Object and ObjectKey have routes under one number
        let (4, route) = object.message()?.only()? else { return None };
        let nowhere = Place::default();
        let mut places = Places {
            verb,
            vrf: nowhere,
            address: nowhere,
            length: nowhere,
            owner: nowhere,
            preference: nowhere,
            remote: nowhere,
            encap: 0,
            number: nowhere,
            inner_mac: nowhere,
        };
        let route = route.message()?;
        if verb == Verb::Delete {
            return places.key(route).map(|()| places);
        }
        let (mut fields, mut key) = (route.fields(), false);
        while let Some(field) = fields.next()? {
            match field {
                (1, value) => {
                    places.key(value.message()?)?;
                    key = true;
                }
                (2, Value::Number(preference)) => places.preference = preference,
                (3, value) => places.next_hop(value.message()?)?,
                _ => return None,
            }
        }
        (key && places.encap > 0).then_some(places)
    }

    fn key(&mut self, key: Message) -> Option<()> {
        let (mut fields, mut prefix) = (key.fields(), None);
        while let Some(field) = fields.next()? {
            match field {
                (1, value) => self.vrf = value.text()?,
                (2, value) => prefix = Some(value.message()?),
                (3, value) => self.owner = value.text()?,
                _ => return None,
            }
        }
        let mut fields = prefix?.fields();
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(address)) => self.address = address.place,
                (2, Value::Number(length)) => self.length = length,
                _ => return None,
            }
        }
        Some(())
    }

    /// Through a tunnel.
    fn next_hop(&mut self, next_hop: Message) -> Option<()> {
        let (2, tunnel) = next_hop.only()? else { return None };
        let (mut fields, mut encap) = (tunnel.message()?.fields(), None);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(remote)) => self.remote = remote.place,
                (kind @ 2..=5, value) if encap.is_none() => encap = Some((kind, value.message()?)),
                _ => return None,
            }
        }
        let (kind, encap) = encap?;
        let mut fields = encap.fields();
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(number)) => self.number = number,
                (2, Value::Bytes(mac)) if matches!(kind, 2 | 5) => self.inner_mac = mac.place,
                _ => return None,
            }
        }
        self.encap = kind;
        Some(())
    }

    fn texts(&self) -> [Place; 2] {
        [self.vrf, self.owner]
    }

    fn numbers(&self) -> [Place; 3] {
        [self.length, self.preference, self.number]
    }

    fn octets(&self) -> [Place; 3] {
        [self.address, self.remote, self.inner_mac]
    }
}

/// Reads plain routes. Of a million that follow each other nearly all are as one shortly before but for what their fields hold: what such
/// ones have in common is remembered, and they need not be gone through field by field.
#[derive(Default)]
pub(super) struct Reader {
    /// By length; none before one is worth it.
    moulds: Vec<Option<Mould>>,
    /// Routes that fit no mould.
    strange: u32,
}

const MOULDS: usize = 8;
/// Of so many that fit no mould one makes one.
const WORTH_IT: u32 = 4;
/// Bytes of the longest change that has one.
const MOULDED: usize = 128;

/// What changes that hold the same fields, of the same lengths, have in common.
struct Mould {
    length: usize,
    places: Places,
    bytes: [u8; MOULDED],
    /// Bits that say which fields there are, and how long. Of a number that is what says that more bytes follow, of a text that it is ASCII.
    fixed: [u8; MOULDED],
}

/// What one has read says nothing of what there is: a clone has read nothing, and all are alike.
impl Clone for Reader {
    fn clone(&self) -> Reader {
        Reader::default()
    }
}

impl PartialEq for Reader {
    fn eq(&self, _: &Reader) -> bool {
        true
    }
}

impl Eq for Reader {}

impl Hash for Reader {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Reader {
    /// Reads a `Change`; `None`: it is another one, has a field twice, one that is not known here, or more than 255 bytes.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> Option<PlainRoute<'a>> {
        if let Some(Some(mould)) = self.moulds.get(bytes.len() % MOULDS)
            && mould.fits(bytes)
        {
            return Some(PlainRoute { bytes, at: mould.places });
        }
        self.read_strange(bytes)
    }

    #[cold]
    fn read_strange<'a>(&mut self, bytes: &'a [u8]) -> Option<PlainRoute<'a>> {
        let at = Places::read(bytes)?;
        self.strange += 1;
        if self.strange.is_multiple_of(WORTH_IT) && bytes.len() <= MOULDED {
            self.moulds.resize_with(MOULDS, || None);
            self.moulds[bytes.len() % MOULDS] = Some(Mould::new(bytes, at));
        }
        Some(PlainRoute { bytes, at })
    }
}

impl Mould {
    fn new(bytes: &[u8], places: Places) -> Mould {
        let mut mould = Mould { length: bytes.len(), places, bytes: [0; MOULDED], fixed: [0; MOULDED] };
        mould.bytes[..bytes.len()].copy_from_slice(bytes);
        mould.fixed[..bytes.len()].fill(u8::MAX);
        for octets in places.octets() {
            mould.fixed[octets.range()].fill(0);
        }
        for text in places.texts().into_iter().filter(|text| bytes[text.range()].is_ascii()) {
            mould.fixed[text.range()].fill(0x80);
        }
        for number in places.numbers() {
            // a fifth byte has bits that 32 have no room for
            let more = [0x80, 0x80, 0x80, 0x80, 0xf0];
            mould.fixed[number.range()].iter_mut().zip(more).for_each(|(fixed, more)| *fixed = more);
        }
        mould
    }

    #[inline(always)]
    fn fits(&self, bytes: &[u8]) -> bool {
        let others = self.bytes.iter().zip(&self.fixed);
        let differ = bytes.iter().zip(others).fold(0, |differ, (a, (b, fixed))| differ | ((a ^ b) & fixed));
        self.length == bytes.len() && differ == 0
    }
}

/// A message, and where it is in a whole one.
#[derive(Clone, Copy)]
struct Message<'a> {
    whole: &'a [u8],
    place: Place,
}

impl<'a> Message<'a> {
    /// The only field.
    fn only(self) -> Option<(u8, Value<'a>)> {
        let mut fields = self.fields();
        let field = fields.next()??;
        fields.next()?.is_none().then_some(field)
    }

    fn fields(self) -> Fields<'a> {
        Fields { rest: self, seen: 0 }
    }
}

/// A message's fields, none twice, with numbers below 16.
struct Fields<'a> {
    rest: Message<'a>,
    seen: u16,
}

enum Value<'a> {
    /// Of 32 bits.
    Number(Place),
    Bytes(Message<'a>),
}

impl<'a> Value<'a> {
    fn message(self) -> Option<Message<'a>> {
        if let Value::Bytes(message) = self { Some(message) } else { None }
    }

    fn text(self) -> Option<Place> {
        let Message { whole, place } = self.message()?;
        from_utf8(whole.get(place.range())?).ok().map(|_| place)
    }
}

impl<'a> Fields<'a> {
    /// `Some(None)`: that were all; `None`: it is not plain.
    #[inline(always)]
    fn next(&mut self) -> Option<Option<(u8, Value<'a>)>> {
        if self.rest.place.from == self.rest.place.to {
            return Some(None);
        }
        let key = self.byte()?;
        let (field, wire) = (key >> 3, key & 7);
        let bit = 1_u16.checked_shl(u32::from(field)).filter(|_| key < 0x80)?;
        if self.seen & bit > 0 {
            return None;
        }
        self.seen |= bit;
        let from = self.rest.place.from;
        let number = self.number()?;
        let begin = self.rest.place.from;
        match wire {
            0 => Some(Some((field, Value::Number(Place { from, to: begin })))),
            2 => {
                let end = begin.checked_add(u8::try_from(number).ok()?).filter(|end| *end <= self.rest.place.to)?;
                self.rest.place.from = end;
                let place = Place { from: begin, to: end };
                Some(Some((field, Value::Bytes(Message { whole: self.rest.whole, place }))))
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let place = &mut self.rest.place;
        if place.from == place.to {
            return None;
        }
        let byte = *self.rest.whole.get(usize::from(place.from))?;
        place.from += 1;
        Some(byte)
    }

    /// A varint of at most 32 bits.
    #[inline(always)]
    fn number(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for at in 0..5 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return u32::try_from(number).ok();
            }
        }
        None
    }
}
