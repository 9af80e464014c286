//! Who gets in, what the pages say, and what is done from them.

use std::collections::HashSet;

use muster::directory::roles;
use serde_json::{Value, json};

use super::browser::{AT, Console, ann, cookie, is_slowed_down, location};
use crate::login::harness::{Login, encoded};
use crate::support::{Case, TestApp, cases, eventually, patch_body};

pub const CASES: &[Case] = cases![
    nobody_gets_in_without_an_admin_token,
    whoever_signs_in_comes_back_to_where_they_wanted_to_go,
    nobody_is_sent_elsewhere_after_signing_in,
    a_session_ends_with_its_token,
    a_session_ends_by_itself,
    a_page_that_follows_keeps_nobody_signed_in,
    a_token_for_some_networks_opens_it_from_there_alone,
    a_form_of_another_site_does_nothing,
    signing_out_ends_the_session,
    guessing_admin_tokens_is_slowed_down,
    a_connection_of_the_vendors_own_lets_in_who_has_the_role,
    a_connection_tells_how_it_is,
    a_token_is_made_and_revoked_by_hand,
    users_are_found_by_name_status_and_filter,
    a_filter_that_cannot_be_used_is_explained,
    a_user_is_shown_with_teams_and_why,
    nothing_of_another_connection_is_shown,
    a_user_is_deactivated_and_reactivated_by_hand,
    sessions_are_ended_by_hand,
    a_team_is_shown_with_who_says_so,
    changes_are_listed_newest_first,
    what_is_too_large_to_be_shown_is_told_by_its_size,
    the_brake_is_released_by_hand,
    the_diagnosis_is_a_page_too,
    text_of_others_is_no_markup,
];

async fn nobody_gets_in_without_an_admin_token(app: TestApp) {
    let id = ann(&app).await;
    let nobody = Console::new(&app);
    for path in [
        "",
        "/connections",
        "/connections/default",
        "/connections/nope",
        "/connections/default/users",
        &format!("/connections/default/users/{id}"),
        "/connections/default/teams",
        "/connections/default/events",
        "/connections/default/doctor",
        "/nothing/here",
    ] {
        let answer = nobody.get(&format!("/console{path}")).await.expect(303);
        assert!(location(&answer).starts_with("/console/login"), "{path}");
        assert!(answer.text.is_empty(), "{path}");
    }
    nobody.post(&format!("{AT}/tokens"), &[("label", "x")]).await.expect(403);
    let (_, admin) = app.new_admin_token(None).await;
    for wrong in ["", "x", "muster_admin_x", app.default_token(), &admin.to_uppercase()] {
        let answer = nobody.post("/console/login", &[("token", wrong)]).await.expect(403);
        assert!(cookie(&answer).is_none(), "{wrong}");
        assert!(wrong.len() < 3 || !answer.text.contains(wrong), "a token is not repeated");
        let is_scim = answer.text.contains("This is a SCIM token");
        assert_eq!(is_scim, wrong == app.default_token(), "{}", answer.text);
    }
    // The tokens made above are the only ones: nothing was added by nobody.
    let console = Console::open(&app).await;
    assert!(!console.page(AT).await.contains("<th scope=\"row\">x<"));
}

async fn whoever_signs_in_comes_back_to_where_they_wanted_to_go(app: TestApp) {
    let nobody = Console::new(&app);
    let wanted = format!("{AT}/users?q=a+b");
    let login = nobody.get(&wanted).await.expect(303);
    let next = url::Url::parse(&format!("http://x{}", location(&login))).expect("an address");
    let (name, next) = next.query_pairs().next().expect("a parameter");
    assert_eq!((&*name, &*next), ("next", wanted.as_str()));
    let page = nobody.get(location(&login)).await.expect(200).text;
    assert!(page.contains(&format!("value=\"{wanted}\"")), "{page}");
    let (_, token) = app.new_admin_token(None).await;
    // As it is pasted out of a terminal.
    let pasted = format!(" {token}\n");
    let pairs = [("token", pasted.as_str()), ("next", &next)];
    let answer = nobody.post("/console/login", &pairs).await.expect(303);
    assert_eq!(location(&answer), wanted);
}

