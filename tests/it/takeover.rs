//! Nobody becomes somebody else: who gets a name or an external id that another one had, and who
//! comes while SCIM changes who is who, gets nothing of the other's.

use diesel::connection::SimpleConnection;
use futures_util::future::join;
use muster::directory::sessions;
use muster::directory::signin::{Identity, Refusal, SignInError};
use serde_json::{Value, json};

use crate::signin::{called as called_at, try_sign_in};
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_predecessor_does_not_sign_in_as_the_successor,
    another_external_id_ends_the_predecessors_session_where_names_are_known_alone,
    a_successor_inherits_no_team_of_whom_only_a_token_told_apart,
    a_successor_without_external_id_is_not_signed_in_to_by_the_predecessor,
    an_external_id_that_comes_late_leads_to_the_user_who_has_it,
    a_stale_token_joins_nobody,
    a_stale_token_joins_nobody_where_external_ids_are_known,
    who_turns_out_to_be_deactivated_is_signed_out,
    a_name_cannot_be_taken_to_be_provisioned_as_somebody_else,
    a_name_with_a_space_is_another_name,
    a_team_that_changes_hands_names_those_who_lose_it,
    a_team_that_is_absorbed_names_those_who_come_along,
    a_sign_in_while_scim_renames_is_not_mixed_up,
    signing_out_is_an_event,
    whose_name_has_become_anothers_stays_as_it_is,
    whose_name_has_become_anothers_still_signs_in,
];

fn called(subject: &str, at: i64, name: &str, groups: Value) -> Identity {
    Identity { issued_at: at * 1_000_000, ..called_at(subject, name, groups) }
}

/// Signs somebody in without groups.
async fn enter(app: &TestApp, subject: &str, at: i64, name: &str) -> Result<String, SignInError> {
    enter_with(app, called(subject, at, name, json!([]))).await.map(|(user, _)| user)
}

async fn enter_with(app: &TestApp, identity: Identity) -> Result<(String, String), SignInError> {
    let entered = try_sign_in(app, "default", identity).await?;
    Ok((entered.user, entered.session))
}

async fn names_are_all_that_is_known(app: &TestApp) {
    app.set(|settings| settings.sign_in.external_id_claim = None).await;
}

async fn is_live(app: &TestApp, session: &str) -> bool {
    let (session, now) = (session.to_owned(), app.clock.now());
    let found = app.db.read(move |conn| sessions::find(conn, &session, now)).await;
    found.expect("a look").is_some()
}

async fn push(app: &TestApp, body: Value) -> String {
    app.scim().post("/Users", &body).await.expect(201).id()
}

async fn deactivate(app: &TestApp, id: &str) {
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
}

async fn put_in(app: &TestApp, team: &str, id: &str) {
    let body = json!({ "displayName": team, "members": [{ "value": id }] });
    app.scim().post("/Groups", &body).await.expect(201);
}

async fn teams_of(app: &TestApp, id: &str) -> Vec<String> {
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    let groups = user["groups"].as_array().cloned().unwrap_or_default();
    groups.iter().map(|group| group["display"].as_str().expect("a name").to_owned()).collect()
}

/// The events of what `act` does.
async fn events_of(app: &TestApp, act: impl AsyncFnOnce()) -> Vec<Value> {
    let admin = app.admin().await;
    let all = async || {
        let page = admin.get("/events?count=1000").await.expect(200).body;
        page["events"].as_array().cloned().expect("a list")
    };
    let before = all().await.len();
    act().await;
    all().await.split_off(before)
}

async fn a_predecessor_does_not_sign_in_as_the_successor(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    let bob = push(&app, json!({ "userName": "bob", "externalId": "E1" })).await;
    assert_eq!(enter(&app, "s1", 1, "bob").await.expect("in"), bob);
    deactivate(&app, &bob).await;
    // Another person gets the name.
    let new = push(&app, json!({ "userName": "bob", "externalId": "E2" })).await;
    assert_eq!(new, bob);
    assert!(events_of_user(&app, &new).await.contains(&"identity-reassigned".to_owned()));
    put_in(&app, "Payroll", &new).await;
    assert_ne!(enter(&app, "s1", 2, "bob.old").await.expect("in"), new);
    assert_eq!(enter(&app, "s2", 2, "bob").await.expect("in"), new);
}

