//! Microsoft Entra ID: PATCH in two dialects, `DELETE` for users, groups read without members.
//!
//! By default `op` has a capital, booleans are texts and members are removed by a value array; with
//! `aadOptscim062020` in the tenant URL the same changes come in the wording of the RFC, except for
//! dotted and URN-qualified keys in an object without a path.

use serde_json::{Value, json};

use super::bodies::{
    ENTERPRISE, entra_group, entra_user, eq, fresh_group_name, fresh_user_name, patch, random_uuid,
    search, stored,
};
use super::client::Client;
use super::expect::Resource;
use super::report::{Outcome, Report};
use super::{errors, steps};

/// The flag that switches Entra to the wording of the RFC.
const STRICT_FLAG: &str = "aadOptscim062020";

/// Replays Entra: connection test, users and groups in both dialects, deletion, schemas, errors.
pub async fn run(api: &Client, report: &mut Report) {
    test_connection(api, report).await;
    let (clara, external_id) = create_user(api, report).await;
    let (dora, _) = create_user(api, report).await;
    find_user(api, report, &clara, &external_id).await;
    patch_user(api, report, &clara).await;
    patch_user_strictly(&api.flagged(STRICT_FLAG), report, &clara).await;
    groups(api, report, &clara, &dora).await;
    groups_strictly(&api.flagged(STRICT_FLAG), report, &clara, &dora).await;
    steps::delete(api, report, "Dora", &dora, Resource::user).await;
    errors::run(api, report).await;
}

/// The button *Test Connection* looks for a user and a group that cannot exist.
async fn test_connection(api: &Client, report: &mut Report) {
    let nobody = &random_uuid();
    report
        .step("Test Connection: a random user is an empty list", async {
            api.get(&search("/Users", &eq("userName", nobody)))
                .await?
                .list()?
                .total(0)?
                .media_type()
        })
        .await;
    report
        .step("Test Connection: a random group is an empty list", async {
            let filter = search("/Groups", &eq("displayName", nobody));
            let path = format!("{filter}&excludedAttributes=members");
            api.get(&path).await?.list()?.total(0)
        })
        .await;
    report
        .should("schemas are a list without nulls", async {
            api.get("/Schemas").await?.list()?.without_nulls()
        })
        .await;
}

