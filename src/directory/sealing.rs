//! Seals: what makes it show when the log was tampered with.
//!
//! Events are written without waiting for each other. Some time later a task takes the next of them
//! that have a position, and lays a seal over them: a hash of all that they say, chained to the seal
//! before. Whoever noted the hash of one seal elsewhere (the server logs it) can tell later whether
//! anything up to it was altered, added or removed.

use std::io::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::feed;
use crate::db::events::{self as rows, LogRow};
use crate::db::seals::{self, SealRow};
use crate::db::{Conn, Db, StoreError, webhooks};

/// How many events are under one seal at most.
const BATCH: i64 = 5_000;
/// How many bytes the events under one seal have at most, if there is more than one.
const MAX_BYTES: i64 = 2 * 1024 * 1024;
/// Seals that are read at a time.
const PAGE: i64 = 500;
/// What the first seal is chained to.
const BEGINNING: &str = "muster";

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the event at position {0} is missing, or another is in its place")]
    Gap(i64),
    #[error("the events from position {0} to {1} are not those that were sealed")]
    Altered(i64, i64),
    #[error("seal {0} does not follow the one before it")]
    Chain(i64),
    #[error("no seal has the hash that was asked for: the log is another, or was cut off")]
    Unknown,
    #[error("there are events at position {0} that were removed because of their age")]
    Removed(i64),
}

/// Why a log could not be found to be whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{0}")]
    Broken(#[from] Broken),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for VerifyError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl crate::db::MayBeStore for VerifyError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            broken @ Self::Broken(_) => Err(broken),
        }
    }
}

/// What was found of a log that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many seals there are.
    pub seals: i64,
    /// The hash of the last seal; none where nothing is sealed.
    pub hash: Option<String>,
    /// How many sealed events were looked at.
    pub sealed: i64,
    /// How many events are not sealed yet.
    pub unsealed: i64,
    /// How many events were removed because of their age.
    pub removed: i64,
}

/// Hashes events one after the other.
#[derive(Default)]
struct EventsHash(Sha256);

impl EventsHash {
    fn add(&mut self, event: &LogRow) {
        let numbers = [Some(event.sequence), event.position, Some(event.at)];
        for number in numbers {
            self.field(number.map(|number| number.to_string()).as_deref());
        }
        for text in [
            Some(&event.connection_id),
            Some(&event.actor),
            event.actor_id.as_ref(),
            event.request_id.as_ref(),
            Some(&event.action),
            Some(&event.subject),
            Some(&event.subject_id),
            Some(&event.data),
            event.changes.as_ref(),
        ] {
            self.field(text.map(String::as_str));
        }
    }

