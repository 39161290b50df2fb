//! What is printed: tables for people, JSON and YAML for programs.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

/// Prints to the standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("vrctl: cannot write: {error}");
    }
}

/// Prints for programs.
pub fn print_value(format: Format, value: &Value) {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# {error}\n")),
        Format::Table | Format::Json => format!("{value:#}\n"),
    };
    print(&text);
}

/// Without nulls and empty lists, which mean the same as absence.
pub fn without_absent(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(all) if all.is_empty() => None,
        Value::Array(all) => Some(all.into_iter().filter_map(without_absent).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name, without_absent(value)?)));
            Some(Value::Object(fields.collect()))
        }
        other => Some(other),
    }
}

/// A table as text; without rows it says so. Rows of several lines are set apart.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    const LINE: LineStyle = LineStyle::none().fill('─').junction('─');
    let rows: Vec<_> = rows.into_iter().collect();
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let mut style = TableStyle::new().header_separator(LINE);
    if rows.iter().flatten().any(|cell| cell.contains('\n')) {
        style = style.row_separator(LineStyle::none().fill('╌').junction('╌'));
    }
    let mut table = Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|column| column.to_uppercase()));
    table.add_rows(rows);
    format!("{}\n", table.trim_fmt())
}

/// A count with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A duration for people.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Bytes for people.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// An address's bytes for people; bytes that are none are shown in hex.
pub fn address(bytes: &[u8]) -> String {
    vrouter::api::text::address(bytes).map_or_else(|_| format!("0x{}", hex(bytes)), |address| address.to_string())
}

/// Two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(count), ["0", "12", "999", "1_000", "1_234_567"]);
        assert_eq!([0, 1550, 61_000, 3_660_000, 90_000_000].map(duration), ["0.0s", "1.5s", "1m01s", "1h01m", "1d01h"]);
        assert_eq!([1, 2048, 3 << 20, 5 << 30].map(bytes), ["1 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]);
        assert_eq!(address(&[10, 0, 0, 1]), "10.0.0.1");
        assert_eq!(address(&[10, 0]), "0x0a00");
    }
}
