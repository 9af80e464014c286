//! The table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Measured;
use super::rows::Row;
use crate::support::Backend;

/// A line: a row of the table, by so many clients.
pub struct Line<'a> {
    pub row: &'a Row,
    pub clients: usize,
    pub measured: Measured,
    /// KiB of memory that the process had at most meanwhile.
    pub peak: u64,
    /// A second, of the handler that does nothing.
    pub bare: Option<f64>,
    /// A second, of the database alone.
    pub raw: Option<f64>,
    /// A second, of the same statement through the program's own pool.
    pub pool: Option<f64>,
}

/// What was measured so far.
#[derive(Default)]
pub struct Report {
    backend: &'static str,
    users: usize,
    /// A second, at the smallest size, by database, row and clients.
    smallest: BTreeMap<(&'static str, String, usize), f64>,
    lines: Vec<Value>,
    most: u64,
}

fn ratio(of: f64, to: Option<f64>) -> String {
    to.map_or_else(|| "-".to_owned(), |to| format!("{:.2}", of / to))
}

impl Report {
    /// Begins the table of a size on a database.
    pub fn begin(&mut self, backend: Backend, users: usize, bytes: u64) {
        (self.backend, self.users, self.most) = (backend.name(), users, 0);
        let each = bytes / u64::try_from(users.max(1)).expect("a number");
        println!();
        println!("{users} users on {}: {bytes} bytes, {each} a user", self.backend);
        println!(
            "| {:<58} | clients | {:>9} | {:>9} | {:>9} | {:>8} | {:>7} | {:>7} | {:>7} | {:>8} |",
            "",
            "a second",
            "p50 µs",
            "p99 µs",
            "peak MiB",
            "of bare",
            "of pool",
            "of raw",
            "of small"
        );
        println!("|{}|--:|--:|--:|--:|--:|--:|--:|--:|--:|", "-".repeat(60));
        self.lines.push(json!({ "database": self.backend, "users": users, "bytes": bytes }));
    }

    /// Adds a line, and prints it.
    pub fn add(&mut self, line: &Line<'_>) {
        let Measured { per_second, p50, p99 } = line.measured;
        let key = (self.backend, line.row.name.clone(), line.clients);
        let smallest = self.smallest.get(&key).copied();
        self.smallest.entry(key).or_insert(per_second);
        #[expect(clippy::cast_precision_loss, reason = "for a table")]
        let peak = line.peak as f64 / 1024.0;
        println!(
            "| {:<58} | {:>7} | {per_second:>9.1} | {p50:>9} | {p99:>9} | {peak:>8.1} | {:>7} | \
             {:>7} | {:>7} | {:>8} |",
            line.row.name,
            line.clients,
            ratio(per_second, line.bare),
            ratio(per_second, line.pool),
            ratio(per_second, line.raw),
            ratio(per_second, smallest),
        );
        self.lines.push(json!({
            "database": self.backend,
            "users": self.users,
            "row": line.row.name,
            "is_large": line.row.is_large,
            "clients": line.clients,
            "per_second": per_second,
            "p50_micros": p50,
            "p99_micros": p99,
            "peak_kib": line.peak,
            "bare_per_second": line.bare,
            "raw_per_second": line.raw,
            "pool_per_second": line.pool,
        }));
    }

    /// Everything, for a program to read.
    pub fn to_json(&self) -> Value {
        self.lines.iter().cloned().collect()
    }
}

/// KiB of memory that a process had at most since [`reset_peak`].
pub fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Forgets how much memory a process had at most.
pub fn reset_peak(process: u32) {
    // Where it may not, the peaks are those since the start.
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}
