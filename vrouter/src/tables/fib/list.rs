//! Few routes: a sorted list, in one piece of memory.

use std::sync::Arc;

use super::Bits;

/// Up to [`Bits::LISTED`] routes.
#[derive(Clone)]
pub(super) struct List<A: Bits, V>(Arc<[Listed<A, V>]>);

/// A route in a list.
#[derive(Clone, Copy)]
struct Listed<A: Bits, V> {
    /// Bits beyond `length` are zero.
    address: A::Stored,
    value: V,
    length: u8,
    /// One more than the place of the longest other route that holds this one; 0: there is none.
    above: u8,
}

impl<A: Bits, V: Copy> List<A, V> {
    /// These routes, which are sorted by (address, length).
    pub(super) fn new(routes: impl IntoIterator<Item = (A, u8, V)>) -> Self {
        let listed =
            |(address, length, value): (A, u8, V)| Listed { address: address.stored(), value, length, above: 0 };
        let mut list = List(routes.into_iter().map(listed).collect());
        list.link();
        list
    }

    /// The longest route that holds `address`.
    #[inline(always)]
    pub(super) fn lookup(&self, address: A) -> Option<(u8, V)> {
        // Counted, not searched for: no branch waits for a line of memory.
        let before: usize = self.0.iter().map(|listed| usize::from(A::loaded(listed.address) <= address)).sum();
        self.longest(address, before)
    }

    /// [`List::lookup`] of at most `MOST` addresses: writes to the answer at the same place, unless there is none.
    #[inline(always)]
    pub(super) fn lookup_all<const MOST: usize>(&self, addresses: &[A], answers: &mut [Option<(u8, V)>]) {
        if A::WIDTH > 32 {
            // no processor compares several such numbers at once
            let found = addresses.iter().map(|&address| self.lookup(address));
            return found.zip(answers).for_each(|(found, answer)| write(found, answer));
        }
        let mut before = [0_u32; MOST];
        for listed in self.0.iter() {
            let begins = A::loaded(listed.address);
            for (before, &address) in before.iter_mut().zip(addresses) {
                *before += u32::from(begins <= address);
            }
        }
        for ((&address, answer), &before) in addresses.iter().zip(answers).zip(&before) {
            write(self.longest(address, before as usize), answer);
        }
    }

    /// The longest route that holds `address`, at or before which so many begin.
    #[inline(always)]
    fn longest(&self, address: A, before: usize) -> Option<(u8, V)> {
        let mut at = before;
        // The last that begins at or before the address holds it, or one of those does that hold that one.
        while at > 0 {
            let listed = &self.0[at - 1];
            if A::loaded(listed.address).common(address) >= listed.length {
                return Some((listed.length, listed.value));
            }
            at = usize::from(listed.above);
        }
        None
    }

    /// Has the processor load what a lookup reads.
    #[inline(always)]
    pub(super) fn prefetch(&self) {
        self.0.iter().step_by(64 / size_of::<Listed<A, V>>()).for_each(flowtable::prefetch);
    }

    /// The value of this very prefix.
    pub(super) fn exact(&self, address: A, length: u8) -> Option<V> {
        self.place(address, length).ok().map(|at| self.0[at].value)
    }

    /// Sets a route and returns the value before; an error if there is no room for one more.
    pub(super) fn insert(&mut self, address: A, length: u8, value: V) -> Result<Option<V>, Full> {
        match self.place(address, length) {
            Ok(at) => Ok(Some(std::mem::replace(&mut Arc::make_mut(&mut self.0)[at].value, value))),
            Err(_) if self.0.len() >= A::LISTED => Err(Full),
            Err(at) => {
                let added = Listed { address: address.masked(length).stored(), value, length, above: 0 };
                let (before, behind) = self.0.split_at(at);
                self.0 = before.iter().chain([&added]).chain(behind).copied().collect();
                self.link();
                Ok(None)
            }
        }
    }

    /// Takes a route out that is there.
    pub(super) fn remove(&mut self, address: A, length: u8) {
        if let Ok(at) = self.place(address, length) {
            self.0 = self.0[..at].iter().chain(&self.0[at + 1..]).copied().collect();
            self.link();
        }
    }

    /// The route at a place, as (address, length, value).
    pub(super) fn route(&self, at: usize) -> Option<(A, u8, V)> {
        self.0.get(at).map(|listed| (A::loaded(listed.address), listed.length, listed.value))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn place(&self, address: A, length: u8) -> Result<usize, usize> {
        let address = address.masked(length);
        self.0.binary_search_by_key(&(address, length), |listed| (A::loaded(listed.address), listed.length))
    }

    /// Says of each route which other holds it.
    fn link(&mut self) {
        let listed = Arc::make_mut(&mut self.0);
        for at in 0..listed.len() {
            let address = A::loaded(listed[at].address);
            let mut above = at;
            while above > 0 && A::loaded(listed[above - 1].address).common(address) < listed[above - 1].length {
                above = usize::from(listed[above - 1].above);
            }
            listed[at].above = above as u8;
        }
    }
}

#[inline(always)]
fn write<V: Copy>(found: Option<(u8, V)>, answer: &mut Option<(u8, V)>) {
    if let Some(found) = found {
        *answer = Some(found);
    }
}

/// A list has all the routes that it may.
pub(super) struct Full;
