//! A file's text into nodes with their comments.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle};

use super::{Entries, Entry, Line, Node, Scalar};
use crate::api::position::Position;

type Fault = (Position, String);

/// What has begun and not ended.
struct Open {
    is_map: bool,
    is_flow: bool,
    /// Where what is in it stands.
    column: usize,
    /// A list that is no further to the right than the key whose it is.
    is_outdented: bool,
    entries: Entries,
    /// A mapping's next node is a key.
    at_key: bool,
}

struct Reader<'a> {
    text: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    /// Lines of their own that belong to nothing yet, with their columns.
    waiting: Vec<(Line, usize)>,
    /// The last line on which something stands.
    line: usize,
}

/// The lines that the file begins with, and what it says.
pub(super) fn read(text: &str) -> Result<(Vec<Line>, Node), Fault> {
    let mut options = Options::default();
    options.max_buffered_comment_events = usize::MAX;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { text, open: vec![], root: None, documents: 0, waiting: vec![], line: 0 };
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| (place(error.marker().line(), error.marker().col()), error.info()))?;
        reader.take(event, &span)?;
    }
    let mut root = reader.root.take().unwrap_or_else(|| Node::Map(Entries::default()));
    let rest = reader.waiting.into_iter().map(|(line, _)| line);
    let mut head = Vec::new();
    if let Node::Map(entries) = &mut root {
        entries.tail.extend(rest);
        // what stands apart at the top is about the file
        if let Some(first) = entries.all.first_mut()
            && let Some(blank) = first.above.iter().rposition(|line| *line == Line::Blank)
        {
            head = first.above.drain(..=blank).collect();
        }
    }
    Ok((head, root))
}

/// The texts of all comments.
pub(super) fn comments(text: &str) -> Vec<String> {
    let mut options = Options::default();
    options.max_buffered_comment_events = usize::MAX;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let next = || parser.next_event();
    let events = std::iter::from_fn(next).map_while(Result::ok);
    let comment = |(event, _)| match event {
        Event::Comment(text, _) => Some(text.trim_end().to_owned()),
        _ => None,
    };
    events.filter_map(comment).collect()
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Fault> {
        let (line, column) = (span.start.line(), span.start.col());
        let fault = |what: &str| Err((place(line, column), format!("{what}: files with any are not laid out")));
        if event.anchor_id().is_some() || event.is_alias() {
            return fault("an anchor or alias");
        }
        if event.tag().is_some() {
            return fault("a tag");
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return fault("a second document");
                }
            }
            Event::Comment(text, _) => self.comment(text.trim_end(), line, column),
            Event::Scalar(value, style, ..) => {
                let range = span.start.byte_offset().zip(span.end.byte_offset());
                let text = range.and_then(|(from, to)| self.text.get(from..to)).unwrap_or_default();
                let is_plain = style == ScalarStyle::Plain;
                let of_one_line = is_plain || matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                let text = if of_one_line { text.trim_end() } else { "\n" };
                self.begin(line);
                self.line = self.line.max(span.end.line());
                self.scalar(Scalar::read(&value, text, is_plain))
                    .map_err(|reason| (place(line, column), reason.into()))?;
            }
            Event::SequenceStart(..) | Event::MappingStart(..)
                if self.open.last().is_some_and(|open| open.is_map && open.at_key) =>
            {
                return fault("a key that is no word");
            }
            Event::SequenceStart(style, ..) => self.start(false, style, line, column),
            Event::MappingStart(style, ..) => self.start(true, style, line, column),
            Event::SequenceEnd | Event::MappingEnd => self.end(span.end.line()),
            _ => {}
        }
        Ok(())
    }

    fn comment(&mut self, text: &str, line: usize, column: usize) {
        let alone = self.text.lines().nth(line - 1).is_none_or(|of| of.trim_start().starts_with('#'));
        if !alone && let Some(entry) = self.last() {
            match &entry.right {
                None => entry.right = Some(text.to_owned()),
                Some(_) => entry.above.push(Line::Comment(text.to_owned())),
            }
            return;
        }
        self.blank(line);
        self.waiting.push((Line::Comment(text.to_owned()), column));
        self.line = line;
    }

    /// What was begun last and may have a comment on its line.
    fn last(&mut self) -> Option<&mut Entry> {
        self.open.iter_mut().rev().find_map(|open| open.entries.all.last_mut())
    }

    /// Notes that lines were left blank.
    fn blank(&mut self, line: usize) {
        let is_blank = self.line > 0 && line > self.line + 1;
        if is_blank && self.waiting.last().is_none_or(|(last, _)| *last != Line::Blank) {
            self.waiting.push((Line::Blank, usize::MAX));
        }
    }

    /// A node begins here: if it is an entry of its own, what waits stands above it.
    fn begin(&mut self, line: usize) {
        if self.open.last().is_none_or(|open| open.is_map && !open.at_key) {
            return;
        }
        self.blank(line);
        let above = self.waiting.drain(..).map(|(line, _)| line).collect();
        let value = Node::Scalar(Scalar::plain(String::new()));
        let entry = Entry { above, key: None, right: None, value };
        if let Some(open) = self.open.last_mut() {
            open.entries.all.push(entry);
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Result<(), &'static str> {
        let Some(open) = self.open.last_mut() else {
            // an empty file
            return if scalar.value.is_empty() { Ok(()) } else { Err("not a mapping") };
        };
        let Some(entry) = open.entries.all.last_mut() else { return Ok(()) };
        if open.is_map && open.at_key {
            entry.key = Some(scalar);
        } else {
            entry.value = Node::Scalar(scalar);
        }
        open.at_key = open.is_map && !open.at_key;
        Ok(())
    }

    fn start(&mut self, is_map: bool, style: StructureStyle, line: usize, column: usize) {
        let is_flow = style == StructureStyle::Flow;
        if self.open.last().is_some_and(|open| !open.is_map) {
            self.begin(line);
        }
        if is_flow {
            self.line = self.line.max(line);
        }
        let outer = self.open.last().filter(|open| open.is_map && !open.is_flow);
        let is_outdented = !is_map && !is_flow && outer.is_some_and(|open| open.column >= column);
        let entries = Entries::default();
        self.open.push(Open { is_map, is_flow, column, is_outdented, entries, at_key: is_map });
    }

    fn end(&mut self, line: usize) {
        let Some(mut open) = self.open.pop() else { return };
        if open.is_flow {
            self.line = self.line.max(line);
        }
        let is_in = |(line, column): &(Line, usize)| {
            let is_below = *column >= open.column && !open.is_outdented && self.open.last().is_some();
            *line == Line::Blank || open.is_flow || is_below
        };
        let mut inside = self.waiting.iter().take_while(|one| is_in(one)).count();
        while inside > 0 && self.waiting[inside - 1].0 == Line::Blank {
            inside -= 1;
        }
        open.entries.tail = self.waiting.drain(..inside).map(|(line, _)| line).collect();
        let node = if open.is_map { Node::Map(open.entries) } else { Node::List(open.entries) };
        let Some(outer) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        if let Some(entry) = outer.entries.all.last_mut() {
            entry.value = node;
        }
        outer.at_key = outer.is_map;
    }
}

fn place(line: usize, column: usize) -> Position {
    Position { line: line as u64, column: column as u64 + 1 }
}
