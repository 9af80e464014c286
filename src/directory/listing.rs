//! Lists: what is wanted of one, and the pages of it.

use std::collections::BTreeMap;

use diesel::QueryResult;

use super::tokens::AsOf;
use super::{Context, DirectoryError, DirectoryResult, teams, users};
use crate::db::filter::{self as conditions, Kind, Window};
use crate::db::members;
use crate::db::sql::Sql;
use crate::db::{Conn, search, teams as team_rows, time, users as user_rows};
use crate::scim::ScimError;
use crate::scim::cursor::{Anchor, Position};
use crate::scim::filter::Filter;
use crate::scim::list::{Page, Start};
use crate::scim::sort::Order;

/// What a client wants of the resources of one type.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which; all without one.
    pub filter: Option<Filter>,
    /// In which order; that of their creation without one.
    pub order: Option<Order>,
    /// Whether to look up who belongs to what.
    pub memberships: bool,
    /// Whether the members of teams are shown with their names.
    pub names: bool,
    /// How many members the teams of a page may have together, unless it is one team alone.
    pub most_members: i64,
}

impl Wanted {
    /// Whether it is looked up by a key that few rows have, as clients do before they write.
    pub fn is_lookup(&self, page: &Page) -> bool {
        let is_by_key = self.filter.as_ref().is_some_and(conditions::is_by_key);
        is_by_key && self.order.is_none() && page.count > 0 && !page.has_cursor()
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Listed<T> {
    /// How many there are in all; on the pages that a cursor leads to, how many there were when the
    /// first page was read.
    pub total: u64,
    pub items: Vec<T>,
    /// Where the page before ends, if it is known that there is one; by cursor only.
    pub previous: Option<Position>,
    /// Where the page after begins; by cursor only.
    pub next: Option<Position>,
}

impl<T: AsOf> AsOf for Listed<T> {
    fn epoch(&self) -> Option<&str> {
        self.items.first().and_then(AsOf::epoch)
    }
}

/// Looks the part of a table's rows up that a window shows, at most so many.
type List<'a, R> = &'a dyn Fn(&mut Conn, &str, Option<&Sql>, &Window, i64) -> QueryResult<Vec<R>>;

/// How the rows of one table are listed.
pub(super) struct Rows<'a, R> {
    pub(super) kind: Kind,
    pub(super) list: List<'a, R>,
    pub(super) count: fn(&mut Conn, &str, Option<&Sql>) -> QueryResult<i64>,
    pub(super) id: fn(&R) -> &str,
}

/// A page of what is wanted of one table, as it is at one moment; `show` makes resources of its rows.
pub(super) fn one_kind<R, T>(
    conn: &mut Conn,
    context: &Context,
    rows: &Rows<'_, R>,
    (wanted, page): (&Wanted, &Page),
    show: impl FnOnce(&mut Conn, Vec<R>) -> DirectoryResult<Vec<T>>,
) -> DirectoryResult<Listed<T>> {
    let tenant = context.connection.id.as_str();
    let (condition, mut window) = selection(conn, context, rows.kind, wanted, page);
    let late = |error| in_time(error, &[wanted]);
    if rows.kind == Kind::User && wanted.is_lookup(page) {
        // What one statement has found is of one moment, and mostly it is all.
        let cut = Cut::look_up(&window, page, page.most_rows(), |limit| {
            (rows.list)(conn, tenant, condition.as_ref(), &window, limit)
        })
        .map_err(late)?;
        if let Some(total) = cut.total_seen(page) {
            let items = show(conn, cut.rows)?;
            return Ok(Listed::new(page, cut.is_more, total, items, &Ends::default()));
        }
    }
    conn.snapshot(|conn| {
        let count = |conn: &mut Conn| {
            let count = (rows.count)(conn, tenant, condition.as_ref()).map_err(late)?;
            Ok::<_, DirectoryError>(count)
        };
        let (mut limit, mut counted) = (page.most_rows(), None);
        if page.offset() > 0 && limit > 0 {
            let total = count(conn)?;
            limit = window.from_the_nearer_end(limit, total);
            counted = Some(total);
        }
        let mut cut = Cut::look_up(&window, page, limit, |limit| {
            (rows.list)(conn, tenant, condition.as_ref(), &window, limit)
        })
        .map_err(late)?;
        let total = match (counted, cut.total_seen(page)) {
            (Some(total), _) => u64::try_from(total).unwrap_or(0),
            (None, Some(total)) => total,
            (None, None) => u64::try_from(count(conn)?).unwrap_or(0),
        };
        if wanted.memberships && rows.kind == Kind::Team {
            cut.shorten(conn, page.is_backwards(), wanted.most_members, rows.id)?;
        }
        let ends = Ends::look_up(page, &cut.rows, |row| {
            search::anchor(conn, tenant, &window, (rows.id)(row))
        })?;
        let is_more = cut.is_more;
        let items = show(conn, cut.rows)?;
        Ok(Listed::new(page, is_more, total, items, &ends))
    })
}

/// What to tell a client of a search that failed: that it takes too long, if that is why. The same
/// search would do so the next time too.
fn in_time(error: diesel::result::Error, wanted: &[&Wanted]) -> DirectoryError {
    let is_search = wanted.iter().any(|wanted| wanted.filter.is_some() || wanted.order.is_some());
    if !is_search || !time::is_up() {
        return error.into();
    }
    ScimError::too_many(
        "the search takes longer than the server allows; look for the userName, displayName, \
         externalId or an e-mail address as a whole, which have indexes, or compare less",
    )
    .into()
}

/// What is wanted of one table, in SQL.
fn selection(
    conn: &Conn,
    context: &Context,
    kind: Kind,
    wanted: &Wanted,
    page: &Page,
) -> (Option<Sql>, Window) {
    let of = context.conditions(kind);
    let condition = wanted.filter.as_ref().map(|filter| conditions::condition(conn, of, filter));
    (condition, Window::new(conn, of, wanted.order.as_ref(), page))
}

/// What belongs to each side, of rows that come beside the id of theirs.
pub(super) fn by_side<T>(rows: impl IntoIterator<Item = (String, T)>) -> BTreeMap<String, Vec<T>> {
    let mut sides: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for (side, row) in rows {
        sides.entry(side).or_default().push(row);
    }
    sides
}

/// The rows of a page, and whether there are more in the direction in which they were walked.
pub(super) struct Cut<T> {
    pub(super) rows: Vec<T>,
    pub(super) is_more: bool,
}

impl<T> Cut<T> {
    /// Looks at most `limit` rows up, of which the last one is left out where it shows no more than
    /// that there is one.
    pub(super) fn look_up(
        window: &Window,
        page: &Page,
        limit: i64,
        look_up: impl FnOnce(i64) -> QueryResult<Vec<T>>,
    ) -> QueryResult<Self> {
        if limit == 0 {
            return Ok(Self { rows: Vec::new(), is_more: true });
        }
        let mut rows = look_up(limit)?;
        let wanted = usize::try_from(page.count).unwrap_or(usize::MAX);
        let is_more = if page.has_cursor() { rows.len() > wanted } else { rows.len() == wanted };
        rows.truncate(wanted);
        if window.is_reversed {
            rows.reverse();
        }
        Ok(Self { rows, is_more })
    }

