//! Words and numbers of a file, and when they need quotes.

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// What it says.
    pub value: String,
    /// As it is written, on one line.
    text: String,
    is_plain: bool,
}

/// Words that are not taken for text.
const WORDS: [&str; 11] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];

impl Scalar {
    /// As it stands in a file; what stands on several lines is written on one.
    pub fn read(value: &str, text: &str, is_plain: bool) -> Scalar {
        if text.contains('\n') || text.is_empty() != value.is_empty() {
            return Scalar { value: value.into(), text: quoted(value), is_plain: false };
        }
        Scalar { value: value.into(), text: text.into(), is_plain }
    }

    /// A number, or a word that is none of a text.
    pub fn plain(text: String) -> Scalar {
        Scalar { value: text.clone(), text, is_plain: true }
    }

    /// A text, which is read as the same text.
    pub fn of(value: &str) -> Scalar {
        let is_plain = is_plain(value);
        let text = if is_plain { value.into() } else { quoted(value) };
        Scalar { value: value.into(), text, is_plain }
    }

    /// How it is written; within brackets more needs quotes.
    pub fn text(&self, in_brackets: bool) -> String {
        match self.is_plain && in_brackets && !fits_brackets(&self.text) && !is_null(&self.text) {
            true => quoted(&self.value),
            false => self.text.clone(),
        }
    }
}

/// Nothing, which no text is.
fn is_null(text: &str) -> bool {
    text.is_empty() || text == "~"
}

/// Whether it may stand without quotes and is a text then.
fn is_plain(text: &str) -> bool {
    if !fits_brackets(text) || WORDS.contains(&text.to_lowercase().as_str()) {
        return false;
    }
    let count = |of: char| text.matches(of).count();
    let range = || text.split_once('-').is_some_and(|(a, b)| is_number(a) && is_number(b));
    match text.bytes().next() {
        Some(first) if first.is_ascii_alphabetic() => {
            !text.bytes().all(|byte| byte.is_ascii_hexdigit() || b"+-".contains(&byte)) || count('e') + count('E') == 0
        }
        // addresses, prefixes, ranges of ports: no numbers
        Some(first) if first.is_ascii_digit() => count('/') == 1 || count('.') > 1 || count(':') > 1 || range(),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits, and what has no meaning of its own between them.
fn fits_brackets(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+-:".contains(&byte);
    let at_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_+/.".contains(&byte));
    text.bytes().all(inside) && at_end(text.bytes().next_back()) && at_end(text.bytes().next())
}

fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for one in value.chars() {
        match one {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            one if one.is_control() || one == '\u{feff}' || ('\u{2028}'..='\u{2029}').contains(&one) => {
                text.push_str(&format!("\\u{:04x}", u32::from(one)));
            }
            one => text.push(one),
        }
    }
    text.push('"');
    text
}
