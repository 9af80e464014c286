//! The log, the set-up assistant, and links that show it to guests.

use futures_util::{StreamExt, stream};
use muster::directory::connections;
use serde_json::{Value, json};

use super::browser::{AT, Console, ann, is_slowed_down, location};
use crate::login::harness::{Login, encoded, is_refusal};
use crate::support::provider::{DISCOVERY, Instead};
use crate::support::{Answer, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_log_shows_what_was_asked_answered_and_changed,
    the_log_is_one_connections_alone,
    the_log_is_narrowed_down,
    the_assistant_follows_the_provider,
    the_assistant_shows_a_sign_in_that_cannot_begin,
    the_assistant_names_a_missing_claim,
    the_assistant_names_a_filter_that_matches_nothing,
    the_assistant_names_a_wrong_address_to_operators_alone,
    the_forms_are_those_of_the_provider,
    a_dry_run_is_no_push,
    where_people_sign_in_is_set_on_the_page,
    a_guest_sees_one_page_and_may_do_what_the_link_says,
    a_form_does_nothing_by_another_link_than_its_pages,
    a_guest_takes_no_issuer_of_anothers,
    a_link_ends,
    a_link_is_no_way_into_anything_else,
    a_second_link_opens_its_own_page,
    nobody_sets_the_vendors_own_connection_up_by_a_link,
    sign_ins_are_seen_however_much_is_pushed,
    guessing_links_is_slowed_down,
];

/// The id of the newest entry of the log that has the text in its row.
fn entry_of(page: &str, text: &str) -> String {
    let row = page.split("<tr>").find(|row| row.contains(text)).expect("a row with the text");
    let id = row.split("/log/").nth(1).and_then(|rest| rest.split('"').next());
    id.expect("a link").to_owned()
}

async fn the_log_shows_what_was_asked_answered_and_changed(app: TestApp) {
    let body =
        json!({ "userName": "ann@example.com", "password": "hunter2-of-ann", "title": "Boss" });
    let id = app.scim().post("/Users", &body).await.expect(201).id();
    app.scim().post("/Users", &body).await.expect(409);
    let console = Console::open(&app).await;
    let log = console.page(&format!("{AT}/log")).await;
    assert!(log.contains("409 uniqueness") && log.contains("another user already has"), "{log}");
    assert!(log.contains(&format!("/users/{id}")), "the user is linked: {log}");
    let entry = console.page(&format!("{AT}/log/{}", entry_of(&log, ">201<"))).await;
    for said in ["user created", "title = Boss", "What was sent", "Request id", "ann@example.com"] {
        assert!(entry.contains(said), "{said}: {entry}");
    }
    assert!(!entry.contains("hunter2"), "a password is never shown: {entry}");
    let refused = console.page(&format!("{AT}/log/{}", entry_of(&log, "409 uniqueness"))).await;
    assert!(refused.contains("Nothing: it was refused"), "{refused}");
    console.get(&format!("{AT}/log/999999999")).await.expect(404);
    console.get(&format!("{AT}/log/x")).await.expect(404);
}

async fn the_log_is_one_connections_alone(app: TestApp) {
    ann(&app).await;
    let acme = app.other("acme").await;
    acme.post("/Users", &json!({ "userName": "zoe@example.com" })).await.expect(201);
    let console = Console::open(&app).await;
    let own = console.page(&format!("{AT}/log")).await;
    assert!(own.contains("ann@example.com") && !own.contains("zoe@example.com"), "{own}");
    let id = entry_of(&own, "ann@example.com");
    console.get(&format!("/console/connections/acme/log/{id}")).await.expect(404);
}

async fn the_log_is_narrowed_down(app: TestApp) {
    let id = ann(&app).await;
    let bob = json!({ "userName": "bob@example.com" });
    app.scim().post("/Users", &bob).await.expect(201);
    app.scim().post("/Users", &bob).await.expect(409);
    let console = Console::open(&app).await;
    let log =
        async |pairs: &[(&str, &str)]| console.page(&format!("{AT}/log?{}", encoded(pairs))).await;
    for user in [id.as_str(), "ANN@example.com"] {
        let page = log(&[("user", user)]).await;
        assert!(page.contains(&format!("/users/{id}\"")), "{user}: {page}");
        assert!(!page.contains(">bob@example.com<"), "{user}: {page}");
    }
    let page = log(&[("show", "errors")]).await;
    assert!(page.contains("409 uniqueness") && !page.contains(">201<"), "{page}");
    let page = log(&[("kind", "sign_in")]).await;
    assert!(page.contains("Nothing like that has arrived"), "{page}");
}

