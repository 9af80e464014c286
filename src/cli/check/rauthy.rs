//! rauthy: it looks for everything by externalId and then by name, whose plus sign it leaves as it
//! is, and compares the groups that the answer of a user names.

use serde_json::{Value, json};

use super::bodies::{
    eq, fresh_group_name, overlay, patch, plain_group, plain_user, random_hex, remove_members,
    search,
};
use super::client::Client;
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};
use super::{errors, import, steps};

/// Replays rauthy: groups of a full synchronisation, users, members, errors.
pub async fn run(api: &Client, report: &mut Report) {
    let (group, group_key) = create_group(api, report).await;
    let (anna, body) = create_user(api, report, "Anna").await;
    let (ben, _) = create_user(api, report, "Ben").await;
    update_user(api, report, &anna, &body).await;
    members(api, report, &group, &anna, &ben).await;
    rename(api, report, &group, &group_key).await;
    steps::delete(api, report, "the group", &group, Resource::group).await;
    steps::delete(api, report, "Ben", &ben, Resource::user).await;
    errors::run(api, report).await;
}

async fn create_group(api: &Client, report: &mut Report) -> (Outcome<Resource>, String) {
    let (body, key) = keyed(plain_group(&fresh_group_name()));
    report
        .step("all groups are read, a hundred a page", async {
            import::read(api, "/Groups", &[]).await
        })
        .await;
    let lookup = search("/Groups", &eq("externalId", &key));
    let group = steps::create_group(api, report, &body, &lookup).await;
    report
        .step("the group is found by displayName, and says its externalId", async {
            let group = group.need()?;
            let lookup = search("/Groups", &eq("displayName", &group.name));
            says(&api.get(&lookup).await?.only(group)?, &key)
        })
        .await;
    (group, key)
}

async fn create_user(api: &Client, report: &mut Report, name: &str) -> (Outcome<Resource>, Value) {
    let user_name = format!("muster-check+{}@example.com", random_hex());
    let (mut body, key) = keyed(plain_user(&user_name, name));
    let more = json!({
        "displayName": user_name,
        "preferredLanguage": "en",
        "emails": [{"value": user_name, "primary": true}],
        "roles": [{"value": "rauthy_user"}],
    });
    overlay(&mut body, &more);
    let lookup = search("/Users", &eq("externalId", &key));
    let made = steps::create_user(api, report, &body, &lookup).await;
    report
        .step(&format!("{name} is found by a userName whose plus sign is not encoded"), async {
            let lookup = format!("/Users?filter=userName%20eq%20%22{user_name}%22");
            says(&api.get(&lookup).await?.only(made.need()?)?, &key)
        })
        .await;
    (made, body)
}

async fn update_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>, body: &Value) {
    let changed = |more: &Value| {
        let mut body = body.clone();
        overlay(&mut body, more);
        body
    };
    let off = changed(&json!({"active": false, "name": {"familyName": "Changed"}}));
    steps::put_user(api, report, "Anna is written by PUT and switched off", anna, &off).await;
    report
        .step("attributes that no schema has are no error", async {
            let body = changed(&json!({"custom": {"team_colour": "blue"}}));
            api.put_then_get(&anna.need()?.user(), &body).await?.is("/active", true)
        })
        .await;
    report
        .step("Anna is let go of: a null externalId is none", async {
            let body = changed(&json!({"externalId": null}));
            api.put_then_get(&anna.need()?.user(), &body).await?.lacks("/externalId")
        })
        .await;
}

async fn members(
    api: &Client,
    report: &mut Report,
    group: &Outcome<Resource>,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    report
        .step("a member's groups say so, with their names", async {
            let (group, anna) = (group.need()?, anna.need()?);
            api.patch_then_get(&group.group(), &join(&[anna])).await?.members(&[anna])?;
            let reply = api.get(&anna.user()).await?.status(200)?;
            reply.holds(&json!({"groups": [{"value": group.id, "display": group.name}]}))?;
            api.patch_then_get(&group.group(), &leave(&[anna])).await?.members(&[])
        })
        .await;
    steps::patch_members(api, report, true, group, [anna, ben], [join, leave]).await;
}

async fn rename(api: &Client, report: &mut Report, group: &Outcome<Resource>, key: &str) {
    let let_go = "let go of: a null externalId is none";
    for (what, key) in [("renamed", json!(key)), (let_go, json!(null))] {
        report
            .step(&format!("the group is {what}"), async {
                let value = json!({"displayName": fresh_group_name(), "externalId": key});
                let body = patch(json!([{"op": "replace", "value": value}]));
                api.patch_then_get(&group.need()?.group(), &body).await?.holds(&value)
            })
            .await;
    }
}

/// Adds people by their ids and names.
fn join(people: &[&Resource]) -> Value {
    let members: Vec<Value> =
        people.iter().map(|person| json!({"value": person.id, "display": person.name})).collect();
    patch(json!([{"op": "add", "path": "members", "value": members}]))
}

fn leave(people: &[&Resource]) -> Value {
    patch(json!([remove_members(people)]))
}

/// The body with an externalId, and that.
fn keyed(mut body: Value) -> (Value, String) {
    let key = random_hex();
    overlay(&mut body, &json!({"externalId": key}));
    (body, key)
}

/// The resource has this externalId.
fn says(resource: &Value, key: &str) -> Checked<()> {
    match resource.get("externalId").and_then(Value::as_str) {
        Some(came) if came == key => Ok(()),
        came => Err(format!("expected the externalId {key} in the list (got {came:?})")),
    }
}
