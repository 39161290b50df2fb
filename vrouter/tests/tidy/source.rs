//! A Rust source as the house's checks read it: comments and literals blanked, test modules told apart.

use std::ops::Range;

/// A source file's text with every comment, string and character literal blanked; lines stay where they were.
pub struct Source {
    pub path: String,
    pub text: String,
    tests: Vec<Range<usize>>,
}

impl Source {
    pub fn new(path: &str, raw: &str) -> Source {
        let text = blank_literals(raw);
        let tests = test_modules(&text);
        Source { path: path.to_owned(), text, tests }
    }

    /// The words (identifiers and keywords) with the byte at which each begins.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = 0;
        std::iter::from_fn(move || {
            let start = rest + self.text[rest..].find(is_word)?;
            let length = self.text[start..].find(|c| !is_word(c)).unwrap_or(self.text.len() - start);
            rest = start + length;
            Some((start, &self.text[start..rest]))
        })
    }

    /// Line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// Is this byte inside a `#[cfg(test)]` module?
    pub fn is_test(&self, at: usize) -> bool {
        self.path.ends_with("tests.rs") || self.tests.iter().any(|range| range.contains(&at))
    }

    /// Functions with a body: name, first byte, lines from `fn` to the closing brace.
    pub fn functions(&self) -> Vec<(&str, usize, usize)> {
        let words: Vec<_> = self.words().collect();
        let mut functions = Vec::new();
        for pair in words.windows(2).filter(|pair| pair[0].1 == "fn") {
            let (at, name) = (pair[0].0, pair[1].1);
            if !self.text[at + 2..pair[1].0].trim().is_empty() {
                continue; // a function pointer's type
            }
            let Some(body) = self.body(pair[1].0) else { continue };
            functions.push((name, at, self.line(body.end) - self.line(at) + 1));
        }
        functions
    }

    /// The braces that follow `at`, unless a `;` outside brackets comes first.
    fn body(&self, at: usize) -> Option<Range<usize>> {
        let mut brackets = 0;
        for (offset, byte) in self.text[at..].bytes().enumerate() {
            match byte {
                b'(' | b'[' => brackets += 1,
                b')' | b']' => brackets -= 1,
                b';' if brackets == 0 => return None,
                b'{' if brackets == 0 => return Some(at + offset..closing_brace(&self.text, at + offset)),
                _ => {}
            }
        }
        None
    }
}

/// Byte of the brace that closes the one at `open`; the text's end if none does.
fn closing_brace(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in text[open..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    text.len()
}

fn test_modules(text: &str) -> Vec<Range<usize>> {
    text.match_indices("#[cfg(test)]")
        .filter_map(|(at, _)| {
            let open = at + text[at..].find('{')?;
            text[at..open].split_whitespace().any(|word| word == "mod").then(|| at..closing_brace(text, open))
        })
        .collect()
}

fn blank_literals(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let literal = literal_length(rest, text.chars().last());
        let taken = if literal > 0 { literal } else { first.len_utf8() };
        let (piece, after) = rest.split_at(taken);
        if literal > 0 {
            text.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            text.push_str(piece);
        }
        rest = after;
    }
    text
}

/// Bytes of the comment or literal that `rest` begins with; 0 if it begins with neither.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if let Some(body) = rest.strip_prefix('"') {
        return 1 + quoted_length(body, b'"');
    }
    if rest.starts_with('r') && !in_word {
        let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            return rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len());
        }
    }
    if rest.starts_with("b\"") && !in_word {
        return 2 + quoted_length(&rest[2..], b'"');
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    0
}

/// A character literal's bytes; 0 for a lifetime.
fn character_length(rest: &str) -> usize {
    let mut characters = rest[1..].chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => 1 + quoted_length(&rest[1..], b'\''),
        (Some(only), Some('\'')) => 2 + only.len_utf8(),
        _ => 0,
    }
}

/// Bytes up to and with the closing quote, escapes heeded.
fn quoted_length(rest: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}
