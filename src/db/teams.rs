//! Teams.

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::connection::{Conn, on_either};
use super::filter::{Kind, Window};
use super::journal::{self, Change};
use super::schema::teams;
use super::secrets::EPOCH_COLUMN;
use super::sql::{Fixed, Sql};
use super::totals;

/// A row of `teams`.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Queryable,
    QueryableByName,
    Insertable,
    AsChangeset,
    Serialize,
    Deserialize,
)]
// An update leaves the keys alone: the database would look every row up that refers to them.
#[diesel(table_name = teams, primary_key(id, connection_id))]
#[diesel(treat_none_as_null = true, treat_none_as_default_value = false)]
pub struct TeamRow {
    pub id: String,
    pub connection_id: String,
    pub display_name: String,
    pub display_name_fold: String,
    pub external_id: Option<String>,
    pub scim_managed: bool,
    pub document: String,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(QueryableByName)]
struct TeamId {
    #[diesel(sql_type = Text)]
    id: String,
}

/// A team that was looked up to be shown.
#[derive(Debug, Queryable)]
pub struct Found {
    pub team: TeamRow,
    /// The [epoch](super::secrets::access_epoch) in which it was found.
    pub epoch: String,
}

/// The columns of `teams` in the order of a [`TeamRow`]'s fields.
const COLUMNS: &str = "teams.id, teams.connection_id, teams.display_name, teams.display_name_fold, \
    teams.external_id, teams.scim_managed, teams.document, teams.version, teams.created_at, \
    teams.updated_at";

