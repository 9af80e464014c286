//! `/api/v1/users` and `/api/v1/teams`.

use muster::directory::{membership::Policy, roles};
use serde_json::{Value, json};

use crate::signin::{ann, pushed_ann, sign_in};
use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_user_is_shown_with_what_is_in_effect,
    a_team_is_shown_with_its_roles,
    members_are_those_in_effect,
    pages_hold_everybody_once,
    users_are_found_by_what_they_are_called,
    a_garbled_question_says_what_to_mend,
    one_connection_shows_nothing_of_another,
];

/// Gives a team of the connection `default` a role.
pub async fn grant(app: &TestApp, team: &'static str, role: &'static str) {
    let now = app.clock.now();
    app.db
        .write("grant", move |conn| roles::grant(conn, "default", team, role, now))
        .await
        .expect("a role");
}

/// Ids of all items of a list, page by page.
async fn ids(client: &ScimClient, path: &str, name: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = String::new();
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = client.get(&format!("{path}{separator}count={count}{after}")).await.expect(200);
        let items = page.body[name].as_array().expect("a list");
        assert!(items.len() <= count);
        found.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        match page.body["next"].as_str() {
            Some(next) => {
                assert_eq!(items.len(), count, "a page that is not the last is full");
                after = format!("&after={next}");
            }
            None => return found,
        }
    }
}

async fn one(client: &ScimClient, path: &str, name: &str) -> Vec<String> {
    ids(client, path, name, 1000).await
}