/// The part of the page that says how far a step is.
fn step<'a>(page: &'a str, title: &str) -> &'a str {
    let steps = page.split("<ol class=\"steps\">").nth(1).expect("steps");
    let steps = steps.split("</ol>").next().expect("an end");
    steps.split("<li>").find(|step| step.contains(title)).expect("the step")
}

async fn the_assistant_follows_the_provider(app: TestApp) {
    let login = Login::new(&app).await;
    let console = Console::open(&app).await;
    let look = async || console.page(&format!("{AT}/setup")).await;
    let page = look().await;
    assert!(page.contains(&format!("value=\"{}/scim/v2\"", app.base_url)), "{page}");
    for title in ["Test Connector Configuration", "Latest user", "Latest group", "Latest sign-in"] {
        assert!(step(&page, title).contains(">waiting<"), "{title}: {page}");
    }
    app.scim().get("/Users?startIndex=1&count=2").await.expect(200);
    let page = look().await;
    let test = step(&page, "Test Connector Configuration");
    assert!(test.contains(">done<") && test.contains("answered 200"), "{page}");
    let id = ann(&app).await;
    let page = look().await;
    assert!(step(&page, "Latest user").contains("answered 201: ann@example.com"), "{page}");
    let staff = json!({ "displayName": "Staff", "members": [{ "value": id }] });
    app.scim().post("/Groups", &staff).await.expect(201);
    let page = look().await;
    assert!(step(&page, "Latest group").contains(">done<"), "{page}");
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let page = look().await;
    assert!(step(&page, "Latest sign-in").contains("signed in: ann@example.com"), "{page}");
    assert!(step(&page, "Groups claim").contains("present; groups in it: 1"), "{page}");
    assert!(!page.contains(">waiting<") && !page.contains(">problem<"), "{page}");
    // What is refused later is told.
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
    is_refusal(&login.sign_in(&app, &login.code_request()).await, 403, "inactive");
    let page = look().await;
    let first = step(&page, "Latest sign-in");
    assert!(first.contains(">done<") && first.contains("deactivated by SCIM"), "{page}");
}

async fn the_assistant_shows_a_sign_in_that_cannot_begin(app: TestApp) {
    let login = Login::new(&app).await;
    login.provider.answers(DISCOVERY, Instead::status(500));
    login.get(&login.code_request(), None).await.expect(502);
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    let first = step(&page, "Latest sign-in");
    assert!(first.contains(">problem<") && first.contains("provider failed"), "{page}");
    assert!(first.contains("discovery document"), "{page}");
    // What networks say is nothing for guests.
    let page = guest(&app, &console, false).await.page("/setup").await;
    let first = step(&page, "Latest sign-in");
    assert!(first.contains("see that the issuer is right"), "{page}");
    assert!(!page.contains("discovery document"), "{page}");
    let log = console.page(&format!("{AT}/log?kind=sign_in")).await;
    assert!(log.contains("provider failed"), "{log}");
}

/// Signs Ann in with a groups claim of this value, or without one.
async fn sign_in_with(app: &TestApp, login: &Login, groups: Option<Value>) {
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(app, &begun);
    let claims = token.claims.as_object_mut().expect("claims");
    claims.remove("groups");
    if let Some(groups) = groups {
        claims.insert("groups".to_owned(), groups);
    }
    login.provider.gives(token);
    login.come_back(&begun).await.expect(303);
}

async fn the_assistant_names_a_missing_claim(app: TestApp) {
    let login = Login::new(&app).await;
    sign_in_with(&app, &login, None).await;
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    let claim = step(&page, "Groups claim");
    assert!(claim.contains(">problem<") && claim.contains("Groups claim filter"), "{page}");
    // Nobody has pushed her either.
    assert!(page.contains("nobody has pushed ann@example.com"), "{page}");
    ann(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(!page.contains("nobody has pushed"), "{page}");
}

async fn the_assistant_names_a_filter_that_matches_nothing(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.groups_filter = Some("^app-".to_owned())).await;
    sign_in_with(&app, &login, Some(json!(["Everyone", "Staff"]))).await;
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    let claim = step(&page, "Groups claim");
    assert!(claim.contains("None of the 2 groups") && claim.contains("^app-"), "{page}");
    sign_in_with(&app, &login, Some(json!(["app-staff"]))).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(step(&page, "Groups claim").contains(">done<"), "{page}");
}

