//! Source or destination: the prefixes that rules name, and which rules each address matches.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use flowtable::at_level;
use hashbrown::HashMap;

use super::AddressMatch;
use super::classes::Classes;
use super::field::Values;
use super::runs::{Key, Runs, Searches};
use crate::tables::fib::{Bits, Fib, PrefixSet};

/// The prefixes of both families. A value is an address; its number is that of the longest prefix that holds it.
#[derive(Clone, Default)]
pub(super) struct Addresses {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
}

#[derive(Clone)]
struct Prefixes<A: Address> {
    /// By rising address, shorter first: what a prefix holds stands behind it, in one piece.
    sorted: Arc<Vec<Named<A>>>,
    /// The numbers of addresses.
    runs: Arc<Runs<A>>,
}

#[derive(Clone, Copy)]
struct Named<A> {
    address: A,
    length: u8,
    number: u32,
    /// Rules that name it, by a group or itself.
    users: u32,
}

/// How many rules more or fewer name each prefix.
type Turns<A> = BTreeMap<(A, u8), i64>;

impl Values for Addresses {
    type Match = AddressMatch;

    fn turn<'a>(
        &mut self,
        out: impl Iterator<Item = &'a AddressMatch>,
        into: impl Iterator<Item = &'a AddressMatch>,
        classes: &mut Classes,
    ) {
        let (mut v4, mut v6) = (Turns::new(), Turns::new());
        // A group counts once for all rules that name it.
        let mut sets: HashMap<*const PrefixSet, (&PrefixSet, i64)> = HashMap::new();
        for (asked, more) in out.map(|asked| (asked, -1)).chain(into.map(|asked| (asked, 1))) {
            match asked {
                AddressMatch::Any => {}
                AddressMatch::Prefix(IpAddr::V4(address), length) => add(&mut v4, address.to_bits(), *length, more),
                AddressMatch::Prefix(IpAddr::V6(address), length) => add(&mut v6, address.to_bits(), *length, more),
                AddressMatch::In(set) => sets.entry(Arc::as_ptr(set)).or_insert((set, 0)).1 += more,
            }
        }
        for (set, more) in sets.into_values().filter(|&(_, more)| more != 0) {
            outermost(set.v4(), |address, length| add(&mut v4, address, length, more));
            outermost(set.v6(), |address, length| add(&mut v6, address, length, more));
        }
        self.v4.turn(v4, classes);
        self.v6.turn(v6, classes);
    }

    fn order(&self) -> Vec<u32> {
        let v4 = self.v4.sorted.iter().map(|prefix| prefix.number);
        v4.chain(self.v6.sorted.iter().map(|prefix| prefix.number)).collect()
    }

    fn asked(&self, asked: &AddressMatch, mut ask: impl FnMut(Range<usize>)) -> bool {
        let behind = self.v4.sorted.len();
        let moved = |range: Range<usize>| range.start + behind..range.end + behind;
        match asked {
            AddressMatch::Any => return false,
            AddressMatch::Prefix(IpAddr::V4(address), length) => ask(self.v4.held(address.to_bits(), *length)),
            AddressMatch::Prefix(IpAddr::V6(address), length) => ask(moved(self.v6.held(address.to_bits(), *length))),
            AddressMatch::In(set) => {
                outermost(set.v4(), |address, length| ask(self.v4.held(address, length)));
                outermost(set.v6(), |address, length| ask(moved(self.v6.held(address, length))));
            }
        }
        true
    }

    fn kin(asked: &AddressMatch) -> Option<*const ()> {
        match asked {
            AddressMatch::In(set) => Some(Arc::as_ptr(set).cast()),
            AddressMatch::Any | AddressMatch::Prefix(..) => None,
        }
    }
}

impl Addresses {
    /// The numbers of a packet's addresses, each of its own field.
    #[inline]
    pub fn numbers(fields: [&Addresses; 2], addresses: [IpAddr; 2]) -> [u32; 2] {
        let [source, destination] = fields;
        match addresses {
            [IpAddr::V4(a), IpAddr::V4(b)] => {
                at_level(Searches([(&source.v4.runs, a.to_bits()), (&destination.v4.runs, b.to_bits())]))
            }
            [IpAddr::V6(a), IpAddr::V6(b)] => {
                at_level(Searches([(&source.v6.runs, a.to_bits()), (&destination.v6.runs, b.to_bits())]))
            }
            [a, b] => [source.number(a), destination.number(b)],
        }
    }

    fn number(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => self.v4.runs.number(address.to_bits()),
            IpAddr::V6(address) => self.v6.runs.number(address.to_bits()),
        }
    }
}

