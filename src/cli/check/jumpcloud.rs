//! JumpCloud's Custom SCIM: users by POST and PUT as they were captured, and PATCH as others report
//! it. How it looks for a user and how it makes a group is not known: those requests are plain ones.

use serde_json::{Value, json};

use super::bodies::{
    ENTERPRISE, USER, add_members, eq, fresh_group_name, fresh_user_name, overlay, patch,
    plain_group, plain_user, remove_members, search,
};
use super::client::Client;
use super::expect::Resource;
use super::report::{Outcome, Report};
use super::{errors, steps};

/// Replays JumpCloud: users, their updates, members, deletion, errors.
pub async fn run(api: &Client, report: &mut Report) {
    let anna = create_user(api, report, "Anna").await;
    let ben = create_user(api, report, "Ben").await;
    put_user(api, report, &anna).await;
    patch_user(api, report, &anna).await;
    let name = fresh_group_name();
    let lookup = search("/Groups", &eq("displayName", &name));
    let group = steps::create_group(api, report, &plain_group(&name), &lookup).await;
    steps::patch_members(api, report, false, &group, [&anna, &ben], [join, leave]).await;
    steps::delete(api, report, "the group", &group, Resource::group).await;
    steps::delete(api, report, "Ben", &ben, Resource::user).await;
    errors::run(api, report).await;
}

async fn create_user(api: &Client, report: &mut Report, name: &str) -> Outcome<Resource> {
    let user_name = fresh_user_name();
    let lookup = search("/Users", &eq("userName", &user_name));
    steps::create_user(api, report, &user(&user_name, name), &lookup).await
}

async fn put_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    let user_name = anna.need().map(|anna| anna.name.clone()).unwrap_or_default();
    let mut body = user(&user_name, "Anna");
    let more = json!({
        "schemas": [ENTERPRISE, USER],
        "addresses": [],
        "phoneNumbers": [],
        "photos": [{"value": "https://photos.example.com/anna"}],
        "title": "Engineer",
        ENTERPRISE: {"department": "Engineering"},
    });
    overlay(&mut body, &more);
    let what = "Anna is written by PUT, the extension's schema first and empty lists for nothing";
    steps::put_user(api, report, what, anna, &body).await;
    let least = json!({
        "schemas": [USER],
        "userName": user_name,
        "name": {"familyName": "Check", "givenName": "Anna"},
        "active": true,
        "emails": null,
    });
    let what = "Anna is written by a PUT of the least, with null for no addresses";
    steps::put_user(api, report, what, anna, &least).await;
}

async fn patch_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    for active in [false, true] {
        report
            .should(&format!("Anna is written by PATCH, active {active}"), async {
                let body = patch(json!([
                    {"op": "replace", "path": "name.givenName", "value": "Anne"},
                    {"op": "replace", "path": "name.familyName", "value": "Changed"},
                    {"op": "replace", "path": "active", "value": active},
                ]));
                let reply = api.patch_then_get(&anna.need()?.user(), &body).await?;
                let name = json!({"givenName": "Anne", "familyName": "Changed"});
                reply.holds(&json!({"name": name, "active": active}))
            })
            .await;
    }
}

/// A user as JumpCloud creates it.
fn user(user_name: &str, given_name: &str) -> Value {
    let mut user = plain_user(user_name, given_name);
    let more = json!({
        "schemas": [USER, ENTERPRISE],
        "locale": "en_US",
        "preferredLanguage": "en",
        "addresses": [{"country": "US", "locality": "Springfield", "postalCode": "12345",
            "primary": true, "region": "IL", "streetAddress": "1 Main St", "type": "work"}],
        "phoneNumbers": [{"primary": true, "type": "work", "value": "tel:+1-555-0100"}],
    });
    overlay(&mut user, &more);
    user
}

fn join(people: &[&Resource]) -> Value {
    patch(json!([add_members(people)]))
}

fn leave(people: &[&Resource]) -> Value {
    patch(json!([remove_members(people)]))
}