async fn the_assistant_names_a_wrong_address_to_operators_alone(app: TestApp) {
    app.anonymous().get("/scim/Users?startIndex=1&count=2").await;
    // What nobody's provider asks for is nobody's mistake.
    app.anonymous().get("/console/users/of/nobody").await;
    let twice = app.with_authorization(Some(format!("Bearer Bearer {}", app.default_token())));
    twice.get("/Users?startIndex=1&count=2").await.expect(200);
    app.with_token("muster_scim_wrong").get("/Users?startIndex=1&count=2").await.expect(401);
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(page.contains("without a token that is known") && page.contains("127.0.0.1"), "{page}");
    assert!(page.contains("Bearer Bearer"), "{page}");
    assert!(page.contains("href=\"/console/strays\""), "{page}");
    let strays = console.page("/console/strays").await;
    assert!(strays.contains("the token is not known") && !strays.contains("of/nobody"), "{strays}");
    let guest = guest(&app, &console, false).await;
    let page = guest.page("/setup").await;
    assert!(page.contains("Bearer Bearer"), "it is the connection's own: {page}");
    assert!(!page.contains("a token that is known"), "whose that is, nobody knows: {page}");
    app.scim().get("/Users?startIndex=1&count=2").await.expect(200);
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(!page.contains("a token that is known"), "what came later went well: {page}");
}

async fn the_forms_are_those_of_the_provider(app: TestApp) {
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    let fields = [
        "SCIM connector base URL",
        "Unique identifier field for users",
        "Supported provisioning actions",
        "Authentication Mode",
        "HTTP Header → Authorization",
        "Test Connector Configuration",
        "Sign-in redirect URIs",
        "Initiate login URI",
        "Groups claim filter: name",
    ];
    let forms = page.split("Okta: the SCIM application").nth(1).expect("Okta's forms");
    let places: Vec<Option<usize>> = fields.iter().map(|field| forms.find(field)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "in Okta's order: {page}");
    app.set(|settings| settings.provider = connections::Provider::Entra).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(page.contains("Tenant URL") && page.contains("Secret Token"), "{page}");
    assert!(!page.contains("Okta"), "{page}");
}

async fn a_dry_run_is_no_push(app: TestApp) {
    let body = json!({ "userName": "ann@example.com" }).to_string();
    let client = app.scim();
    let request = client.request("POST", "/Users").header("muster-dry-run", "true");
    let request = request.header("content-type", "application/scim+json").body(body);
    client.send(request).await.expect(200);
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(step(&page, "Latest user").contains(">waiting<"), "{page}");
    let log = console.page(&format!("{AT}/log")).await;
    let entry = console.page(&format!("{AT}/log/{}", entry_of(&log, "POST /scim/v2/Users"))).await;
    assert!(entry.contains("dry-run"), "{entry}");
}

async fn where_people_sign_in_is_set_on_the_page(app: TestApp) {
    let console = Console::open(&app).await;
    let path = format!("{AT}/setup/sign-in");
    let good = [("issuer", " https://example.okta.com "), ("client_id", "0oa1")];
    let answer = console.post(&path, &good).await.expect(303);
    let page = console.page(location(&answer)).await;
    assert!(page.contains("Where people sign in is set"), "{page}");
    assert!(step(&page, "Issuer and client id").contains("https://example.okta.com"), "{page}");
    for bad in [
        "example.okta.com",
        "http://example.okta.com",
        "https://example.okta.com/.well-known/openid-configuration",
        "javascript:alert(1)",
        "https://example.okta.com/\u{1b}[2J",
    ] {
        console.post(&path, &[("issuer", bad), ("client_id", "0oa1")]).await.expect(400);
    }
    let page = console.page(AT).await;
    assert!(page.contains("https://example.okta.com<") && !page.contains("well-known"), "{page}");
    // Empty fields unset them.
    let slash = [("issuer", "https://example.okta.com/"), ("client_id", "0oa1")];
    let answer = console.post(&path, &slash).await.expect(303);
    let page = console.page(location(&answer)).await;
    assert!(page.contains("without a slash at the end: https://example.okta.com."), "{page}");
    let answer = console.post(&path, &[("issuer", "example.okta.com")]).await.expect(400);
    assert!(answer.text.contains(">The issuer example.okta.com"), "{}", answer.text);
    assert!(answer.text.contains(">To the connections<"), "{}", answer.text);
    console.post(&path, &[("issuer", ""), ("client_id", "")]).await.expect(303);
    assert!(console.page(AT).await.contains("no sign-in"));
}