    /// With its length before it, so that no two lists of fields hash alike.
    fn field(&mut self, text: Option<&str>) {
        match text {
            Some(text) => {
                self.0.update(text.len().to_string());
                self.0.update(":");
                self.0.update(text);
            }
            None => self.0.update("-"),
        }
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// The hash of a seal, chained to the one before.
fn chained(seal: &SealRow, before: Option<&str>) -> String {
    let SealRow { number, first_position, last_position, events_hash, sealed_at, .. } = seal;
    let before = before.unwrap_or(BEGINNING);
    hex::encode(Sha256::digest(format!(
        "{before} {number} {first_position} {last_position} {events_hash} {sealed_at}"
    )))
}

/// Looks at a log from its beginning: each seal, then the events under it, and at last those that
/// are under none.
#[derive(Default)]
pub struct Verifier {
    /// The hash that has to come up.
    expected: Option<String>,
    last: Option<SealRow>,
    /// Events up to here are not looked at.
    after: i64,
    events: EventsHash,
    position: i64,
    sealed: i64,
    unsealed: i64,
    removed: i64,
}

impl Verifier {
    /// One that wants to see a seal with a certain hash, if one is given.
    pub fn new(expected: Option<String>) -> Self {
        Self { expected, ..Self::default() }
    }

    /// The next piece.
    ///
    /// # Errors
    /// It shows that the log is not whole.
    pub fn look(&mut self, piece: &Piece) -> Result<(), Broken> {
        match piece {
            Piece::After(position) => {
                // A beginning may be left out, and nothing else.
                if self.last.is_some() || self.position != 0 || *position <= 0 {
                    return Err(Broken::Gap(self.position + 1));
                }
                self.after = *position;
                self.position = *position;
                Ok(())
            }
            Piece::Seal(seal) => self.seal(seal),
            Piece::Event(event) => self.event(event),
        }
    }

    /// The next seal.
    ///
    /// # Errors
    /// The events under the one before are not what was sealed, or the chain is broken.
    fn seal(&mut self, seal: &SealRow) -> Result<(), Broken> {
        self.end_seal()?;
        let before = self.last.as_ref();
        let follows = seal.number == before.map_or(0, |seal| seal.number) + 1
            && seal.first_position == before.map_or(0, |seal| seal.last_position) + 1
            && seal.last_position >= seal.first_position
            && seal.hash == chained(seal, before.map(|seal| seal.hash.as_str()));
        // What is sealed later is kept longer.
        let in_order = seal.pruned_at.is_none() || self.sealed == 0;
        if !follows || !in_order || self.unsealed > 0 {
            return Err(Broken::Chain(seal.number));
        }
        if self.expected.as_ref() == Some(&seal.hash) {
            self.expected = None;
        }
        if seal.pruned_at.is_some() {
            self.position = self.position.max(seal.last_position);
            self.removed = seal.last_position;
        }
        self.last = Some(seal.clone());
        Ok(())
    }

    /// The next event.
    ///
    /// # Errors
    /// It is not the next one.
    fn event(&mut self, event: &LogRow) -> Result<(), Broken> {
        let position = event.position.unwrap_or_default();
        if position <= self.removed {
            return Err(Broken::Removed(position));
        }
        if position != self.position + 1 {
            return Err(Broken::Gap(self.position + 1));
        }
        self.position = position;
        let covered = self.last.as_ref().is_some_and(|seal| position <= seal.last_position);
        if covered {
            self.events.add(event);
            self.sealed += 1;
        } else {
            self.unsealed += 1;
        }
        Ok(())
    }

    /// Ends the look.
    ///
    /// # Errors
    /// The events under the last seal are not what was sealed, or the hash did not come up.
    pub fn finish(mut self) -> Result<Report, Broken> {
        self.end_seal()?;
        let sealed = self.last.as_ref().map_or(0, |seal| seal.last_position);
        if self.after > sealed {
            return Err(Broken::Gap(sealed + 1));
        }
        if self.expected.is_some() {
            return Err(Broken::Unknown);
        }
        Ok(Report {
            seals: self.last.as_ref().map_or(0, |seal| seal.number),
            hash: self.last.map(|seal| seal.hash),
            sealed: self.sealed,
            unsealed: self.unsealed,
            removed: self.removed,
        })
    }

    fn end_seal(&mut self) -> Result<(), Broken> {
        let is_here = |seal: &&SealRow| seal.pruned_at.is_none() && seal.last_position > self.after;
        let Some(seal) = self.last.as_ref().filter(is_here) else { return Ok(()) };
        if self.position < seal.last_position {
            return Err(Broken::Gap(self.position + 1));
        }
        let found = std::mem::take(&mut self.events).finish();
        if found == seal.events_hash {
            Ok(())
        } else {
            Err(Broken::Altered(seal.first_position, seal.last_position))
        }
    }
}

/// Gives every committed event its position, and lays seals over all of them. What is written
/// meanwhile is for the next time: under load there would be no end to it. Several processes may do
/// it at once: one of them is faster.
///
/// # Errors
/// The store's.
pub async fn seal(db: &Db, now: i64) -> Result<(), StoreError> {
    while db.read(|conn| Ok::<_, StoreError>(rows::any_without_position(conn)?)).await? {
        if !db.note("place_events", feed::place).await? {
            break;
        }
    }
    let end = db.read(|conn| Ok::<_, StoreError>(rows::last_position(conn)?)).await?;
    loop {
        let next = db.read(move |conn| next_seal(conn, end, now)).await?;
        let Some(next) = next else { return Ok(()) };
        let (hash, last) = (next.hash.clone(), next.last_position);
        let is_first = db
            .note("seal_events", move |conn| {
                // What was read is as it was: events with a position do not change.
                let before = seals::last(conn)?.map_or(0, |seal| seal.number);
                let is_next = before + 1 == next.number;
                if is_next {
                    seals::insert(conn, &next)?;
                }
                Ok::<_, StoreError>(is_next)
            })
            .await?;
        if is_first {
            // Whoever keeps the server's log keeps a witness.
            log::info!(position = last, hash:% = hash; "sealed events up to {last}: {hash}");
        }
    }
}

/// The seal over the next events, unless all are sealed up to a position.
fn next_seal(conn: &mut Conn, end: i64, now: i64) -> Result<Option<SealRow>, StoreError> {
    let before = seals::last(conn)?;
    let (number, after) = before.as_ref().map_or((0, 0), |seal| (seal.number, seal.last_position));
    if after >= end {
        return Ok(None);
    }
    let Some(last) = rows::batch_end(conn, after, BATCH, MAX_BYTES)? else { return Ok(None) };
    let mut events = EventsHash::default();
    for event in rows::log(conn, after + 1, last)? {
        events.add(&event);
    }
    let mut seal = SealRow {
        number: number + 1,
        first_position: after + 1,
        last_position: last,
        events_hash: events.finish(),
        hash: String::new(),
        sealed_at: now,
        pruned_at: None,
    };
    seal.hash = chained(&seal, before.as_ref().map(|seal| seal.hash.as_str()));
    Ok(Some(seal))
}

/// Verifies the newest seals, no more than `count` of them, each with its events and the one before it,
/// and gives how many; the whole log is [`verify`]'s.
///
/// # Errors
/// The log is not whole, or the store's.
pub fn verify_newest(conn: &mut Conn, count: i64) -> Result<usize, VerifyError> {
    let Some(last) = seals::last(conn)? else { return Ok(0) };
    let mut verified = 0;
    let mut before = seals::find(conn, last.number - count)?;
    for seal in seals::page(conn, last.number - count, count)? {
        let earlier = before.as_ref();
        let follows = seal.number == earlier.map_or(0, |seal| seal.number) + 1
            && seal.first_position == earlier.map_or(0, |seal| seal.last_position) + 1
            && seal.hash == chained(&seal, earlier.map(|seal| seal.hash.as_str()));
        if !follows {
            return Err(Broken::Chain(seal.number).into());
        }
        if seal.pruned_at.is_none() {
            let mut events = EventsHash::default();
            let mut next = seal.first_position;
            for event in rows::log(conn, seal.first_position, seal.last_position)? {
                if event.position != Some(next) {
                    return Err(Broken::Gap(next).into());
                }
                events.add(&event);
                next += 1;
            }
            let found = events.finish();
            if !(next > seal.last_position && found == seal.events_hash) {
                return Err(Broken::Altered(seal.first_position, seal.last_position).into());
            }
        }
        verified += 1;
        before = Some(seal);
    }
    Ok(verified)
}

/// A piece of the log, in the order in which [`Verifier`] looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// The events up to this position, which a seal ends at, are left out.
    After(i64),
    Seal(SealRow),
    Event(LogRow),
}

/// Goes through the log: each seal and the events under it, then those that are under none. Events
/// up to a position are left out, as far as whole seals go. Has to be called in a snapshot.
///
/// # Errors
/// The store's, or what `each` says.
pub fn walk<E: From<StoreError>>(
    conn: &mut Conn,
    after: i64,
    mut each: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: diesel::result::Error| E::from(error.into());
    let after =
        seals::last_up_to(conn, after).map_err(failed)?.map_or(0, |seal| seal.last_position);
    if after > 0 {
        each(Piece::After(after))?;
    }
    let mut number = 0;
    let mut done = 0;
    loop {
        let page = seals::page(conn, number, PAGE).map_err(failed)?;
        let Some(last) = page.last() else { break };
        number = last.number;
        for seal in page {
            let (first, last) = (seal.first_position, seal.last_position);
            let is_here = seal.pruned_at.is_none() && last > after;
            done = last;
            each(Piece::Seal(seal))?;
            if is_here {
                for event in rows::log(conn, first, last).map_err(failed)? {
                    each(Piece::Event(event))?;
                }
            }
        }
    }
    while let Some(last) = rows::batch_end(conn, done, BATCH, MAX_BYTES).map_err(failed)? {
        for event in rows::log(conn, done + 1, last).map_err(failed)? {
            each(Piece::Event(event))?;
        }
        done = last;
    }
    Ok(())
}

/// Why the log cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the file cannot be written: {0}")]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for ExportError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() { Self::Write(error.into()) } else { Self::Store(error.into()) }
    }
}

