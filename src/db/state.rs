//! A fingerprint of the lasting state: what people and systems have said and set, on either database.
//!
//! Sessions, codes and sign-ins under way are not part of it, nor is when a token was last used, nor
//! what can be made from the rest.

use diesel::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::apps::{AdminTokenRow, AppRow};
use super::connection::{Backend, Conn};
use super::connections::ConnectionRow;
use super::memberships::MembershipRow;
use super::pool::StoreError;
use super::roles::RoleRow;
use super::schema::{admin_tokens, apps, connections, roles, tokens, webhooks};
use super::sql::Sql;
use super::teams::TeamRow;
use super::tokens::TokenRow;
use super::users::UserRow;
use super::webhooks::WebhookRow;

/// Rows that are read at a time.
const PAGE: i64 = 2_000;

/// The fingerprint, in hexadecimal. Has to be read in a snapshot.
///
/// # Errors
/// The database's.
pub fn digest(conn: &mut Conn) -> Result<String, StoreError> {
    // In whatever order the rows come, as databases sort differently.
    let mut hashes: Vec<[u8; 32]> = Vec::new();
    each_row(conn, &mut |row| hashes.push(Sha256::digest(row).into()))?;
    hashes.sort_unstable();
    let mut hash = Sha256::new();
    for row in &hashes {
        hash.update(row);
    }
    Ok(hex::encode(hash.finalize()))
}

/// Shows each row of the state as text. Has to be called in a snapshot.
///
/// # Errors
/// The database's.
pub fn each_row(conn: &mut Conn, show: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
    for row in connections::table.load::<ConnectionRow>(conn)? {
        show(&line("connections", &row)?);
    }
    for row in tokens::table.load::<TokenRow>(conn)? {
        show(&line("tokens", &TokenRow { last_used_at: None, ..row })?);
    }
    for row in admin_tokens::table.load::<AdminTokenRow>(conn)? {
        show(&line("admin_tokens", &AdminTokenRow { last_used_at: None, ..row })?);
    }
    for row in apps::table.load::<AppRow>(conn)? {
        show(&line("apps", &row)?);
    }
    for row in roles::table.load::<RoleRow>(conn)? {
        show(&line("roles", &row)?);
    }
    for row in webhooks::table.load::<WebhookRow>(conn)? {
        show(&line("webhooks", &row)?);
    }
    pages(conn, show, "users", &["id"], |row: &UserRow| vec![row.id.clone()])?;
    pages(conn, show, "teams", &["id"], |row: &TeamRow| vec![row.id.clone()])?;
    pages(conn, show, "memberships", &["team_id", "user_id"], |row: &MembershipRow| {
        vec![row.team_id.clone(), row.user_id.clone()]
    })
}

fn line(table: &str, row: &impl Serialize) -> Result<String, StoreError> {
    Ok(format!("{table} {}", serde_json::to_string(row)?))
}

/// Shows the rows of a large table, page by page in the order of its key.
fn pages<R>(
    conn: &mut Conn,
    show: &mut dyn FnMut(&str),
    table: &str,
    key: &[&str],
    key_of: impl Fn(&R) -> Vec<String>,
) -> Result<(), StoreError>
where
    R: Serialize + QueryableByName<Backend> + 'static,
{
    let columns = key.join(", ");
    let mut after: Option<Vec<String>> = None;
    loop {
        let mut statement = Sql::new(format!("SELECT * FROM {table}"));
        for (place, value) in after.iter().flatten().enumerate() {
            let begin =
                if place == 0 { format!(" WHERE ({columns}) > (") } else { ", ".to_owned() };
            statement = statement.raw(begin).text(value);
        }
        if after.is_some() {
            statement = statement.raw(")");
        }
        let page: Vec<R> =
            statement.raw(format!(" ORDER BY {columns} LIMIT ")).integer(PAGE).load(conn)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(key_of(last));
        for row in &page {
            show(&line(table, row)?);
        }
    }
}