async fn another_external_id_ends_the_predecessors_session_where_names_are_known_alone(
    app: TestApp,
) {
    names_are_all_that_is_known(&app).await;
    let bob = push(&app, json!({ "userName": "bob", "externalId": "E1" })).await;
    let (_, session) = enter_with(&app, called("s1", 1, "bob", json!([]))).await.expect("in");
    let body = json!({ "userName": "bob", "externalId": "E2" });
    app.scim().put(&format!("/Users/{bob}"), &body).await.expect(200);
    assert!(!is_live(&app, &session).await);
}

async fn a_successor_inherits_no_team_of_whom_only_a_token_told_apart(app: TestApp) {
    let bob = push(&app, json!({ "userName": "bob" })).await;
    enter(&app, "00uold", 1, "bob").await.expect("in");
    put_in(&app, "Payroll", &bob).await;
    deactivate(&app, &bob).await;
    let new = push(&app, json!({ "userName": "bob", "externalId": "00unew" })).await;
    assert_eq!(new, bob);
    assert!(teams_of(&app, &new).await.is_empty());
}

async fn a_successor_without_external_id_is_not_signed_in_to_by_the_predecessor(app: TestApp) {
    let bob = push(&app, json!({ "userName": "bob", "externalId": "00uold" })).await;
    enter(&app, "00uold", 1, "bob").await.expect("in");
    put_in(&app, "Payroll", &bob).await;
    deactivate(&app, &bob).await;
    let new = push(&app, json!({ "userName": "bob" })).await;
    assert_eq!(new, bob);
    assert!(teams_of(&app, &new).await.is_empty());
    assert!(events_of_user(&app, &new).await.contains(&"identity-reassigned".to_owned()));
    assert_ne!(enter(&app, "00uold", 2, "bob2").await.expect("in"), new);
}

async fn an_external_id_that_comes_late_leads_to_the_user_who_has_it(app: TestApp) {
    app.set(|settings| settings.sign_in.external_id_claim = Some("oid".to_owned())).await;
    let named = push(&app, json!({ "userName": "ann" })).await;
    let (user, session) = enter_with(&app, called("s1", 1, "ann", json!([]))).await.expect("in");
    assert_eq!(user, named, "by name, from a token without the claim");
    let pushed = push(&app, json!({ "userName": "anne", "externalId": "X" })).await;
    let mut token = called("s1", 2, "anne", json!([]));
    token.claims.insert("oid".to_owned(), "X".into());
    assert_eq!(enter_with(&app, token).await.expect("in").0, pushed);
    assert!(!is_live(&app, &session).await, "the identity is somebody else's no more");
}

/// Somebody has another name by now, and somebody new has the old one.
async fn a_token_of_before(app: &TestApp) {
    let first = enter(app, "s1", 1, "bob").await.expect("in");
    assert_eq!(enter(app, "s1", 5, "ann").await.expect("in"), first);
    let new = push(app, json!({ "userName": "bob" })).await;
    assert_ne!(first, new);
    assert_eq!(enter(app, "s1", 1, "bob").await.expect("in"), first);
    assert_eq!(enter(app, "s1", 6, "ann").await.expect("in"), first);
}

async fn a_stale_token_joins_nobody(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    a_token_of_before(&app).await;
}

async fn a_stale_token_joins_nobody_where_external_ids_are_known(app: TestApp) {
    a_token_of_before(&app).await;
}

