//! Sign-in on the same users and teams that SCIM pushes: whichever comes first, both end in the
//! same store.

use futures_util::future::{join, join_all};
use muster::db::connection::Conn;
use muster::directory::connections::UnknownMembers;
use muster::directory::membership::Policy;
use muster::directory::signin::{self, Identity, Refusal, SignInError};
use muster::directory::{Actor, Context, connections, sessions};
use muster::scim::schema::Registry;
use serde_json::{Value, json};

use crate::support::{Answer, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_sign_in_creates_the_user_and_the_teams,
    a_pushed_user_who_signs_in_is_the_same_user,
    a_post_adopts_a_user_whom_sign_in_made,
    a_post_finds_a_sign_in_made_user_by_external_id,
    a_put_adopts_a_user_whom_sign_in_made,
    an_owned_profile_is_left_alone,
    an_unowned_profile_follows_the_token,
    a_recycled_user_name_is_refused,
    an_email_address_is_no_key,
    an_inactive_user_is_refused_and_nothing_is_written,
    without_just_in_time_creation_a_stranger_is_refused,
    a_token_without_a_user_name_is_refused,
    scim_decides_where_it_has_a_say_over_both,
    a_union_lets_either_source_grant,
    an_incomplete_claim_withdraws_nothing,
    an_empty_claim_withdraws_everything_it_said,
    a_stale_token_is_not_applied,
    a_stale_token_leaves_the_profile_alone,
    a_claim_outside_the_filter_is_ignored,
    a_claim_names_a_team_by_external_id_first,
    a_post_adopts_a_team_that_a_claim_made,
    a_renamed_team_absorbs_the_one_that_a_claim_made,
    a_put_of_many_members_answers_with_all_who_belong,
    deactivation_ends_every_session,
    deletion_ends_every_session,
    another_external_id_severs_the_old_identity,
    a_push_takes_a_name_from_whom_only_sign_in_knows,
    a_rename_takes_in_the_user_that_a_sign_in_made,
    an_external_id_takes_in_the_user_who_signed_in_with_it,
    an_inactive_user_gives_its_name_up,
    an_inactive_user_gives_its_external_id_up,
    somebody_else_who_is_brought_back_inherits_no_membership,
    a_sign_in_joins_a_user_that_was_pushed_apart,
    without_an_external_id_a_new_name_is_somebody_new,
    a_claim_in_the_middle_of_a_rename_is_taken_for_the_old_group,
    a_new_subject_with_the_same_external_id_is_the_same_person,
    a_token_that_contradicts_the_external_id_is_refused,
    a_push_takes_the_identity_from_a_user_without_external_id,
    a_team_that_is_claimed_by_external_id_is_the_one_that_is_pushed,
    a_name_is_not_given_away_on_a_tokens_word,
    a_sign_in_repeated_changes_nothing,
    many_sign_ins_of_one_person_are_one_user,
    a_sign_in_and_a_push_at_once_are_one_user,
    one_tenants_identity_is_nobody_in_another,
];

const ISSUER: &str = "https://example.okta.com";

/// A person as the provider's tokens describe her; her subject is her external id, as with Okta.
#[expect(clippy::needless_pass_by_value, reason = "called with json!(…) written in place")]
pub fn ann(groups: Value) -> Identity {
    let claims = json!({
        "sub": "00uann",
        "preferred_username": "Ann@example.com",
        "name": "Ann Lee",
        "given_name": "Ann",
        "family_name": "Lee",
        "email": "ann@example.com",
        "groups": groups,
    });
    identity("00uann", 1_000_000, claims)
}

pub fn identity(subject: &str, issued_at: i64, claims: Value) -> Identity {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Identity { issuer: ISSUER.to_owned(), subject: subject.to_owned(), issued_at, claims }
}

pub fn later(mut identity: Identity, groups: Value) -> Identity {
    identity.issued_at += 1_000_000;
    identity.claims.insert("groups".to_owned(), groups);
    identity
}

/// Who has just signed in.
#[derive(Debug)]
pub struct In {
    pub user: String,
    pub session: String,
}

/// What a sign-in is done in.
pub fn context(conn: &mut Conn, tenant: &str, now: i64) -> Context {
    Context {
        connection: connections::find(conn, tenant).expect("a connection").into(),
        actor: Actor::SignIn("test".to_owned()),
        request_id: None,
        now,
        base_url: "http://localhost".into(),
        registry: std::sync::Arc::new(Registry::builtin().expect("schemas")),
    }
}

