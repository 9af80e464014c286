//! Sign-ins on their way to the provider and back.

use std::fmt;

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::flows;
use super::sql::Sql;

/// A row of `flows`.
#[derive(Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = flows)]
pub struct FlowRow {
    pub state_hash: String,
    pub browser_hash: String,
    pub connection_id: String,
    pub nonce: String,
    pub pkce_verifier: String,
    /// What the application asked for, as JSON.
    pub request: String,
    pub created_at: i64,
}

impl fmt::Debug for FlowRow {
    /// Without what the sign-in is proved by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRow")
            .field("connection_id", &self.connection_id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Adds a flow.
pub fn insert(conn: &mut Conn, row: &FlowRow) -> QueryResult<()> {
    diesel::insert_into(flows::table).values(row).execute(conn).map(drop)
}

/// Takes a flow out: whoever gets it is the only one who does.
pub fn take(conn: &mut Conn, state_hash: &str) -> QueryResult<Option<FlowRow>> {
    let found: Option<FlowRow> =
        flows::table.filter(flows::state_hash.eq(state_hash)).first(conn).optional()?;
    let taken =
        diesel::delete(flows::table.filter(flows::state_hash.eq(state_hash))).execute(conn)?;
    Ok(found.filter(|_| taken > 0))
}

/// Removes flows that nobody came back from.
pub fn delete_older(conn: &mut Conn, before: i64) -> QueryResult<usize> {
    diesel::delete(flows::table.filter(flows::created_at.lt(before))).execute(conn)
}

/// Removes flows until there are no more than `most`: the oldest of the connections that have the
/// most, so that a crowd at one connection pushes out nobody at another.
pub fn keep_fairly(conn: &mut Conn, most: usize) -> QueryResult<usize> {
    let counts: Vec<i64> =
        flows::table.group_by(flows::connection_id).select(diesel::dsl::count_star()).load(conn)?;
    let counts = counts.into_iter().map(|count| usize::try_from(count).unwrap_or(0));
    let Some(each) = level(counts.collect(), most) else { return Ok(0) };
    Sql::new(
        "DELETE FROM flows WHERE state_hash IN (SELECT state_hash FROM (\
         SELECT state_hash, ROW_NUMBER() OVER (PARTITION BY connection_id \
         ORDER BY created_at DESC, state_hash) AS place FROM flows) AS placed WHERE place > ",
    )
    .integer(i64::try_from(each).unwrap_or(i64::MAX))
    .raw(")")
    .execute(conn)
}

/// The most that each may keep for all to have no more than `most` together; none if they have not.
fn level(mut counts: Vec<usize>, most: usize) -> Option<usize> {
    if counts.iter().sum::<usize>() <= most {
        return None;
    }
    counts.sort_unstable();
    let (mut left, mut sharers) = (most, counts.len());
    for count in counts {
        // Whoever has less than an equal part leaves the rest of it to those who have more.
        if count > left / sharers {
            break;
        }
        left -= count;
        sharers -= 1;
    }
    Some(left / sharers.max(1))
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn who_has_the_most_gives_way() {
        assert_eq!(level(vec![], 0), None);
        assert_eq!(level(vec![3, 4], 7), None);
        assert_eq!(level(vec![3, 5], 7), Some(4));
        assert_eq!(level(vec![9, 1, 1], 7), Some(5));
        assert_eq!(level(vec![4, 4, 4], 7), Some(2));
        assert_eq!(level(vec![4, 4, 4], 0), Some(0));
        for most in 0..40 {
            let counts = vec![1, 5, 9, 9, 13];
            if let Some(each) = level(counts.clone(), most) {
                let kept = |each: usize| counts.iter().map(|count| each.min(*count)).sum::<usize>();
                assert!(kept(each) <= most && kept(each + 1) > most, "{most}: {each}");
            }
        }
    }
}
