//! Where in a file something stands, and errors that say it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Line and column, from 1. Line 0: unknown (the value was not read from a file).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// A value and where it stands. Positions don't take part in comparison.
#[derive(Clone, Debug, Default)]
pub struct At<T> {
    pub value: T,
    pub position: Position,
}

impl<T> At<T> {
    /// A value that was not read from a file.
    pub fn nowhere(value: T) -> At<T> {
        At { value, position: Position::default() }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &At<T>) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<At<T>, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(from)?;
        Ok(At { value: spanned.value, position: spanned.referenced.into() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Position {
        Position { line: location.line(), column: location.column() }
    }
}

/// Why a file is refused: `network.yaml:12:5: vifs[3].mac: reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    pub file: String,
    pub position: Option<Position>,
    /// Path of the field; empty where the reason names it.
    pub field: String,
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// A fault in a file whose name is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub position: Position,
    pub field: String,
    pub reason: String,
}

impl Fault {
    /// A fault of `field` at `position`.
    pub fn new(position: Position, field: impl Into<String>, reason: impl ToString) -> Fault {
        Fault { position, field: field.into(), reason: reason.to_string() }
    }

    /// The fault at its field's key, if `position` is that of a block mapping in `text` which has the key; else as it is.
    pub fn at_key(mut self, text: &str) -> Fault {
        let key = self.field.rsplit('.').next().unwrap_or_default();
        let first = self.position.line.saturating_sub(1) as usize;
        let indent = self.position.column.saturating_sub(1) as usize;
        for (below, line) in text.lines().skip(first).enumerate() {
            // The first line may begin with the dash of a list, or with the key of the mapping itself.
            let (lead, rest) = line.split_at_checked(indent).unwrap_or((line, ""));
            let inside = below == 0 || lead.trim().is_empty();
            if !inside && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                break;
            }
            if inside && rest.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) {
                self.position.line += below as u64;
                break;
            }
        }
        self
    }

    /// The fault of the file with this name.
    pub fn of_file(self, file: &str) -> FileError {
        FileError {
            file: file.to_owned(),
            position: (self.position.line > 0).then_some(self.position),
            field: self.field,
            reason: self.reason,
        }
    }
}

/// Reads one YAML document; an empty file is an empty mapping. Unknown and duplicate keys are refused. `file` is for errors.
pub fn read_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    // A file of a million routes is legitimate; aliases are what multiplies memory, and stay bounded.
    let budget = serde_saphyr::budget! {
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        max_total_comment_bytes: usize::MAX,
        max_aliases: 1000,
        max_depth: 32,
    };
    let options = serde_saphyr::options! { budget: budget };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let position = error.location().map(Position::from).filter(|position| position.line > 0);
        let mut reason = error.without_snippet().to_string();
        if let Some(Position { line, column }) = position {
            // It stands in front already.
            if let Some(cut) = reason.strip_suffix(&format!(" at line {line}, column {column}")).map(str::len) {
                reason.truncate(cut);
            }
        }
        FileError { file: file.to_owned(), position, field: String::new(), reason }
    })
}