/// The secret of a new link.
async fn link(app: &TestApp, console: &Console, may_set_up: bool) -> String {
    let mut pairs = vec![("label", "their admin"), ("days", "7")];
    if may_set_up {
        pairs.push(("may_set_up", "yes"));
    }
    let answer = console.post(&format!("{AT}/setup/links"), &pairs).await.expect(200);
    let start = format!("value=\"{}/setup#", app.base_url);
    let rest = answer.text.split(&start).nth(1).expect("a link");
    rest.split('"').next().expect("an end").to_owned()
}

async fn open_link(app: &TestApp, secret: &str) -> Answer {
    Console::new(app).post("/setup", &[("code", secret)]).await
}

/// A guest who came by a new link.
async fn guest(app: &TestApp, console: &Console, may_set_up: bool) -> Console {
    let secret = link(app, console, may_set_up).await;
    let answer = open_link(app, &secret).await.expect(303);
    assert_eq!(location(&answer), "/setup");
    let mut guest = Console::new(app);
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().expect("a value").clone_into(&mut guest.cookie);
    guest
}

/// Sends a form of the page that the guest sees.
async fn send(guest: &Console, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let page = guest.page("/setup").await;
    guest.post(path, &[pairs, &[("link", &link_of(&page))]].concat()).await
}

/// The id of the link that the forms of a page name.
fn link_of(page: &str) -> String {
    let rest = page.split("name=\"link\" value=\"").nth(1).unwrap_or_default();
    rest.split('"').next().unwrap_or_default().to_owned()
}

async fn a_guest_sees_one_page_and_may_do_what_the_link_says(app: TestApp) {
    let console = Console::open(&app).await;
    let onlooker = guest(&app, &console, false).await;
    let page = onlooker.page("/setup").await;
    assert!(page.contains("Set up default") && page.contains("SCIM connector base URL"), "{page}");
    assert!(!page.contains("Make a token") && !page.contains("Let the customer"), "{page}");
    assert!(page.contains("Ask whoever sent you this link for the token"), "{page}");
    assert!(page.contains("the Issuer (your Okta URL) and the Client ID"), "{page}");
    let refused = onlooker.post("/setup/token", &[]).await.expect(403);
    assert!(refused.text.contains("href=\"/setup\">Back to the set-up page<"), "{}", refused.text);
    onlooker.post("/setup/sign-in", &[("issuer", "https://evil.example")]).await.expect(403);
    let helper = guest(&app, &console, true).await;
    let page = helper.page("/setup").await;
    assert!(page.contains("Make a token") && !page.contains("whoever sent you"), "{page}");
    let answer = send(&helper, "/setup/token", &[]).await.expect(200);
    assert!(answer.text.contains("A new token for default"), "{}", answer.text);
    let start = answer.text.find("muster_scim_").expect("a token");
    let token: String = answer.text[start..].chars().take_while(|c| *c != '"').collect();
    app.with_token(&token).get("/Users").await.expect(200);
    let set = [("issuer", "https://example.okta.com"), ("client_id", "0oa1")];
    send(&helper, "/setup/sign-in", &set).await.expect(303);
    assert!(console.page(AT).await.contains("https://example.okta.com"));
    // Only from the page itself.
    let request = helper.form("/setup/token", &[]).header("sec-fetch-site", "cross-site");
    helper.send(request).await.expect(403);
    // The log says that it was the link.
    let events = app.admin().await.get("/events?count=1000").await.expect(200).body;
    let events = events["events"].as_array().expect("events").clone();
    let by_guest: Vec<&Value> = events
        .iter()
        .filter(|event| event["actor"]["type"] == "share-link")
        .map(|event| &event["action"])
        .collect();
    assert_eq!(by_guest, ["created", "updated"]);
    let shared = events.iter().filter(|event| event["action"] == "link-shared").count();
    assert_eq!(shared, 2);
    let text = serde_json::to_string(&events).expect("JSON");
    assert!(!text.contains("muster_share_") && !text.contains("muster_scim_"), "no secret: {text}");
}

