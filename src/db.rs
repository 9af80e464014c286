//! SQL, and nothing but SQL: connections and pools, row types and query functions, filters compiled
//! to conditions.
//!
//! Query functions take a connection and return what the database says; transactions belong to the
//! callers in `directory`, through [`Db::read`], [`Db::snapshot`] and [`Db::write`].

pub mod apps;
pub mod backup;
pub mod brakes;
pub mod checkup;
pub mod connection;
pub mod connections;
pub mod console;
pub mod emails;
pub mod events;
pub mod figures;
pub mod filter;
pub mod flows;
pub mod journal;
mod json;
mod kept;
pub mod members;
pub mod memberships;
pub mod migrations;
mod outage;
mod pool;
pub mod rehearsal;
pub mod replay;
pub mod requests;
pub mod roles;
pub mod roster;
pub mod schema;
pub mod seals;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod sql;
pub mod state;
pub mod teams;
pub mod time;
mod together;
pub mod token_quirks;
pub mod tokens;
pub mod totals;
mod turns;
pub mod unique;
mod url;
pub mod users;
pub mod webhooks;
mod work;

pub use self::connection::{Conn, keep_private};
pub use self::pool::{Db, Limits, MayBeStore, RETRY_AFTER, StoreError};
pub use self::turns::Load;
pub use self::url::{DatabaseUrl, DatabaseUrlError};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// The single number, named `total`, that a statement returns.
fn count(conn: &mut Conn, statement: sql::Sql) -> QueryResult<i64> {
    let row: Total = statement.get_result(conn)?;
    Ok(row.total)
}
