//! A persistent array of rows by rising number: cloned in O(chunks), changed by copying one chunk.

use std::sync::Arc;

const CHUNK: usize = 64;

type Chunk<T> = Option<Arc<[Option<Arc<T>>; CHUNK]>>;

/// Rows by number. A row that was never set, or was cleared, is absent. Numbers may be sparse: a chunk of 64 absent rows costs one
/// pointer.
pub struct Rows<T> {
    chunks: Arc<Vec<Chunk<T>>>,
    count: usize,
}

impl<T> Rows<T> {
    /// The row with this number.
    #[inline]
    pub fn row(&self, number: usize) -> Option<&T> {
        self.shared(number).map(|row| &**row)
    }

    /// The row with this number, to share.
    #[inline]
    pub fn shared(&self, number: usize) -> Option<&Arc<T>> {
        self.chunks.get(number / CHUNK)?.as_ref()?[number % CHUNK].as_ref()
    }

    /// Sets or clears (`None`) a row; other clones don't see it.
    pub fn set(&mut self, number: usize, row: Option<Arc<T>>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= number / CHUNK {
            if row.is_none() {
                return;
            }
            chunks.resize(number / CHUNK + 1, None);
        }
        let slot = &mut chunks[number / CHUNK];
        let chunk = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([const { None }; CHUNK])));
        self.count += usize::from(row.is_some());
        self.count -= usize::from(chunk[number % CHUNK].is_some());
        chunk[number % CHUNK] = row;
        if chunk.iter().all(Option::is_none) {
            *slot = None;
        }
    }

    /// The numbers of the rows that came, went or changed since an older clone, some perhaps for nothing. What both share is not looked at.
    pub fn changed<'a>(&'a self, older: &'a Rows<T>) -> impl Iterator<Item = usize> + 'a {
        let same = Arc::ptr_eq(&self.chunks, &older.chunks);
        let chunks = if same { 0 } else { self.chunks.len().max(older.chunks.len()) };
        let is = |a: &Option<Arc<T>>, b: &Option<Arc<T>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        (0..chunks).flat_map(move |at| {
            let [new, old] = [self, older].map(|rows| rows.chunks.get(at).and_then(Option::as_ref));
            let shared = matches!((new, old), (Some(new), Some(old)) if Arc::ptr_eq(new, old));
            let row =
                |chunk: Option<&'a Arc<[Option<Arc<T>>; CHUNK]>>, i: usize| chunk.map_or(&None, |chunk| &chunk[i]);
            let rows = if shared || new.is_none() && old.is_none() { 0 } else { CHUNK };
            (0..rows).filter(move |&i| !is(row(new, i), row(old, i))).map(move |i| at * CHUNK + i)
        })
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The rows that are there, by rising number.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at, chunk.as_ref()?))).flat_map(|(at, chunk)| {
            chunk.iter().enumerate().filter_map(move |(i, row)| Some((at * CHUNK + i, &**row.as_ref()?)))
        })
    }
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Rows { chunks: self.chunks.clone(), count: self.count }
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows { chunks: Arc::default(), count: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_a_map_and_clones_stay(changes in prop::collection::vec((0_usize..500, any::<Option<u8>>()), 0..200)) {
            let mut rows = Rows::default();
            let mut twin = BTreeMap::new();
            let mut kept = Vec::new();
            for (number, value) in changes {
                kept.push((rows.clone(), twin.clone()));
                rows.set(number, value.map(Arc::new));
                match value {
                    Some(value) => twin.insert(number, value),
                    None => twin.remove(&number),
                };
            }
            kept.push((rows, twin));
            for [(old, was), (new, is)] in kept.windows(2).map(|two| [&two[0], &two[1]]).chain([[&kept[0], &kept[kept.len() - 1]]]) {
                let changed: Vec<usize> = new.changed(old).collect();
                let differ = (0..500).filter(|number| was.get(number) != is.get(number));
                prop_assert!(differ.clone().all(|number| changed.contains(&number)));
                prop_assert!(changed.iter().all(|number| was.contains_key(number) || is.contains_key(number)));
                prop_assert_eq!(old.changed(old).count(), 0);
            }
            for (rows, twin) in kept {
                prop_assert_eq!(rows.count(), twin.len());
                prop_assert!(rows.iter().map(|(number, &value)| (number, value)).eq(twin.iter().map(|(&n, &v)| (n, v))));
                prop_assert!((0..600).all(|number| rows.row(number) == twin.get(&number)));
            }
        }
    }
}
