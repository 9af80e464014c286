//! Results on stdout: tables for people, JSON for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

/// Whether something could not be printed that somebody wanted to read.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// A text without what a terminal would obey: names and addresses come from anybody.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// Prints a line, or several. Whoever has stopped reading, such as `head`, has read enough.
pub fn line(text: impl Display) {
    let text = text.to_string().replace(|c: char| c.is_control() && c != '\n' && c != '\t', "?");
    let Err(error) = writeln!(std::io::stdout(), "{text}") else { return };
    if error.kind() != ErrorKind::BrokenPipe && !IS_LOST.swap(true, Ordering::Relaxed) {
        eprintln!("muster: what was asked for is done, but it could not be printed: {error}");
    }
}

/// Whether something could not be printed that somebody wanted to read.
pub fn is_lost() -> bool {
    IS_LOST.load(Ordering::Relaxed)
}

/// Prints JSON on a line of its own.
pub fn json(value: &Value) {
    line(value);
}

/// Prints rows under headings, columns aligned.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let heading = headings.get(column).map_or(0, |heading| heading.len());
        cells.chain([heading]).max().unwrap_or(0)
    };
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{:<width$}", plain(cell), width = width(column)))
            .collect();
        self::line(padded.join("  ").trim_end());
    };
    line(&headings.iter().map(|heading| heading.to_uppercase()).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
}

/// Prints names and values, aligned.
pub fn fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 1;
    for (name, value) in fields {
        line(format!("{:<width$} {}", format!("{name}:"), plain(value)));
    }
}

/// Prints the version.
pub fn version(as_json: bool) {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        json(&json!({ "version": version }));
    } else {
        line(format!("muster {version}"));
    }
}