async fn nobody_is_sent_elsewhere_after_signing_in(app: TestApp) {
    let (_, token) = app.new_admin_token(None).await;
    let nobody = Console::new(&app);
    for next in [
        "https://evil.example/console/",
        "//evil.example",
        "/console//evil.example",
        "/consoles",
        "/console/\\evil.example",
        "/console/x\r\nset-cookie: a=b",
        "/authorize",
        "javascript:alert(1)",
    ] {
        let pairs = [("token", token.as_str()), ("next", next)];
        let answer = nobody.post("/console/login", &pairs).await.expect(303);
        assert_eq!(location(&answer), "/console/connections", "{next}");
    }
}

async fn a_session_ends_with_its_token(app: TestApp) {
    let (id, token) = app.new_admin_token(None).await;
    let mut console = Console::new(&app);
    console.enter(&token).await;
    console.page(AT).await;
    let now = app.clock.now();
    app.db
        .write("revoke", move |conn| muster::directory::apps::revoke_admin_token(conn, &id, now))
        .await
        .expect("a token to revoke");
    console.get(AT).await.expect(303);
    // So does one of a token whose time is over.
    let (_, token) = app.new_admin_token(Some(app.clock.now() + 60_000_000)).await;
    console.enter(&token).await;
    console.page(AT).await;
    app.clock.advance(61);
    console.get(AT).await.expect(303);
}

async fn a_session_ends_by_itself(app: TestApp) {
    let console = Console::open(&app).await;
    // What is used goes on, but not for ever.
    for _ in 0..11 {
        app.clock.advance(3_600);
        console.page(AT).await;
        noted(&app, &console).await;
    }
    app.clock.advance(3_600);
    console.get(AT).await.expect(303);
    let console = Console::open(&app).await;
    app.clock.advance(2 * 3_600);
    console.get(AT).await.expect(303);
}

async fn a_page_that_follows_keeps_nobody_signed_in(app: TestApp) {
    let console = Console::open(&app).await;
    for _ in 0..3 {
        app.clock.advance(2_000);
        let request = console.http().get(format!("{}{AT}", app.base_url));
        console.send(request.header("x-muster-follow", "1")).await.expect(200);
    }
    app.clock.advance(2_000);
    console.get(AT).await.expect(303);
}

async fn a_token_for_some_networks_opens_it_from_there_alone(app: TestApp) {
    let now = app.clock.now();
    let make = async |networks: &'static str| {
        app.db
            .write("create_admin_token", move |conn| {
                let networks = networks.parse().expect("networks");
                muster::directory::apps::create_admin_token_for(conn, "", &networks, None, now)
            })
            .await
            .expect("a token")
    };
    let (_, elsewhere) = make("192.0.2.0/24").await;
    let mut console = Console::new(&app);
    let refused =
        console.post("/console/login", &[("token", elsewhere.expose())]).await.expect(403);
    assert!(cookie(&refused).is_none() && refused.text.contains("may not be used"), "{refused:?}");
    let (_, here) = make("127.0.0.0/8").await;
    console.enter(here.expose()).await;
    console.page(AT).await;
}

/// Waits until the use of a session was noted, which no request waits for.
async fn noted(app: &TestApp, console: &Console) {
    let hash = muster::directory::tokens::hash(console.cookie.split_once('=').expect("a value").1);
    let now = app.clock.now();
    eventually("the use of the session is noted", async || {
        let hash = hash.clone();
        let found = app.db.read(move |conn| {
            Ok::<_, muster::db::StoreError>(muster::db::console::find_session(conn, &hash)?)
        });
        now - found.await.expect("a query").expect("a session").last_seen_at < 60_000_000
    })
    .await;
}

