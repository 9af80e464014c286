//! authentik: it asks what the server can do, writes users by PUT and groups by PATCH, and takes a
//! 409 as a reason to look for what is there.

use serde_json::{Value, json};

use super::bodies::{
    GROUP, add_members, eq, fresh_group_name, fresh_user_name, overlay, patch, plain_group,
    plain_user, random_uuid, remove_members, search_by_form,
};
use super::client::Client;
use super::expect::Resource;
use super::report::{Outcome, Report};
use super::{errors, import, steps};

/// Replays authentik: its discovery, users, groups with their members, errors.
pub async fn run(api: &Client, report: &mut Report) {
    report
        .step("the server says what it can do", async {
            let reply = api.get("/ServiceProviderConfig").await?.status(200)?;
            reply.present("/patch/supported")?.present("/filter/supported")?.present("/bulk")
        })
        .await;
    let anna = create_user(api, report, "Anna").await;
    let ben = create_user(api, report, "Ben").await;
    report
        .step("all users are read, by pages of the server's size", async {
            import::read_plainly(api, "/Users", &[anna.need()?, ben.need()?]).await
        })
        .await;
    groups(api, report, &anna, &ben).await;
    steps::delete(api, report, "Anna", &anna, Resource::user).await;
    errors::run(api, report).await;
}

async fn create_user(api: &Client, report: &mut Report, name: &str) -> Outcome<Resource> {
    let user_name = fresh_user_name();
    let body = user(&user_name, name);
    let made = steps::make_user(api, report, &body).await;
    report
        .step(&format!("{name} is there: a second creation is a 409"), async {
            made.need()?;
            api.post("/Users", &body).await?.error(409)
        })
        .await;
    report
        .step(&format!("{name} is found then, the spaces of the filter being plus signs"), async {
            let path = search_by_form("/Users", &eq("userName", &user_name));
            api.get(&path).await?.only(made.need()?)
        })
        .await;
    report
        .should(&format!("{name} is found without quotes, as earlier versions ask"), async {
            let path = search_by_form("/Users", &format!("userName eq {user_name}"));
            api.get(&path).await?.only(made.need()?)
        })
        .await;
    for active in [false, true] {
        let mut body = body.clone();
        overlay(&mut body, &json!({"active": active, "displayName": format!("{name} Again")}));
        let what = format!("{name} is written by PUT, active {active}");
        steps::put_user(api, report, &what, &made, &body).await;
    }
    made
}

async fn groups(
    api: &Client,
    report: &mut Report,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    let name = fresh_group_name();
    let lookup = search_by_form("/Groups", &eq("displayName", &name));
    let group = &steps::create_group(api, report, &plain_group(&name), &lookup).await;
    report
        .step("the group is renamed by PATCH of an object", async {
            let (group, name) = (group.need()?, fresh_group_name());
            let value = json!({"schemas": [GROUP], "displayName": name});
            let body = patch(json!([{"op": "replace", "value": value}]));
            api.patch_then_get(&group.group(), &body).await?.is("/displayName", name)
        })
        .await;
    report
        .should("the object may repeat the id, as earlier versions send it", async {
            let (group, name) = (group.need()?, fresh_group_name());
            let value = json!({"id": group.id, "displayName": name});
            let body = patch(json!([{"op": "replace", "value": value}]));
            api.patch_then_get(&group.group(), &body).await?.is("/displayName", name)
        })
        .await;
    steps::patch_members(api, report, true, group, [anna, ben], [join, leave]).await;
    report
        .should("the group is written by PUT without schemas, members without names", async {
            let (group, anna) = (group.need()?, anna.need()?);
            let body = json!({"displayName": group.name, "members": [{"value": anna.id}]});
            api.put_then_get(&group.group(), &body).await?.members(&[anna])
        })
        .await;
    steps::delete(api, report, "the group", group, Resource::group).await;
}

/// A user as authentik sends it.
fn user(user_name: &str, given_name: &str) -> Value {
    let mut user = plain_user(user_name, given_name);
    let more = json!({
        "externalId": random_uuid(),
        "name": {"formatted": format!("{given_name} Check")},
        "emails": [{"value": user_name, "type": "other", "primary": true}],
        "photos": [],
    });
    overlay(&mut user, &more);
    user
}

/// An operation for each who joins.
fn join(people: &[&Resource]) -> Value {
    patch(people.iter().map(|person| add_members(&[person])).collect())
}

/// An operation for each who leaves.
fn leave(people: &[&Resource]) -> Value {
    patch(people.iter().map(|person| remove_members(&[person])).collect())
}