    /// Leaves out what has more members, together with what comes before on the way through the list,
    /// than one answer is to show; at least one team stays. "It MAY return fewer" than `count` (RFC
    /// 7644 section 3.4.2.4).
    fn shorten(
        &mut self,
        conn: &mut Conn,
        is_reversed: bool,
        most: i64,
        id: impl Fn(&T) -> &str,
    ) -> QueryResult<()> {
        let ids: Vec<&str> = self.rows.iter().map(&id).collect();
        let sizes = members::sizes(conn, &ids)?;
        let size = |id: &&str| sizes.get(*id).copied().unwrap_or(0);
        let fit = if is_reversed {
            how_many_fit(most, ids.iter().rev().map(size))
        } else {
            how_many_fit(most, ids.iter().map(size))
        };
        if fit < self.rows.len() {
            self.is_more = true;
            if is_reversed {
                self.rows.drain(..self.rows.len() - fit);
            } else {
                self.rows.truncate(fit);
            }
        }
        Ok(())
    }

    /// How many resources the whole list has, where the page or its cursor tells.
    fn total_seen(&self, page: &Page) -> Option<u64> {
        if let Start::Cursor(position) = &page.start {
            return Some(position.total);
        }
        let offset = page.offset();
        let is_last = !self.is_more && (!self.rows.is_empty() || offset == 0);
        let total = offset.saturating_add(i64::try_from(self.rows.len()).unwrap_or(i64::MAX));
        is_last.then(|| u64::try_from(total).unwrap_or(0))
    }

