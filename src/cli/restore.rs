//! `muster restore`

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::output;
use crate::db::{DatabaseUrl, backup};

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The file that 'muster backup' has written
    file: PathBuf,
}

/// Carries a backup over into a SQLite store that is not there yet or into an empty PostgreSQL
/// database, and brings its tables up to date.
///
/// # Errors
/// The file is no backup, or the store is not empty.
pub async fn run(args: RestoreArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let shown = url.to_string();
    tokio::task::spawn_blocking(move || backup::restore(&args.file, &url))
        .await?
        .with_context(|| format!("could not restore into {shown}"))?;
    if as_json {
        output::json(&json!({ "restored": shown }));
    } else {
        eprintln!("restored into {shown}");
    }
    Ok(())
}
