//! Import: every page of a list until `totalResults`, a hundred resources at a time where the client
//! asks for so many.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::Client;
use super::expect::{Checked, Resource};

/// The page size of Okta and of rauthy.
const PAGE: u64 = 100;
/// Pages after which a large directory has shown enough.
const MOST_PAGES: u64 = 20;

/// Reads the list as an import does, and expects these resources in it, each resource once.
///
/// A directory of more pages than the check reads is not searched to its end.
pub async fn read(api: &Client, endpoint: &str, want: &[&Resource]) -> Checked<()> {
    let page = |start| format!("{endpoint}?startIndex={start}&count={PAGE}");
    read_pages(api, page, want).await
}

/// The same with pages of the server's size; the first is the plain list.
pub async fn read_plainly(api: &Client, endpoint: &str, want: &[&Resource]) -> Checked<()> {
    let page = |start| match start {
        1 => endpoint.to_owned(),
        start => format!("{endpoint}?startIndex={start}"),
    };
    read_pages(api, page, want).await
}

async fn read_pages(api: &Client, page: impl Fn(u64) -> String, want: &[&Resource]) -> Checked<()> {
    let mut seen = BTreeSet::new();
    let mut start = 1;
    for _ in 0..MOST_PAGES {
        let reply = api.get(&page(start)).await?.list()?;
        let reply = reply.is("/startIndex", start)?;
        let came = u64::try_from(reply.resources().len()).unwrap_or(u64::MAX);
        let reply = reply.is("/itemsPerPage", came)?;
        for id in reply.resources().iter().filter_map(|found| found.get("id")?.as_str()) {
            if !seen.insert(id.to_owned()) {
                return Err(reply.wrong(format!("each resource once, not {id} on two pages")));
            }
        }
        let total = reply.body.get("totalResults").and_then(Value::as_u64).unwrap_or_default();
        start += came;
        if start > total {
            let missing = want.iter().find(|resource| !seen.contains(&resource.id));
            return match missing {
                None => Ok(()),
                Some(missing) => Err(reply.wrong(format!("{} on some page", missing.id))),
            };
        }
        if came == 0 {
            return Err(reply.wrong(format!("{total} resources in all pages together")));
        }
    }
    Ok(())
}
