//! Steps that several clients take in the same way: a look-up, a creation, a deletion.

use std::time::Duration;

use serde_json::{Value, json};

use super::bodies::{eq, overlay, search, stored};
use super::client::{Client, Reply};
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};

/// How often something is asked for that has to come promptly, at most.
const ATTEMPTS: usize = 5;

/// An answer that takes no longer than this: the quickest of a few, since one slow moment of a machine or
/// of the way to it says nothing about the server.
pub async fn promptly(api: &Client, path: &str, limit: Duration) -> Checked<Reply> {
    let mut quickest = api.get(path).await?;
    for _ in 1..ATTEMPTS {
        if quickest.elapsed <= limit {
            break;
        }
        let next = api.get(path).await?;
        if next.elapsed < quickest.elapsed {
            quickest = next;
        }
    }
    quickest.within(limit)
}

/// A user who is looked up, made, read back and found.
pub async fn create_user(
    api: &Client,
    report: &mut Report,
    body: &Value,
    lookup: &str,
) -> Outcome<Resource> {
    let person = body.pointer("/name/givenName").and_then(Value::as_str).unwrap_or_default();
    report
        .step(&format!("{person} is looked up and not found"), async {
            api.get(lookup).await?.list()?.total(0)
        })
        .await;
    let made = make_user(api, report, body).await;
    report
        .step(&format!("{person} is found"), async { api.get(lookup).await?.only(made.need()?) })
        .await;
    made
}

/// A user who is made and read back.
pub async fn make_user(api: &Client, report: &mut Report, body: &Value) -> Outcome<Resource> {
    let person = body.pointer("/name/givenName").and_then(Value::as_str).unwrap_or_default();
    let made = report
        .step(&format!("{person} is created, and the answer is the whole user"), async {
            let reply = api.post("/Users", body).await?.created()?.media_type()?;
            let reply = reply.holds(&stored(body))?.lacks("/password")?.without_nulls()?;
            reply.resource()
        })
        .await;
    report
        .step(&format!("{person} is read back with all that was sent"), async {
            let reply = api.get(&made.need()?.user()).await?.status(200)?;
            reply.holds(&stored(body))?.lacks("/password")?.present("/meta/resourceType")
        })
        .await;
    made
}

/// A group that is looked up, made and found.
pub async fn create_group(
    api: &Client,
    report: &mut Report,
    body: &Value,
    lookup: &str,
) -> Outcome<Resource> {
    report
        .step("a group is looked up and not found", async {
            api.get(lookup).await?.list()?.total(0)
        })
        .await;
    let group = report
        .step("the group is created", async {
            let reply = api.post("/Groups", body).await?.created()?;
            let name = body.get("displayName").cloned().unwrap_or_default();
            reply.is("/displayName", name)?.resource()
        })
        .await;
    report.step("the group is found", async { api.get(lookup).await?.only(group.need()?) }).await;
    group
}

/// A PUT with the id in its body, which must leave all that it says.
pub async fn put_user(
    api: &Client,
    report: &mut Report,
    name: &str,
    user: &Outcome<Resource>,
    body: &Value,
) {
    report
        .step(name, async {
            let user = user.need()?;
            let mut body = body.clone();
            overlay(&mut body, &json!({"id": user.id}));
            let reply = api.put_then_get(&user.user(), &body).await?;
            reply.holds(&stored(&body))
        })
        .await;
}

/// Members come and go by PATCH, in the words of the client, which are known or only reported.
pub async fn patch_members(
    api: &Client,
    report: &mut Report,
    is_known: bool,
    group: &Outcome<Resource>,
    [first, second]: [&Outcome<Resource>; 2],
    [add, remove]: [fn(&[&Resource]) -> Value; 2],
) {
    report
        .step_or_should(is_known, "members are added", async {
            let (group, first, second) = (group.need()?, first.need()?, second.need()?);
            api.patch_then_get(&group.group(), &add(&[first])).await?.members(&[first])?;
            let reply = api.patch_then_get(&group.group(), &add(&[first, second])).await?;
            reply.members(&[first, second])
        })
        .await;
    report
        .step_or_should(is_known, "a member is removed, and no other", async {
            let (group, first, second) = (group.need()?, first.need()?, second.need()?);
            api.patch_then_get(&group.group(), &remove(&[first])).await?.members(&[second])
        })
        .await;
    report
        .step_or_should(is_known, "the last member is removed", async {
            let (group, second) = (group.need()?, second.need()?);
            api.patch_then_get(&group.group(), &remove(&[second])).await?.members(&[])
        })
        .await;
}

/// A deletion, after which the resource is gone, found no more, and cannot be deleted again.
pub async fn delete(
    api: &Client,
    report: &mut Report,
    what: &str,
    resource: &Outcome<Resource>,
    path: fn(&Resource) -> String,
) {
    report
        .step(
            &format!("{what} is deleted: gone, not listed, and a second deletion is a 404"),
            async {
                let resource = resource.need()?;
                let path = path(resource);
                api.delete(&path).await?.status(204)?;
                api.get(&path).await?.error(404)?;
                let is_user = path.starts_with("/Users/");
                let (endpoint, key) =
                    if is_user { ("/Users", "userName") } else { ("/Groups", "displayName") };
                let lookup = search(endpoint, &eq(key, &resource.name));
                api.get(&lookup).await?.list()?.total(0)?;
                api.delete(&path).await?.error(404)
            },
        )
        .await;
}
