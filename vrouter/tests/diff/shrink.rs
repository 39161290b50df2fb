//! Makes a case that differs smaller, as long as it differs.

use super::case::{Batch, Case, Event, Network};
use super::duel::{Difference, Hits, How, duel, objects_of};
use super::objects::Object;

/// The smallest case that was found, and its difference.
pub fn shrink(case: Case, difference: Difference, how: How) -> (Case, Difference) {
    let mut small = Smaller { case, difference, how };
    small.case.events.truncate(small.difference.at + if how.bursts { 32 } else { 1 });
    if !small.still(small.case.clone()) {
        return (small.case, small.difference);
    }
    loop {
        let before = small.size();
        small.events();
        small.objects();
        small.batches();
        if small.size() == before {
            return (small.case, small.difference);
        }
    }
}

struct Smaller {
    case: Case,
    difference: Difference,
    how: How,
}

impl Smaller {
    /// Takes this case if it differs too.
    fn still(&mut self, case: Case) -> bool {
        match duel(&case, self.how, &mut Hits::default()).1 {
            Some(difference) => {
                (self.case, self.difference) = (case, difference);
                true
            }
            None => false,
        }
    }

    fn size(&self) -> (usize, usize) {
        let batches = self.case.events.iter().filter_map(objects_of).map(Vec::len).sum::<usize>();
        (self.case.events.len() + batches, self.network().len())
    }

    fn network(&self) -> &[Object] {
        if let Network::Objects(objects) = &self.case.network { objects } else { &[] }
    }

    /// Leaves out events: halves, quarters, ..., one by one.
    fn events(&mut self) {
        self.parts(|case| case.events.len(), |case, from, count| _ = case.events.drain(from..from + count));
    }

    fn objects(&mut self) {
        let length = |case: &Case| if let Network::Objects(objects) = &case.network { objects.len() } else { 0 };
        self.parts(length, |case, from, count| {
            if let Network::Objects(objects) = &mut case.network {
                objects.drain(from..from + count);
            }
        });
    }

    fn parts(&mut self, length: impl Fn(&Case) -> usize, leave_out: impl Fn(&mut Case, usize, usize)) {
        let mut count = length(&self.case).div_ceil(2);
        while count > 0 {
            let mut end = length(&self.case);
            while end > 0 {
                let from = end.saturating_sub(count);
                let mut case = self.case.clone();
                leave_out(&mut case, from, end - from);
                self.still(case);
                end = from.min(length(&self.case));
            }
            count /= 2;
        }
    }

    /// Leaves out single objects of batches.
    fn batches(&mut self) {
        for at in 0..self.case.events.len() {
            let mut object = 0;
            while let Some(objects) = self.case.events.get(at).and_then(objects_of).filter(|all| all.len() > 1) {
                if object >= objects.len() {
                    break;
                }
                let mut fewer = objects.clone();
                fewer.remove(object);
                let mut case = self.case.clone();
                case.events[at] = Event::Apply(Batch::Objects(fewer));
                if !self.still(case) {
                    object += 1;
                }
            }
        }
    }
}