pub async fn try_sign_in(
    app: &TestApp,
    tenant: &str,
    identity: Identity,
) -> Result<In, SignInError> {
    let (tenant, now) = (tenant.to_owned(), app.clock.now());
    let registry = app.registry.clone();
    app.db
        .write("sign_in", move |conn| {
            let context = Context { registry: registry.clone(), ..context(conn, &tenant, now) };
            let entered = signin::sign_in(conn, &context, registry.user(), &identity)?;
            let session = entered.session;
            Ok(In { user: session.user_id, session: session.secret.expose().to_owned() })
        })
        .await
}

pub async fn sign_in(app: &TestApp, identity: Identity) -> In {
    try_sign_in(app, "default", identity).await.expect("a session")
}

async fn refusal(app: &TestApp, identity: Identity) -> Refusal {
    match try_sign_in(app, "default", identity).await {
        Err(SignInError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn is_live(app: &TestApp, session: &str) -> bool {
    let (session, now) = (session.to_owned(), app.clock.now());
    let found = app.db.read(move |conn| sessions::find(conn, &session, now)).await;
    found.expect("a look").is_some()
}

async fn push(app: &TestApp, body: Value) -> Answer {
    app.scim().post("/Users", &body).await
}

pub fn pushed_ann() -> Value {
    json!({ "userName": "ann@EXAMPLE.com", "externalId": "00uann", "displayName": "Ann Pushed" })
}

async fn user(app: &TestApp, id: &str) -> Value {
    app.scim().get(&format!("/Users/{id}")).await.expect(200).body
}

/// Names of the teams that the user is in, as SCIM shows them.
async fn teams_of(app: &TestApp, id: &str) -> Vec<String> {
    let groups = user(app, id).await["groups"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> =
        groups.iter().map(|group| group["display"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

async fn total(app: &TestApp, path: &str) -> u64 {
    app.scim().get(path).await.expect(200).body["totalResults"].as_u64().expect("a total")
}

async fn a_sign_in_creates_the_user_and_the_teams(app: TestApp) {
    let ann = sign_in(&app, ann(json!(["Staff", "Admins"]))).await;
    let resource = user(&app, &ann.user).await;
    assert_eq!(resource["userName"], "Ann@example.com");
    assert_eq!(resource["name"], json!({ "familyName": "Lee", "givenName": "Ann" }));
    assert_eq!(resource["emails"][0]["value"], "ann@example.com");
    assert_eq!(resource["active"], true);
    assert!(resource.get("externalId").is_none(), "only SCIM gives external ids");
    assert_eq!(teams_of(&app, &ann.user).await, ["Admins", "Staff"]);
    // Okta can link them.
    assert_eq!(app.scim().find("/Groups", "displayName eq \"staff\"").await.len(), 1);
    assert!(is_live(&app, &ann.session).await);
}

async fn a_pushed_user_who_signs_in_is_the_same_user(app: TestApp) {
    let id = push(&app, pushed_ann()).await.expect(201).id();
    assert_eq!(sign_in(&app, ann(json!([]))).await.user, id, "by external id");
    // By name, where the provider pushes no external id.
    let bob = push(&app, json!({ "userName": "bob" })).await.expect(201).id();
    let claims = json!({ "preferred_username": "BOB", "groups": [] });
    assert_eq!(sign_in(&app, identity("00ubob", 1, claims)).await.user, bob);
    assert_eq!(total(&app, "/Users").await, 2);
}

async fn a_post_adopts_a_user_whom_sign_in_made(app: TestApp) {
    let ann = sign_in(&app, ann(json!(["Staff"]))).await;
    let adopted = push(&app, pushed_ann()).await.expect(201);
    assert_eq!(adopted.id(), ann.user);
    assert_eq!(adopted.body["displayName"], "Ann Pushed", "SCIM's attributes win");
    assert!(adopted.body.get("emails").is_none());
    assert!(is_live(&app, &ann.session).await, "the link is kept");
    push(&app, pushed_ann()).await.expect_error(409, Some("uniqueness"));
}

async fn a_post_finds_a_sign_in_made_user_by_external_id(app: TestApp) {
    let ann = sign_in(&app, ann(json!([]))).await;
    let renamed = json!({ "userName": "ann.lee@example.com", "externalId": "00uann" });
    assert_eq!(push(&app, renamed).await.expect(201).id(), ann.user);
    assert_eq!(total(&app, "/Users").await, 1);
}

async fn a_put_adopts_a_user_whom_sign_in_made(app: TestApp) {
    // Okta's wizard app looks the name up, reads the user and puts it back with its own values.
    let signed = sign_in(&app, ann(json!([]))).await;
    let client = app.scim();
    let found = client.find("/Users", "userName eq \"ann@example.com\"").await;
    let mut body = found[0].clone();
    body["externalId"] = "00uann".into();
    body["displayName"] = "Ann Pushed".into();
    client.put(&format!("/Users/{}", signed.user), &body).await.expect(200);
    // It is SCIM's now: a token changes the profile no more, and a POST is a conflict.
    sign_in(&app, ann(json!([]))).await;
    assert_eq!(user(&app, &signed.user).await["displayName"], "Ann Pushed");
    push(&app, pushed_ann()).await.expect_error(409, Some("uniqueness"));
}

async fn an_owned_profile_is_left_alone(app: TestApp) {
    let id = push(&app, pushed_ann()).await.expect(201).id();
    let before = user(&app, &id).await;
    sign_in(&app, ann(json!([]))).await;
    assert_eq!(user(&app, &id).await, before);
}

async fn an_unowned_profile_follows_the_token(app: TestApp) {
    let id = sign_in(&app, ann(json!([]))).await.user;
    let mut renamed = later(ann(json!([])), json!([]));
    renamed.claims.insert("preferred_username".to_owned(), "anne@example.com".into());
    renamed.claims.insert("name".to_owned(), "Anne Lee".into());
    assert_eq!(sign_in(&app, renamed).await.user, id);
    let resource = user(&app, &id).await;
    assert_eq!(resource["userName"], "anne@example.com");
    assert_eq!(resource["displayName"], "Anne Lee");
}

async fn a_recycled_user_name_is_refused(app: TestApp) {
    push(&app, json!({ "userName": "ann@example.com", "externalId": "00uold" })).await.expect(201);
    assert_eq!(refusal(&app, ann(json!(["Staff"]))).await, Refusal::NameTaken);
    assert_eq!(total(&app, "/Groups").await, 0, "nothing is written");
    // The same where only sign-in knows the other person.
    let claims = |groups: Value| json!({ "preferred_username": "bob", "groups": groups });
    sign_in(&app, identity("00ubob", 1, claims(json!([])))).await;
    let second = refusal(&app, identity("00ubob2", 1, claims(json!([])))).await;
    assert_eq!(second, Refusal::NameTaken);
}

async fn an_email_address_is_no_key(app: TestApp) {
    let body = json!({ "userName": "boss", "emails": [{ "value": "ann@example.com" }] });
    let boss = push(&app, body).await.expect(201).id();
    assert_ne!(sign_in(&app, ann(json!([]))).await.user, boss);
}

async fn an_inactive_user_is_refused_and_nothing_is_written(app: TestApp) {
    let mut body = pushed_ann();
    body["active"] = false.into();
    let id = push(&app, body).await.expect(201).id();
    let before = user(&app, &id).await;
    assert_eq!(refusal(&app, ann(json!(["Staff"]))).await, Refusal::Inactive);
    assert_eq!(user(&app, &id).await, before);
    assert_eq!(total(&app, "/Groups").await, 0);
}

async fn without_just_in_time_creation_a_stranger_is_refused(app: TestApp) {
    app.set(|settings| settings.sign_in.jit = false).await;
    assert_eq!(refusal(&app, ann(json!([]))).await, Refusal::NotProvisioned);
    let id = push(&app, pushed_ann()).await.expect(201).id();
    assert_eq!(sign_in(&app, ann(json!([]))).await.user, id);
}

async fn a_token_without_a_user_name_is_refused(app: TestApp) {
    let nameless = identity("00u1", 1, json!({ "email": "ann@example.com", "groups": [] }));
    assert_eq!(refusal(&app, nameless).await, Refusal::NoUserName);
    assert_eq!(total(&app, "/Users").await, 0);
}

/// A pushed team without members, and a pushed user whose token says that she is in it.
async fn disagreement(app: &TestApp) -> String {
    let id = push(app, pushed_ann()).await.expect(201).id();
    app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    sign_in(app, ann(json!(["staff", "Sales"]))).await;
    id
}

async fn scim_decides_where_it_has_a_say_over_both(app: TestApp) {
    let id = disagreement(&app).await;
    assert_eq!(teams_of(&app, &id).await, ["Sales"], "no one has pushed Sales");
    let group = app.scim().find("/Groups", "displayName eq \"Staff\"").await;
    let path = format!("/Groups/{}", group[0]["id"].as_str().expect("an id"));
    let member = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
    app.scim().patch(&path, &patch_body(member)).await.expect(200);
    // A claim that leaves the team out takes nothing from what SCIM says.
    sign_in(&app, later(ann(json!([])), json!([]))).await;
    assert_eq!(teams_of(&app, &id).await, ["Staff"]);
}

async fn a_union_lets_either_source_grant(app: TestApp) {
    app.set(|settings| settings.membership = Policy::Union).await;
    let id = disagreement(&app).await;
    assert_eq!(teams_of(&app, &id).await, ["Sales", "Staff"]);
}

async fn an_incomplete_claim_withdraws_nothing(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff", "Sales"]))).await.user;
    let mut missing = later(ann(json!([])), json!([]));
    missing.claims.remove("groups");
    sign_in(&app, missing).await;
    assert_eq!(teams_of(&app, &id).await, ["Sales", "Staff"]);
    sign_in(&app, later(ann(json!([])), json!("Legal"))).await;
    assert_eq!(teams_of(&app, &id).await, ["Legal", "Sales", "Staff"], "what it lists is added");
    let mut overage = later(ann(json!([])), json!([]));
    overage.claims.insert("hasgroups".to_owned(), true.into());
    sign_in(&app, overage).await;
    let hundred: Vec<String> = (0..100).map(|number| format!("Team {number:03}")).collect();
    sign_in(&app, later(ann(json!([])), json!(hundred))).await;
    assert_eq!(teams_of(&app, &id).await.len(), 103);
}

async fn an_empty_claim_withdraws_everything_it_said(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff", "Sales"]))).await.user;
    sign_in(&app, later(ann(json!([])), json!(["Sales"]))).await;
    assert_eq!(teams_of(&app, &id).await, ["Sales"]);
    sign_in(&app, later(ann(json!([])), json!([]))).await;
    assert!(teams_of(&app, &id).await.is_empty());
    assert_eq!(total(&app, "/Groups").await, 2, "a team without members stays");
}

async fn a_stale_token_is_not_applied(app: TestApp) {
    let id = sign_in(&app, later(ann(json!([])), json!(["Sales"]))).await.user;
    assert_eq!(sign_in(&app, ann(json!(["Staff"]))).await.user, id, "the person is let in");
    assert_eq!(teams_of(&app, &id).await, ["Sales"]);
    assert_eq!(total(&app, "/Groups").await, 1);
}

async fn a_stale_token_leaves_the_profile_alone(app: TestApp) {
    let mut renamed = later(ann(json!([])), json!([]));
    renamed.claims.insert("name".to_owned(), "Anne Lee".into());
    // A token that says nothing of groups is the latest one all the same.
    renamed.claims.remove("groups");
    let id = sign_in(&app, renamed).await.user;
    sign_in(&app, ann(json!(["Staff"]))).await;
    assert_eq!(user(&app, &id).await["displayName"], "Anne Lee");
    assert!(teams_of(&app, &id).await.is_empty());
}

async fn a_claim_outside_the_filter_is_ignored(app: TestApp) {
    app.set(|settings| settings.sign_in.groups_filter = Some("^app-".to_owned())).await;
    let id = sign_in(&app, ann(json!(["app-staff", "Everyone"]))).await.user;
    assert_eq!(teams_of(&app, &id).await, ["app-staff"]);
}

async fn a_claim_names_a_team_by_external_id_first(app: TestApp) {
    let client = app.scim();
    let pushed = json!({ "displayName": "Sales", "externalId": "Staff" });
    client.post("/Groups", &pushed).await.expect(201);
    client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    assert_eq!(teams_of(&app, &id).await, ["Sales"]);
}

async fn a_post_adopts_a_team_that_a_claim_made(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    let client = app.scim();
    let claimed = client.find("/Groups", "displayName eq \"Staff\"").await[0].clone();
    let adopted = client.post("/Groups", &json!({ "displayName": "STAFF" })).await.expect(201);
    assert_eq!(adopted.body["id"], claimed["id"]);
    assert_eq!(teams_of(&app, &id).await, ["STAFF"], "SCIM does not know the person yet");
    push(&app, pushed_ann()).await.expect(201);
    assert!(teams_of(&app, &id).await.is_empty(), "now it speaks for both");
    let again = client.post("/Groups", &json!({ "displayName": "Staff" })).await;
    again.expect_error(409, Some("uniqueness"));
}

async fn a_renamed_team_absorbs_the_one_that_a_claim_made(app: TestApp) {
    let client = app.scim();
    let team = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    // The claim has the new name before the push does.
    let id = sign_in(&app, ann(json!(["Crew"]))).await.user;
    let rename = json!([{ "op": "replace", "value": { "displayName": "Crew" } }]);
    client.patch(&format!("/Groups/{team}"), &patch_body(rename)).await.expect(200);
    assert_eq!(total(&app, "/Groups").await, 1);
    assert_eq!(teams_of(&app, &id).await, ["Crew"]);
    let members = client.get(&format!("/Groups/{team}")).await.expect(200).body;
    assert_eq!(members["members"][0]["value"], id.as_str());
}

async fn a_put_of_many_members_answers_with_all_who_belong(app: TestApp) {
    app.set(|settings| settings.unknown_members = UnknownMembers::Skip).await;
    let (client, people) = (app.scim(), app.seed(300));
    let by_claim = sign_in(&app, ann(json!(["Staff", "Crew"]))).await.user;
    let staff = client.find("/Groups", "displayName eq \"Staff\"").await[0].clone();
    let path = format!("/Groups/{}", staff["id"].as_str().expect("an id"));
    let listed = |ids: &[String]| -> Value {
        ids.iter().map(|id| json!({ "value": id })).chain([json!({ "value": "nobody" })]).collect()
    };
    // The team is adopted, changes one member, changes nothing, changes hands, and loses most.
    for (name, listed) in [
        ("Staff", listed(&people)),
        ("Staff", listed(&people[1..])),
        ("Staff", listed(&people[1..])),
        ("Crew", listed(&people[..200])),
        ("Crew", listed(&[&people[150..], std::slice::from_ref(&by_claim)].concat())),
    ] {
        let put = json!({ "displayName": name, "members": listed });
        let answer = client.put(&path, &put).await.expect(200);
        let shown = client.get(&path).await.expect(200);
        assert_eq!(answer.body, shown.body, "{name}");
        assert_eq!(answer.header("ETag"), shown.header("ETag"), "{name}");
        let values: Vec<&Value> = shown.body["members"]
            .as_array()
            .expect("members")
            .iter()
            .map(|m| &m["value"])
            .collect();
        assert!(values.contains(&&json!(by_claim)) && !values.contains(&&json!("nobody")));
    }
    // With a say over both, SCIM does not have the person in the team that it pushes.
    push(&app, pushed_ann()).await.expect(201);
    let put = json!({ "displayName": "Crew", "members": listed(&people) });
    let answer = client.put(&path, &put).await.expect(200);
    assert_eq!(answer.body, client.get(&path).await.expect(200).body);
    assert_eq!(answer.body["members"].as_array().map(Vec::len), Some(people.len()));
}

async fn deactivation_ends_every_session(app: TestApp) {
    let id = push(&app, pushed_ann()).await.expect(201).id();
    let (first, second) =
        (sign_in(&app, ann(json!(["Staff"]))).await, sign_in(&app, ann(json!(["Staff"]))).await);
    assert!(is_live(&app, &first.session).await && is_live(&app, &second.session).await);
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
    assert!(!is_live(&app, &first.session).await && !is_live(&app, &second.session).await);
    assert!(teams_of(&app, &id).await.is_empty());
    // Reactivation brings the teams back, and no session.
    let on = patch_body(json!([{ "op": "replace", "value": { "active": true } }]));
    app.scim().patch(&format!("/Users/{id}"), &on).await.expect(200);
    assert!(!is_live(&app, &first.session).await);
    assert_eq!(teams_of(&app, &id).await, ["Staff"]);
}

async fn deletion_ends_every_session(app: TestApp) {
    let id = push(&app, pushed_ann()).await.expect(201).id();
    let session = sign_in(&app, ann(json!(["Staff"]))).await.session;
    app.scim().delete(&format!("/Users/{id}")).await.expect(204);
    assert!(!is_live(&app, &session).await);
    // A later sign-in meets nobody, and is created anew.
    assert_ne!(sign_in(&app, ann(json!([]))).await.user, id);
}

async fn another_external_id_severs_the_old_identity(app: TestApp) {
    // Okta gives the user name of somebody who left to somebody new, and links the old user.
    let old = sign_in(&app, ann(json!(["Staff"]))).await;
    let path = format!("/Users/{}", old.user);
    let body = json!({ "userName": "ann@example.com", "externalId": "00unew" });
    app.scim().put(&path, &body).await.expect(200);
    assert!(!is_live(&app, &old.session).await);
    assert!(teams_of(&app, &old.user).await.is_empty(), "the old person's claims say nothing");
    assert_eq!(refusal(&app, ann(json!(["Staff"]))).await, Refusal::NameTaken);
    let mut new = ann(json!(["Sales"]));
    "00unew".clone_into(&mut new.subject);
    assert_eq!(sign_in(&app, new).await.user, old.user);
}

/// Somebody whose subject is her external id, under a name.
#[expect(clippy::needless_pass_by_value, reason = "called with json!(…) written in place")]
pub fn called(subject: &str, name: &str, groups: Value) -> Identity {
    identity(subject, 1_000_000, json!({ "preferred_username": name, "groups": groups }))
}

async fn put(app: &TestApp, id: &str, body: Value) -> Answer {
    app.scim().put(&format!("/Users/{id}"), &body).await
}

async fn a_push_takes_a_name_from_whom_only_sign_in_knows(app: TestApp) {
    let ann = sign_in(&app, called("00uann", "ann", json!([]))).await;
    let bob = sign_in(&app, called("00ubob", "bob", json!(["Staff"]))).await;
    // Bob has another name by now, of which Muster does not know, and Ann has his.
    let pushed = push(&app, json!({ "userName": "bob", "externalId": "00uann" })).await;
    assert_eq!(pushed.expect(201).id(), ann.user);
    let former = user(&app, &bob.user).await["userName"].as_str().map(str::to_owned);
    assert_eq!(former, Some(format!("bob (former, {})", bob.user)));
    assert!(is_live(&app, &bob.session).await, "he is still who he is");
    assert_eq!(teams_of(&app, &bob.user).await, ["Staff"]);
    let back = later(called("00ubob", "bobby", json!([])), json!(["Staff"]));
    assert_eq!(sign_in(&app, back).await.user, bob.user);
    assert_eq!(user(&app, &bob.user).await["userName"], "bobby");
}

async fn names_are_all_that_is_known(app: &TestApp) {
    app.set(|settings| settings.sign_in.external_id_claim = None).await;
}

async fn a_rename_takes_in_the_user_that_a_sign_in_made(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    let pushed = push(&app, json!({ "userName": "ann" })).await.expect(201).id();
    // The token has the new name before the push does.
    let made = sign_in(&app, called("s1", "anne", json!(["Staff"]))).await;
    assert_ne!(made.user, pushed);
    let staff = app.scim().find("/Groups", "displayName eq \"Staff\"").await[0].clone();
    let members = json!({ "displayName": "Crew", "members": [{ "value": made.user }] });
    app.scim().post("/Groups", &members).await.expect(201);
    put(&app, &pushed, json!({ "userName": "anne" })).await.expect(200);
    assert_eq!(total(&app, "/Users").await, 1);
    assert_eq!(teams_of(&app, &pushed).await, ["Crew", "Staff"], "whoever said so");
    assert!(!is_live(&app, &made.session).await);
    assert_eq!(sign_in(&app, called("s1", "anne", json!(["Staff"]))).await.user, pushed);
    let path = format!("/Groups/{}", staff["id"].as_str().expect("an id"));
    let staff = app.scim().get(&path).await.expect(200).body;
    assert_eq!(staff["members"][0]["value"], pushed.as_str());
}

async fn an_external_id_takes_in_the_user_who_signed_in_with_it(app: TestApp) {
    let pushed = push(&app, json!({ "userName": "lee" })).await.expect(201).id();
    let made = sign_in(&app, called("00uann", "ann", json!(["Staff"]))).await;
    put(&app, &pushed, json!({ "userName": "lee", "externalId": "00uann" })).await.expect(200);
    assert_eq!(total(&app, "/Users").await, 1);
    assert_eq!(teams_of(&app, &pushed).await, ["Staff"]);
    app.scim().get(&format!("/Users/{}", made.user)).await.expect(404);
    assert_eq!(sign_in(&app, called("00uann", "lee", json!([]))).await.user, pushed);
}

async fn an_inactive_user_gives_its_name_up(app: TestApp) {
    let old = json!({ "userName": "bob", "externalId": "00uold", "active": false });
    let old = push(&app, old).await.expect(201).id();
    let new = push(&app, json!({ "userName": "rob", "externalId": "00unew" })).await;
    let new = new.expect(201).id();
    let renamed = json!({ "userName": "BOB", "externalId": "00unew" });
    assert_eq!(put(&app, &new, renamed).await.expect(200).body["userName"], "BOB");
    let former = user(&app, &old).await;
    assert_eq!(former["userName"], format!("bob (former, {old})"));
    assert_eq!((&former["externalId"], &former["active"]), (&json!("00uold"), &json!(false)));
    // Whoever is active keeps the name.
    let other = push(&app, json!({ "userName": "robert" })).await.expect(201).id();
    let taken = put(&app, &other, json!({ "userName": "bob" })).await;
    taken.expect_error(409, Some("uniqueness"));
}

async fn an_inactive_user_gives_its_external_id_up(app: TestApp) {
    // Okta assigns Ann again, finds her by the name that somebody else had, and links that one.
    let hers = push(&app, json!({ "userName": "ann", "externalId": "00uann" })).await;
    let hers = hers.expect(201).id();
    assert_eq!(sign_in(&app, called("00uann", "ann", json!([]))).await.user, hers);
    let off = json!({ "userName": "ann", "externalId": "00uann", "active": false });
    put(&app, &hers, off).await.expect(200);
    let other = json!({ "userName": "lee", "externalId": "00ulee", "active": false });
    let other = push(&app, other).await.expect(201).id();
    let linked = json!({ "userName": "lee", "externalId": "00uann", "active": true });
    put(&app, &other, linked).await.expect(200);
    assert!(user(&app, &hers).await.get("externalId").is_none());
    assert_eq!(sign_in(&app, called("00uann", "lee", json!([]))).await.user, other);
}

async fn somebody_else_who_is_brought_back_inherits_no_membership(app: TestApp) {
    let old = push(&app, json!({ "userName": "bob", "externalId": "00uold" })).await;
    let id = old.expect(201).id();
    let group = json!({ "displayName": "Staff", "members": [{ "value": id }] });
    app.scim().post("/Groups", &group).await.expect(201);
    let active = |external_id: &str, active: bool| json!({ "userName": "bob", "externalId": external_id, "active": active });
    put(&app, &id, active("00uold", false)).await.expect(200);
    put(&app, &id, active("00uold", true)).await.expect(200);
    assert_eq!(teams_of(&app, &id).await, ["Staff"], "the same person");
    put(&app, &id, active("00uold", false)).await.expect(200);
    put(&app, &id, active("00unew", true)).await.expect(200);
    assert!(teams_of(&app, &id).await.is_empty(), "another one");
}

async fn a_sign_in_joins_a_user_that_was_pushed_apart(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    let made = sign_in(&app, called("s1", "ann", json!(["Staff"]))).await;
    let pushed = push(&app, json!({ "userName": "anne" })).await.expect(201).id();
    assert_ne!(pushed, made.user);
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    let on = patch_body(json!([{ "op": "replace", "value": { "active": true } }]));
    let (path, token) = (format!("/Users/{pushed}"), called("s1", "anne", json!(["Staff"])));
    app.scim().patch(&path, &off).await.expect(200);
    assert_eq!(refusal(&app, token.clone()).await, Refusal::Inactive);
    assert_eq!(total(&app, "/Users").await, 2, "nothing is written");
    app.scim().patch(&path, &on).await.expect(200);
    assert_eq!(sign_in(&app, token).await.user, pushed);
    assert_eq!(total(&app, "/Users").await, 1);
    assert_eq!(teams_of(&app, &pushed).await, ["Staff"]);
}

async fn without_an_external_id_a_new_name_is_somebody_new(app: TestApp) {
    names_are_all_that_is_known(&app).await;
    let old = push(&app, json!({ "userName": "ann" })).await.expect(201).id();
    assert_eq!(sign_in(&app, called("s1", "ann", json!([]))).await.user, old);
    put(&app, &old, json!({ "userName": "ann", "active": false })).await.expect(200);
    let new = push(&app, json!({ "userName": "anne" })).await.expect(201).id();
    assert_ne!(new, old);
    assert_eq!(refusal(&app, called("s1", "anne", json!([]))).await, Refusal::Inactive);
}

async fn a_claim_in_the_middle_of_a_rename_is_taken_for_the_old_group(app: TestApp) {
    let team = app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await;
    let path = format!("/Groups/{}", team.expect(201).id());
    // Okta calls it Crew already, and has a new group Staff, which Ann is in.
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    app.scim().put(&path, &json!({ "displayName": "Crew" })).await.expect(200);
    assert_eq!(teams_of(&app, &id).await, ["Crew"]);
    sign_in(&app, later(ann(json!([])), json!(["Staff"]))).await;
    assert_eq!(teams_of(&app, &id).await, ["Staff"]);
}

/// Entra ID's settings: the subject differs from application to application.
async fn known_by_oid(app: &TestApp) {
    app.set(|settings| settings.sign_in.external_id_claim = Some("oid".to_owned())).await;
}

fn with_oid(subject: &str, oid: Option<&str>, name: &str) -> Identity {
    let mut identity = called(subject, name, json!(["Staff"]));
    identity.claims.extend(oid.map(|oid| ("oid".to_owned(), oid.into())));
    identity
}

async fn a_new_subject_with_the_same_external_id_is_the_same_person(app: TestApp) {
    known_by_oid(&app).await;
    let first = sign_in(&app, with_oid("s1", Some("oid-ann"), "ann")).await.user;
    // The application was registered anew, and the name has changed.
    assert_eq!(sign_in(&app, with_oid("s2", Some("oid-ann"), "anne")).await.user, first);
    assert_eq!(sign_in(&app, with_oid("s2", None, "anne")).await.user, first);
    let pushed = push(&app, json!({ "userName": "a.lee", "externalId": "oid-ann" })).await;
    assert_eq!(pushed.expect(201).id(), first);
}

async fn a_token_that_contradicts_the_external_id_is_refused(app: TestApp) {
    known_by_oid(&app).await;
    let id = push(&app, json!({ "userName": "ann", "externalId": "oid-ann" })).await;
    let id = id.expect(201).id();
    assert_eq!(sign_in(&app, with_oid("s1", None, "ann")).await.user, id, "by name");
    let another = with_oid("s1", Some("oid-eve"), "ann");
    assert_eq!(refusal(&app, another).await, Refusal::NameTaken);
}

async fn a_push_takes_the_identity_from_a_user_without_external_id(app: TestApp) {
    let named = push(&app, json!({ "userName": "ann@example.com" })).await.expect(201).id();
    let signed = sign_in(&app, ann(json!(["Staff"]))).await;
    assert_eq!(signed.user, named);
    // SCIM says that whoever has this external id is another user.
    let other = push(&app, json!({ "userName": "a.lee", "externalId": "00uann" })).await;
    let other = other.expect(201).id();
    assert_ne!(other, named);
    assert!(!is_live(&app, &signed.session).await);
    assert!(teams_of(&app, &named).await.is_empty());
    assert_eq!(sign_in(&app, ann(json!(["Staff"]))).await.user, other);
}

async fn a_team_that_is_claimed_by_external_id_is_the_one_that_is_pushed(app: TestApp) {
    let id = sign_in(&app, ann(json!(["b0a1-sales", "b0a1-staff"]))).await.user;
    let client = app.scim();
    let claimed = client.find("/Groups", "displayName eq \"b0a1-sales\"").await[0].clone();
    let sales = json!({ "displayName": "Sales", "externalId": "b0a1-sales" });
    let pushed = client.post("/Groups", &sales).await.expect(201);
    assert_eq!(pushed.body["id"], claimed["id"]);
    // One that is there already takes the claimed one in.
    let staff = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    let named = json!([{ "op": "add", "value": { "externalId": "b0a1-staff" } }]);
    client.patch(&format!("/Groups/{staff}"), &patch_body(named)).await.expect(200);
    assert_eq!(total(&app, "/Groups").await, 2);
    assert_eq!(teams_of(&app, &id).await, ["Sales", "Staff"]);
}

async fn exchange_names(app: &TestApp) -> [String; 2] {
    let ann = sign_in(app, called("s1", "ann", json!([]))).await.user;
    let bob = sign_in(app, called("s2", "bob", json!([]))).await.user;
    for (subject, name) in [("s1", "bob"), ("s2", "ann"), ("s1", "bob")] {
        sign_in(app, later(called(subject, name, json!([])), json!([]))).await;
    }
    let mut names = Vec::new();
    for id in [ann, bob] {
        names.push(user(app, &id).await["userName"].as_str().expect("a name").to_owned());
    }
    names.try_into().expect("two")
}

async fn a_name_is_not_given_away_on_a_tokens_word(app: TestApp) {
    assert_eq!(exchange_names(&app).await, ["ann", "bob"]);
}

async fn a_sign_in_repeated_changes_nothing(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    let groups = app.scim().get("/Groups").await.expect(200).body;
    let before = user(&app, &id).await;
    sign_in(&app, ann(json!(["Staff"]))).await;
    assert_eq!(user(&app, &id).await, before);
    assert_eq!(app.scim().get("/Groups").await.expect(200).body, groups);
}

async fn many_sign_ins_of_one_person_are_one_user(app: TestApp) {
    let sign_ins = (0..16).map(|number| {
        let groups = json!([format!("Team {}", number % 4), "Staff"]);
        sign_in(&app, later(ann(json!([])), groups))
    });
    let users: Vec<String> = join_all(sign_ins).await.into_iter().map(|one| one.user).collect();
    assert!(users.iter().all(|id| *id == users[0]), "{users:?}");
    assert_eq!(total(&app, "/Users").await, 1);
    assert_eq!(total(&app, "/Groups").await, 5);
    assert_eq!(teams_of(&app, &users[0]).await.len(), 2, "the last one's word");
}

async fn a_sign_in_and_a_push_at_once_are_one_user(app: TestApp) {
    for round in 0..12 {
        let name = format!("user{round}");
        let body = json!({ "userName": name, "externalId": format!("00u{round}") });
        let claims = json!({ "preferred_username": name, "groups": ["Staff"] });
        let who = identity(&format!("00u{round}"), 1, claims);
        let group = json!({ "displayName": "Staff" });
        let client = app.scim();
        let ((pushed, signed), grouped) =
            join(join(push(&app, body), sign_in(&app, who)), client.post("/Groups", &group)).await;
        assert_eq!(pushed.expect(201).id(), signed.user);
        assert!(matches!(grouped.status, 201 | 409), "{}", grouped.text);
        assert_eq!(total(&app, "/Users").await, round + 1);
        assert_eq!(total(&app, "/Groups").await, 1);
    }
}

async fn one_tenants_identity_is_nobody_in_another(app: TestApp) {
    let ours = sign_in(&app, ann(json!(["Staff"]))).await;
    app.other("other").await;
    let theirs = try_sign_in(&app, "other", ann(json!(["Staff"]))).await.expect("a session");
    assert_ne!(theirs.user, ours.user);
    assert_eq!(total(&app, "/Users").await, 1);
    assert_eq!(total(&app, "/Groups").await, 1);
}