impl ExportError {
    /// Whether whoever was to read it has stopped reading.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl crate::db::MayBeStore for ExportError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            unwritten @ Self::Write(_) => Err(unwritten),
        }
    }
}

/// Writes the log after a position, a line of JSON for each piece; returns how many there are. Has to
/// be called in a snapshot.
///
/// # Errors
/// The store's, or that it cannot be written.
pub fn export(conn: &mut Conn, after: i64, out: &mut dyn Write) -> Result<u64, ExportError> {
    let mut lines = 0;
    walk(conn, after, |piece| {
        serde_json::to_writer(&mut *out, &piece)?;
        out.write_all(b"\n")?;
        lines += 1;
        Ok::<_, ExportError>(())
    })?;
    out.flush()?;
    Ok(lines)
}

/// Holds the log against its seals. Has to be called in a snapshot.
///
/// # Errors
/// What is wrong with it.
pub fn verify(conn: &mut Conn, expected: Option<String>) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::new(expected);
    walk(conn, 0, |piece| Ok::<_, VerifyError>(verifier.look(&piece)?))?;
    if let Some(position) = rows::first_position(conn)?.filter(|first| *first <= verifier.removed) {
        return Err(Broken::Removed(position).into());
    }
    let mut report = verifier.finish()?;
    report.unsealed += rows::without_position(conn)?;
    Ok(report)
}

