//! `muster backup`

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::progress::{Progress, size};
use super::{output, store};
use crate::db::{DatabaseUrl, backup};

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write; it must not exist yet
    file: PathBuf,
}

/// Writes a copy of the store, as it is at one moment, into a new SQLite file. Requests go on
/// being served meanwhile.
///
/// # Errors
/// The file exists, or cannot be written.
pub async fn run(args: BackupArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    if args.file.exists() {
        bail!("{} exists already; name a new file", args.file.display());
    }
    let db = store::existing(url).await?;
    let file = args.file.clone();
    let progress = Progress::begin("writing", db.url().file().and_then(size), as_json);
    let copied = db.read(move |conn| backup::write(conn, &file));
    progress.growing(&args.file, copied).await?;
    drop(progress);
    let size = std::fs::metadata(&args.file)?.len();
    if as_json {
        output::json(&json!({ "file": args.file.display().to_string(), "bytes": size }));
    } else {
        eprintln!("wrote {} ({size} bytes)", args.file.display());
    }
    Ok(())
}