async fn a_form_of_another_site_does_nothing(app: TestApp) {
    let id = ann(&app).await;
    let console = Console::open(&app).await;
    let path = format!("{AT}/users/{id}/deactivate");
    let sites: [&[(&str, &str)]; 5] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
    ];
    for headers in sites {
        let mut request = console.form(&path, &[]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        console.send(request).await.expect(403);
    }
    // A link can ask, and no more.
    console.page(&path).await;
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(user.body["active"], true);
    // An older browser names its origin.
    let own = console.form(&path, &[]).header("origin", &app.base_url);
    console.send(own).await.expect(303);
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(user.body["active"], false);
}

async fn signing_out_ends_the_session(app: TestApp) {
    let console = Console::open(&app).await;
    let answer = console.post("/console/logout", &[]).await.expect(303);
    assert_eq!(location(&answer), "/console/login");
    // The cookie that somebody may have kept is worth nothing.
    console.get(AT).await.expect(303);
}

async fn guessing_admin_tokens_is_slowed_down(app: TestApp) {
    let nobody = Console::new(&app);
    is_slowed_down(async |number| {
        let guess = format!("muster_admin_{number}");
        nobody.post("/console/login", &[("token", &guess)]).await.status
    })
    .await;
}

async fn a_connection_of_the_vendors_own_lets_in_who_has_the_role(app: TestApp) {
    let login = Login::new(&app).await;
    let begin = format!("/console/login/default?{}", encoded(&[("next", AT)]));
    // A customer's connection is no way in.
    login.get(&begin, None).await.expect(404);
    app.set(|settings| settings.console_role = Some("support".to_owned())).await;
    let page = Console::new(&app).get("/console/login").await.expect(200).text;
    assert!(page.contains("Sign in with default"), "{page}");
    let answer = login.sign_in(&app, &begin).await.expect(303);
    assert_eq!(location(&answer), format!("{}{AT}", app.base_url));
    let session = answer.header("set-cookie").and_then(|set| set.split(';').next());
    let mut console = Console::new(&app);
    console.cookie = session.expect("a session").to_owned();
    // Ann signed in, and has not the role yet.
    console.get(AT).await.expect(303);
    let now = app.clock.now();
    app.db
        .write("grant", move |conn| roles::grant(conn, "default", "Staff", "support", now))
        .await
        .expect("a team");
    let page = console.page(AT).await;
    assert!(page.contains("ann@example.com"), "who is there is said: {page}");
    // What she does is in the log under her name.
    console.post(&format!("{AT}/tokens"), &[("label", "hers")]).await.expect(200);
    let user = app.scim().find("/Users", "userName eq \"ann@example.com\"").await[0].clone();
    let events = app.admin().await.get("/events?count=1000").await.expect(200).body;
    let events = events["events"].as_array().expect("events").clone();
    let made = events.iter().rfind(|event| event["subject"]["type"] == "token").expect("one");
    assert_eq!(made["actor"], json!({ "type": "user", "id": user["id"] }));
    // Deactivated by her own provider she is out at once.
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    app.scim().patch(&path, &off).await.expect(200);
    console.get(AT).await.expect(303);
    // And the session cookie of a customer's person never was a way in.
    app.set(|settings| settings.console_role = None).await;
    let on = patch_body(json!([{ "op": "replace", "path": "active", "value": true }]));
    app.scim().patch(&path, &on).await.expect(200);
    let answer = login.sign_in(&app, &login.authorize(&[])).await.expect(303);
    let session = answer.header("set-cookie").and_then(|set| set.split(';').next());
    console.cookie = session.expect("a session").to_owned();
    console.get(AT).await.expect(303);
}