/// Removes the sealed events that are all older than a time, seal by seal; returns how many. Those
/// under the last seal stay, so that positions go on from there.
///
/// # Errors
/// The store's.
pub async fn prune(db: &Db, before: i64, now: i64) -> Result<usize, StoreError> {
    let mut removed = 0;
    loop {
        let batch = db.note("prune_events", move |conn| prune_next(conn, before, now)).await?;
        let Some(batch) = batch else { return Ok(removed) };
        removed += batch;
    }
}

/// Removes the events under the first seal that has some, if they are old enough.
fn prune_next(conn: &mut Conn, before: i64, now: i64) -> Result<Option<usize>, StoreError> {
    let Some(seal) = seals::first_kept(conn)? else { return Ok(None) };
    let is_last = seals::last(conn)?.is_none_or(|last| last.number == seal.number);
    let latest = rows::latest_time(conn, seal.first_position, seal.last_position)?;
    if is_last || latest.is_some_and(|latest| latest >= before) {
        return Ok(None);
    }
    if seals::prune(conn, seal.number, now)? == 0 {
        // Another process was faster.
        return Ok(Some(0));
    }
    // A webhook whose connection is quiet misses nothing by it, also where nobody has delivered for long.
    let last = rows::last_position(conn)?;
    webhooks::pass_over(conn, last, now)?;
    Ok(Some(rows::remove(conn, seal.first_position, seal.last_position)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64) -> LogRow {
        LogRow {
            sequence: position + 10,
            connection_id: "c".to_owned(),
            at: 1_000 + position,
            actor: "token".to_owned(),
            actor_id: Some("t".to_owned()),
            request_id: None,
            action: "updated".to_owned(),
            subject: "user".to_owned(),
            subject_id: "u".to_owned(),
            data: "{}".to_owned(),
            position: Some(position),
            changes: Some("[]".to_owned()),
        }
    }

    /// Two seals over three events each, and one event more.
    fn log() -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut before: Option<SealRow> = None;
        for number in 1..=2 {
            let positions = number * 3 - 2..=number * 3;
            let mut events = EventsHash::default();
            positions.clone().for_each(|position| events.add(&event(position)));
            let mut seal = SealRow {
                number,
                first_position: *positions.start(),
                last_position: *positions.end(),
                events_hash: events.finish(),
                hash: String::new(),
                sealed_at: 5,
                pruned_at: None,
            };
            seal.hash = chained(&seal, before.as_ref().map(|seal| seal.hash.as_str()));
            pieces.push(Piece::Seal(seal.clone()));
            pieces.extend(positions.map(|position| Piece::Event(event(position))));
            before = Some(seal);
        }
        pieces.push(Piece::Event(event(7)));
        pieces
    }

    fn look(log: &[Piece], expected: Option<&str>) -> Result<Report, Broken> {
        let mut verifier = Verifier::new(expected.map(str::to_owned));
        for piece in log {
            verifier.look(piece)?;
        }
        verifier.finish()
    }

    fn hashes(log: &[Piece]) -> Vec<String> {
        let hash = |piece: &Piece| match piece {
            Piece::Seal(seal) => Some(seal.hash.clone()),
            Piece::After(_) | Piece::Event(_) => None,
        };
        log.iter().filter_map(hash).collect()
    }

    fn change(log: &[Piece], place: usize, with: impl Fn(&mut LogRow)) -> Vec<Piece> {
        let mut log = log.to_vec();
        if let Some(Piece::Event(event)) = log.get_mut(place) {
            with(event);
        }
        log
    }

    #[test]
    fn a_whole_log_is_found_whole() {
        let log = log();
        let report = look(&log, None).unwrap();
        assert_eq!((report.seals, report.sealed, report.unsealed, report.removed), (2, 6, 1, 0));
        let hashes = hashes(&log);
        assert_eq!(report.hash.as_ref(), hashes.last());
        for hash in &hashes {
            assert!(look(&log, Some(hash)).is_ok());
        }
        assert_eq!(look(&log, Some("0")), Err(Broken::Unknown));
    }

    #[test]
    fn whatever_is_altered_shows() {
        let log = log();
        let whole = hashes(&log);
        // Places of the log: a seal, events 1 to 3, a seal, events 4 to 6, event 7.
        for place in [1, 3, 5, 7] {
            type With = fn(&mut LogRow);
            let alterations: [With; 12] = [
                |event| event.sequence += 1,
                |event| event.at += 1,
                |event| event.connection_id.push('x'),
                |event| event.actor.push('x'),
                |event| event.actor_id = None,
                |event| event.request_id = Some(String::new()),
                |event| event.action.push('x'),
                |event| event.subject.push('x'),
                |event| event.subject_id.push('x'),
                |event| event.data.push(' '),
                |event| event.changes = None,
                // What moves from one field to the next.
                |event| {
                    event.subject.push('u');
                    event.subject_id.clear();
                },
            ];
            for with in alterations {
                let altered = look(&change(&log, place, with), None);
                assert!(matches!(altered, Err(Broken::Altered(..))), "{altered:?}");
            }
            let mut without = log.clone();
            without.remove(place);
            assert!(matches!(look(&without, None), Err(Broken::Gap(_))));
        }
        let mut swapped = log.clone();
        swapped.swap(1, 2);
        assert_eq!(look(&swapped, None), Err(Broken::Gap(1)));
        // A log that was cut off, or sealed anew, is whole in itself: a hash from elsewhere tells.
        assert!(look(&log[..4], None).is_ok());
        assert_eq!(look(&log[..4], whole.last().map(String::as_str)), Err(Broken::Unknown));
    }

    #[test]
    fn seals_that_do_not_follow_each_other_show() {
        let log = log();
        let with = |place: usize, with: fn(&mut SealRow)| {
            let mut log = log.clone();
            if let Some(Piece::Seal(seal)) = log.get_mut(place) {
                with(seal);
            }
            look(&log, None)
        };
        let broken: [fn(&mut SealRow); 5] = [
            |seal| seal.number += 1,
            |seal| seal.sealed_at += 1,
            |seal| seal.events_hash.push('0'),
            |seal| seal.hash.push('0'),
            |seal| seal.last_position += 1,
        ];
        for place in [0, 4] {
            for alteration in broken {
                assert!(matches!(with(place, alteration), Err(Broken::Chain(_))));
            }
        }
        assert!(look(&log[4..], None).is_err());
    }

    #[test]
    fn what_is_left_out_is_no_gap() {
        let mut rest = log();
        rest.drain(1..4);
        assert_eq!(look(&rest, None), Err(Broken::Gap(1)));
        rest.insert(0, Piece::After(3));
        let report = look(&rest, None).unwrap();
        assert_eq!((report.seals, report.sealed, report.unsealed, report.removed), (2, 3, 1, 0));
    }

    #[test]
    fn nothing_but_a_sealed_beginning_is_left_out() {
        // The events of the second seal are taken away, and called left out.
        let mut middle = log();
        middle.splice(5..8, [Piece::After(6)]);
        assert!(look(&middle, None).is_err());
        let mut end = log();
        end.push(Piece::After(i64::MAX));
        assert!(look(&end, None).is_err());
        for after in [2, 7, i64::MAX, -1] {
            let mut rest = log();
            rest.retain(|piece| match piece {
                Piece::Event(event) => event.position > Some(after),
                _ => true,
            });
            rest.insert(0, Piece::After(after));
            assert!(look(&rest, None).is_err(), "{after}");
        }
        assert!(look(&[Piece::After(3)], None).is_err());
    }

    #[test]
    fn what_was_removed_for_its_age_is_no_gap() {
        let mut pruned = log();
        if let Some(Piece::Seal(seal)) = pruned.first_mut() {
            seal.pruned_at = Some(9);
        }
        assert_eq!(look(&pruned, None), Err(Broken::Removed(1)));
        pruned.drain(1..4);
        let report = look(&pruned, None).unwrap();
        assert_eq!((report.seals, report.sealed, report.unsealed, report.removed), (2, 3, 1, 3));
    }
}
