//! Routes through one tunnel, and deletes of routes, read without a copy: nearly all changes of large batches.

use std::str::from_utf8;

use prost::Message;

use super::super::v1;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Put,
    Delete,
}

/// A change of a route that says nothing but this. What its fields hold is not checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlainRoute<'a> {
    pub verb: Verb,
    pub vrf: &'a str,
    /// Address and length.
    pub prefix: (&'a [u8], u32),
    /// Of the key; empty: the batch's.
    pub owner: &'a str,
    pub preference: u32,
    /// `None`: of a delete.
    pub tunnel: Option<Tunnel<'a>>,
    bytes: &'a [u8],
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
    /// Reads a `Change`; `None`: it is another one, has a field twice, or one that is not known here.
    pub(super) fn read(bytes: &'a [u8]) -> Option<PlainRoute<'a>> {
        let (field, value) = only(bytes)?;
        let verb = [Verb::Create, Verb::Put, Verb::Delete].get(usize::from(field).checked_sub(1)?).copied()?;
        let Value::Bytes(object) = value else { return None };
        // Object and ObjectKey have routes under one number
        let (4, Value::Bytes(route)) = only(object)? else { return None };
        let mut plain = PlainRoute { verb, vrf: "", prefix: (&[], 0), owner: "", preference: 0, tunnel: None, bytes };
        if verb == Verb::Delete {
            return plain.key(route).map(|()| plain);
        }
        let (mut fields, mut key) = (Fields::of(route), false);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => {
                    plain.key(bytes)?;
                    key = true;
                }
                (2, Value::Number(preference)) => plain.preference = preference,
                (3, Value::Bytes(bytes)) => plain.tunnel = Some(Tunnel::read(bytes)?),
                _ => return None,
            }
        }
        (key && plain.tunnel.is_some()).then_some(plain)
    }

    /// The message that it was read from.
    pub fn to_change(&self) -> v1::Change {
        v1::Change::decode(self.bytes).expect("a plain change is a change")
    }

    fn key(&mut self, bytes: &'a [u8]) -> Option<()> {
        let (mut fields, mut prefix) = (Fields::of(bytes), None);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(text)) => self.vrf = from_utf8(text).ok()?,
                (2, Value::Bytes(bytes)) => prefix = Some(bytes),
                (3, Value::Bytes(text)) => self.owner = from_utf8(text).ok()?,
                _ => return None,
            }
        }
        let mut fields = Fields::of(prefix?);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(address)) => self.prefix.0 = address,
                (2, Value::Number(length)) => self.prefix.1 = length,
                _ => return None,
            }
        }
        Some(())
    }
}

impl<'a> Tunnel<'a> {
    /// Of a `NextHop`.
    fn read(bytes: &'a [u8]) -> Option<Tunnel<'a>> {
        let (2, Value::Bytes(tunnel)) = only(bytes)? else { return None };
        let (mut fields, mut remote, mut encap) = (Fields::of(tunnel), &[][..], None);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => remote = bytes,
                (kind @ 2..=5, Value::Bytes(bytes)) if encap.is_none() => encap = Some(Encap::read(kind, bytes)?),
                _ => return None,
            }
        }
        Some(Tunnel { remote, encap: encap? })
    }
}

impl<'a> Encap<'a> {
    fn read(kind: u8, bytes: &'a [u8]) -> Option<Encap<'a>> {
        let (mut fields, mut number, mut inner_mac) = (Fields::of(bytes), 0, &[][..]);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(value)) => number = value,
                (2, Value::Bytes(mac)) if matches!(kind, 2 | 5) => inner_mac = mac,
                _ => return None,
            }
        }
        Some(match kind {
            2 => Encap::Vxlan { vni: number, inner_mac },
            3 => Encap::MplsOverUdp { label: number },
            4 => Encap::MplsOverGre { label: number },
            _ => Encap::Geneve { vni: number, inner_mac },
        })
    }
}

/// The only field of a message.
fn only(bytes: &[u8]) -> Option<(u8, Value<'_>)> {
    let mut fields = Fields::of(bytes);
    let field = fields.next()??;
    fields.next()?.is_none().then_some(field)
}

/// A message's fields, none twice, with numbers below 16.
struct Fields<'a> {
    rest: &'a [u8],
    seen: u16,
}

enum Value<'a> {
    /// Of 32 bits.
    Number(u32),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn of(rest: &'a [u8]) -> Fields<'a> {
        Fields { rest, seen: 0 }
    }

    /// `Some(None)`: that were all; `None`: it is not plain.
    #[inline(always)]
    fn next(&mut self) -> Option<Option<(u8, Value<'a>)>> {
        let Some((&key, rest)) = self.rest.split_first() else { return Some(None) };
        self.rest = rest;
        let (field, wire) = (key >> 3, key & 7);
        let bit = 1_u16.checked_shl(u32::from(field)).filter(|_| key < 0x80)?;
        if self.seen & bit > 0 {
            return None;
        }
        self.seen |= bit;
        let number = self.number()?;
        match wire {
            0 => Some(Some((field, Value::Number(number)))),
            2 => {
                let (bytes, rest) = self.rest.split_at_checked(number as usize)?;
                self.rest = rest;
                Some(Some((field, Value::Bytes(bytes))))
            }
            _ => None,
        }
    }

    /// A varint of at most 32 bits.
    #[inline(always)]
    fn number(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for at in 0..5 {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return u32::try_from(number).ok();
            }
        }
        None
    }
}
