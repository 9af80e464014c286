//! Building the state of a store from its log.

use std::io::BufRead;

use serde_json::Value;

use super::changes;
use super::sealing::{Broken, Piece, Report, Verifier};
use super::users::folded_emails;
use crate::db::events::{self as rows, LogRow};
use crate::db::journal::Change;
use crate::db::seals::SealRow;
use crate::db::{Conn, Db, MayBeStore, StoreError, console, emails, replay, seals, sessions};
use crate::scim::resource::Document;

/// How many pieces of a log are carried over in one transaction.
const BATCH: usize = 500;

/// Why a log cannot be carried over.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log is not whole.
    #[error("the log is not to be trusted: {0}")]
    Broken(#[from] Broken),
    #[error("line {0} is no part of a log")]
    Line(usize),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Events before a certain version say only in words what they changed.
    #[error(
        "the event at position {0} does not say what it changed: it was written by an older version; \
         begin with a backup from later than that"
    )]
    NoChanges(i64),
    /// The store's own log and the one that is read do not fit together.
    #[error(
        "the store's log ends at position {0}, and what is read goes on after that: begin with an \
         empty store, or with a backup of the one that the log is from"
    )]
    Apart(i64),
    /// The store's own log goes another way.
    #[error(
        "the store is not a backup of the one that the log is from, or something has written to it \
         since: position {0} differs. Restore the backup anew, and replay before anything else"
    )]
    Another(i64),
    /// The store's seals go another way, and those of the log would not be a chain with them.
    #[error(
        "the store is not a backup of the one that the log is from, or has sealed its log by itself \
         since: seal {0} is another. Restore the backup anew, and replay before anything else"
    )]
    Sealed(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for ReplayError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl MayBeStore for ReplayError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            other => Err(other),
        }
    }
}

/// Holds an exported log against its seals; `expected` is the hash of one of them.
///
/// # Errors
/// The log is not whole, or cannot be read.
pub fn verify(log: impl BufRead, expected: Option<String>) -> Result<Report, ReplayError> {
    let mut verifier = Verifier::new(expected);
    for (line, text) in log.lines().enumerate() {
        verifier.look(&piece(line, &text?)?)?;
    }
    Ok(verifier.finish()?)
}

/// The piece of a log in a line of a file.
fn piece(line: usize, text: &str) -> Result<Piece, ReplayError> {
    serde_json::from_str(text).map_err(|_| ReplayError::Line(line + 1))
}

/// Does in a store, whose tables are there, what an exported log says was done; events that the
/// store has already are held against the log and passed over. Each batch is one transaction, and a
/// run that was interrupted can be run again. Everybody is signed out by it. Whether the log is whole
/// is for [`verify`] to say.
///
/// # Errors
/// The log does not fit to the store, or cannot be read; the store's.
pub async fn replay(db: &Db, log: impl BufRead) -> Result<(), ReplayError> {
    let mut batch = Vec::with_capacity(BATCH);
    for (line, text) in log.lines().enumerate() {
        batch.push(piece(line, &text?)?);
        if batch.len() == BATCH {
            carry_over(db, std::mem::take(&mut batch)).await?;
        }
    }
    carry_over(db, batch).await
}

async fn carry_over(db: &Db, batch: Vec<Piece>) -> Result<(), ReplayError> {
    db.note("replay", move |conn| {
        let mut is_news = false;
        for piece in &batch {
            match piece {
                Piece::After(_) => {}
                Piece::Seal(seal) => match seals::find(conn, seal.number)? {
                    // Either may have removed events since.
                    Some(own)
                        if (SealRow { pruned_at: seal.pruned_at, ..own.clone() }) != *seal =>
                    {
                        return Err(ReplayError::Sealed(seal.number));
                    }
                    Some(_) => {}
                    None => seals::insert(conn, seal)?,
                },
                Piece::Event(event) => is_news |= redo(conn, event)?,
            }
        }
        if is_news {
            // Which sessions and links have ended since a backup was made, the log does not tell.
            sessions::delete_all(conn)?;
            console::delete_all(conn)?;
        }
        Ok(rows::continue_sequence(conn)?)
    })
    .await
}

/// Does what an event tells of; whether the store did not have it yet.
fn redo(conn: &mut Conn, event: &LogRow) -> Result<bool, ReplayError> {
    let position = event.position.unwrap_or_default();
    let last = rows::last_position(conn)?;
    if position <= last {
        let own = rows::log(conn, position, position)?;
        // What was removed for its age cannot be held against anything.
        return match own.first() {
            Some(own) if own != event => Err(ReplayError::Another(position)),
            _ => Ok(false),
        };
    }
    if position != last + 1 {
        return Err(ReplayError::Apart(last));
    }
    // What was committed before the copy was made, and got its place after.
    if let Some(own) = rows::unplaced(conn, event.sequence)? {
        if (LogRow { position: event.position, ..own }) != *event {
            return Err(ReplayError::Another(position));
        }
        rows::set_position(conn, event.sequence, position)?;
        return Ok(false);
    }
    let told = event.changes.as_deref().ok_or(ReplayError::NoChanges(position))?;
    let data: Value = serde_json::from_str(&event.data).map_err(StoreError::from)?;
    for change in changes::read(told, &event.subject_id, &data)? {
        replay::apply(conn, &event.connection_id, &change)?;
        if let Change::User(row) = &change {
            let document: Document = Document::from_stored(
                serde_json::from_str(&row.document).map_err(StoreError::from)?,
            );
            let addresses = folded_emails(&document);
            let addresses = addresses.iter().map(String::as_str);
            emails::replace(conn, &row.connection_id, &row.id, addresses)?;
        }
    }
    rows::insert_logged(conn, event)?;
    Ok(true)
}
