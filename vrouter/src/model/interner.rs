//! Equal values under one number, counted by their users.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashMap;

/// Values with rising numbers that are never reused. A value without users stays until [`Interner::sweep`], so that taking the last
/// use back and giving it again (an undone change) keeps its number.
#[derive(Clone)]
pub(crate) struct Interner<T> {
    numbers: HashMap<T, u32>,
    values: HashMap<u32, Interned<T>>,
    /// The first number not handed out.
    next: u32,
    /// The same at the last sweep.
    swept: u32,
    unused: Vec<u32>,
    used: usize,
}

#[derive(Clone)]
struct Interned<T> {
    value: T,
    users: u32,
}

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swept<T> {
    /// New numbers that have users.
    pub created: Vec<u32>,
    /// Values that lost their last user.
    pub removed: Vec<(u32, T)>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { numbers: HashMap::new(), values: HashMap::new(), next: 0, swept: 0, unused: Vec::new(), used: 0 }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The value's number, with one user more; `owned` is asked for a value that is new. `None`: all numbers are used up.
    pub fn take<Q>(&mut self, value: &Q, owned: impl FnOnce(&Q) -> T) -> Option<u32>
    where
        Q: Eq + Hash + ?Sized,
        T: Borrow<Q>,
    {
        if let Some(number) = self.number(value) {
            self.retain(number);
            return Some(number);
        }
        let number = self.next;
        self.next = number.checked_add(1)?;
        let value = owned(value);
        self.numbers.insert(value.clone(), number);
        self.values.insert(number, Interned { value, users: 1 });
        self.used += 1;
        Some(number)
    }

    /// One user more of a number that is there.
    pub fn retain(&mut self, number: u32) {
        let interned = self.values.get_mut(&number).expect("a number in use is interned");
        self.used += usize::from(interned.users == 0);
        interned.users += 1;
    }

    /// One user less.
    pub fn release(&mut self, number: u32) {
        let interned = self.values.get_mut(&number).expect("a number in use is interned");
        interned.users -= 1;
        if interned.users == 0 {
            self.used -= 1;
            self.unused.push(number);
        }
    }

    /// So many users more of a number in use.
    pub fn retain_by(&mut self, number: u32, count: u32) {
        self.values
            .get_mut(&number)
            .filter(|interned| interned.users > 0)
            .expect("a number in use is interned")
            .users += count;
    }

    /// So many users less of a number that has others.
    pub fn release_by(&mut self, number: u32, count: u32) {
        let users = &mut self.values.get_mut(&number).expect("a number in use is interned").users;
        *users = users.checked_sub(count).filter(|users| *users > 0).expect("it has others");
    }

    /// How many users a number has.
    pub fn users(&self, number: u32) -> u32 {
        self.values.get(&number).map_or(0, |interned| interned.users)
    }

    /// The values that have users.
    pub fn used_values(&self) -> impl Iterator<Item = &T> {
        self.values.values().filter(|interned| interned.users > 0).map(|interned| &interned.value)
    }

    /// The value of a number.
    pub fn value(&self, number: u32) -> Option<&T> {
        self.values.get(&number).map(|interned| &interned.value)
    }

    /// The number of a value.
    pub fn number<Q>(&self, value: &Q) -> Option<u32>
    where
        Q: Eq + Hash + ?Sized,
        T: Borrow<Q>,
    {
        self.numbers.get(value).copied()
    }

    /// The values that have users, with their numbers.
    pub fn used_numbers(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values
            .iter()
            .filter(|(_, interned)| interned.users > 0)
            .map(|(number, interned)| (*number, &interned.value))
    }

    /// The first number not handed out.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Before anything is taken: these values have these numbers if they are taken before the next sweep, others have higher ones than
    /// were handed out before.
    pub fn go_on_with(&mut self, values: impl Iterator<Item = (T, u32)>, next: u32) {
        for (value, number) in values {
            self.numbers.insert(value.clone(), number);
            self.values.insert(number, Interned { value, users: 0 });
            self.unused.push(number);
        }
        (self.next, self.swept) = (next, 0);
    }

    /// How many values have users.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Forgets what has no user.
    pub fn sweep(&mut self) -> Swept<T> {
        let mut removed = Vec::new();
        for number in self.unused.drain(..) {
            if self.values.get(&number).is_some_and(|interned| interned.users == 0) {
                let Interned { value, .. } = self.values.remove(&number).expect("just looked up");
                self.numbers.remove(&value);
                removed.push((number, value));
            }
        }
        let new = self.swept..self.next;
        let mut created: Vec<u32> = if self.values.len() < new.len() {
            self.values.keys().copied().filter(|number| new.contains(number)).collect()
        } else {
            new.filter(|number| self.values.contains_key(number)).collect()
        };
        created.sort_unstable();
        self.swept = self.next;
        Swept { created, removed }
    }

    /// Forgets what has no user, and hands out again the numbers since the last sweep, which nobody has seen.
    /// All users since then must be released.
    pub fn sweep_back(&mut self) {
        let before = self.swept;
        let swept = self.sweep();
        assert!(swept.created.is_empty(), "an undone change leaves no user");
        (self.next, self.swept) = (before, before);
    }
}