impl<A: Address> Default for Prefixes<A> {
    fn default() -> Self {
        Prefixes { sorted: Arc::new(Vec::new()), runs: Arc::new(runs(&[])) }
    }
}

impl<A: Address> Prefixes<A> {
    fn turn(&mut self, turns: Turns<A>, classes: &mut Classes) {
        if turns.is_empty() {
            return;
        }
        let old = std::mem::take(&mut self.sorted);
        let mut sorted = Vec::with_capacity(old.len() + turns.len());
        let mut rest = &old[..];
        for ((address, length), more) in turns {
            let (before, from) = rest.split_at(rest.partition_point(|named| named.key() < (address, length)));
            sorted.extend_from_slice(before);
            rest = from;
            match from.split_first() {
                Some((named, behind)) if named.key() == (address, length) => {
                    rest = behind;
                    let users = (i64::from(named.users) + more) as u32;
                    if users > 0 {
                        sorted.push(Named { users, ..*named });
                    } else {
                        classes.remove(named.number);
                    }
                }
                _ if more > 0 => {
                    let number = classes.add(|| cover(&sorted, address, length));
                    sorted.push(Named { address, length, number, users: more as u32 });
                }
                _ => {}
            }
        }
        sorted.extend_from_slice(rest);
        self.runs = Arc::new(runs(&sorted));
        self.sorted = Arc::new(sorted);
    }

    /// Where a prefix stands, with those that it holds.
    fn held(&self, address: A, length: u8) -> Range<usize> {
        let address = address.masked(length);
        let start = self.sorted.partition_point(|named| named.key() < (address, length));
        let count = self.sorted[start..].partition_point(|named| named.address.masked(length) == address);
        start..start + count
    }
}

impl<A: Address> Named<A> {
    fn key(&self) -> (A, u8) {
        (self.address, self.length)
    }
}

/// The number that addresses of a new prefix have so far, but for those that a longer one holds. What could hold it is sorted already.
fn cover<A: Address>(sorted: &[Named<A>], address: A, length: u8) -> u32 {
    let of = |length: u8| sorted.binary_search_by_key(&(address.masked(length), length), Named::key).ok();
    (0..length).rev().find_map(of).map_or(0, |at| sorted[at].number)
}

/// The numbers of all addresses.
fn runs<A: Address>(sorted: &[Named<A>]) -> Runs<A> {
    let mut firsts = vec![A::ZERO];
    let mut numbers = vec![0];
    let mut begin = |first: A, number: u32| {
        if firsts.last() == Some(&first) {
            numbers.pop();
        } else {
            firsts.push(first);
        }
        numbers.push(number);
    };
    let mut holding: Vec<Named<A>> = Vec::new();
    let end = |holding: &mut Vec<Named<A>>, begin: &mut dyn FnMut(A, u32)| {
        let ended = holding.pop();
        if let Some(next) = ended.and_then(|ended| ended.address.after(ended.length)) {
            begin(next, holding.last().map_or(0, |holder| holder.number));
        }
    };
    for named in sorted {
        while holding.last().is_some_and(|holder| named.address.masked(holder.length) != holder.address) {
            end(&mut holding, &mut begin);
        }
        begin(named.address, named.number);
        holding.push(*named);
    }
    while !holding.is_empty() {
        end(&mut holding, &mut begin);
    }
    Runs::new(firsts, numbers)
}

/// An address as a number.
trait Address: Bits + Key {
    /// The address behind the last of a prefix; absent: there is none.
    fn after(self, length: u8) -> Option<Self>;
}

impl Address for u32 {
    fn after(self, length: u8) -> Option<u32> {
        (self | u32::MAX.checked_shr(length.into()).unwrap_or(0)).checked_add(1)
    }
}

impl Address for u128 {
    fn after(self, length: u8) -> Option<u128> {
        (self | u128::MAX.checked_shr(length.into()).unwrap_or(0)).checked_add(1)
    }
}

fn add<A: Bits>(turns: &mut Turns<A>, address: A, length: u8, more: i64) {
    *turns.entry((address.masked(length), length)).or_default() += more;
}

/// Those that no other of the set holds.
fn outermost<A: Bits>(set: &Fib<A, ()>, mut each: impl FnMut(A, u8)) {
    let mut last: Option<(A, u8)> = None;
    for (address, length, ()) in set.iter() {
        if last.is_none_or(|(holder, length)| address.masked(length) != holder) {
            last = Some((address, length));
            each(address, length);
        }
    }
}
