//! Which class a value of a field has in each group of rules.

use std::ops::Range;

/// Groups that a word marks.
pub(super) const WORD: usize = 64;
/// Cells of a word.
const CELLS: usize = WORD / 16;

/// By number of a value: its class in each group, side by side. Number 0 is of values that no rule asks for: class 0 everywhere.
///
/// A row begins with a mark for each group in which its class is not 0, 64 to a word, so that a walk sees at once where to look; 10,000
/// rules make a row of one cache line.
pub(super) struct Classes {
    cells: Vec<u16>,
    /// Cells from row to row.
    stride: usize,
    /// Groups.
    width: usize,
    /// Some columns hold classes already; others are zero until they are filled.
    filled: bool,
    free: Vec<u32>,
}

/// A value's classes.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    marks: &'a [u16],
    /// By group.
    pub classes: &'a [u16],
}

impl Classes {
    /// With the row of number 0, for no group.
    pub fn new() -> Classes {
        let stride = stride(0);
        Classes { cells: vec![0; stride], stride, width: 0, filled: false, free: Vec::new() }
    }

    /// A copy with `count` empty columns in place of some; as much is allocated as `more` further rows need.
    pub fn reshaped(&self, replaced: Range<usize>, count: usize, more: usize) -> Classes {
        let width = self.width - replaced.len() + count;
        let (head, stride) = (head(width), stride(width));
        let mut cells = Vec::with_capacity((self.cells.len() / self.stride + more) * stride);
        if replaced.len() == count {
            cells.extend_from_slice(&self.cells);
            for row in cells.chunks_exact_mut(stride) {
                row[head + replaced.start..head + replaced.end].fill(0);
                replaced.clone().for_each(|group| row[group / 16] &= !(1 << (group % 16)));
            }
        } else {
            for row in self.cells.chunks_exact(self.stride) {
                let begin = cells.len();
                let classes = &row[self::head(self.width)..][..self.width];
                cells.resize(begin + head, 0);
                cells.extend_from_slice(&classes[..replaced.start]);
                cells.resize(cells.len() + count, 0);
                cells.extend_from_slice(&classes[replaced.end..]);
                cells.resize(begin + stride, 0);
                let (marks, classes) = cells[begin..].split_at_mut(head);
                let classes = classes.iter().enumerate();
                classes.for_each(|(group, &class)| marks[group / 16] |= u16::from(class != 0) << (group % 16));
            }
        }
        Classes { cells, stride, width, filled: width > count, free: self.free.clone() }
    }

    /// A number for a value; its row is that of `like`.
    pub fn add(&mut self, like: impl FnOnce() -> u32) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.cells.resize(self.cells.len() + self.stride, 0);
            (self.cells.len() / self.stride - 1) as u32
        });
        let from = if self.filled { like() as usize * self.stride } else { 0 };
        self.cells.copy_within(from..from + self.stride, number as usize * self.stride);
        number
    }

    /// Gives a number back that no value has any more.
    pub fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Gives back what was allocated in vain.
    pub fn shrink(&mut self) {
        if self.cells.capacity() > self.cells.len() / 8 * 9 {
            self.cells.shrink_to_fit();
        }
    }

    /// Sets the class of a value, not 0, in a group where it has none.
    #[inline]
    pub fn set(&mut self, number: u32, group: usize, class: u16) {
        let row = &mut self.cells[number as usize * self.stride..][..self.stride];
        row[head(self.width) + group] = class;
        row[group / 16] |= 1 << (group % 16);
    }

    #[inline]
    pub fn row(&self, number: u32) -> Row<'_> {
        let row = &self.cells[number as usize * self.stride..][..self.stride];
        let (marks, classes) = row.split_at(head(self.width));
        Row { marks, classes }
    }
}

impl Row<'_> {
    /// A bit for each of 64 groups in which its class is not 0.
    #[inline]
    pub fn marks(&self, word: usize) -> u64 {
        let cells: [u16; CELLS] = self.marks[word * CELLS..].first_chunk().copied().unwrap_or_default();
        let [a, b, c, d] = cells.map(u64::from);
        a | b << 16 | c << 32 | d << 48
    }
}

/// Cells with marks.
#[inline]
fn head(width: usize) -> usize {
    width.div_ceil(WORD).max(1) * CELLS
}

fn stride(width: usize) -> usize {
    head(width) + width.next_multiple_of(CELLS)
}