async fn a_user_is_shown_with_what_is_in_effect(app: TestApp) {
    let admin = app.admin().await;
    let signed = sign_in(&app, ann(json!(["Staff", "Sales"]))).await;
    grant(&app, "Staff", "editor").await;
    grant(&app, "Sales", "editor").await;
    grant(&app, "Sales", "seller").await;
    let path = format!("/users/{}", signed.user);
    let user = admin.get(&path).await.expect(200).body;
    assert_eq!(user["id"], signed.user.as_str());
    assert_eq!(user["connection"], "default");
    assert_eq!(user["userName"], "Ann@example.com");
    assert_eq!(user["externalId"], Value::Null);
    assert_eq!(user["active"], true);
    assert_eq!(user["name"], "Ann Lee");
    assert_eq!(user["email"], "ann@example.com");
    assert_eq!(user["owner"], "sign-in");
    let names: Vec<&str> = user["teams"]
        .as_array()
        .expect("teams")
        .iter()
        .map(|team| team["displayName"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["Sales", "Staff"]);
    assert_eq!(user["roles"], json!(["editor", "seller"]));
    for time in ["lastSignIn", "created", "updated"] {
        assert!(user[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}");
    }
    assert_eq!(admin.get("/users").await.expect(200).body["users"], json!([user]));

    // SCIM takes her and one team over, and has nobody in it.
    app.scim().post("/Users", &pushed_ann()).await.expect(201);
    app.scim().post("/Groups", &json!({ "displayName": "Sales" })).await.expect(201);
    let user = admin.get(&path).await.expect(200).body;
    assert_eq!((&user["owner"], &user["externalId"]), (&json!("scim"), &json!("00uann")));
    assert_eq!(user["roles"], json!(["editor"]));
    app.set(|settings| settings.membership = Policy::Union).await;
    let user = admin.get(&path).await.expect(200).body;
    assert_eq!(user["roles"], json!(["editor", "seller"]));

    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&format!("/Users/{}", signed.user), &off).await.expect(200);
    let user = admin.get(&path).await.expect(200).body;
    assert_eq!(user["active"], false);
    assert_eq!((&user["teams"], &user["roles"]), (&json!([]), &json!([])));
}

async fn a_team_is_shown_with_its_roles(app: TestApp) {
    let admin = app.admin().await;
    let pushed = json!({ "displayName": "Staff", "externalId": "00g1" });
    let id = app.scim().post("/Groups", &pushed).await.expect(201).id();
    sign_in(&app, ann(json!(["Sales"]))).await;
    grant(&app, "Staff", "editor").await;
    let team = admin.get(&format!("/teams/{id}")).await.expect(200).body;
    assert_eq!(team["id"], id.as_str());
    assert_eq!(team["connection"], "default");
    assert_eq!((&team["displayName"], &team["externalId"]), (&json!("Staff"), &json!("00g1")));
    assert_eq!((&team["managedBy"], &team["roles"]), (&json!("scim"), &json!(["editor"])));
    let teams = admin.get("/teams?connection=DEFAULT").await.expect(200).body;
    assert_eq!(teams["teams"][0], team);
    assert_eq!(teams["teams"][1]["managedBy"], "sign-in");
    assert_eq!(teams["next"], Value::Null);
}

async fn members_are_those_in_effect(app: TestApp) {
    let (admin, scim) = (app.admin().await, app.scim());
    let mut people = Vec::new();
    for number in 0..5 {
        let body = json!({ "userName": format!("user{number}"), "active": number != 3 });
        people.push(scim.post("/Users", &body).await.expect(201).id());
    }
    let members: Vec<Value> = people.iter().map(|id| json!({ "value": id })).collect();
    let group = json!({ "displayName": "Staff", "members": members });
    let group = scim.post("/Groups", &group).await.expect(201).id();
    // A claim grants nothing to whom SCIM owns, and something to whom it does not.
    scim.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    let claims = json!({ "preferred_username": "bob", "groups": ["staff"] });
    sign_in(&app, crate::signin::identity("00ubob", 1, claims)).await;
    let stranger = sign_in(&app, ann(json!(["Staff"]))).await.user;
    people.remove(3);
    people.push(stranger);
    let path = format!("/teams/{group}/members");
    assert_eq!(one(&admin, &path, "members").await, people);
    assert_eq!(ids(&admin, &path, "members", 2).await, people, "page by page");
    let body = admin.get(&path).await.expect(200).body;
    assert_eq!(body["members"][4]["email"], "ann@example.com");
    assert_eq!(body["members"][0]["userName"], "user0");
    app.set(|settings| settings.membership = Policy::Union).await;
    assert_eq!(one(&admin, &path, "members").await.len(), 6);
}

async fn pages_hold_everybody_once(app: TestApp) {
    let (admin, scim) = (app.admin().await, app.scim());
    let (mut users, mut teams) = (Vec::new(), Vec::new());
    for number in 0..9 {
        let body = json!({ "userName": format!("user{number}") });
        users.push(scim.post("/Users", &body).await.expect(201).id());
        let body = json!({ "displayName": format!("Team {number}") });
        teams.push(scim.post("/Groups", &body).await.expect(201).id());
    }
    for count in [1, 3, 4, 9, 10] {
        assert_eq!(ids(&admin, "/users", "users", count).await, users, "{count}");
        assert_eq!(ids(&admin, "/users?connection=default", "users", count).await, users);
        assert_eq!(ids(&admin, "/teams", "teams", count).await, teams, "{count}");
    }
    // Who is deleted between two pages moves nobody else.
    let first = admin.get("/users?count=4").await.expect(200).body;
    scim.delete(&format!("/Users/{}", users[3])).await.expect(204);
    scim.delete(&format!("/Users/{}", users[0])).await.expect(204);
    let next = first["next"].as_str().expect("another page");
    let rest = one(&admin, &format!("/users?after={next}"), "users").await;
    assert_eq!(rest, users[4..]);
}

async fn users_are_found_by_what_they_are_called(app: TestApp) {
    let (admin, scim) = (app.admin().await, app.scim());
    let id = scim.post("/Users", &pushed_ann()).await.expect(201).id();
    let off = json!({ "userName": "bob", "externalId": "00ubob", "active": false });
    let bob = scim.post("/Users", &off).await.expect(201).id();
    let namesake = app.other("other").await.post("/Users", &pushed_ann()).await.expect(201).id();
    for (query, want) in [
        ("userName=ANN@example.COM&connection=default", vec![&id]),
        ("userName=ann%40example.com", vec![&id, &namesake]),
        ("externalId=00uann&connection=other", vec![&namesake]),
        ("externalId=00UANN", vec![]),
        ("externalId=00ubob&userName=bob", vec![&bob]),
        ("externalId=00ubob&userName=ann@example.com", vec![]),
        ("active=false", vec![&bob]),
        ("active=false&connection=default", vec![&bob]),
        ("active=true&connection=default", vec![&id]),
        ("userName=nobody", vec![]),
    ] {
        let found = one(&admin, &format!("/users?{query}"), "users").await;
        assert_eq!(found.iter().collect::<Vec<_>>(), want, "{query}");
    }
}

async fn a_garbled_question_says_what_to_mend(app: TestApp) {
    let admin = app.admin().await;
    for (path, word) in [
        ("/users?conection=default", "conection"),
        ("/users?filter=x", "userName"),
        ("/users?count=0", "from 1 to 1000"),
        ("/users?count=1001", "from 1 to 1000"),
        ("/users?after=x", "next"),
        ("/users?active=1", "true or false"),
        ("/users?connection=", "empty"),
        ("/users?userName=%00", "NUL"),
        ("/teams?userName=x", "known are: connection, after, count"),
        ("/teams?count=1&count=2", "more than once"),
        ("/events?after=x", "cursor"),
        ("/events?after=-1", "cursor"),
        ("/events?after=99999", "ahead of the log"),
        ("/events?wait=61", "from 0 to 60"),
        ("/events?wait=soon", "from 0 to 60"),
        ("/events?count=1e3", "from 1 to 1000"),
    ] {
        let answer = admin.get(path).await.expect(400);
        assert_eq!(answer.body["error"], "invalid_request", "{path}");
        let message = answer.body["message"].as_str().expect("a message");
        assert!(message.contains(word), "{path}: {message}");
    }
    for path in ["/users?connection=no", "/teams?connection=no", "/events?connection=no"] {
        let answer = admin.get(path).await.expect(404);
        assert!(answer.body["message"].as_str().is_some_and(|text| text.contains("'no'")));
    }
}

async fn one_connection_shows_nothing_of_another(app: TestApp) {
    let admin = app.admin().await;
    let theirs = app.other("other").await;
    for client in [&app.scim(), &theirs] {
        let user = client.post("/Users", &pushed_ann()).await.expect(201).id();
        let group = json!({ "displayName": "Staff", "members": [{ "value": user }] });
        client.post("/Groups", &group).await.expect(201);
    }
    grant(&app, "Staff", "editor").await;
    for (path, name) in [("/users", "users"), ("/teams", "teams"), ("/events", "events")] {
        let all = admin.get(path).await.expect(200).body;
        let of_one = |item: &&Value| !item["connection"].is_null();
        let all: Vec<&Value> =
            all[name].as_array().expect("a list").iter().filter(of_one).collect();
        let mut apart = 0;
        for connection in ["default", "other"] {
            let body = admin.get(&format!("{path}?connection={connection}")).await.expect(200).body;
            let found = body[name].as_array().expect("a list");
            assert!(!found.is_empty(), "{path} of {connection}");
            assert!(found.iter().all(|item| item["connection"] == connection), "{body}");
            assert!(found.iter().all(|item| all.contains(&item)));
            apart += found.len();
        }
        assert_eq!(apart, all.len(), "{path}");
    }
    let body = admin.get("/users?connection=other").await.expect(200).body;
    assert_eq!(body["users"][0]["roles"], json!([]), "the role is another connection's");
}