async fn a_form_does_nothing_by_another_link_than_its_pages(app: TestApp) {
    app.other("acme").await;
    let console = Console::open(&app).await;
    let helper = guest(&app, &console, true).await;
    let link = link_of(&helper.page("/setup").await);
    assert!(!link.is_empty());
    // Meanwhile the browser has got another link's cookie.
    let pairs = [("days", "7"), ("may_set_up", "yes")];
    let made = console.post("/console/connections/acme/setup/links", &pairs).await.expect(200);
    let secret = made.text.split("/setup#").nth(1).and_then(|rest| rest.split('"').next());
    let answer = open_link(&app, secret.expect("a link")).await.expect(303);
    let mut other = Console::new(&app);
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a value").clone_into(&mut other.cookie);
    let set = [("issuer", "https://example.okta.com"), ("client_id", "0oa1")];
    for marks in [vec![("link", link.as_str())], vec![]] {
        let answer = other.post("/setup/token", &marks).await.expect(409);
        assert!(answer.text.contains("another link"), "{}", answer.text);
        other.post("/setup/sign-in", &[&set[..], &marks].concat()).await.expect(409);
    }
    for name in ["default", "acme"] {
        let page = console.page(&format!("/console/connections/{name}")).await;
        assert!(page.contains("no sign-in"), "{page}");
    }
    send(&other, "/setup/sign-in", &set).await.expect(303);
}

async fn a_guest_takes_no_issuer_of_anothers(app: TestApp) {
    let acme = app.other("acme").await;
    drop(acme);
    let console = Console::open(&app).await;
    let issuer = [("issuer", "https://acme.okta.com"), ("client_id", "0oa1")];
    console.post("/console/connections/acme/setup/sign-in", &issuer).await.expect(303);
    let helper = guest(&app, &console, true).await;
    let page = helper.page("/setup").await;
    // What comes back from this guest's provider comes to an address of its own.
    assert!(page.contains("/login/callback/default"), "{page}");
    let answer = send(&helper, "/setup/sign-in", &issuer).await.expect(403);
    assert!(!answer.text.contains("acme"), "{}", answer.text);
    let own = [("issuer", "https://example.okta.com"), ("client_id", "0oa1")];
    send(&helper, "/setup/sign-in", &own).await.expect(303);
    // Once both share an address, only an operator says where it leads.
    app.set(|settings| settings.sign_in.own_callback = false).await;
    let another = [("issuer", "https://other.okta.com"), ("client_id", "0oa1")];
    send(&helper, "/setup/sign-in", &another).await.expect(403);
    let client = [("issuer", "https://example.okta.com"), ("client_id", "0oa2")];
    send(&helper, "/setup/sign-in", &client).await.expect(303);
    assert!(console.page(AT).await.contains("0oa2"));
    // An operator may, and is told.
    console.post(&format!("{AT}/setup/sign-in"), &issuer).await.expect(303);
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(page.contains("<strong>acme</strong> has this issuer too"), "{page}");
}

async fn a_link_ends(app: TestApp) {
    let console = Console::open(&app).await;
    let secret = link(&app, &console, true).await;
    open_link(&app, &secret).await.expect(303);
    // The whole link does as well.
    open_link(&app, &format!(" {}/setup#{secret}\n", app.base_url)).await.expect(303);
    let guest = guest(&app, &console, true).await;
    let page = console.page(&format!("{AT}/setup")).await;
    let ids: Vec<&str> = page
        .split("/setup/links/")
        .skip(1)
        .filter_map(|rest| rest.split_once("/revoke").map(|(id, _)| id))
        .collect();
    assert_eq!(ids.len(), 2, "{page}");
    // Of another connection they are not to be revoked.
    app.other("acme").await;
    let elsewhere = format!("/console/connections/acme/setup/links/{}/revoke", ids[0]);
    console.post(&elsewhere, &[]).await.expect(303);
    assert!(guest.page("/setup").await.contains("Set up default"));
    // The newest stands first.
    console.post(&format!("{AT}/setup/links/{}/revoke", ids[0]), &[]).await.expect(303);
    assert!(guest.page("/setup").await.contains("The code of your link"));
    guest.post("/setup/token", &[]).await.expect(403);
    open_link(&app, &secret).await.expect(303);
    app.clock.advance(7 * 86_400 + 1);
    open_link(&app, &secret).await.expect(403);
    let console = Console::open(&app).await;
    let wrong = [("label", "x"), ("days", "3650")];
    console.post(&format!("{AT}/setup/links"), &wrong).await.expect(400);
}

