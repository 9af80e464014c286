//! OneLogin: queries end in an ampersand and paths in a question mark, schemas are those of drafts
//! and of SCIM 1.
//!
//! What its older app and the templates of administrators send beyond that is recommended only.

use serde_json::json;

use super::bodies::{
    USER, eq, fresh_group_name, fresh_user_name, overlay, plain_user, search, search_by_form,
};
use super::client::Client;
use super::expect::Resource;
use super::report::{Outcome, Report};
use super::{errors, import, steps};

/// The schema of SCIM 1, which the older app names.
const OLD: &str = "urn:scim:schemas:core:1.0";
/// What the other app names, from before the RFC.
const DRAFTS: [&str; 2] =
    ["urn:scim:schemas:core:2.0", "urn:scim:schemas:extension:enterprise:2.0"];

/// Replays OneLogin: its connection test, users, the templates, groups, errors.
pub async fn run(api: &Client, report: &mut Report) {
    report
        .step("the connection test finds nobody, in a list or by a 404", async {
            let reply = api.get(&lookup(&fresh_user_name())).await?;
            if reply.status == 404 { Ok(reply) } else { reply.list()?.total(0) }
        })
        .await;
    let anna = create_user(api, report, "Anna").await;
    let ben = create_user(api, report, "Ben").await;
    report
        .step("all users are read", async {
            import::read_plainly(api, "/Users", &[anna.need()?, ben.need()?]).await
        })
        .await;
    update_user(api, report, &anna).await;
    template(api, report).await;
    groups(api, report, &anna, &ben).await;
    steps::delete(api, report, "Ben", &ben, Resource::user).await;
    errors::run(api, report).await;
}

/// How OneLogin looks for a user.
fn lookup(user_name: &str) -> String {
    format!("{}&", search_by_form("/Users", &eq("userName", user_name)))
}

async fn create_user(api: &Client, report: &mut Report, name: &str) -> Outcome<Resource> {
    let user_name = fresh_user_name();
    let mut body = plain_user(&user_name, name);
    let more = json!({
        "schemas": [OLD],
        "externalId": null,
        "nickName": name,
        "profileUrl": null,
        "title": "Engineer",
        "timezone": "Pacific Time (US & Canada)",
        "emails": [{"value": user_name, "primary": true}],
        "photos": [{"value": "https://photos.example.com/p", "type": "photo"}],
        "groups": [],
    });
    overlay(&mut body, &more);
    steps::create_user(api, report, &body, &lookup(&user_name)).await
}

async fn update_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    report
        .step("Anna is written by PUT with the schemas of drafts, at a path with a ?", async {
            let anna = anna.need()?;
            let name = json!({"familyName": "Changed", "givenName": "Anna"});
            let body = json!({
                "schemas": DRAFTS, "userName": anna.name, "name": name, "active": true,
            });
            api.put(&format!("{}?", anna.user()), &body).await?.status(200)?.present("/id")?;
            api.get(&anna.user()).await?.status(200)?.is("/name/familyName", "Changed")
        })
        .await;
}

/// What the template sends that administrators copy from a provider's page.
async fn template(api: &Client, report: &mut Report) {
    report
        .should("a user whose active is text and whose only address has no array", async {
            let user_name = fresh_user_name();
            let body = json!({
                "schemas": [USER],
                "id": null,
                "userName": user_name,
                "active": "true",
                "emails": {"value": user_name, "primary": true},
                "name": {"givenName": "Cara", "familyName": "Check"},
            });
            let cara = api.post("/Users", &body).await?.created()?.resource()?;
            let reply = api.get(&cara.user()).await?.status(200)?.is("/active", true)?;
            reply.holds(&json!({"emails": [{"value": user_name}]}))
        })
        .await;
}

async fn groups(
    api: &Client,
    report: &mut Report,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    let name = fresh_group_name();
    let body = json!({"schemas": [OLD], "displayName": name, "members": []});
    let lookup = search("/Groups", &eq("displayName", &name));
    let group = steps::create_group(api, report, &body, &lookup).await;
    report
        .should("members are added by a PATCH of SCIM 1.1", async {
            let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
            let members = json!([{"value": anna.id}, {"value": ben.id}]);
            let body = json!({"schemas": [OLD], "members": members});
            api.patch_then_get(&group.group(), &body).await?.members(&[anna, ben])
        })
        .await;
    report
        .should("a member is removed by a PATCH of SCIM 1.1", async {
            let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
            let members = json!([{"value": anna.id, "operation": "delete"}]);
            let body = json!({"schemas": [OLD], "members": members});
            api.patch_then_get(&group.group(), &body).await?.members(&[ben])
        })
        .await;
    steps::delete(api, report, "the group", &group, Resource::group).await;
}
