//! The twelve requests of Okta's published SCIM 2.0 SPEC test, with its assertions.
//!
//! It must pass before Okta takes an integration in; an app of the wizard is held to it as well,
//! since each of its requests is one the live client depends on.

use std::time::Duration;

use serde_json::{Value, json};

use super::bodies::{LIST, USER, eq, fresh_user_name, search};
use super::client::{Client, OKTA_SPEC};
use super::expect::{Checked, Resource};
use super::report::Report;
use super::steps;

/// How long the list of groups may take.
const PROMPT: Duration = Duration::from_millis(600);
/// The address that the SPEC test expects nobody to have.
const NOBODY: &str = "abcdefgh@atko.com";
/// Two ids that the SPEC test expects not to exist; neither looks like a UUID.
const NO_IDS: [&str; 2] = ["010101001010101011001010101011", "00919288221112222"];

/// Replays the test; it needs a user in the store, which the caller has made.
pub async fn run(api: &Client, report: &mut Report) {
    let api = &api.speaking(&OKTA_SPEC);
    let name = &fresh_user_name();
    let first = report.step("SPEC 1: the first user of the list", first_user(api)).await;
    report
        .step("SPEC 2: that user by id", async {
            let first = first.need()?;
            complete(api.get(&first.user()).await?.status(200)?.is("/id", first.id.as_str())?)
        })
        .await;
    report
        .step("SPEC 3: a userName that nobody has is an empty list", async {
            api.get(&search("/Users", &eq("userName", NOBODY))).await?.list()?.total(0)
        })
        .await;
    report
        .step("SPEC 4: an unknown id is a 404 with a detail", async {
            api.get(&format!("/Users/{}", NO_IDS[0])).await?.error(404)
        })
        .await;
    report
        .step("SPEC 5: a fresh userName is not taken", async {
            api.get(&search("/Users", &eq("userName", name))).await?.list()?.total(0)
        })
        .await;
    let made = report.step("SPEC 6: a user is created", create(api, name)).await;
    report
        .step("SPEC 7: the created user is read back", async {
            let reply = api.get(&made.need()?.user()).await?.status(200)?;
            reply.is("/userName", name.as_str())?.is("/name", spec_name())
        })
        .await;
    report
        .step("SPEC 8: the same userName again is a 409", async {
            made.need()?;
            api.post("/Users", &spec_user(name, "other@example.com")).await?.error(409)
        })
        .await;
    report
        .step("SPEC 9: userName is found in capitals", async {
            let path = search("/Users", &eq("userName", &name.to_uppercase()));
            api.get(&path).await?.only(made.need()?)
        })
        .await;
    report
        .step("SPEC 10: groups are listed in less than 600 ms", async {
            steps::promptly(api, "/Groups", PROMPT).await?.list()
        })
        .await;
    report
        .step("SPEC 11: an unknown token is a 401 with a detail", async {
            let path = search("/Users", &eq("userName", name));
            api.authorized_as("non-token").get(&path).await?.error(401)
        })
        .await;
    report
        .step("SPEC 12: another unknown id is a 404 with a detail", async {
            api.get(&format!("/Users/{}", NO_IDS[1])).await?.error(404)
        })
        .await;
}

/// Lists one user, whoever it is.
async fn first_user(api: &Client) -> Checked<Resource> {
    let reply = api.get("/Users?count=1&startIndex=1").await?.list()?.schema(LIST)?;
    let reply = reply.text("/Resources/0/id")?.text("/Resources/0/userName")?;
    let text = |key: &str| {
        let value = reply.body.pointer(&format!("/Resources/0/{key}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(Resource { id: text("id"), name: text("userName") })
}

/// A user has what Okta asks of every user it reads.
fn complete(reply: super::client::Reply) -> Checked<super::client::Reply> {
    let reply = reply.text("/id")?.text("/userName")?.present("/active")?;
    reply.text("/name/givenName")?.text("/name/familyName")?.text("/emails/0/value")
}

async fn create(api: &Client, name: &str) -> Checked<Resource> {
    let reply = api.post("/Users", &spec_user(name, name)).await?.created()?.schema(USER)?;
    let reply = reply.is("/active", true)?.is("/userName", name)?.is("/name", spec_name())?;
    reply.resource()
}

fn spec_name() -> Value {
    json!({"givenName": "Runscope", "familyName": "Check"})
}

fn spec_user(user_name: &str, email: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": user_name,
        "name": spec_name(),
        "emails": [{"primary": true, "value": email, "type": "work"}],
        "displayName": "Runscope Check",
        "active": true,
    })
}