async fn a_connection_tells_how_it_is(app: TestApp) {
    let console = Console::open(&app).await;
    let list = console.page("/console/connections").await;
    assert!(list.contains("nothing pushed yet"), "{list}");
    ann(&app).await;
    app.other("acme").await;
    let list = console.page("/console/connections").await;
    assert!(list.contains("2 in all") && list.contains(">acme<"), "{list}");
    let only = console.page("/console/connections?q=ACM").await;
    assert!(only.contains(">acme<") && !only.contains(">default<"), "{only}");
    let page = console.page(AT).await;
    assert!(page.contains("no sign-in") && page.contains("/login/callback"), "{page}");
    console.get("/console/connections/nope").await.expect(404);
    console.get("/console/nothing").await.expect(404);
}

async fn a_token_is_made_and_revoked_by_hand(app: TestApp) {
    let console = Console::open(&app).await;
    let answer = console.post(&format!("{AT}/tokens"), &[("label", "second")]).await.expect(200);
    let start = answer.text.find("muster_scim_").expect("a token");
    let token: String = answer.text[start..].chars().take_while(|c| *c != '"').collect();
    app.with_token(&token).get("/Users").await.expect(200);
    let page = console.page(AT).await;
    assert!(page.contains("second") && !page.contains(&token), "shown once");
    let id = page.split("/tokens/").nth(2).and_then(|rest| rest.split('/').next()).expect("an id");
    let path = format!("{AT}/tokens/{id}/revoke");
    let question = console.page(&path).await;
    assert!(question.contains("1 other token"), "{question}");
    app.with_token(&token).get("/Users").await.expect(200);
    let answer = console.post(&path, &[]).await.expect(303);
    assert!(console.page(location(&answer)).await.contains("The token was revoked"));
    app.with_token(&token).get("/Users").await.expect_error(401, None);
    // A token of another connection is none here.
    app.other("acme").await;
    console.get(&format!("/console/connections/acme/tokens/{id}/revoke")).await.expect(404);
    console.post(&format!("/console/connections/acme/tokens/{id}/revoke"), &[]).await.expect(404);
    let long = "x".repeat(65);
    console.post(&format!("{AT}/tokens"), &[("label", &long)]).await.expect(400);
}

async fn users_are_found_by_name_status_and_filter(app: TestApp) {
    ann(&app).await;
    let bob = json!({ "userName": "bob@example.com", "externalId": "00ubob", "active": false });
    app.scim().post("/Users", &bob).await.expect(201);
    let console = Console::open(&app).await;
    let find = async |pairs: &[(&str, &str)]| {
        let page = console.page(&format!("{AT}/users?{}", encoded(pairs))).await;
        (page.contains(">ann@example.com<"), page.contains(">bob@example.com<"))
    };
    assert_eq!(find(&[]).await, (true, true));
    assert_eq!(find(&[("q", "ANN")]).await, (true, false));
    assert_eq!(find(&[("q", "lee")]).await, (true, false));
    assert_eq!(find(&[("q", "ann@work")]).await, (true, false));
    assert_eq!(find(&[("q", "00ubob")]).await, (false, true));
    assert_eq!(find(&[("q", "nn@")]).await, (false, false));
    assert_eq!(find(&[("q", "\"\\ or userName pr")]).await, (false, false));
    assert_eq!(find(&[("status", "inactive")]).await, (false, true));
    assert_eq!(find(&[("status", "active")]).await, (true, false));
    assert_eq!(find(&[("filter", "externalId eq \"00ubob\"")]).await, (false, true));
    let both = [("filter", "userName pr or userName pr"), ("status", "active")];
    assert_eq!(find(&both).await, (true, false), "the filter is a term of its own");
    assert_eq!(find(&[("q", "bob"), ("status", "active")]).await, (false, false));
}