async fn a_link_is_no_way_into_anything_else(app: TestApp) {
    let console = Console::open(&app).await;
    let secret = link(&app, &console, true).await;
    let guest = guest(&app, &console, true).await;
    for path in ["/console/connections", AT, &format!("{AT}/setup"), &format!("{AT}/log")] {
        let answer = guest.get(path).await.expect(303);
        assert!(location(&answer).starts_with("/console/login"), "{path}");
    }
    let mut disguised = Console::new(&app);
    for name in ["muster_console", "muster_session"] {
        disguised.cookie = format!("{name}={secret}");
        disguised.get(AT).await.expect(303);
    }
    app.with_token(&secret).get("/Users").await.expect(401);
    app.api_with(&secret).get("/users").await.expect(401);
    Console::new(&app).post("/console/login", &[("token", &secret)]).await.expect(403);
    // Nor is anything else a link.
    let (_, admin) = app.new_admin_token(None).await;
    for other in [admin.as_str(), app.default_token(), ""] {
        assert!(open_link(&app, other).await.header("set-cookie").is_none());
    }
}

async fn a_second_link_opens_its_own_page(app: TestApp) {
    app.other("acme").await;
    let console = Console::open(&app).await;
    let guest = guest(&app, &console, false).await;
    let answer = console.post("/console/connections/acme/setup/links", &[("days", "1")]).await;
    let text = answer.expect(200).text;
    let secret = text.split("/setup#").nth(1).and_then(|rest| rest.split('"').next());
    // The page of the first link has the form that a second one is opened by.
    let page = guest.page("/setup").await;
    assert!(page.contains("Set up default") && page.contains("id=\"opening\""), "{page}");
    let answer = guest.post("/setup", &[("code", secret.expect("a link"))]).await.expect(303);
    let mut second = Console::new(&app);
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a value").clone_into(&mut second.cookie);
    assert!(second.page("/setup").await.contains("Set up acme"));
}

async fn nobody_sets_the_vendors_own_connection_up_by_a_link(app: TestApp) {
    let console = Console::open(&app).await;
    let helper = guest(&app, &console, true).await;
    app.set(|settings| settings.console_role = Some("support".to_owned())).await;
    helper.post("/setup/token", &[]).await.expect(403);
    helper.post("/setup/sign-in", &[("issuer", "https://evil.example")]).await.expect(403);
    let pairs = [("days", "7"), ("may_set_up", "yes")];
    console.post(&format!("{AT}/setup/links"), &pairs).await.expect(403);
    console.post(&format!("{AT}/setup/links"), &[("days", "7")]).await.expect(200);
}

async fn sign_ins_are_seen_however_much_is_pushed(app: TestApp) {
    let login = Login::new(&app).await;
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let client = app.scim();
    let pushes = (0..210).map(|number| {
        let client = client.clone();
        async move {
            let body = json!({ "userName": format!("user{number}") });
            client.post("/Users", &body).await.expect(201);
        }
    });
    // Not all at once: then some would wait for longer than there is patience.
    stream::iter(pushes).buffer_unordered(16).collect::<()>().await;
    let console = Console::open(&app).await;
    let page = console.page(&format!("{AT}/setup")).await;
    assert!(step(&page, "Latest sign-in").contains(">done<"), "{page}");
    assert!(step(&page, "Groups claim").contains(">done<"), "{page}");
}

async fn guessing_links_is_slowed_down(app: TestApp) {
    is_slowed_down(async |number| open_link(&app, &format!("muster_share_{number}")).await.status)
        .await;
}
