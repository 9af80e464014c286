//! Okta, an app of its integration network: profiles by PUT, all else by PATCH.
//!
//! Activation is a `replace` without a path; a group's every update carries its name again, and its
//! members are removed by a filter and added by an array in one request.

use serde_json::{Value, json};

use super::bodies::{
    fresh_group_name, fresh_user_name, okta_mapped_user, okta_user, patch, random_hex,
};
use super::client::Client;
use super::expect::Resource;
use super::okta::{create_group, create_user, delete_group, import_users, test_connector};
use super::report::{Outcome, Report};
use super::{errors, spec};

/// Replays the app of the integration network.
pub async fn run(api: &Client, report: &mut Report) {
    test_connector(api, report).await;
    let anna = create_user(api, report, okta_user(&fresh_user_name())).await;
    let ben = create_user(api, report, okta_mapped_user(&fresh_user_name())).await;
    spec::run(api, report).await;
    patch_user(api, report, &anna).await;
    push_group(api, report, &anna, &ben).await;
    import_users(api, report, &[&anna, &ben]).await;
    errors::run(api, report).await;
}

async fn patch_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    report
        .step("a profile update by PATCH without a path changes what it names", async {
            let anna = anna.need()?;
            let value = json!({"name": {"givenName": "Ann"}, "title": "Engineer"});
            let reply = api.patch_then_get(&anna.user(), &replace(None, value)).await?;
            let want = json!({"name": {"givenName": "Ann", "familyName": "Check"},
                "title": "Engineer", "userName": anna.name});
            reply.holds(&want)
        })
        .await;
    for (active, name) in [(false, "deactivated"), (true, "reactivated")] {
        for (path, how) in [(None, "without a path"), (Some("active"), "with the path active")] {
            report
                .step(&format!("Anna is {name} by PATCH {how}"), async {
                    let value =
                        if path.is_some() { json!(active) } else { json!({"active": active}) };
                    let body = replace(path, value);
                    api.patch_then_get(&anna.need()?.user(), &body).await?.is("/active", active)
                })
                .await;
        }
    }
    report
        .step("a password pushed by PATCH is accepted and never shown", async {
            let body = replace(None, json!({"password": random_hex()}));
            api.patch_then_get(&anna.need()?.user(), &body).await?.lacks("/password")
        })
        .await;
}

async fn push_group(
    api: &Client,
    report: &mut Report,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    let group = &create_group(api, report).await;
    report
        .step("a member is added, with the name of the group in the same request", async {
            let (group, anna) = (group.need()?, anna.need()?);
            let body = patch(json!([rename(group, &group.name), add(&[anna])]));
            api.patch_then_get(&group.group(), &body).await?.members(&[anna])
        })
        .await;
    report
        .step("adding a member again changes nothing", async {
            let (group, anna) = (group.need()?, anna.need()?);
            let before = api.get(&group.group()).await?.status(200)?;
            let reply = api.patch_then_get(&group.group(), &patch(json!([add(&[anna])]))).await?;
            let unchanged = before.body.pointer("/meta/lastModified").cloned().unwrap_or_default();
            reply.members(&[anna])?.is("/meta/lastModified", unchanged)
        })
        .await;
    report
        .step("one member is removed by a filter and one is added, in one request", async {
            let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
            let body = patch(json!([rename(group, &group.name), remove(anna), add(&[ben])]));
            api.patch_then_get(&group.group(), &body).await?.members(&[ben])
        })
        .await;
    report
        .step("removing someone who is not a member succeeds", async {
            let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
            let body = patch(json!([remove(anna)]));
            api.patch_then_get(&group.group(), &body).await?.members(&[ben])
        })
        .await;
    report
        .step("Push now replaces all members", async {
            let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
            let people = json!([member(anna), member(ben)]);
            let body = replace(Some("members"), people);
            api.patch_then_get(&group.group(), &body).await?.members(&[anna, ben])
        })
        .await;
    report
        .step("Push now of an emptied group removes all members", async {
            let group = group.need()?;
            let body = replace(Some("members"), json!([]));
            api.patch_then_get(&group.group(), &body).await?.members(&[])
        })
        .await;
    report
        .step("a group is renamed by PATCH without a path", async {
            let (group, name) = (group.need()?, fresh_group_name());
            let body = patch(json!([rename(group, &name)]));
            api.patch_then_get(&group.group(), &body).await?.is("/displayName", name)
        })
        .await;
    delete_group(api, report, group).await;
}

fn member(person: &Resource) -> Value {
    json!({"value": person.id, "display": person.name})
}

fn add(people: &[&Resource]) -> Value {
    let members: Vec<Value> = people.iter().map(|person| member(person)).collect();
    json!({"op": "add", "path": "members", "value": members})
}

fn remove(person: &Resource) -> Value {
    json!({"op": "remove", "path": format!("members[value eq \"{}\"]", person.id)})
}

fn rename(group: &Resource, name: &str) -> Value {
    json!({"op": "replace", "value": {"id": group.id, "displayName": name}})
}

#[expect(clippy::needless_pass_by_value, reason = "called with json!(…) written in place")]
fn replace(path: Option<&str>, value: Value) -> Value {
    let mut operation = json!({"op": "replace", "value": value});
    if let (Some(members), Some(path)) = (operation.as_object_mut(), path) {
        members.insert("path".to_owned(), path.into());
    }
    patch(json!([operation]))
}
