//! `muster events`

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;

use super::progress::{Progress, size};
use super::token::{duration, micros};
use super::{output, store};
use crate::clock::system;
use crate::db::{DatabaseUrl, Db, StoreError, events, keep_private, state};
use crate::directory::replay::{self, ReplayError};
use crate::directory::sealing::{self, Broken, Report, VerifyError};

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Check that nothing in the log was altered, added or removed since it was sealed
    Verify {
        /// An exported log instead of the store's
        #[arg(long)]
        file: Option<PathBuf>,
        /// The hash of a seal, as it was noted earlier: the log has to have it
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
    },
    /// Write the log to a file, a line of JSON for each event and each seal
    Export {
        /// The file to write, which must not exist yet; `-` is the standard output
        file: PathBuf,
        /// Leave out the events up to this position
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: i64,
    },
    /// Build the state of a store from an exported log: of an empty store, or of a backup
    Replay {
        /// The exported log
        file: PathBuf,
    },
    /// Print a hash of the state: equal where two stores hold the same
    Digest,
    /// Remove events that are older than an age, once they are sealed
    Prune {
        /// The age, such as 400d
        #[arg(long, value_name = "AGE", value_parser = duration)]
        older_than: Duration,
    },
}

/// Carries out the command. A log that is found not to be whole is a failure, not an error.
///
/// # Errors
/// What the command says.
pub async fn run(
    command: EventsCommand,
    url: DatabaseUrl,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        EventsCommand::Verify { file: Some(file), expect } => {
            let progress = Progress::begin("verifying", size(&file), as_json);
            return match replay::verify(progress.reading(read(&file)?), expect) {
                Err(ReplayError::Broken(broken)) => Ok(not_whole(&broken, as_json)),
                found => Ok(report(&found?, as_json)),
            };
        }
        EventsCommand::Verify { file: None, expect } => {
            let db = store::existing(url).await?;
            let progress = Progress::begin("verifying", None, as_json);
            let found = db.snapshot(move |conn| sealing::verify(conn, expect)).await;
            drop(progress);
            return match found {
                Err(VerifyError::Broken(broken)) => Ok(not_whole(&broken, as_json)),
                found => Ok(report(&found?, as_json)),
            };
        }
        EventsCommand::Export { file, after } => {
            let db = store::existing(url).await?;
            sealing::seal(&db, system()()).await?;
            let progress = Progress::begin("exporting", None, as_json || file == Path::new("-"));
            let lines = export(&db, file.clone(), after, progress).await?;
            if as_json && file != Path::new("-") {
                output::json(&json!({ "file": file.display().to_string(), "lines": lines }));
            } else {
                eprintln!("wrote {lines} lines to {}", file.display());
            }
        }
        EventsCommand::Replay { file } => {
            // Before anything is written.
            let progress = Progress::begin("verifying", size(&file), as_json);
            let found = replay::verify(progress.reading(read(&file)?), None)?;
            drop(progress);
            let db = store::migrated(url).await?;
            let progress = Progress::begin("replaying", size(&file), as_json);
            replay::replay(&db, progress.reading(read(&file)?)).await?;
            drop(progress);
            let digest = db.snapshot(state::digest).await?;
            if as_json {
                output::json(&json!({ "digest": digest, "hash": found.hash }));
            } else {
                report(&found, as_json);
                output::fields(&[("State", digest)]);
            }
        }
        EventsCommand::Digest => {
            let db = store::existing(url).await?;
            let (digest, position) = db
                .snapshot(|conn| {
                    Ok::<_, StoreError>((state::digest(conn)?, events::last_position(conn)?))
                })
                .await?;
            if as_json {
                output::json(&json!({ "digest": digest, "position": position }));
            } else {
                output::line(digest);
            }
        }
        EventsCommand::Prune { older_than } => {
            let db = store::existing(url).await?;
            let now = system()();
            sealing::seal(&db, now).await?;
            let removed = sealing::prune(&db, now - micros(older_than), now).await?;
            if as_json {
                output::json(&json!({ "removed": removed }));
            } else {
                eprintln!("removed {removed} events");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is wrong with a log.
fn not_whole(broken: &Broken, as_json: bool) -> ExitCode {
    if as_json {
        output::json(&json!({ "broken": broken.to_string() }));
    } else {
        eprintln!("the log is not whole: {broken}");
    }
    ExitCode::FAILURE
}

fn read(file: &Path) -> anyhow::Result<BufReader<File>> {
    let opened = File::open(file).with_context(|| format!("could not read {}", file.display()))?;
    Ok(BufReader::new(opened))
}

/// Writes the log; returns how many lines it has.
async fn export(db: &Db, file: PathBuf, after: i64, progress: Progress) -> anyhow::Result<u64> {
    if file != Path::new("-") && file.exists() {
        bail!("{} exists already; name a new file", file.display());
    }
    let lines = db
        .snapshot(move |conn| {
            if file == Path::new("-") {
                return match sealing::export(conn, after, &mut std::io::stdout().lock()) {
                    // Whoever has stopped reading has read enough.
                    Err(error) if error.is_broken_pipe() => Ok(0),
                    done => done,
                };
            }
            // It holds personal data.
            keep_private(&file);
            let out = BufWriter::new(File::options().write(true).open(&file)?);
            let mut out = progress.writing(out);
            // What was written of it could be taken for all.
            sealing::export(conn, after, &mut out)
                .inspect_err(|_| drop(std::fs::remove_file(&file)))
        })
        .await?;
    Ok(lines)
}

fn report(found: &Report, as_json: bool) -> ExitCode {
    if as_json {
        output::json(&json!({
            "seals": found.seals,
            "hash": found.hash,
            "sealed": found.sealed,
            "unsealed": found.unsealed,
            "removed": found.removed,
        }));
        return ExitCode::SUCCESS;
    }
    output::fields(&[
        ("Seals", found.seals.to_string()),
        ("Hash of the last", found.hash.clone().unwrap_or_else(|| "-".to_owned())),
        ("Sealed events", found.sealed.to_string()),
        ("Not sealed yet", found.unsealed.to_string()),
        ("Removed for their age", found.removed.to_string()),
    ]);
    ExitCode::SUCCESS
}
