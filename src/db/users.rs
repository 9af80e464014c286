//! Users.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Text};
use serde::{Deserialize, Serialize};

use super::connection::{Conn, on_either};
use super::filter::{Kind, Window};
use super::journal::{self, Change};
use super::memberships::{self, StatementRow};
use super::schema::users;
use super::secrets::EPOCH_COLUMN;
use super::sessions;
use super::sql::{Fixed, Sql};
use super::totals;

/// Says no more than that a user has a connection, but lets the indexes that begin with it be used.
const EVERY_CONNECTION: &str = " AND users.connection_id IN (SELECT id FROM connections)";

/// A row of `users`.
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
#[diesel(table_name = users, primary_key(id, connection_id))]
#[diesel(treat_none_as_null = true, treat_none_as_default_value = false)]
pub struct UserRow {
    pub id: String,
    pub connection_id: String,
    pub user_name: String,
    pub user_name_fold: String,
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub display_name_fold: Option<String>,
    pub active: bool,
    pub scim_owned: bool,
    pub document: String,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
    /// The identity that signs in as the user.
    pub issuer: Option<String>,
    pub subject: Option<String>,
    /// The external id that the identity carried when it last signed in.
    pub linked_external_id: Option<String>,
    /// When the token was issued whose claim was the last complete one, in UTC microseconds.
    pub claim_issued_at: Option<i64>,
    pub signed_in_at: Option<i64>,
    /// When the latest token that was believed was issued, in UTC microseconds.
    pub token_issued_at: Option<i64>,
}

/// A user that was looked up to be shown.
#[derive(Debug)]
pub struct Found {
    pub user: UserRow,
    /// What is said of the user and its teams, by their ids; none where it was not asked for.
    pub statements: Option<Vec<StatementRow>>,
    /// The [epoch](super::secrets::access_epoch) in which it was found; none where it was not asked for.
    pub epoch: Option<String>,
}

/// What to look up of users besides their rows.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// What is said of their teams. The database may look that up of rows too that it only skips or
    /// sorts.
    pub teams: bool,
    /// In which epoch they were found.
    pub epoch: bool,
}

/// A row of [`shown`].
#[derive(Queryable)]
struct Joined {
    user: UserRow,
    stated: Option<String>,
    epoch: Option<String>,
}

/// The columns of `users` in the order of a [`UserRow`]'s fields.
const COLUMNS: &str = "users.id, users.connection_id, users.user_name, users.user_name_fold, \
    users.external_id, users.display_name, users.display_name_fold, users.active, users.scim_owned, \
    users.document, users.version, users.created_at, users.updated_at, users.issuer, users.subject, \
    users.linked_external_id, users.claim_issued_at, users.signed_in_at, users.token_issued_at";

impl Joined {
    fn found(self, want_teams: bool) -> QueryResult<Found> {
        let read = || memberships::read_stated(&self.user, self.stated.as_deref());
        let statements = want_teams.then(read).transpose();
        let statements =
            statements.map_err(|error| DieselError::DeserializationError(error.into()))?;
        Ok(Found { user: self.user, statements, epoch: self.epoch })
    }
}

/// What to show of users.
fn shown(conn: &Conn, beside: Beside) -> Sql {
    let stated = if beside.teams { memberships::stated(conn.is_postgres()) } else { "NULL" };
    let epoch = if beside.epoch { EPOCH_COLUMN } else { "NULL" };
    let statement = Sql::new("SELECT ").raw(COLUMNS).raw(", ").raw(stated).raw(", ").raw(epoch);
    statement.raw(" FROM users WHERE ")
}

fn load(conn: &mut Conn, statement: Sql, beside: Beside) -> QueryResult<Vec<Found>> {
    let statement = statement.columns::<(users::SqlType, Nullable<Text>, Nullable<Text>)>();
    let rows: Vec<Joined> = on_either!(conn, |conn| statement.load(conn))?;
    rows.into_iter().map(|row| row.found(beside.teams)).collect()
}

