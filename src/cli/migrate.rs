//! `muster migrate`

use anyhow::Context;
use serde_json::json;

use super::output;
use super::progress::Progress;
use crate::db::{DatabaseUrl, Db};

/// Brings the tables up to date.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn run(url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let db = Db::new(url, 1);
    let progress = Progress::begin("migrating", None, as_json);
    let done = db.migrate().await;
    drop(progress);
    let done = done.with_context(|| format!("could not migrate {}", db.url()))?;
    if as_json {
        output::json(&json!({ "migrations": done }));
    } else if done.is_empty() {
        eprintln!("{} is up to date", db.url());
    } else {
        for name in done {
            output::line(name);
        }
    }
    Ok(())
}
