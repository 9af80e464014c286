//! Doing once more what the log says was done.

use diesel::prelude::*;

use super::connection::Conn;
use super::journal::{self, Change, Source};
use super::memberships::{MembershipRow, Said};
use super::schema::{connections, roles, teams, tokens, users};
use super::sql::Sql;
use super::{
    apps as app_rows, connections as connection_rows, events, memberships, roles as role_rows,
    secrets, teams as team_rows, tokens as token_rows, users as user_rows,
    webhooks as webhook_rows,
};

/// Rows of statements that are written at a time.
const BATCH: usize = 500;

/// Makes a change of a connection's, or of none's, in a write transaction.
pub fn apply(conn: &mut Conn, connection_id: &str, change: &Change) -> QueryResult<()> {
    make(conn, connection_id, change)?;
    // The event that tells of it is in the log already.
    journal::take();
    Ok(())
}

fn make(conn: &mut Conn, connection_id: &str, change: &Change) -> QueryResult<()> {
    match change {
        Change::Connection(row) => {
            let known = connections::table.filter(connections::id.eq(&row.id));
            if diesel::update(known).set(row).execute(conn)? == 0 {
                connection_rows::insert(conn, row)?;
            }
            secrets::begin_access_epoch(conn)?;
        }
        Change::ConnectionGone { id } => drop(connection_rows::delete(conn, id)?),
        Change::Token(row) => {
            let known = tokens::table.filter(tokens::id.eq(&row.id));
            if diesel::update(known).set(row).execute(conn)? == 0 {
                token_rows::insert(conn, row)?;
            }
            secrets::begin_access_epoch(conn)?;
        }
        Change::TokenRevoked { id, at } => drop(token_rows::revoke(conn, id, *at)?),
        Change::User(row) => {
            let known = users::table.filter(users::id.eq(&row.id));
            if diesel::update(known).set(row).execute(conn)? == 0 {
                user_rows::insert(conn, row)?;
            }
        }
        Change::UserGone { id } => drop(user_rows::delete(conn, connection_id, id)?),
        Change::Team(row) => {
            let known = teams::table.filter(teams::id.eq(&row.id));
            if diesel::update(known).set(row).execute(conn)? == 0 {
                team_rows::insert(conn, row)?;
            }
        }
        Change::TeamsTouched { ids, at } => {
            team_rows::touch(conn, ids.iter().map(String::as_str), *at)?;
        }
        Change::TeamGone { id } => drop(team_rows::delete(conn, connection_id, id)?),
        Change::Said { source, teams, users, member, at, by } => {
            let said = Said { at: *at, by };
            say(conn, connection_id, *source, (teams, users), *member, said)?;
        }
        Change::Statements { rows } => put_statements(conn, rows)?,
        Change::Left { user, teams } => {
            Sql::new("DELETE FROM memberships WHERE user_id = ")
                .text(user)
                .raw(" AND team_id IN (")
                .set(conn, teams.iter().map(String::as_str))
                .raw(")")
                .execute(conn)?;
        }
        Change::Role(row) => {
            let known = roles::table
                .filter(roles::team_id.eq(&row.team_id))
                .filter(roles::role.eq(&row.role));
            let found: Option<String> = known.select(roles::role).first(conn).optional()?;
            if found.is_none() {
                role_rows::insert(conn, row)?;
            }
        }
        Change::RoleGone { team, role } => drop(role_rows::delete(conn, team, role)?),
        Change::App(row) => app_rows::insert(conn, row)?,
        Change::AppGone { id } => drop(app_rows::delete(conn, id)?),
        Change::AdminToken(row) => app_rows::insert_admin_token(conn, row)?,
        Change::AdminTokenRevoked { id, at } => {
            app_rows::revoke_admin_token(conn, id, *at)?;
        }
        Change::Webhook(row) => {
            if webhook_rows::update(conn, row)? == 0 {
                // The log has no secrets: it is begun from here once it is given another one.
                let cursor = events::last_position(conn)?;
                webhook_rows::insert(conn, row, None, cursor)?;
            }
        }
        Change::WebhookGone { id } => drop(webhook_rows::delete(conn, id)?),
    }
    Ok(())
}

/// What a source says of users and teams; either is one alone, or nothing is said.
fn say(
    conn: &mut Conn,
    connection_id: &str,
    source: Source,
    (teams, users): (&[String], &[String]),
    member: bool,
    said: Said<'_>,
) -> QueryResult<()> {
    match source {
        Source::Scim => {
            let users = || users.iter().map(String::as_str);
            for team in teams {
                if member {
                    memberships::add_scim(conn, connection_id, team, users(), said)?;
                } else {
                    memberships::remove_scim(conn, team, users(), said)?;
                }
            }
        }
        Source::Claim => {
            let teams = || teams.iter().map(String::as_str);
            for user in users {
                if member {
                    memberships::add_claim(conn, connection_id, user, teams(), said)?;
                } else {
                    memberships::remove_claim(conn, user, teams(), said)?;
                }
            }
        }
    }
    Ok(())
}

fn put_statements(conn: &mut Conn, rows: &[MembershipRow]) -> QueryResult<()> {
    for batch in rows.chunks(BATCH) {
        let mut statement = Sql::new(
            "INSERT INTO memberships (team_id, user_id, connection_id, scim, claim, \
             scim_at, claim_at, scim_by, claim_by) VALUES ",
        )
        .one_off();
        for (place, row) in batch.iter().enumerate() {
            statement = statement
                .raw(if place == 0 { "(" } else { ", (" })
                .text(&row.team_id)
                .raw(", ")
                .text(&row.user_id)
                .raw(", ")
                .text(&row.connection_id)
                .raw(", ")
                .boolean(row.scim)
                .raw(", ")
                .boolean(row.claim);
            for time in [row.scim_at, row.claim_at] {
                statement = match time {
                    Some(time) => statement.raw(", ").integer(time),
                    None => statement.raw(", NULL"),
                };
            }
            for by in [&row.scim_by, &row.claim_by] {
                statement = match by {
                    Some(by) => statement.raw(", ").text(by),
                    None => statement.raw(", NULL"),
                };
            }
            statement = statement.raw(")");
        }
        statement
            .raw(
                " ON CONFLICT (team_id, user_id) DO UPDATE SET scim = excluded.scim, \
                 claim = excluded.claim, scim_at = excluded.scim_at, \
                 claim_at = excluded.claim_at, scim_by = excluded.scim_by, \
                 claim_by = excluded.claim_by",
            )
            .execute(conn)?;
    }
    Ok(())
}