async fn who_turns_out_to_be_deactivated_is_signed_out(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    let (_, session) = enter_with(&app, called("s1", 1, "ann", json!([]))).await.expect("in");
    let pushed = push(&app, json!({ "userName": "anne" })).await;
    deactivate(&app, &pushed).await;
    let (identity, now) = (called("s1", 2, "anne", json!([])), app.clock.now());
    let refused = try_sign_in(&app, "default", identity.clone()).await;
    assert!(matches!(refused, Err(SignInError::Refused(Refusal::Inactive))));
    // What the callback does then.
    let recorded = app.db.write("record", move |conn| {
        let context = crate::signin::context(conn, "default", now);
        muster::directory::signin::record_refusal(conn, &context, &identity, Refusal::Inactive)
    });
    recorded.await.expect("an entry");
    assert!(!is_live(&app, &session).await);
}

async fn a_name_cannot_be_taken_to_be_provisioned_as_somebody_else(app: TestApp) {
    let boss = enter(&app, "00uboss", 1, "boss").await.expect("in");
    let refused = enter(&app, "00ueve", 2, "boss").await;
    assert!(matches!(refused, Err(SignInError::Refused(Refusal::NameTaken))));
    let eve = enter(&app, "00ueve", 2, "eve").await.expect("in");
    assert_eq!(enter(&app, "00ueve", 3, "boss").await.expect("in"), eve);
    assert_eq!(push(&app, json!({ "userName": "boss" })).await, boss);
}

async fn a_name_with_a_space_is_another_name(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    push(&app, json!({ "userName": "boss" })).await;
    for name in ["boss ", " boss", "boss\u{2003}"] {
        let refused = enter(&app, "s9", 1, name).await;
        assert!(matches!(refused, Err(SignInError::Refused(Refusal::NoUserName))), "{name:?}");
    }
}

async fn a_team_that_changes_hands_names_those_who_lose_it(app: TestApp) {
    let ann = push(&app, json!({ "userName": "ann", "externalId": "00uann" })).await;
    enter_with(&app, called("00uann", 1, "ann", json!(["Admins"]))).await.expect("in");
    assert_eq!(teams_of(&app, &ann).await, ["Admins"]);
    let events = events_of(&app, async || {
        app.scim().post("/Groups", &json!({ "displayName": "Admins" })).await.expect(201);
    });
    let events = events.await;
    assert!(teams_of(&app, &ann).await.is_empty());
    assert_eq!(events[0]["action"], "adopted");
    assert_eq!(events[0]["data"]["members"], json!({ "removed": [ann] }));
}

async fn a_team_that_is_absorbed_names_those_who_come_along(app: TestApp) {
    let team = app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    let path = format!("/Groups/{}", team.id());
    let ann = enter_with(&app, called("00uann", 1, "ann", json!(["Crew"]))).await.expect("in").0;
    let events = events_of(&app, async || {
        let rename = json!([{ "op": "replace", "value": { "displayName": "Crew" } }]);
        app.scim().patch(&path, &patch_body(rename)).await.expect(200);
    });
    let events = events.await;
    assert_eq!(teams_of(&app, &ann).await, ["Crew"]);
    let updated = events.iter().find(|event| event["action"] == "updated").expect("an event");
    assert_eq!(updated["data"]["members"], json!({ "added": [ann] }));
}

async fn a_sign_in_while_scim_renames_is_not_mixed_up(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    for round in 0..40 {
        let (old, ann) = (format!("old{round}"), format!("ann{round}"));
        let (carol, subject) = (format!("carol{round}"), format!("s{round}"));
        let made = enter(&app, &subject, 1, &old).await.expect("in");
        let pushed = push(&app, json!({ "userName": ann })).await;
        let rename = patch_body(json!([{ "op": "replace", "value": { "userName": carol } }]));
        let (client, path) = (app.scim(), format!("/Users/{pushed}"));
        let (_, signed) = join(client.patch(&path, &rename), enter(&app, &subject, 2, &ann)).await;
        // Whichever was first: what the person has signed in as is called by her name, or was when
        // she came.
        let signed = signed.expect("in");
        let name = app.scim().get(&format!("/Users/{signed}")).await.expect(200).body;
        if signed == made {
            assert_eq!(name["userName"], ann.as_str());
        } else {
            let events = events_of_user(&app, &pushed).await;
            let place = |action: &str| events.iter().position(|one| one == action);
            assert!(place("signed-in") < place("updated"), "{events:?}");
        }
    }
}