    /// How many resources the whole list has. They are counted only where the page does not tell.
    pub(super) fn total(
        &self,
        page: &Page,
        count: impl FnOnce() -> QueryResult<i64>,
    ) -> QueryResult<u64> {
        match self.total_seen(page) {
            Some(total) => Ok(total),
            None => Ok(u64::try_from(count()?).unwrap_or(0)),
        }
    }
}

/// How many of the first teams have no more than `most` members together; one at least.
fn how_many_fit(most: i64, sizes: impl Iterator<Item = i64>) -> usize {
    let mut sum = 0_i64;
    let within = sizes.take_while(|size| {
        sum = sum.saturating_add(*size);
        sum <= most
    });
    within.count().max(1)
}

impl<T> Listed<T> {
    /// The page, with the places where the pages around it are.
    pub(super) fn new(page: &Page, is_more: bool, total: u64, items: Vec<T>, ends: &Ends) -> Self {
        let mut listed = Self { total, items, previous: None, next: None };
        let (anchored, is_reversed) = match &page.start {
            Start::Index(_) => return listed,
            Start::First => (false, false),
            Start::Cursor(position) => (position.anchor.is_some(), position.backwards),
        };
        if page.count == 0 {
            // Nothing was read, so what comes next is what would have come now.
            let here = match &page.start {
                Start::Cursor(position) => position.clone(),
                _ => Position { anchor: None, backwards: false, total },
            };
            listed.next = (total > 0 && !here.backwards).then_some(here);
            return listed;
        }
        let place = |anchor: &Option<Anchor>, backwards: bool| Position {
            anchor: anchor.clone(),
            backwards,
            total,
        };
        let is_before = if is_reversed { is_more } else { anchored };
        if is_before && !listed.items.is_empty() {
            listed.previous = Some(place(&ends.first, true));
        }
        // A page read backwards is followed by the one that the client came from.
        if is_more || is_reversed {
            listed.next = Some(place(&ends.last, false));
        }
        listed
    }
}

/// The first and the last resource of a page, as cursors name them.
#[derive(Debug, Default)]
pub(super) struct Ends {
    first: Option<Anchor>,
    last: Option<Anchor>,
}

impl Ends {
    /// Asks what the rows at the ends of a page are sorted by, if it is paged by cursor.
    pub(super) fn look_up<T>(
        page: &Page,
        rows: &[T],
        mut look_up: impl FnMut(&T) -> QueryResult<Option<Anchor>>,
    ) -> QueryResult<Self> {
        if !page.has_cursor() {
            return Ok(Self::default());
        }
        let mut anchor = |row: Option<&T>| row.map_or(Ok(None), &mut look_up);
        Ok(Self { first: anchor(rows.first())?, last: anchor(rows.last())? })
    }
}

/// A resource of either type.
#[derive(Debug)]
pub enum Item {
    User(users::User),
    Team(teams::Team),
}

/// A page of the users and teams that a filter each selects, as one list in one order.
///
/// # Errors
/// The store's.
pub fn everything(
    conn: &mut Conn,
    context: &Context,
    of_users: &Wanted,
    of_teams: &Wanted,
    page: &Page,
) -> DirectoryResult<Listed<Item>> {
    let tenant = context.connection.id.as_str();
    let (user_condition, user_window) = selection(conn, context, Kind::User, of_users, page);
    let (team_condition, team_window) = selection(conn, context, Kind::Team, of_teams, page);
    let mut cut = Cut::look_up(&user_window, page, page.most_rows(), |limit| {
        let users = (user_condition.as_ref(), &user_window);
        search::list(conn, tenant, users, (team_condition.as_ref(), &team_window), limit)
    })
    .map_err(|error| in_time(error, &[of_users, of_teams]))?;
    let total = cut
        .total(page, || {
            let users = user_rows::count(conn, tenant, user_condition.as_ref())?;
            Ok(users + team_rows::count(conn, tenant, team_condition.as_ref())?)
        })
        .map_err(|error| in_time(error, &[of_users, of_teams]))?;
    if of_teams.memberships {
        cut.shorten(conn, page.is_backwards(), of_teams.most_members, |found| &found.id)?;
    }
    let ends = Ends::look_up(page, &cut.rows, |found| {
        let window = if found.is_user { &user_window } else { &team_window };
        search::anchor(conn, tenant, window, &found.id)
    })?;
    let ids = |of_users: bool| -> Vec<&str> {
        let found = cut.rows.iter().filter(|found| found.is_user == of_users);
        found.map(|found| found.id.as_str()).collect()
    };
    let mut users = users::with_ids(conn, context, &ids(true), of_users.memberships)?;
    let mut teams = teams::with_ids(conn, context, &ids(false), of_teams)?;
    let items = cut
        .rows
        .iter()
        .filter_map(|found| {
            if found.is_user {
                users.remove(&found.id).map(Item::User)
            } else {
                teams.remove(&found.id).map(Item::Team)
            }
        })
        .collect();
    Ok(Listed::new(page, cut.is_more, total, items, &ends))
}

#[cfg(test)]
mod tests {
    use super::how_many_fit;

    #[test]
    fn a_page_ends_where_its_members_are_too_many() {
        let fit = |sizes: &[i64]| how_many_fit(10, sizes.iter().copied());
        assert_eq!(fit(&[0, 5, 5, 0]), 4);
        assert_eq!(fit(&[0, 5, 6, 0]), 2);
        assert_eq!(fit(&[11, 0]), 1, "there is progress");
        assert_eq!(fit(&[1, i64::MAX, i64::MAX]), 1);
    }
}
