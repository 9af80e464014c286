//! What a server may be able to do: each is checked where the server announces it.

use std::collections::BTreeSet;

use reqwest::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::bodies::{
    encode, eq, fresh_group_name, fresh_user_name, overlay, plain_group, plain_user, search,
};
use super::client::{Client, Reply};
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};
use super::rfc::both;

/// Pages after which a large directory has shown enough, as in an import.
const MOST_PAGES: usize = 20;

/// RFC 7644 section 3.14: versions, and requests that depend on them.
pub async fn conditions(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    let stale = "W/\"muster-check\"";
    report
        .step("ETag is the meta.version", async {
            let reply = api.get(&anna.need()?.user()).await?.status(200)?;
            let tag = tag(&reply)?;
            reply.is("/meta/version", tag)
        })
        .await;
    report
        .step("a read of what is known already is a 304", async {
            let path = &anna.need()?.user();
            let tag = tag(&api.get(path).await?)?;
            api.on_condition(IF_NONE_MATCH, &tag)?.get(path).await?.status(304)?;
            api.on_condition(IF_NONE_MATCH, stale)?.get(path).await?.status(200)
        })
        .await;
    report
        .step("a write over another version is a 412 and changes nothing", async {
            let anna = anna.need()?;
            let body = plain_user(&anna.name, "Nobody");
            api.on_condition(IF_MATCH, stale)?.put(&anna.user(), &body).await?.error(412)?;
            api.get(&anna.user()).await?.status(200)?.is("/name/givenName", "Anna")
        })
        .await;
    report
        .step("a write over the known version is done", async {
            let anna = anna.need()?;
            let read = api.get(&anna.user()).await?.status(200)?;
            let known = api.on_condition(IF_MATCH, &tag(&read)?)?;
            known.put(&anna.user(), &read.body).await?.status(200)
        })
        .await;
}

/// RFC 7644 section 3.4.2.3.
pub async fn sorting(api: &Client, report: &mut Report, people: [&Outcome<Resource>; 2]) {
    for (order, is_reversed) in [("ascending", false), ("descending", true)] {
        report
            .step(&format!("users are sorted by userName, {order}"), async {
                let mut want = both(people)?;
                let [one, other] = want.map(|person| eq("userName", &person.name));
                want.sort_by(|a, b| a.name.cmp(&b.name));
                if is_reversed {
                    want.reverse();
                }
                let path = search("/Users", &format!("{one} or {other}"));
                let path = format!("{path}&sortBy=userName&sortOrder={order}");
                let reply = api.get(&path).await?.list()?.total(2)?;
                let [first, second] = want.map(|person| person.id.as_str());
                reply.is("/Resources/0/id", first)?.is("/Resources/1/id", second)
            })
            .await;
    }
}

/// RFC 9865: pages that are asked for by cursors.
pub async fn cursors(api: &Client, report: &mut Report, people: [&Outcome<Resource>; 2]) {
    report
        .step("users are read by cursors, each once", async {
            let want = both(people)?;
            let mut seen = BTreeSet::new();
            let mut cursor = String::new();
            for _ in 0..MOST_PAGES {
                let reply = api.get(&format!("/Users?cursor={cursor}&count=100")).await?;
                let reply = reply.status(200)?;
                for id in reply.resources().iter().filter_map(|found| found.get("id")?.as_str()) {
                    if !seen.insert(id.to_owned()) {
                        return Err(reply.wrong(format!("each user once, not {id} on two pages")));
                    }
                }
                let Some(next) = reply.body.get("nextCursor").and_then(Value::as_str) else {
                    let missing = want.iter().find(|person| !seen.contains(&person.id));
                    return missing.map_or(Ok(()), |person| {
                        Err(reply.wrong(format!("the user {} on some page", person.id)))
                    });
                };
                cursor = encode(next);
            }
            Ok(())
        })
        .await;
}

/// RFC 7644 section 3.7: two resources in one request, one naming the other by its `bulkId`.
pub async fn bulk(api: &Client, report: &mut Report) {
    report
        .step("Bulk makes a user and a group that has it as a member", async {
            let mut group = plain_group(&fresh_group_name());
            let members = json!([{"value": "bulkId:anyone"}]);
            overlay(&mut group, &json!({"members": members}));
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": [
                    {"method": "POST", "path": "/Users", "bulkId": "anyone",
                        "data": plain_user(&fresh_user_name(), "Bulk")},
                    {"method": "POST", "path": "/Groups", "bulkId": "all", "data": group},
                ],
            });
            let reply = api.post("/Bulk", &body).await?;
            let made = |bulk_id: &str, endpoint: &str| {
                let operations = reply.body.get("Operations").and_then(Value::as_array);
                let mut operations = operations.into_iter().flatten();
                let done = operations
                    .find(|done| done.get("bulkId").and_then(Value::as_str) == Some(bulk_id))?;
                let id = done.get("location")?.as_str()?.rsplit('/').next()?;
                api.remember(format!("{endpoint}/{id}"));
                Some(Resource { id: id.to_owned(), name: String::new() })
            };
            let (user, group) = (made("anyone", "/Users"), made("all", "/Groups"));
            let reply = reply.status(200)?;
            let (Some(user), Some(group)) = (user, group) else {
                return Err(reply.wrong("the location of each new resource, by its bulkId"));
            };
            api.get(&group.group()).await?.status(200)?.members(&[&user])
        })
        .await;
}

/// RFC 7644 section 3.4.3, which no server has to announce and not every one has.
pub async fn posted_search(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    report
        .should("users are searched by POST", async {
            let anna = anna.need()?;
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
                "filter": eq("userName", &anna.name),
                "attributes": ["userName"],
                "startIndex": 1,
                "count": 10,
            });
            api.post("/Users/.search", &body).await?.only(anna)
        })
        .await;
}

/// The version that an answer names.
fn tag(reply: &Reply) -> Checked<String> {
    reply.tag.clone().ok_or_else(|| reply.wrong("an ETag"))
}
