//! Results on stdout: tables for people, JSON for programs.

use serde_json::{Value, json};

/// Prints JSON on a line of its own.
pub fn json(value: &Value) {
    println!("{value}");
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
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        println!("{}", padded.join("  ").trim_end());
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
        println!("{:<width$} {value}", format!("{name}:"));
    }
}

/// Prints the version.
pub fn version(as_json: bool) {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        json(&json!({ "version": version }));
    } else {
        println!("muster {version}");
    }
}