async fn create_user(api: &Client, report: &mut Report) -> (Outcome<Resource>, String) {
    let body = entra_user(&fresh_user_name());
    let external_id = body.get("externalId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let made = report
        .step("a user is created, and the answer is the whole user", async {
            let reply = api.post("/Users", &body).await?.created()?.media_type()?;
            reply.holds(&stored(&body))?.without_nulls()?.resource()
        })
        .await;
    (made, external_id)
}

/// Matching: by userName, by externalId, and by the address of work.
async fn find_user(api: &Client, report: &mut Report, clara: &Outcome<Resource>, id: &str) {
    report
        .step("the user is found by userName, in capitals too", async {
            let clara = clara.need()?;
            api.get(&search("/Users", &eq("userName", &clara.name.to_uppercase())))
                .await?
                .only(clara)
        })
        .await;
    report
        .step("the user is found by externalId", async {
            api.get(&search("/Users", &eq("externalId", id))).await?.only(clara.need()?)
        })
        .await;
    report
        .should("the user is found by an externalId without quotes", async {
            api.get(&search("/Users", &format!("externalId eq {id}"))).await?.only(clara.need()?)
        })
        .await;
    report
        .step("the user is found by the address of work", async {
            let clara = clara.need()?;
            let filter = format!("emails[type eq \"work\"].value eq \"{}\"", clara.name);
            api.get(&search("/Users", &filter)).await?.only(clara)
        })
        .await;
}

/// The default dialect: capital `op`, texts for booleans, one path an operation.
async fn patch_user(api: &Client, report: &mut Report, clara: &Outcome<Resource>) {
    let manager = &format!("{ENTERPRISE}:manager");
    report
        .step("several paths are changed in one PATCH", async {
            let body = patch(json!([
                {"op": "Replace", "path": "displayName", "value": "Clara Changed"},
                {"op": "Replace", "path": "name.familyName", "value": "Changed"},
                {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "c@example.com"},
                {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"},
            ]));
            let reply = api.patch_then_get(&clara.need()?.user(), &body).await?;
            reply.holds(&json!({
                "displayName": "Clara Changed",
                "name": {"familyName": "Changed", "givenName": "Clara"},
                "emails": [{"type": "work", "value": "c@example.com"}],
                ENTERPRISE: {"department": "Sales"},
            }))
        })
        .await;
    report
        .step("an address that is not there yet is made from the path", async {
            let body = patch(json!([
                {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 555 1"},
                {"op": "Replace", "path": "addresses[type eq \"work\"].locality", "value": "Berlin"},
            ]));
            let reply = api.patch_then_get(&clara.need()?.user(), &body).await?;
            reply.holds(&json!({
                "phoneNumbers": [{"type": "mobile", "value": "+1 555 1"}],
                "addresses": [{"type": "work", "locality": "Berlin"}],
            }))
        })
        .await;
    report
        .step("the manager is set by a plain text and removed", async {
            let path = &clara.need()?.user();
            let set = patch(json!([{"op": "Add", "path": manager, "value": "4711"}]));
            let reply = api.patch_then_get(path, &set).await?;
            reply.holds(&json!({ENTERPRISE: {"manager": {"value": "4711"}}}))?;
            let remove = patch(json!([{"op": "Remove", "path": manager}]));
            api.patch_then_get(path, &remove).await?.lacks(&format!("/{ENTERPRISE}/manager"))
        })
        .await;
    for (text, active) in [("False", false), ("True", true)] {
        report
            .step(&format!("active is the text \"{text}\""), async {
                let body = patch(json!([{"op": "Replace", "path": "active", "value": text}]));
                api.patch_then_get(&clara.need()?.user(), &body).await?.is("/active", active)
            })
            .await;
    }
}

/// The dialect of the flag: one operation without a path, with dotted and URN-qualified keys.
async fn patch_user_strictly(api: &Client, report: &mut Report, clara: &Outcome<Resource>) {
    let number = &format!("{ENTERPRISE}:employeeNumber");
    report
        .step("with the flag: one object of dotted and qualified names", async {
            let body = patch(json!([{"op": "replace", "value": {
                "displayName": "Clara Again", "name.givenName": "Klara", number: "4712"}}]));
            let reply = api.patch_then_get(&clara.need()?.user(), &body).await?;
            reply.holds(&json!({"displayName": "Clara Again", "name": {"givenName": "Klara"},
                ENTERPRISE: {"employeeNumber": "4712"}}))
        })
        .await;
    for active in [false, true] {
        report
            .step(&format!("with the flag: active is {active}"), async {
                let body = patch(json!([{"op": "replace", "path": "active", "value": active}]));
                api.patch_then_get(&clara.need()?.user(), &body).await?.is("/active", active)
            })
            .await;
    }
}

async fn groups(
    api: &Client,
    report: &mut Report,
    clara: &Outcome<Resource>,
    dora: &Outcome<Resource>,
) {
    let group = &create_group(api, report).await;
    report
        .step("the group is read without its members", async {
            let path = format!("{}?excludedAttributes=members", group.need()?.group());
            api.get(&path).await?.status(200)?.lacks("/members")
        })
        .await;
    report
        .step("members are added", async {
            let (group, clara, dora) = (group.need()?, clara.need()?, dora.need()?);
            let body = patch(json!([members("Add", &[clara]), members("Add", &[dora])]));
            api.patch_then_get(&group.group(), &body).await?.members(&[clara, dora])
        })
        .await;
    report
        .step("a member is removed by a value array, and no other", async {
            let (group, clara, dora) = (group.need()?, clara.need()?, dora.need()?);
            let body = patch(json!([members("Remove", &[clara])]));
            api.patch_then_get(&group.group(), &body).await?.members(&[dora])
        })
        .await;
    report
        .step("the group is renamed", async {
            let (group, name) = (group.need()?, fresh_group_name());
            let body = patch(json!([{"op": "Replace", "path": "displayName", "value": name}]));
            api.patch_then_get(&group.group(), &body).await?.is("/displayName", name)
        })
        .await;
    steps::delete(api, report, "the group", group, Resource::group).await;
}

async fn groups_strictly(
    api: &Client,
    report: &mut Report,
    clara: &Outcome<Resource>,
    dora: &Outcome<Resource>,
) {
    let group = &create_group(api, report).await;
    report
        .step("with the flag: members are added and one is removed by a filter", async {
            let (group, clara, dora) = (group.need()?, clara.need()?, dora.need()?);
            let add = patch(json!([members("add", &[clara, dora])]));
            api.patch_then_get(&group.group(), &add).await?.members(&[clara, dora])?;
            let path = format!("members[value eq \"{}\"]", dora.id);
            let remove = patch(json!([{"op": "remove", "path": path}]));
            api.patch_then_get(&group.group(), &remove).await?.members(&[clara])
        })
        .await;
    steps::delete(api, report, "the group", group, Resource::group).await;
}

async fn create_group(api: &Client, report: &mut Report) -> Outcome<Resource> {
    let body = entra_group(&fresh_group_name());
    report
        .step("a group is created with a schema of Entra's own, and found", async {
            let group = api.post("/Groups", &body).await?.created()?.resource()?;
            let filter = search("/Groups", &eq("displayName", &group.name));
            api.get(&format!("{filter}&excludedAttributes=members")).await?.only(&group)?;
            Ok(group)
        })
        .await
}

/// An operation on members, with the null `$ref` that Entra sends.
fn members(op: &str, people: &[&Resource]) -> Value {
    let value: Vec<Value> =
        people.iter().map(|person| json!({"$ref": null, "value": person.id})).collect();
    json!({"op": op, "path": "members", "value": value})
}
