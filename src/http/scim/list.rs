//! Lists as they are asked for and answered, whatever they are of.

use crate::directory::DirectoryResult;
use crate::directory::listing::Listed;
use crate::http::answer::{self, Failure};
use crate::http::client::Client;
use crate::http::notes::Notes;
use crate::scim::cursor::{CursorKey, Position};
use crate::scim::list::{Around, ListWriter, Page};
use crate::scim::projection::text::Shown;
use crate::scim::query::Query;
use crate::scim::sort::Order;
use actix_web::HttpResponse;

/// The part of a list that a request is about.
pub(super) struct List {
    pub(super) page: Page,
    /// Whose list it is, of what, and by which kind of keys: a cursor works for no other.
    name: String,
    /// What cursors are sealed with, where the list is paged by them: no other asks the store for it.
    key: Option<CursorKey>,
    notes: Option<Notes>,
}

impl List {
    /// Reads which part of the list of that `kind` is wanted, in the orders of its types.
    pub(super) async fn new(
        client: &Client,
        query: &Query,
        kind: &str,
        orders: &[Order],
    ) -> Result<Self, Failure> {
        let key =
            if query.has_cursor() { Some(client.app.cursor_key().await?.clone()) } else { None };
        let keys: Vec<String> = orders.iter().map(Order::kind).collect();
        let name = format!("{}/{kind}/{}", client.connection().id, keys.join(","));
        let notes = client.notes().cloned();
        Ok(Self { page: query.page(key.as_ref(), &name)?, name, key, notes })
    }

    /// The page as an answer, with what `show` makes of its resources.
    pub(super) fn answer<T>(
        &self,
        query: &Query,
        listed: &Listed<T>,
        mut show: impl FnMut(&T) -> DirectoryResult<Shown>,
    ) -> Result<HttpResponse, Failure> {
        let cursor = |position: &Option<Position>| {
            let (position, key) = position.as_ref().zip(self.key.as_ref())?;
            Some(query.cursor(key, &self.name, position))
        };
        let around = Around { previous: cursor(&listed.previous), next: cursor(&listed.next) };
        if let Some(notes) = &self.notes {
            notes.resources(listed.items.len());
        }
        let mut resources = ListWriter::default();
        for item in &listed.items {
            resources.add(&show(item)?.json);
        }
        Ok(answer::json(HttpResponse::Ok(), resources.page(listed.total, &self.page, around)))
    }
}