/// The team with that id, to be shown.
pub fn show(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<Option<Found>> {
    let statement = Sql::new("SELECT ")
        .raw(COLUMNS)
        .raw(", ")
        .raw(EPOCH_COLUMN)
        .raw(" FROM teams WHERE teams.connection_id = ")
        .text(connection_id)
        .raw(" AND teams.id = ")
        .text(id)
        .columns::<(teams::SqlType, Text)>();
    on_either!(conn, |conn| statement.get_result(conn)).optional()
}

/// The team with that id.
pub fn find(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<Option<TeamRow>> {
    teams::table
        .filter(teams::connection_id.eq(connection_id))
        .filter(teams::id.eq(id))
        .first(conn)
        .optional()
}

/// The team with that id, locked against other writers until the transaction ends.
///
/// SQLite has a single writer, so there the transaction itself is the lock.
pub fn lock(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<Option<TeamRow>> {
    // No key changes, so memberships that refer to the row need not wait.
    locked(conn, connection_id, id, " FOR NO KEY UPDATE")
}

/// Locks a team that is about to be deleted, against those too who would refer to it.
pub fn lock_for_removal(
    conn: &mut Conn,
    connection_id: &str,
    id: &str,
) -> QueryResult<Option<TeamRow>> {
    locked(conn, connection_id, id, " FOR UPDATE")
}

fn locked(
    conn: &mut Conn,
    connection_id: &str,
    id: &str,
    lock: &str,
) -> QueryResult<Option<TeamRow>> {
    if conn.is_postgres() {
        Sql::new("SELECT * FROM teams WHERE connection_id = ")
            .text(connection_id)
            .raw(" AND id = ")
            .text(id)
            .raw(lock)
            .get_result(conn)
            .optional()
    } else {
        find(conn, connection_id, id)
    }
}

/// Id of the team with that folded display name.
pub fn find_by_display_name(
    conn: &mut Conn,
    connection_id: &str,
    display_name_fold: &str,
) -> QueryResult<Option<String>> {
    teams::table
        .filter(teams::connection_id.eq(connection_id))
        .filter(teams::display_name_fold.eq(display_name_fold))
        .select(teams::id)
        .first(conn)
        .optional()
}

/// Id of the team with that external id.
pub fn find_by_external_id(
    conn: &mut Conn,
    connection_id: &str,
    external_id: &str,
) -> QueryResult<Option<String>> {
    teams::table
        .filter(teams::connection_id.eq(connection_id))
        .filter(teams::external_id.eq(external_id))
        .select(teams::id)
        .first(conn)
        .optional()
}

/// Id of the team with that folded display name, if only a claim has made it.
pub fn find_claimed(
    conn: &mut Conn,
    connection_id: &str,
    display_name_fold: &str,
) -> QueryResult<Option<String>> {
    teams::table
        .filter(teams::connection_id.eq(connection_id))
        .filter(teams::display_name_fold.eq(display_name_fold))
        .filter(teams::scim_managed.eq(false))
        .select(teams::id)
        .first(conn)
        .optional()
}

/// What a claim value can name a team by.
#[derive(Debug, Clone, QueryableByName)]
#[diesel(table_name = teams)]
pub struct TeamKeys {
    pub id: String,
    pub display_name_fold: String,
    pub external_id: Option<String>,
}

/// The teams that one of the values names, by external id or by folded display name.
pub fn named(
    conn: &mut Conn,
    connection_id: &str,
    values: &[&str],
    folded: &[&str],
) -> QueryResult<Vec<TeamKeys>> {
    Sql::new("SELECT id, display_name_fold, external_id FROM teams WHERE connection_id = ")
        .text(connection_id)
        .raw(" AND external_id IN (")
        .set(conn, values.iter().copied())
        .raw(
            ") UNION SELECT id, display_name_fold, external_id FROM teams \
             WHERE connection_id = ",
        )
        .text(connection_id)
        .raw(" AND display_name_fold IN (")
        .set(conn, folded.iter().copied())
        .raw(")")
        .load(conn)
}

/// The team with that id, of whatever connection.
pub fn find_anywhere(conn: &mut Conn, id: &str) -> QueryResult<Option<TeamRow>> {
    teams::table.filter(teams::id.eq(id)).first(conn).optional()
}

/// The teams of one connection, or of all, after an id, in the order of their ids.
pub fn page(
    conn: &mut Conn,
    connection_id: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<TeamRow>> {
    let statement =
        Sql::new("SELECT teams.* FROM teams WHERE teams.id > ").text(after.unwrap_or_default());
    match connection_id {
        Some(id) => statement.raw(" AND teams.connection_id = ").text(id),
        None => statement,
    }
    .raw(" ORDER BY teams.id LIMIT ")
    .integer(limit)
    .load(conn)
}

/// The teams of a connection that have `key` as id or external id, or `folded` as folded display
/// name.
pub fn answering_to(
    conn: &mut Conn,
    connection_id: &str,
    key: &str,
    folded: &str,
) -> QueryResult<Vec<TeamRow>> {
    Sql::new("SELECT * FROM teams WHERE connection_id = ")
        .text(connection_id)
        .raw(" AND (id = ")
        .text(key)
        .raw(" OR external_id = ")
        .text(key)
        .raw(" OR display_name_fold = ")
        .text(folded)
        .raw(") ORDER BY id")
        .load(conn)
}

/// Marks teams as changed.
pub fn touch<'a>(
    conn: &mut Conn,
    ids: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> QueryResult<()> {
    let which = Sql::new("id IN (").set(conn, ids).raw(")");
    touch_where(conn, which, now)
}

fn touch_where(conn: &mut Conn, which: Sql, now: i64) -> QueryResult<()> {
    let touched: Vec<TeamId> = Sql::new("UPDATE teams SET version = version + 1, updated_at = ")
        .integer(now)
        .raw(" WHERE ")
        .append(which)
        .raw(" RETURNING id")
        .load(conn)?;
    if !touched.is_empty() {
        let mut ids: Vec<String> = touched.into_iter().map(|row| row.id).collect();
        ids.sort_unstable();
        journal::note(Change::TeamsTouched { ids, at: now });
    }
    Ok(())
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &TeamRow) -> QueryResult<()> {
    on_either!(conn, |conn| diesel::insert_into(teams::table).values(row).execute(conn))?;
    journal::note(Change::Team(row.clone()));
    Ok(())
}

/// Writes a row back of which the store has `before`.
///
/// SQLite writes every index again that holds a column which is set, whatever the value; so what stands
/// in an index is set only if it is another.
pub fn update_from(conn: &mut Conn, before: &TeamRow, row: &TeamRow) -> QueryResult<()> {
    // All fields by name, so that a new one is not forgotten here.
    let TeamRow {
        id,
        connection_id: _,
        display_name,
        display_name_fold,
        external_id,
        scim_managed,
        document,
        version,
        created_at,
        updated_at,
    } = row;
    let old_name = (&before.display_name, &before.display_name_fold);
    let changes = (
        (
            teams::scim_managed.eq(scim_managed),
            teams::document.eq(document),
            teams::version.eq(version),
            teams::created_at.eq(created_at),
            teams::updated_at.eq(updated_at),
        ),
        (old_name != (display_name, display_name_fold)).then(|| {
            (teams::display_name.eq(display_name), teams::display_name_fold.eq(display_name_fold))
        }),
        (before.external_id != *external_id).then(|| teams::external_id.eq(external_id)),
    );
    let update = diesel::update(teams::table.filter(teams::id.eq(id))).set(changes);
    let update = Fixed(update.returning(teams::id));
    let _: Vec<String> = on_either!(conn, |conn| update.load(conn))?;
    journal::note(Change::Team(row.clone()));
    Ok(())
}

/// Deletes a team with all that either source said of it.
pub fn delete(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<usize> {
    let deleted = diesel::delete(
        teams::table.filter(teams::connection_id.eq(connection_id)).filter(teams::id.eq(id)),
    )
    .execute(conn)?;
    if deleted > 0 {
        journal::note(Change::TeamGone { id: id.to_owned() });
    }
    Ok(deleted)
}

/// Marks the teams that a user is in as changed, because the user is about to go.
pub fn touch_teams_of(conn: &mut Conn, user_id: &str, now: i64) -> QueryResult<()> {
    let which =
        Sql::new("id IN (SELECT team_id FROM memberships WHERE user_id = ").text(user_id).raw(")");
    touch_where(conn, which, now)
}

/// The part of the teams that meet a condition that a window shows, at most `limit`.
pub fn list(
    conn: &mut Conn,
    connection_id: &str,
    condition: Option<&Sql>,
    window: &Window,
    limit: i64,
) -> QueryResult<Vec<TeamRow>> {
    let all = Sql::new("SELECT teams.* FROM teams WHERE ");
    window.of(all.append(meeting(connection_id, condition)), limit).load(conn)
}

/// The teams with those ids, in no order.
pub fn with_ids(conn: &mut Conn, connection_id: &str, ids: &[&str]) -> QueryResult<Vec<TeamRow>> {
    Sql::new("SELECT * FROM teams WHERE connection_id = ")
        .text(connection_id)
        .raw(" AND id IN (")
        .set(conn, ids.iter().copied())
        .raw(")")
        .load(conn)
}

/// How many teams meet a condition.
pub fn count(conn: &mut Conn, connection_id: &str, condition: Option<&Sql>) -> QueryResult<i64> {
    if condition.is_none() {
        return totals::of(conn, connection_id, Kind::Team);
    }
    let all = Sql::new("SELECT COUNT(*) AS total FROM teams WHERE ");
    super::count(conn, all.append(meeting(connection_id, condition)))
}

/// Whether SCIM manages one of the first thousand teams of a connection.
pub fn any_managed(conn: &mut Conn, connection_id: &str) -> QueryResult<bool> {
    let first = Sql::new(
        "SELECT COUNT(*) AS total FROM (SELECT scim_managed AS pushed FROM teams WHERE connection_id = ",
    )
    .text(connection_id)
    .raw(" LIMIT 1000) AS first_ones WHERE first_ones.pushed");
    Ok(super::count(conn, first)? > 0)
}

/// The condition that a row is one of the connection's and meets the condition.
pub(super) fn meeting(connection_id: &str, condition: Option<&Sql>) -> Sql {
    let statement = Sql::new("teams.connection_id = ").text(connection_id);
    match condition {
        Some(condition) => statement.raw(" AND ").append(condition.clone()),
        None => statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::migrations::migrated;

    fn stored(conn: &mut Conn) -> TeamRow {
        find(conn, "c", "t").unwrap().expect("the team")
    }

    #[test]
    fn an_update_writes_what_is_another_and_leaves_what_an_index_has() {
        let (mut conn, _folder) = migrated();
        let mut row = TeamRow {
            id: "t".to_owned(),
            connection_id: "c".to_owned(),
            display_name: "Staff".to_owned(),
            display_name_fold: "staff".to_owned(),
            external_id: None,
            scim_managed: false,
            document: "{}".to_owned(),
            version: 1,
            created_at: 1,
            updated_at: 1,
        };
        insert(&mut conn, &row).unwrap();
        let first = row.clone();
        let edits: [fn(&mut TeamRow); 8] = [
            |row| row.display_name = "All".to_owned(),
            |row| row.display_name_fold = "all".to_owned(),
            |row| row.external_id = Some("1".to_owned()),
            |row| row.scim_managed = true,
            |row| row.document = "{\"displayName\":\"All\"}".to_owned(),
            |row| row.version = 2,
            |row| row.created_at = 2,
            |row| row.updated_at = 2,
        ];
        for (place, edit) in edits.into_iter().enumerate() {
            let before = row.clone();
            edit(&mut row);
            assert_ne!(row, before, "{place}");
            update_from(&mut conn, &before, &row).unwrap();
            assert_eq!(stored(&mut conn), row, "{place}");
        }
        update_from(&mut conn, &row, &first).unwrap();
        assert_eq!(stored(&mut conn), first);
        // What stands in an index and stays the same is not set.
        update_from(&mut conn, &row, &TeamRow { version: 3, ..row.clone() }).unwrap();
        let left = stored(&mut conn);
        assert_eq!((left.version, left.document), (3, row.document));
        assert_eq!((left.display_name_fold, left.external_id), (first.display_name_fold, None));
    }
}
