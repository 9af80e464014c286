//! Okta, an app of the classic wizard (SWA or SAML with SCIM): every write but a creation is a PUT.
//!
//! An update reads the resource, lays Okta's values on what it read and puts the whole back, so
//! whatever GET leaves out is lost.

use serde_json::{Value, json};

use super::bodies::{
    fresh_group_name, fresh_user_name, okta_group, okta_lookup, okta_mapped_user, okta_user,
    overlay, stored,
};
use super::client::Client;
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};
use super::{errors, import, spec, steps};

/// Replays the wizard app: the connector test, the SPEC test, users, groups, import and errors.
pub async fn run(api: &Client, report: &mut Report) {
    test_connector(api, report).await;
    let anna = create_user(api, report, okta_user(&fresh_user_name())).await;
    let ben = create_user(api, report, okta_mapped_user(&fresh_user_name())).await;
    spec::run(api, report).await;
    update_user(api, report, &ben).await;
    deactivate_and_reactivate(api, report, &anna).await;
    push_group(api, report, &anna, &ben).await;
    import_users(api, report, &[&anna, &ben]).await;
    errors::run(api, report).await;
}

/// The button *Test Connector Configuration*, with the token in both spellings Okta sends.
pub async fn test_connector(api: &Client, report: &mut Report) {
    let path = "/Users?startIndex=1&count=2";
    report
        .step("Test Connector Configuration", async {
            api.get(path).await?.list()?.is("/startIndex", 1)?.media_type()
        })
        .await;
    report
        .step("Test Connector Configuration with the token alone, without Bearer", async {
            api.bare_token()?.get(path).await?.list()
        })
        .await;
    report
        .should("the answer to it takes less than a second", async {
            steps::promptly(api, path, std::time::Duration::from_secs(1)).await
        })
        .await;
}

/// Assignment of a person.
pub async fn create_user(api: &Client, report: &mut Report, body: Value) -> Outcome<Resource> {
    let name = body.get("userName").and_then(Value::as_str).unwrap_or_default();
    let lookup = okta_lookup("/Users", "userName", name);
    steps::create_user(api, report, &body, &lookup).await
}

/// Push Profile Updates.
async fn update_user(api: &Client, report: &mut Report, ben: &Outcome<Resource>) {
    report
        .step("Push Profile Updates: PUT of what was read loses nothing", async {
            let path = &ben.need()?.user();
            let read = api.get(path).await?.status(200)?.body;
            let again = api.put_then_get(path, &read).await?;
            again.holds(&stored(&read))
        })
        .await;
    report
        .step("Push Profile Updates: a new name and title arrive, the rest stays", async {
            let path = &ben.need()?.user();
            let mut body = api.get(path).await?.status(200)?.body;
            overlay(&mut body, &json!({"name": {"givenName": "Benjamin"}, "title": "Director"}));
            let reply = api.put_then_get(path, &body).await?;
            reply.is("/name/givenName", "Benjamin")?.holds(&stored(&body))
        })
        .await;
    report
        .step("Push Profile Updates: an emptied attribute is accepted", async {
            let path = &ben.need()?.user();
            let mut body = api.get(path).await?.status(200)?.body;
            overlay(&mut body, &json!({"title": "", "phoneNumbers": []}));
            api.put_then_get(path, &body).await?.lacks("/phoneNumbers")
        })
        .await;
}

/// Unassignment and a second assignment: the same user, off and on.
async fn deactivate_and_reactivate(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    for (active, name) in [(false, "deactivated"), (true, "reactivated")] {
        report
            .step(&format!("Anna is {name} by PUT and still found by userName"), async {
                let anna = anna.need()?;
                let mut body = api.get(&anna.user()).await?.status(200)?.body;
                overlay(&mut body, &json!({"active": active}));
                api.put_then_get(&anna.user(), &body).await?.is("/active", active)?;
                let lookup = okta_lookup("/Users", "userName", &anna.name);
                let found = api.get(&lookup).await?.only(anna)?;
                matching(found.get("active"), &json!(active))
            })
            .await;
    }
}

/// Push Groups: the group is made empty and filled by a PUT of the whole.
async fn push_group(
    api: &Client,
    report: &mut Report,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    let group = &create_group(api, report).await;
    for (name, keep_ben) in [("both are members", true), ("Ben is left out", false)] {
        report
            .step(&format!("Push Groups by PUT: {name}"), async {
                let (group, anna, ben) = (group.need()?, anna.need()?, ben.need()?);
                let people = if keep_ben { vec![anna, ben] } else { vec![anna] };
                let body = whole_group(group, &group.name, &people);
                api.put_then_get(&group.group(), &body).await?.members(&people)
            })
            .await;
    }
    report
        .step("a member's groups say so", async {
            let reply = api.get(&anna.need()?.user()).await?.status(200)?;
            reply.holds(&json!({"groups": [{"value": group.need()?.id}]}))
        })
        .await;
    report
        .step("a pushed group is renamed, and keeps its members", async {
            let (group, anna) = (group.need()?, anna.need()?);
            let renamed = fresh_group_name();
            let body = whole_group(group, &renamed, &[anna]);
            let reply = api.put_then_get(&group.group(), &body).await?;
            reply.is("/displayName", renamed.as_str())?.members(&[anna])?;
            api.get(&okta_lookup("/Groups", "displayName", &renamed)).await?.only(group)
        })
        .await;
    report
        .step("a group is created with its members", async {
            let ben = ben.need()?;
            let mut body = okta_group(&fresh_group_name());
            overlay(&mut body, &json!({"members": [{"value": ben.id, "display": ben.name}]}));
            let full = api.post("/Groups", &body).await?.created()?.resource()?;
            api.get(&full.group()).await?.status(200)?.members(&[ben])
        })
        .await;
    delete_group(api, report, group).await;
}

/// Groups are looked up by name and made empty.
pub async fn create_group(api: &Client, report: &mut Report) -> Outcome<Resource> {
    let name = &fresh_group_name();
    let lookup = &okta_lookup("/Groups", "displayName", name);
    steps::create_group(api, report, &okta_group(name), lookup).await
}

/// Unlink with deletion.
pub async fn delete_group(api: &Client, report: &mut Report, group: &Outcome<Resource>) {
    report
        .step("a pushed group that is unlinked is deleted", async {
            let path = &group.need()?.group();
            api.delete(path).await?.status_in(&[200, 204])?;
            api.get(path).await?.error(404)
        })
        .await;
}

/// Import: every page, users and groups.
pub async fn import_users(api: &Client, report: &mut Report, people: &[&Outcome<Resource>]) {
    report
        .step("import reads every page of the users", async {
            let people: Vec<&Resource> =
                people.iter().map(|person| person.need()).collect::<Checked<_>>()?;
            import::read(api, "/Users", &people).await
        })
        .await;
    report
        .step("import reads every page of the groups", async {
            import::read(api, "/Groups", &[]).await
        })
        .await;
}

/// A group as Okta puts it back: everything, each member with its name.
fn whole_group(group: &Resource, display_name: &str, people: &[&Resource]) -> Value {
    let mut body = okta_group(display_name);
    let members: Vec<Value> =
        people.iter().map(|person| json!({"value": person.id, "display": person.name})).collect();
    overlay(&mut body, &json!({"id": group.id, "members": members}));
    body
}

fn matching(came: Option<&Value>, want: &Value) -> Checked<()> {
    match came {
        Some(came) if came == want => Ok(()),
        other => Err(format!("expected active {want} in the list (got {other:?})")),
    }
}
