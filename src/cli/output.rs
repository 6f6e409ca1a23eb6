//! What commands print: tables for people, JSON for programs, nothing that controls a terminal.

use std::{
    borrow::Cow,
    env::var_os,
    io::{self, IsTerminal, Write},
};

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use super::Error;

/// Whether a command prints JSON: when asked to, and when nobody looks.
pub(super) fn is_json(is_asked_for: bool) -> bool {
    is_asked_for || !io::stdout().is_terminal()
}

/// Prints a line, or several. A reader that has gone away (`… | head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Prints rows as a table, or as JSON in the shape of the API's lists.
pub(super) fn print_list(
    is_json_asked_for: bool,
    columns: &[(&str, &str)],
    rows: Vec<Value>,
) -> Result<(), Error> {
    if is_json(is_json_asked_for) {
        print_json(&json!({"data": rows, "next_cursor": null}))
    } else {
        print(&table(columns, &rows))
    }
}

/// A table of JSON objects: each column with its title and the field that it shows.
pub(super) fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|(title, _)| *title));
    for row in rows {
        table.add_row(columns.iter().map(|(_, field)| cell(&row[*field])));
    }
    table.trim_fmt()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => printable(text).into_owned(),
        other => printable(&other.to_string()).into_owned(),
    }
}

/// A text with everything escaped that could move the cursor, colour or reorder what is on the
/// terminal: control characters, and those that change the direction of writing.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// As [`printable`], but line ends stay.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    is_coloured: bool,
}

impl Style {
    /// As stdout and the environment ask for.
    pub(super) fn for_stdout() -> Self {
        let is_refused = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            is_coloured: io::stdout().is_terminal() && !is_refused && !is_dumb,
        }
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn quiet(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.is_coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_printed() {
        assert_eq!(printable("plain é 漢"), "plain é 漢");
        assert_eq!(
            printable("a\x1b[2Jb\r\u{202e}c\u{9b}"),
            "a\\u{1b}[2Jb\\r\\u{202e}c\\u{9b}"
        );
        assert_eq!(printable_lines("a\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn a_table_shows_the_fields_in_the_order_of_its_columns() {
        let rows = [
            json!({"id": "acme", "is_suspended": false, "name": "A\x1b[31m"}),
            json!({"id": "beta", "is_suspended": true}),
        ];
        let table = table(
            &[
                ("NAME", "name"),
                ("ID", "id"),
                ("SUSPENDED", "is_suspended"),
            ],
            &rows,
        );
        assert!(!table.contains('\x1b'), "{table}");
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["NAME", "ID", "SUSPENDED"]);
        assert_eq!(lines[1], ["A\\u{1b}[31m", "acme", "no"]);
        assert_eq!(lines[2], ["-", "beta", "yes"]);
    }
}
