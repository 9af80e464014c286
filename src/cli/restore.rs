//! `muster restore`

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::output;
use super::progress::{Progress, size};
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
    // How much of it has come into PostgreSQL cannot be seen from here.
    let target = url.file().map(Path::to_owned);
    let bytes = target.as_ref().and_then(|_| size(&args.file));
    let progress = Progress::begin("restoring", bytes, as_json);
    let restored = tokio::task::spawn_blocking(move || backup::restore(&args.file, &url));
    let restored = progress.growing(target.as_deref().unwrap_or(Path::new("")), restored).await?;
    drop(progress);
    restored.with_context(|| format!("could not restore into {shown}"))?;
    if as_json {
        output::json(&json!({ "restored": shown }));
    } else {
        eprintln!("restored into {shown}");
    }
    Ok(())
}