/// What happened to a user, in order.
async fn events_of_user(app: &TestApp, id: &str) -> Vec<String> {
    let page = app.admin().await.get("/events?count=1000").await.expect(200).body;
    let events = page["events"].as_array().cloned().expect("a list");
    let about = events.iter().filter(|event| event["subject"]["id"] == id);
    about.map(|event| event["action"].as_str().expect("an action").to_owned()).collect()
}

async fn signing_out_is_an_event(app: TestApp) {
    let entered = try_sign_in(&app, "default", called("00uann", 1, "ann", json!([]))).await;
    let entered = entered.expect("in");
    let cookie = format!("muster_session={}", entered.session);
    let client = app.anonymous();
    let events = events_of(&app, async || {
        let request = client
            .request("POST", "/logout")
            .header("cookie", &cookie)
            .header("sec-fetch-site", "same-origin");
        client.send(request).await.expect(200);
    });
    let events = events.await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["action"], "signed-out");
    assert_eq!(events[0]["actor"], json!({ "type": "user", "id": entered.user }));
    assert_eq!(events[0]["subject"]["id"], entered.user.as_str());
}

/// Two names that were told apart when they were stored are one by the rules of today: each user is
/// read, changed and deactivated as ever, and neither takes the other's name away.
async fn whose_name_has_become_anothers_stays_as_it_is(app: TestApp) {
    let client = app.scim();
    let eldest = json!({ "userName": "twin-\u{e5}" });
    let eldest = client.post("/Users", &eldest).await.expect(201).id();
    let twin = client.post("/Users", &json!({ "userName": "other" })).await.expect(201).id();
    let name = "twin-a\u{30a}";
    let earlier = format!(
        "UPDATE users SET user_name = '{name}', user_name_fold = '{name}', \
         document = replace(document, 'other', '{name}') WHERE id = '{twin}'"
    );
    app.database.without_log();
    app.database.connect().batch_execute(&earlier).expect("a name of before");
    let path = format!("/Users/{twin}");
    let set =
        |active: bool| patch_body(json!([{ "op": "replace", "path": "active", "value": active }]));
    client.patch(&path, &set(false)).await.expect(200);
    let mut read = client.get(&path).await.expect(200).body;
    assert_eq!(read["userName"], name);
    read["active"] = true.into();
    client.put(&path, &read).await.expect(200);
    let off = client.patch(&format!("/Users/{eldest}"), &set(false)).await.expect(200).body;
    let title = patch_body(json!([{ "op": "replace", "path": "title", "value": "x" }]));
    client.patch(&path, &title).await.expect(200);
    let after = client.get(&format!("/Users/{eldest}")).await.expect(200).body;
    assert_eq!(after, off, "the other one is as it was");
}

/// The same where only sign-in knows the second one, and fills the profile in each time.
async fn whose_name_has_become_anothers_still_signs_in(app: TestApp) {
    let name = "twin-a\u{30a}";
    let twin = enter(&app, "twin", 10, "other").await.expect("a sign-in");
    // By its external id that one is somebody else.
    let eldest = json!({ "userName": "twin-\u{e5}", "externalId": "eldest" });
    app.scim().post("/Users", &eldest).await.expect(201);
    let earlier = format!(
        "UPDATE users SET user_name = '{name}', user_name_fold = '{name}', \
         document = replace(document, 'other', '{name}') WHERE id = '{twin}'"
    );
    app.database.without_log();
    app.database.connect().batch_execute(&earlier).expect("a name of before");
    let mut identity = called("twin", 20, name, json!([]));
    identity.claims.insert("given_name".to_owned(), "Twin".into());
    let (user, _) = enter_with(&app, identity).await.expect("a sign-in");
    assert_eq!(user, twin);
    let read = app.scim().get(&format!("/Users/{twin}")).await.expect(200).body;
    assert_eq!((&read["userName"], &read["name"]["givenName"]), (&json!(name), &json!("Twin")));
}