async fn a_filter_that_cannot_be_used_is_explained(app: TestApp) {
    let console = Console::open(&app).await;
    let page = |filter: &'static str| {
        let path = format!("{AT}/users?{}", encoded(&[("filter", filter)]));
        let console = &console;
        async move { console.page(&path).await }
    };
    let wrong = page("userName eqq \"x\"").await;
    assert!(wrong.contains("expected an operator"), "{wrong}");
    assert!(wrong.contains("userName <span class=\"caret\">▸</span>eqq"), "{wrong}");
    assert!(page("shoeSize eq 42").await.contains("User has no attribute shoeSize"));
    assert!(page("userName eq 1").await.contains("must be compared with"));
    // What would close the parenthesis that is around it does not get further.
    assert!(page("userName pr) or (userName pr").await.contains("cannot be used"));
    assert!(page("password eq \"x\"").await.contains("cannot be used in a filter"));
}

async fn a_user_is_shown_with_teams_and_why(app: TestApp) {
    let login = Login::new(&app).await;
    let id = ann(&app).await;
    let staff = json!({ "displayName": "Staff", "members": [] });
    app.scim().post("/Groups", &staff).await.expect(201);
    // Ann's claim says Staff; SCIM, which decides, says nobody.
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/users/{id}")).await;
    for said in [
        "ann@example.com",
        "00uann",
        "name.familyName",
        "emails[1].value",
        "ann@work.example",
        "Staff",
        "disagreement",
        "SCIM decides, because it manages the team and owns the user",
        "Add the person to the group in the identity provider",
        "signed-in",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(page.contains("/sessions/"), "her session is there: {page}");
}

async fn nothing_of_another_connection_is_shown(app: TestApp) {
    let id = ann(&app).await;
    let team = app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    let team = team.id();
    app.other("acme").await;
    let console = Console::open(&app).await;
    let acme = "/console/connections/acme";
    for path in [
        format!("{acme}/users/{id}"),
        format!("{acme}/users/{id}/deactivate"),
        format!("{acme}/teams/{team}"),
    ] {
        let answer = console.get(&path).await.expect(404);
        assert!(!answer.text.contains("ann@"), "{path}");
    }
    console.post(&format!("{acme}/users/{id}/deactivate"), &[]).await.expect(404);
    console.post(&format!("{acme}/users/{id}/sign-out"), &[]).await.expect(303);
    for list in ["users", "teams", "events"] {
        let page = console.page(&format!("{acme}/{list}")).await;
        assert!(!page.contains(&id) && !page.contains(&team), "{list}");
    }
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(user.body["active"], true);
}

async fn a_user_is_deactivated_and_reactivated_by_hand(app: TestApp) {
    let login = Login::new(&app).await;
    let id = ann(&app).await;
    let token = login.access_token(&app).await;
    login.userinfo(&token).await.expect(200);
    let (admin_id, admin) = app.new_admin_token(None).await;
    let mut console = Console::new(&app);
    console.enter(&admin).await;
    let path = format!("{AT}/users/{id}");
    let question = console.page(&format!("{path}/deactivate")).await;
    assert!(question.contains("loses 1 session"), "{question}");
    let before = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    let answer = console.post(&format!("{path}/deactivate"), &[]).await.expect(303);
    assert!(console.page(location(&answer)).await.contains("every session is over"));
    login.userinfo(&token).await.expect(401);
    let after = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    assert_eq!(after["active"], false);
    assert_ne!(after["meta"]["version"], before["meta"]["version"]);
    login.sign_in(&app, &login.code_request()).await.expect(403);
    // Once more changes nothing.
    console.post(&format!("{path}/deactivate"), &[]).await.expect(303);
    let same = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    assert_eq!(same, after);
    console.post(&format!("{path}/reactivate"), &[]).await.expect(303);
    let back = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    assert_eq!(back["active"], true);
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let events = app.admin().await.get("/events?count=1000").await.expect(200).body;
    let by_hand: Vec<Value> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["actor"] == json!({ "type": "admin-token", "id": admin_id }))
        .map(|event| event["action"].clone())
        .collect();
    assert_eq!(by_hand, ["deactivated", "reactivated"]);
    console.get(&format!("{path}/explode")).await.expect(404);
}