/// The user with that id, to be shown.
pub fn show(
    conn: &mut Conn,
    connection_id: &str,
    id: &str,
    want_teams: bool,
) -> QueryResult<Option<Found>> {
    let beside = Beside { teams: want_teams, epoch: true };
    let statement = shown(conn, beside)
        .raw("users.connection_id = ")
        .text(connection_id)
        .raw(" AND users.id = ")
        .text(id);
    Ok(load(conn, statement, beside)?.pop())
}

/// The user with that id.
pub fn find(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<Option<UserRow>> {
    let found =
        users::table.filter(users::connection_id.eq(connection_id)).filter(users::id.eq(id));
    on_either!(conn, |conn| found.first(conn)).optional()
}

/// The user with that id, locked against other writers until the transaction ends.
///
/// SQLite has a single writer, so there the transaction itself is the lock.
pub fn lock(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<Option<UserRow>> {
    // No key changes, so memberships that refer to the row need not wait.
    locked(conn, connection_id, id, " FOR NO KEY UPDATE")
}

/// Locks a user that is about to be deleted, against those too who would refer to it.
pub fn lock_for_removal(
    conn: &mut Conn,
    connection_id: &str,
    id: &str,
) -> QueryResult<Option<UserRow>> {
    locked(conn, connection_id, id, " FOR UPDATE")
}

fn locked(
    conn: &mut Conn,
    connection_id: &str,
    id: &str,
    lock: &str,
) -> QueryResult<Option<UserRow>> {
    if conn.is_postgres() {
        Sql::new("SELECT * FROM users WHERE connection_id = ")
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

/// Who has the keys of a new user already, as far as it has them; in the order of the columns of
/// [`holders`].
#[derive(Debug, Queryable)]
pub struct Holders {
    /// Id of the user with the user name.
    pub by_user_name: Option<String>,
    /// Id of the user with the external id.
    pub by_external_id: Option<String>,
    /// See [`find_by_linked_external_id`].
    pub by_linked_external_id: Option<String>,
}

/// Looks all the keys of a new user up at once.
pub fn holders(
    conn: &mut Conn,
    connection_id: &str,
    user_name_fold: &str,
    external_id: Option<&str>,
) -> QueryResult<Holders> {
    let of = |statement: Sql, key: &str, value: &str| {
        statement
            .raw("(SELECT id FROM users WHERE connection_id = ")
            .text(connection_id)
            .raw(" AND ")
            .raw(key)
            .raw(" = ")
            .text(value)
    };
    let mut statement = of(Sql::new("SELECT "), "user_name_fold", user_name_fold);
    statement = match external_id {
        Some(external_id) => {
            let known = of(statement.raw("), "), "external_id", external_id).raw("), ");
            of(known, "linked_external_id", external_id).raw(" AND external_id IS NULL LIMIT 1)")
        }
        None => statement.raw("), NULL, NULL"),
    };
    let statement = statement.columns::<(Nullable<Text>, Nullable<Text>, Nullable<Text>)>();
    on_either!(conn, |conn| statement.get_result(conn))
}

/// Id of the user with that folded user name.
pub fn find_by_user_name(
    conn: &mut Conn,
    connection_id: &str,
    user_name_fold: &str,
) -> QueryResult<Option<String>> {
    users::table
        .filter(users::connection_id.eq(connection_id))
        .filter(users::user_name_fold.eq(user_name_fold))
        .select(users::id)
        .first(conn)
        .optional()
}

/// Id of the user with that external id.
pub fn find_by_external_id(
    conn: &mut Conn,
    connection_id: &str,
    external_id: &str,
) -> QueryResult<Option<String>> {
    users::table
        .filter(users::connection_id.eq(connection_id))
        .filter(users::external_id.eq(external_id))
        .select(users::id)
        .first(conn)
        .optional()
}

/// Id of the user whom that identity signs in as.
pub fn find_by_subject(
    conn: &mut Conn,
    connection_id: &str,
    issuer: &str,
    subject: &str,
) -> QueryResult<Option<String>> {
    users::table
        .filter(users::connection_id.eq(connection_id))
        .filter(users::issuer.eq(issuer))
        .filter(users::subject.eq(subject))
        .select(users::id)
        .first(conn)
        .optional()
}

/// Id of the user whose identity carried that external id when it last signed in, and to whom SCIM
/// has given none.
pub fn find_by_linked_external_id(
    conn: &mut Conn,
    connection_id: &str,
    external_id: &str,
) -> QueryResult<Option<String>> {
    users::table
        .filter(users::connection_id.eq(connection_id))
        .filter(users::linked_external_id.eq(external_id))
        .filter(users::external_id.is_null())
        .select(users::id)
        .first(conn)
        .optional()
}

/// Which users a page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of one connection, or of all.
    pub connection_id: Option<String>,
    /// Those after this id.
    pub after: Option<String>,
    pub user_name_fold: Option<String>,
    pub external_id: Option<String>,
    pub active: Option<bool>,
}

/// The user with that id, of whatever connection.
pub fn find_anywhere(conn: &mut Conn, id: &str) -> QueryResult<Option<UserRow>> {
    users::table.filter(users::id.eq(id)).first(conn).optional()
}

/// The users that are wanted, in the order of their ids, at most `limit`. A page costs the same
/// wherever it begins.
pub fn page(conn: &mut Conn, wanted: &Wanted, limit: i64) -> QueryResult<Vec<UserRow>> {
    let after = wanted.after.as_deref().unwrap_or_default();
    let mut statement = Sql::new("SELECT users.* FROM users WHERE users.id > ").text(after);
    let has_key = wanted.user_name_fold.is_some() || wanted.external_id.is_some();
    statement = match &wanted.connection_id {
        Some(id) => statement.raw(" AND users.connection_id = ").text(id),
        // The indexes of the keys begin with the connection.
        None if has_key => statement.raw(EVERY_CONNECTION),
        None => statement,
    };
    if let Some(name) = &wanted.user_name_fold {
        statement = statement.raw(" AND users.user_name_fold = ").text(name);
    }
    if let Some(external_id) = &wanted.external_id {
        statement = statement.raw(" AND users.external_id = ").text(external_id);
    }
    statement = match wanted.active {
        Some(true) => statement.raw(" AND users.active"),
        Some(false) => statement.raw(" AND NOT users.active"),
        None => statement,
    };
    statement.raw(" ORDER BY users.id LIMIT ").integer(limit).load(conn)
}

/// The users of one connection, or of all, that have `key` as id or external id, or `folded` as
/// folded user name; at most `limit`.
pub fn answering_to(
    conn: &mut Conn,
    connection_id: Option<&str>,
    key: &str,
    folded: &str,
    limit: i64,
) -> QueryResult<Vec<UserRow>> {
    let scope = match connection_id {
        Some(id) => Sql::new(" AND users.connection_id = ").text(id),
        None => Sql::new(EVERY_CONNECTION),
    };
    // An index for each, where a single condition with OR might read the whole table.
    Sql::new("SELECT users.* FROM users WHERE users.id = ")
        .text(key)
        .append(scope.clone())
        .raw(" UNION SELECT users.* FROM users WHERE users.user_name_fold = ")
        .text(folded)
        .append(scope.clone())
        .raw(" UNION SELECT users.* FROM users WHERE users.external_id = ")
        .text(key)
        .append(scope)
        .raw(" LIMIT ")
        .integer(limit)
        .load(conn)
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &UserRow) -> QueryResult<()> {
    on_either!(conn, |conn| diesel::insert_into(users::table).values(row).execute(conn))?;
    journal::note(Change::User(row.clone()));
    Ok(())
}

/// Writes a row back.
pub fn update(conn: &mut Conn, row: &UserRow) -> QueryResult<()> {
    let update = diesel::update(users::table.filter(users::id.eq(&row.id))).set(row);
    let update = Fixed(update.returning(users::id));
    let _: Vec<String> = on_either!(conn, |conn| update.load(conn))?;
    journal::note(Change::User(row.clone()));
    Ok(())
}

/// Writes a row back of which the store has `before`.
///
/// SQLite writes every index again that holds a column which is set, whatever the value; so what stands
/// in an index is set only if it is another.
pub fn update_from(conn: &mut Conn, before: &UserRow, row: &UserRow) -> QueryResult<()> {
    // All fields by name, so that a new one is not forgotten here.
    let UserRow {
        id,
        connection_id: _,
        user_name,
        user_name_fold,
        external_id,
        display_name,
        display_name_fold,
        active,
        scim_owned,
        document,
        version,
        created_at,
        updated_at,
        issuer,
        subject,
        linked_external_id,
        claim_issued_at,
        signed_in_at,
        token_issued_at,
    } = row;
    let old_name = (&before.user_name, &before.user_name_fold);
    let old_display_name = (&before.display_name, &before.display_name_fold);
    let old_identity = (&before.issuer, &before.subject, &before.linked_external_id);
    let changes = (
        (
            users::scim_owned.eq(scim_owned),
            users::document.eq(document),
            users::version.eq(version),
            users::created_at.eq(created_at),
            users::updated_at.eq(updated_at),
            users::claim_issued_at.eq(claim_issued_at),
            users::signed_in_at.eq(signed_in_at),
            users::token_issued_at.eq(token_issued_at),
        ),
        (old_name != (user_name, user_name_fold))
            .then(|| (users::user_name.eq(user_name), users::user_name_fold.eq(user_name_fold))),
        (before.external_id != *external_id).then(|| users::external_id.eq(external_id)),
        (old_display_name != (display_name, display_name_fold)).then(|| {
            (users::display_name.eq(display_name), users::display_name_fold.eq(display_name_fold))
        }),
        (before.active != *active).then(|| users::active.eq(active)),
        (old_identity != (issuer, subject, linked_external_id)).then(|| {
            (
                users::issuer.eq(issuer),
                users::subject.eq(subject),
                users::linked_external_id.eq(linked_external_id),
            )
        }),
    );
    let update = diesel::update(users::table.filter(users::id.eq(id))).set(changes);
    let update = Fixed(update.returning(users::id));
    let _: Vec<String> = on_either!(conn, |conn| update.load(conn))?;
    journal::note(Change::User(row.clone()));
    Ok(())
}

/// Deletes a user with all that hangs on it.
pub fn delete(conn: &mut Conn, connection_id: &str, id: &str) -> QueryResult<usize> {
    sessions::tell_of_user(conn, id)?;
    let deleted = diesel::delete(
        users::table.filter(users::connection_id.eq(connection_id)).filter(users::id.eq(id)),
    )
    .execute(conn)?;
    if deleted > 0 {
        journal::note(Change::UserGone { id: id.to_owned() });
    }
    Ok(deleted)
}

/// The part of the users that meet a condition that a window shows, at most `limit`.
pub fn list(
    conn: &mut Conn,
    connection_id: &str,
    condition: Option<&Sql>,
    window: &Window,
    limit: i64,
    beside: Beside,
) -> QueryResult<Vec<Found>> {
    let all = shown(conn, beside).append(meeting(connection_id, condition));
    load(conn, window.of(all, limit), beside)
}

/// The users with those ids, in no order.
pub fn with_ids(
    conn: &mut Conn,
    connection_id: &str,
    ids: &[&str],
    want_teams: bool,
) -> QueryResult<Vec<Found>> {
    let beside = Beside { teams: want_teams, epoch: false };
    let statement = shown(conn, beside)
        .raw("users.connection_id = ")
        .text(connection_id)
        .raw(" AND users.id")
        .among(conn, ids);
    load(conn, statement, beside)
}

/// How many users meet a condition.
pub fn count(conn: &mut Conn, connection_id: &str, condition: Option<&Sql>) -> QueryResult<i64> {
    if condition.is_none() {
        return totals::of(conn, connection_id, Kind::User);
    }
    let all = Sql::new("SELECT COUNT(*) AS total FROM users WHERE ");
    super::count(conn, all.append(meeting(connection_id, condition)))
}

/// How many inactive users the connection has, as far as `most`.
pub fn inactive_up_to(conn: &mut Conn, connection_id: &str, most: i64) -> QueryResult<i64> {
    let some = Sql::new(
        "SELECT COUNT(*) AS total FROM \
         (SELECT id FROM users WHERE NOT active AND connection_id = ",
    )
    .text(connection_id)
    .raw(" LIMIT ")
    .integer(most)
    .raw(") AS counted");
    super::count(conn, some)
}

/// How many inactive users the connection has.
pub fn inactive(conn: &mut Conn, connection_id: &str) -> QueryResult<i64> {
    let all = Sql::new("SELECT COUNT(*) AS total FROM users WHERE NOT active AND connection_id = ");
    super::count(conn, all.text(connection_id))
}

/// Whether SCIM owns one of the first thousand users of a connection.
pub fn any_owned(conn: &mut Conn, connection_id: &str) -> QueryResult<bool> {
    let first = Sql::new(
        "SELECT COUNT(*) AS total FROM (SELECT scim_owned AS pushed FROM users WHERE connection_id = ",
    )
    .text(connection_id)
    .raw(" LIMIT 1000) AS first_ones WHERE first_ones.pushed");
    Ok(super::count(conn, first)? > 0)
}

/// The condition that a row is one of the connection's and meets the condition.
pub(super) fn meeting(connection_id: &str, condition: Option<&Sql>) -> Sql {
    let statement = Sql::new("users.connection_id = ").text(connection_id);
    match condition {
        Some(condition) => statement.raw(" AND ").append(condition.clone()),
        None => statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::migrations::migrated;

    fn stored(conn: &mut Conn) -> UserRow {
        find(conn, "c", "u").unwrap().expect("the user")
    }

    #[test]
    fn an_update_writes_what_is_another_and_leaves_what_an_index_has() {
        let (mut conn, _folder) = migrated();
        let mut row = UserRow {
            id: "u".to_owned(),
            connection_id: "c".to_owned(),
            user_name: "Ann".to_owned(),
            user_name_fold: "ann".to_owned(),
            external_id: None,
            display_name: None,
            display_name_fold: None,
            active: true,
            scim_owned: false,
            document: "{}".to_owned(),
            version: 1,
            created_at: 1,
            updated_at: 1,
            issuer: None,
            subject: None,
            linked_external_id: None,
            claim_issued_at: None,
            signed_in_at: None,
            token_issued_at: None,
        };
        insert(&mut conn, &row).unwrap();
        let first = row.clone();
        let edits: [fn(&mut UserRow); 17] = [
            |row| row.user_name = "Bea".to_owned(),
            |row| row.user_name_fold = "bea".to_owned(),
            |row| row.external_id = Some("1".to_owned()),
            |row| row.display_name = Some("B".to_owned()),
            |row| row.display_name_fold = Some("b".to_owned()),
            |row| row.active = false,
            |row| row.scim_owned = true,
            |row| row.document = "{\"title\":\"x\"}".to_owned(),
            |row| row.version = 2,
            |row| row.created_at = 2,
            |row| row.updated_at = 2,
            |row| row.issuer = Some("i".to_owned()),
            |row| row.subject = Some("s".to_owned()),
            |row| row.linked_external_id = Some("l".to_owned()),
            |row| row.claim_issued_at = Some(3),
            |row| row.signed_in_at = Some(4),
            |row| row.token_issued_at = Some(5),
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
        update_from(&mut conn, &row, &UserRow { version: 3, ..row.clone() }).unwrap();
        let left = stored(&mut conn);
        assert_eq!((left.version, &left.document), (3, &row.document));
        let indexed = |row: &UserRow| {
            let names = (row.user_name_fold.clone(), row.display_name_fold.clone());
            (names, row.external_id.clone(), row.active, row.subject.clone())
        };
        assert_eq!(indexed(&left), indexed(&first));
        update(&mut conn, &row).unwrap();
        assert_eq!(stored(&mut conn), row);
    }
}
