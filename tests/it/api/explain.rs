//! `/api/v1/users/{id}/explain`.

use muster::directory::membership::Policy;
use serde_json::{Value, json};

use super::lists::grant;
use crate::signin::{ann, later, pushed_ann, sign_in};
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_claim_that_scim_overrules_is_explained,
    a_push_that_the_claim_leaves_out_is_explained,
    a_claim_that_grants_is_explained,
    an_inactive_user_is_explained,
    a_team_that_nobody_has_spoken_of_is_explained,
    what_the_filter_keeps_out_is_no_disagreement,
    an_incomplete_claim_is_no_disagreement,
    a_union_has_no_disagreements,
    the_team_can_be_named_in_every_way,
    a_sign_in_counts_its_disagreements,
];

async fn explained(app: &TestApp, id: &str) -> Value {
    app.admin().await.get(&format!("/users/{id}/explain")).await.expect(200).body
}

fn of<'a>(body: &'a Value, team: &str) -> &'a Value {
    let all = body["memberships"].as_array().expect("memberships");
    all.iter().find(|one| one["team"]["displayName"] == team).expect("the team")
}

/// A pushed team, with or without Ann in it.
async fn push_team(app: &TestApp, name: &str, members: &[&str]) -> (String, Option<String>) {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    let body =
        json!({ "displayName": name, "externalId": format!("x-{name}"), "members": members });
    let answer = app.scim().post("/Groups", &body).await.expect(201);
    (answer.id(), answer.header("x-request-id").map(str::to_owned))
}

async fn push_ann(app: &TestApp) -> String {
    app.scim().post("/Users", &pushed_ann()).await.expect(201).id()
}

async fn a_claim_that_scim_overrules_is_explained(app: TestApp) {
    let id = push_ann(&app).await;
    let (team, _) = push_team(&app, "Staff", &[]).await;
    sign_in(&app, ann(json!(["staff"]))).await;
    grant(&app, "Staff", "editor").await;
    let body = explained(&app, &id).await;
    assert_eq!(body["policy"], "scim-first");
    assert_eq!(body["disagreements"], 1);
    let user = &body["user"];
    assert_eq!((&user["owner"], &user["active"]), (&json!("scim"), &json!(true)));
    assert_eq!(user["identity"]["subject"], "00uann");
    assert!(user["lastSignIn"].is_string());
    assert_eq!(user["lastCompleteClaim"], "1970-01-01T00:00:01.000000Z");
    assert_eq!(user["lastClaim"], json!({ "complete": true, "flaw": null }));
    let staff = of(&body, "Staff");
    assert_eq!(staff["team"]["id"], team.as_str());
    assert_eq!(staff["team"]["managedBy"], "scim");
    assert_eq!(staff["scim"], json!({ "member": false, "since": null, "by": null }));
    assert_eq!(staff["claim"]["member"], true);
    assert_eq!(staff["claim"]["by"], "test");
    assert!(staff["claim"]["since"].is_string());
    assert_eq!(staff["decides"], "scim");
    assert_eq!((&staff["granted"], &staff["effective"]), (&json!(false), &json!(false)));
    assert_eq!(staff["disagree"], true);
    assert_eq!(staff["roles"], json!(["editor"]));
    let why = staff["why"].as_str().expect("a sentence");
    assert!(
        why.starts_with("SCIM decides, because it manages the team and owns the user"),
        "{why}"
    );
    let change = staff["change"].as_str().expect("a sentence");
    assert!(change.starts_with("Add the person to the group"), "{change}");
}

async fn a_push_that_the_claim_leaves_out_is_explained(app: TestApp) {
    let id = push_ann(&app).await;
    let (_, request) = push_team(&app, "Staff", &[&id]).await;
    let body = explained(&app, &id).await;
    assert_eq!(body["disagreements"], 0, "no claim has said anything yet");
    assert_eq!(body["user"]["lastClaim"], Value::Null);
    sign_in(&app, ann(json!([]))).await;
    let body = explained(&app, &id).await;
    assert_eq!(body["disagreements"], 1);
    let staff = of(&body, "Staff");
    assert_eq!(staff["scim"]["member"], true);
    assert_eq!(staff["scim"]["by"].as_str(), request.as_deref(), "the request that said so");
    assert_eq!(staff["claim"]["member"], false);
    assert_eq!((&staff["effective"], &staff["disagree"]), (&json!(true), &json!(true)));
    let change = staff["change"].as_str().expect("a sentence");
    assert!(change.starts_with("Remove the person from the group"), "{change}");
    // The next claim agrees.
    sign_in(&app, later(ann(json!([])), json!(["Staff"]))).await;
    assert_eq!(explained(&app, &id).await["disagreements"], 0);
}

async fn a_claim_that_grants_is_explained(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    let body = explained(&app, &id).await;
    assert_eq!(body["user"]["owner"], "sign-in");
    let staff = of(&body, "Staff");
    assert_eq!((&staff["decides"], &staff["effective"]), (&json!("either"), &json!(true)));
    assert_eq!(staff["team"]["managedBy"], "sign-in");
    let why = staff["why"].as_str().expect("a sentence");
    assert!(why.contains("the groups claim says that the user is a member"), "{why}");
    let change = staff["change"].as_str().expect("a sentence");
    assert!(change.starts_with("The next sign-in whose groups claim"), "{change}");
}