async fn sessions_are_ended_by_hand(app: TestApp) {
    let login = Login::new(&app).await;
    let id = ann(&app).await;
    let (first, second) = (login.access_token(&app).await, login.access_token(&app).await);
    let third = login.access_token(&app).await;
    let console = Console::open(&app).await;
    let path = format!("{AT}/users/{id}");
    let page = console.page(&path).await;
    // The newest stands first.
    let newest = page.split("/sessions/").nth(1).and_then(|rest| rest.split('/').next());
    let newest = newest.expect("a session").to_owned();
    let answer = console.post(&format!("{path}/sessions/{newest}/end"), &[]).await.expect(303);
    assert!(console.page(location(&answer)).await.contains("The session is over"));
    login.userinfo(&third).await.expect(401);
    login.userinfo(&first).await.expect(200);
    let answer = console.post(&format!("{path}/sessions/{newest}/end"), &[]).await.expect(303);
    assert!(console.page(location(&answer)).await.contains("over already"));
    console.post(&format!("{path}/sign-out"), &[]).await.expect(303);
    login.userinfo(&first).await.expect(401);
    login.userinfo(&second).await.expect(401);
    // One event for each, like that of somebody who signs out.
    let events = app.admin().await.get("/events?count=1000").await.expect(200).body;
    let ended: Vec<&Value> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["action"] == "signed-out")
        .map(|event| &event["data"])
        .collect();
    let sessions: HashSet<&str> =
        ended.iter().filter_map(|data| data["session"].as_str()).collect();
    assert_eq!((ended.len(), sessions.len()), (3, 3), "{ended:?}");
    assert_eq!(*ended[0], json!({ "session": newest }));
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(user.body["active"], true, "signing out is not deactivation");
}

async fn a_team_is_shown_with_who_says_so(app: TestApp) {
    let login = Login::new(&app).await;
    let id = ann(&app).await;
    let body = json!({ "userName": "bob@example.com" });
    let bob = app.scim().post("/Users", &body).await.expect(201).id();
    let staff = json!({ "displayName": "Staff", "members": [{ "value": bob }] });
    let team = app.scim().post("/Groups", &staff).await.expect(201).id();
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let console = Console::open(&app).await;
    let list = console.page(&format!("{AT}/teams?q=sta")).await;
    assert!(list.contains(">Staff<") && list.contains("1 in all"), "{list}");
    assert!(!console.page(&format!("{AT}/teams?q=taff")).await.contains(">Staff<"));
    let page = console.page(&format!("{AT}/teams/{team}")).await;
    assert!(page.contains("disagree about 1."), "{page}");
    let row = |id: &str| {
        let rest = page.split(&format!("/users/{id}\"")).nth(1).expect("a row").to_owned();
        rest.split("</tr>").next().expect("an end").to_owned()
    };
    assert!(row(&bob).contains("claim says\"><span class=\"soft\">nothing<"), "{page}");
    assert!(row(&bob).contains(">yes<") && !row(&bob).contains("disagreement"), "{page}");
    assert!(row(&id).contains(">no<") && row(&id).contains("disagreement"), "{page}");
    console.get(&format!("{AT}/teams/{id}")).await.expect(404);
}

async fn changes_are_listed_newest_first(app: TestApp) {
    let id = ann(&app).await;
    let title = |title: &str| patch_body(json!([{ "op": "add", "path": "title", "value": title }]));
    for number in 0..60 {
        let body = title(&format!("t{number}"));
        app.scim().patch(&format!("/Users/{id}"), &body).await.expect(200);
    }
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/events")).await;
    assert!(page.contains(&format!("<a href=\"{AT}/users/{id}\">ann@example.com</a>")), "{page}");
    assert!(page.contains("request <span") && page.contains("SCIM token"), "{page}");
    for list in [format!("{AT}/events"), format!("{AT}/users/{id}")] {
        let page = console.page(&list).await;
        assert!(page.contains("title: t58 → t59"), "{list}: {page}");
        assert!(!page.contains("title: t3 → t4"), "{list}");
        let (newest, older) = (page.find("t58 → t59"), page.find("t30 → t31"));
        assert!(newest < older, "{list}: newest first");
        let next = page.split("before=").nth(1).and_then(|rest| rest.split(['"', '#']).next());
        let earlier = console.page(&format!("{list}?before={}", next.expect("earlier ones"))).await;
        assert!(earlier.contains("title: t3 → t4"), "{list}: {earlier}");
        assert!(!earlier.contains("t58 → t59"), "{list}");
    }
}

async fn what_is_too_large_to_be_shown_is_told_by_its_size(app: TestApp) {
    let id = ann(&app).await;
    let members: Vec<_> = app.seed(6_000).iter().map(|id| json!({ "value": id })).collect();
    let long = "x".repeat(40_000);
    let body = patch_body(json!([{ "op": "add", "value": { "title": long, "nickName": long } }]));
    app.scim().patch(&format!("/Users/{id}"), &body).await.expect(200);
    let group = json!({ "displayName": "All", "members": members });
    let team = app.scim().post("/Groups", &group).await.expect(201).id();
    let console = Console::open(&app).await;
    for (path, count) in
        [("events".to_owned(), 2), (format!("users/{id}"), 1), (format!("teams/{team}"), 1)]
    {
        let page = console.page(&format!("{AT}/{path}")).await;
        assert_eq!(page.matches("Too large to be shown here: ").count(), count, "{path}");
        assert!(!page.contains("title = x"), "{path}");
    }
}

async fn the_brake_is_released_by_hand(app: TestApp) {
    app.set(|settings| {
        settings.brake.users = Some(muster::directory::brake::Limit::Number(0));
    })
    .await;
    let id = ann(&app).await;
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(429);
    let console = Console::open(&app).await;
    assert!(console.page("/console/connections").await.contains("brake is on"));
    assert!(console.page(AT).await.contains("The mass-change brake is on"));
    let path = format!("{AT}/brake/release");
    assert!(console.page(&path).await.contains("For an hour"));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(429);
    let answer = console.post(&path, &[]).await.expect(303);
    assert!(console.page(location(&answer)).await.contains("goes through now"));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
}

async fn the_diagnosis_is_a_page_too(app: TestApp) {
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/doctor")).await;
    for name in ["database", "totals", "scim-tokens", "public-url"] {
        assert!(page.contains(&format!(">{name}: ")), "{name}: {page}");
    }
    app.set(|settings| settings.sign_in.groups_filter = Some("^nothing$".to_owned())).await;
    app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    let page = console.page(&format!("{AT}/doctor")).await;
    assert!(page.contains("groups-filter"), "{page}");
    console.get("/console/connections/nope/doctor").await.expect(404);
}

async fn text_of_others_is_no_markup(app: TestApp) {
    let bad = "<img src=x onerror=alert(1)>\"'&";
    let body = json!({ "userName": bad, "displayName": bad, "title": bad });
    let id = app.scim().post("/Users", &body).await.expect(201).id();
    let team = json!({ "displayName": bad, "members": [{ "value": id }] });
    let team = app.scim().post("/Groups", &team).await.expect(201).id();
    let console = Console::open(&app).await;
    let escaped = "&lt;img src=x onerror=alert(1)&gt;";
    for path in [
        format!("{AT}/users"),
        format!("{AT}/users/{id}"),
        format!("{AT}/users/{id}/deactivate"),
        format!("{AT}/teams"),
        format!("{AT}/teams/{team}"),
        format!("{AT}/events"),
        format!("{AT}/users?{}", encoded(&[("filter", bad)])),
        format!("{AT}/teams?{}", encoded(&[("q", bad)])),
    ] {
        let page = console.page(&path).await;
        assert!(!page.contains("<img"), "{path}");
        assert!(page.contains(escaped), "{path}: {page}");
    }
}