async fn an_inactive_user_is_explained(app: TestApp) {
    let id = push_ann(&app).await;
    push_team(&app, "Staff", &[&id]).await;
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
    let body = explained(&app, &id).await;
    let staff = of(&body, "Staff");
    assert_eq!((&staff["granted"], &staff["effective"]), (&json!(true), &json!(false)));
    let change = staff["change"].as_str().expect("a sentence");
    assert!(change.starts_with("Activate the user by SCIM"), "{change}");
}

async fn a_team_that_nobody_has_spoken_of_is_explained(app: TestApp) {
    let id = push_ann(&app).await;
    let (team, _) = push_team(&app, "Staff", &[]).await;
    assert_eq!(explained(&app, &id).await["memberships"], json!([]));
    let admin = app.admin().await;
    let path = format!("/users/{id}/explain?team={team}");
    let body = admin.get(&path).await.expect(200).body;
    let staff = of(&body, "Staff");
    assert_eq!((&staff["scim"]["member"], &staff["scim"]["since"]), (&json!(false), &Value::Null));
    assert_eq!(
        (&staff["claim"]["member"], &staff["claim"]["since"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!((&staff["granted"], &staff["disagree"]), (&json!(false), &json!(false)));
    assert!(staff["why"].as_str().is_some_and(|why| why.contains("is not a member")));
}

async fn what_the_filter_keeps_out_is_no_disagreement(app: TestApp) {
    app.set(|settings| settings.sign_in.groups_filter = Some("^(app-|x-app)".to_owned())).await;
    let id = push_ann(&app).await;
    push_team(&app, "Staff", &[&id]).await;
    push_team(&app, "app-staff", &[&id]).await;
    // Let through by its external id.
    push_team(&app, "apple", &[&id]).await;
    sign_in(&app, ann(json!(["Staff"]))).await;
    let body = explained(&app, &id).await;
    assert_eq!(body["disagreements"], 2);
    assert_eq!(body["groupsFilter"], "^(app-|x-app)");
    assert_eq!(of(&body, "Staff")["claim"]["letThrough"], false);
    assert_eq!(of(&body, "Staff")["disagree"], false);
    assert_eq!(of(&body, "app-staff")["disagree"], true);
    assert_eq!(of(&body, "apple")["disagree"], true);
}

async fn an_incomplete_claim_is_no_disagreement(app: TestApp) {
    let id = push_ann(&app).await;
    push_team(&app, "Staff", &[&id]).await;
    let mut incomplete = ann(json!([]));
    incomplete.claims.remove("groups");
    sign_in(&app, incomplete).await;
    let body = explained(&app, &id).await;
    assert_eq!(body["disagreements"], 0);
    assert_eq!(body["user"]["lastClaim"], json!({ "complete": false, "flaw": "missing" }));
    assert_eq!(body["user"]["lastCompleteClaim"], Value::Null);
    sign_in(&app, later(ann(json!([])), json!(["Staff"]))).await;
    sign_in(&app, ann(json!([]))).await;
    let body = explained(&app, &id).await;
    assert_eq!(body["user"]["lastClaim"], json!({ "complete": false, "flaw": "stale" }));
}

async fn a_union_has_no_disagreements(app: TestApp) {
    app.set(|settings| settings.membership = Policy::Union).await;
    let id = push_ann(&app).await;
    push_team(&app, "Staff", &[]).await;
    push_team(&app, "Sales", &[&id]).await;
    sign_in(&app, ann(json!(["Staff"]))).await;
    let body = explained(&app, &id).await;
    assert_eq!((&body["policy"], &body["disagreements"]), (&json!("union"), &json!(0)));
    for team in ["Staff", "Sales"] {
        assert_eq!(of(&body, team)["effective"], true, "{team}");
    }
}

async fn the_team_can_be_named_in_every_way(app: TestApp) {
    let admin = app.admin().await;
    let id = push_ann(&app).await;
    let (team, _) = push_team(&app, "Staff", &[&id]).await;
    push_team(&app, "Sales", &[&id]).await;
    for name in [team.as_str(), "STAFF", "x-Staff"] {
        let path = format!("/users/{id}/explain?team={name}");
        let body = admin.get(&path).await.expect(200).body;
        assert_eq!(body["memberships"].as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(body["memberships"][0]["team"]["id"], team.as_str(), "{name}");
    }
    let path = format!("/users/{id}/explain?team=nobody");
    assert_eq!(admin.get(&path).await.expect(404).body["error"], "not_found");
    // Another connection's team is nobody here.
    let theirs = app.other("other").await;
    let body = json!({ "displayName": "Theirs" });
    let their_team = theirs.post("/Groups", &body).await.expect(201).id();
    for name in ["Theirs", their_team.as_str()] {
        admin.get(&format!("/users/{id}/explain?team={name}")).await.expect(404);
    }
    // One team's name is another one's external id.
    app.scim().post("/Groups", &json!({ "displayName": "x-Staff" })).await.expect(201);
    let answer = admin.get(&format!("/users/{id}/explain?team=x-Staff")).await.expect(400);
    assert!(answer.body["message"].as_str().is_some_and(|text| text.contains(&team)));
}

async fn a_sign_in_counts_its_disagreements(app: TestApp) {
    let id = push_ann(&app).await;
    push_team(&app, "Staff", &[]).await;
    push_team(&app, "Sales", &[&id]).await;
    sign_in(&app, ann(json!(["Staff"]))).await;
    sign_in(&app, later(ann(json!([])), json!(["Sales"]))).await;
    let counted: Vec<Value> = crate::scim::events::of(&app, &id)
        .into_iter()
        .filter(|(action, _)| action == "signed-in")
        .map(|(_, data)| data["disagreements"].clone())
        .collect();
    assert_eq!(counted, [json!(2), json!(0)]);
}
