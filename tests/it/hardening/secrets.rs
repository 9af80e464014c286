//! A run of everything that has to do with secrets, against the program with its most talkative log:
//! none of them, no half of one, and none in another encoding is in the log, in the event log, in an
//! answer that refuses something, in the store or in a copy of it.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use diesel::RunQueryDsl;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::wire::by_tls;
use crate::login::harness::{Login, VERIFIER, encoded, location, query};
use crate::support::process::{Server, fails, muster, run, succeeds};
use crate::support::provider::{Provider, Signed, TOKEN, Token, header};
use crate::support::{Answer, Backend, Case, TestDatabase, database_cases, patch_body, pure_cases};

pub fn cases() -> Vec<Case> {
    let databases: &[Case] = database_cases![
        no_secret_of_a_whole_run_is_in_a_log_an_event_an_error_or_the_store,
        no_secret_is_in_the_log_of_a_server_with_tls,
        the_store_and_its_copy_are_their_owners_alone,
    ];
    let pure: &[Case] = pure_cases![
        no_error_shows_the_password_of_the_database,
        a_half_and_an_encoded_secret_are_found,
        a_secret_among_the_bytes_of_a_store_is_found,
    ];
    [databases, pure].concat()
}

/// The secrets of a run, and the texts in which none of them may be.
#[derive(Default)]
pub(super) struct Watch {
    secrets: Vec<(&'static str, String)>,
    texts: Vec<(String, String)>,
}

impl Watch {
    fn keeps(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 12, "{what} is short enough to be there by chance");
        self.secrets.push((what, secret.clone()));
        secret
    }

    /// The answer, which has to refuse: what it says is watched.
    #[track_caller]
    fn refused(&mut self, answer: Answer, status: u16) {
        self.said(&answer.expect(status));
    }

    /// Watches an answer that repeats nothing, whatever it says.
    fn said(&mut self, answer: &Answer) {
        let text = format!("{:?} {}", answer.headers, answer.text);
        self.texts.push((answer.request.split('?').next().unwrap_or_default().to_owned(), text));
    }

    fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (what, secret) in &self.secrets {
            for form in forms(secret) {
                for (place, text) in &self.texts {
                    if text.contains(&form) {
                        found.push(format!("{what} is in {place}, as {form}"));
                    }
                }
            }
        }
        found
    }
}

/// What a secret can be recognized by: either half of what is random in it, as it is, as Base64 of
/// both alphabets, percent-encoded and in hexadecimal.
fn forms(secret: &str) -> Vec<String> {
    let random = secret
        .rsplit_once("muster_")
        .map_or(secret, |(_, rest)| rest.split_once('_').map_or(rest, |(_, random)| random));
    let middle = (1..=random.len() / 2).rev().find(|&at| random.is_char_boundary(at));
    let (first, second) = random.split_at(middle.unwrap_or_default());
    let mut forms = vec![first.to_owned(), second.to_owned()];
    for half in [first, second] {
        let percent = |c: char| !c.is_ascii_alphanumeric();
        if half.contains(percent) {
            forms.push(url::form_urlencoded::byte_serialize(half.as_bytes()).collect());
        }
        let hexadecimal: Vec<String> = half.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.push(hexadecimal.concat());
    }
    // A text in the middle of another begins at one of three places of a group.
    for offset in 0..3 {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let whole = engine.encode([&b"\0\0"[..offset], random.as_bytes()].concat());
            forms.push(whole[4..whole.len() - 4].to_owned());
        }
    }
    forms
}

/// That the test can fail.
fn a_half_and_an_encoded_secret_are_found() {
    let mut watch = Watch::default();
    let secret = watch.keeps("a secret", "muster_scim_abcdefgh+jklmnopqrstuvwxyz");
    let basic = STANDARD_NO_PAD.encode(format!("x:{secret}"));
    for text in [&secret, "…abcdefgh+jklm…", "nopqrstuvwxyz", "abcdefgh%2Bjklm", basic.as_str()]
    {
        watch.texts = vec![("a text".to_owned(), format!("before {text} after"))];
        assert!(!watch.found().is_empty(), "{text}");
    }
    watch.texts = vec![("a text".to_owned(), "muster_scim_ and abc".to_owned())];
    assert_eq!(watch.found(), Vec::<String>::new());
}

/// The database under an address with a password, which the tests' PostgreSQL does not ask for.
fn with_password(database: &TestDatabase, password: &str) -> TestDatabase {
    let mut url = database.url.clone();
    if let Ok(mut parsed) = Url::parse(&url)
        && database.backend == Backend::Postgres
        && parsed.password().is_none()
    {
        parsed.set_password(Some(password)).expect("an address that can have a password");
        url = parsed.into();
    }
    TestDatabase::at(database.backend, &url)
}

/// A client of one server.
pub(super) struct Http {
    pub(super) base: String,
    pub(super) client: reqwest::Client,
}

impl Http {
    pub(super) async fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let method: reqwest::Method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("authorization", token);
        if !body.is_null() {
            request =
                request.header("content-type", "application/scim+json").body(body.to_string());
        }
        let request = request.build().expect("a request");
        let name = format!("{} {}", request.method(), request.url());
        Answer::read(name, self.client.execute(request).await.expect("an answer")).await
    }
}

async fn no_secret_of_a_whole_run_is_in_a_log_an_event_an_error_or_the_store(
    database: TestDatabase,
) {
    let mut watch = Watch::default();
    let password = watch.keeps("the database's password", "db-password-Kq7Vx2Lw9Tz4");
    let database_url = with_password(&database, &password);
    let server = Server::start(&database_url, &[]);
    let base = server.field("Listening on").expect("an address");
    let token = server.field("API token").expect("a token");
    watch.keeps("the SCIM token", &token);
    let (login, _folder) = set_up(&mut watch, &database_url, &base);
    let http = Http { base, client: login.http.clone() };
    let admin = succeeds(&run(&database_url, &["admin-token", "create"]));
    watch.keeps("the admin token", &admin);
    provision(&mut watch, &http, &database_url, &token, &admin).await;
    sign_in(&mut watch, &login, &admin).await;
    let bearer = format!("Bearer {admin}");
    let events = http.send("GET", "/api/v1/events?after=0&count=1000", &bearer, &json!(null)).await;
    let events = events.expect(200).text;
    let planted = "planted-Bq6Wn3Xe8Ry5@example.com";
    let user = json!({ "userName": planted });
    http.send("POST", "/scim/v2/Users", &format!("Bearer {token}"), &user).await.expect(201);
    stay_signed_in(&mut watch, &login).await;
    let under_way = begin(&mut watch, &login).await;
    let stores = stored(&database_url, &["sessions", "codes", "access_tokens"]);
    assert!(events.contains("ann@example.com") && events.contains("signed-out"), "{events}");
    let log = server.stop();
    for text in ["/scim/v2/Users", "/login/callback", "/token", "/introspect", "TRACE", "DEBUG"] {
        assert!(log.contains(text), "the log says everything: {text}");
    }
    watch.texts.extend([("the log".to_owned(), log), ("the event log".to_owned(), events)]);
    assert!(watch.secrets.len() >= 20, "{}", watch.secrets.len());
    assert!(watch.texts.len() >= 20, "{}", watch.texts.len());
    let found = watch.found();
    assert!(found.is_empty(), "{found:#?}");
    // The store, with what SECURITY.md says that it has of sign-ins. SQLite's own file has it for a
    // while after their end too, where nothing else was written yet.
    for (place, bytes) in stores {
        let is_kept = |what: &str| match place.as_str() {
            "the copy" => under_way.contains(&what),
            _ => under_way.contains(&what) || OF_A_SIGN_IN.contains(&what),
        };
        let known = watch.secrets.iter().filter(|(what, _)| !is_kept(what)).cloned();
        let mut store = Watch { secrets: known.collect(), texts: vec![(place.clone(), bytes)] };
        assert!(store.secrets.len() >= 20, "{}", store.secrets.len());
        let found = store.found();
        assert!(found.is_empty(), "{found:#?}");
        // That it would have been found: what a person is called, and what is said to be there.
        let there = watch.secrets.iter().filter(|(what, _)| under_way.contains(what)).cloned();
        for (what, secret) in there.chain([("a name", planted.to_owned())]) {
            store.secrets = vec![(what, secret)];
            assert!(!store.found().is_empty(), "{what} is in {place}");
        }
    }
}

/// What the store has in clear of a sign-in, while it is under way.
const OF_A_SIGN_IN: [&str; 3] = ["the nonce", "Muster's verifier", "the application's state"];

/// A sign-in that stays under way; names what of it the store has in clear. (Muster's verifier is
/// there too, which no browser and no provider has seen yet.)
async fn begin(watch: &mut Watch, login: &Login) -> [&'static str; 2] {
    let kept = ["the nonce under way", "the application's state under way"];
    let state = watch.keeps(kept[1], "app-state-Zn4Xm8Cb2Vd7");
    let ask = login.authorize(&[
        ("response_type", "code"),
        ("state", &state),
        ("code_challenge", &crate::login::harness::challenge()),
        ("code_challenge_method", "S256"),
    ]);
    let begun = login.begin(&ask).await;
    watch.keeps(kept[0], &begun.nonce);
    watch.keeps("the state under way", &begun.state);
    watch.keeps("the cookie under way", begun.cookie.split('=').nth(1).expect("a value"));
    kept
}

/// Two sign-ins that last: one with a session and a code that nobody has used, one with a session and
/// an access token.
async fn stay_signed_in(watch: &mut Watch, login: &Login) {
    login.provider.mends(TOKEN);
    let app = watch.secrets.iter().find(|(what, _)| *what == "the application's secret");
    let app = app.expect("a secret").1.clone();
    for is_used in [false, true] {
        let begun = login.begin(&login.code_request()).await;
        watch.keeps("the state", &begun.state);
        watch.keeps("the nonce", &begun.nonce);
        watch.keeps("the cookie of the sign-in", begun.cookie.split('=').nth(1).expect("a value"));
        let now = muster::clock::system()() / 1_000_000;
        let claims = json!({
            "iss": login.provider.issuer, "sub": "00uann", "aud": "muster-at-okta", "iat": now,
            "exp": now + 3600, "nonce": begun.nonce, "preferred_username": "ann@example.com",
        });
        login.provider.gives(Token { header: header(), claims, signed: Signed::Well });
        let answer = login.come_back(&begun).await.expect(303);
        let session = crate::login::harness::cookie(&answer);
        watch.keeps("a session that lasts", session.split('=').nth(1).expect("a value"));
        let code = query(&location(&answer), "code").expect("a code");
        watch.keeps("a code that lasts", &code);
        if is_used {
            let form = [
                ("grant_type", "authorization_code"),
                ("client_id", login.client_id.as_str()),
                ("client_secret", &app),
                ("code", &code),
                ("code_verifier", VERIFIER),
                ("redirect_uri", "https://app.example.com/callback?tenant=1"),
            ];
            let body = login.post("/token", &form, &[]).await.expect(200).body;
            let token = body["access_token"].as_str().expect("a token");
            watch.keeps("an access token that lasts", token);
            login.userinfo(token).await.expect(200);
        }
        // It is there still.
        login.get("/userinfo", Some(&session)).await.expect(200);
    }
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    one: i32,
}

/// The bytes of a copy of the store, as a backup makes it, and of SQLite's own files while it is in
/// use; there is something in these tables. What is no text in the bytes hides no text.
fn stored(database: &TestDatabase, filled: &[&str]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db").display().to_string();
    succeeds(&run(database, &["backup", &copy]));
    let copied = TestDatabase::at(Backend::Sqlite, &format!("sqlite://{copy}"));
    for table in filled {
        let rows = diesel::sql_query(format!("SELECT 1 AS one FROM {table}"));
        let rows: Vec<Row> = rows.load(&mut copied.connect()).expect("rows");
        assert!(rows.iter().any(|row| row.one == 1), "{table} is empty");
    }
    let mut files = vec![("the copy", copy)];
    if let Some(own) = database.url.strip_prefix("sqlite://") {
        files.push(("the store", own.to_owned()));
    }
    let mut found = Vec::new();
    for (place, file) in files {
        let mut bytes = std::fs::read(&file).expect("a store");
        assert!(bytes.starts_with(b"SQLite format 3"), "{file}");
        for more in ["-wal", "-journal"] {
            bytes.extend(std::fs::read(format!("{file}{more}")).unwrap_or_default());
        }
        found.push((place.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    found
}

/// That the test can fail: in a row, in a value that fills pages, and as bytes in the middle of some
/// that are no text.
fn a_secret_among_the_bytes_of_a_store_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let database = TestDatabase::at(Backend::Sqlite, &url);
    succeeds(&run(&database, &["migrate"]));
    let mut watch = Watch::default();
    let secret = watch.keeps("a secret", "muster_scim_Kd7Tw2Pz9Lm4Vx8Qb3Nc6Rf1");
    watch.texts = stored(&database, &[]);
    assert_eq!(watch.found(), Vec::<String>::new());
    let digits: Vec<String> = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let hexadecimal = digits.concat();
    for (what, value) in [
        ("as it is", format!("'{secret}'")),
        ("far inside", format!("'{}{secret}{}'", "x".repeat(9_000), "y".repeat(9_000))),
        ("as bytes", format!("x'ff00fe{hexadecimal}ff80'")),
        ("as Base64", format!("'{}'", URL_SAFE_NO_PAD.encode(format!("ab{secret}cd")))),
    ] {
        use diesel::connection::SimpleConnection;
        let plant = format!("DELETE FROM secrets; INSERT INTO secrets VALUES ('x', {value})");
        database.connect().batch_execute(&plant).expect("a row");
        let places = stored(&database, &[]);
        assert_eq!(places.len(), 2, "the copy and the store");
        for text in places {
            watch.texts = vec![text];
            assert!(!watch.found().is_empty(), "{what} in {}", watch.texts[0].0);
        }
    }
}

/// A provider with a confidential client for Muster, and a confidential application.
/// The folder has Muster's client secret, which is read at each sign-in.
pub(super) fn set_up(
    watch: &mut Watch,
    database: &TestDatabase,
    base: &str,
) -> (Login, tempfile::TempDir) {
    let provider = Provider::start();
    let secret = watch.keeps("Muster's client secret", "client-secret-Hn5+Jc8/Rd3Wm6");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{secret}\n")).expect("a file");
    let file = file.display().to_string();
    succeeds(&run(
        database,
        &[
            "connection",
            "update",
            "default",
            "--issuer",
            &provider.issuer,
            "--client-id",
            "muster-at-okta",
            "--client-secret-file",
            &file,
        ],
    ));
    let callback = "https://app.example.com/callback?tenant=1";
    let made = succeeds(&run(
        database,
        &["app", "create", "app", "--redirect-uri", callback, "--confidential", "--json"],
    ));
    let made: Value = serde_json::from_str(&made).expect("JSON");
    watch.keeps("the application's secret", made["client_secret"].as_str().expect("a secret"));
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_built_in_root_certs(false)
        .build()
        .expect("a client");
    let login = Login {
        provider,
        connection: "default".to_owned(),
        client_id: made["client_id"].as_str().expect("an id").to_owned(),
        http,
        base: base.to_owned(),
    };
    (login, folder)
}

/// SCIM with good and bad tokens, passwords and cursors.
async fn provision(
    watch: &mut Watch,
    http: &Http,
    database: &TestDatabase,
    token: &str,
    admin: &str,
) {
    let scim = format!("Bearer {token}");
    let password = watch.keeps("a password", "Pw-7hG2kQ9s-Zx4Vb8Nm");
    let other = watch.keeps("another password", "Pw-5tR8wE1y-Lk3Jh6Gf");
    let ann = json!({ "userName": "ann.b@example.com", "password": password });
    let id = http.send("POST", "/scim/v2/Users", &scim, &ann).await.expect(201).id();
    let path = format!("/scim/v2/Users/{id}");
    for operation in [
        json!({ "op": "replace", "path": "password", "value": other }),
        json!({ "op": "add", "value": { "password": other } }),
    ] {
        let body = patch_body(json!([operation]));
        let answer = http.send("PATCH", &path, &scim, &body).await;
        assert!(answer.status < 300, "{}", answer.text);
    }
    let taken = http.send("POST", "/scim/v2/Users", &scim, &ann).await;
    watch.refused(taken, 409);
    for wrong in [
        json!({ "userName": "x", "password": [password] }),
        json!({ "userName": "x", "password": { "value": password } }),
        json!({ "userName": "x", "password": password, "emails": other }),
        json!({ "userName": { "password": password } }),
        json!({ "userName": "x", "active": password }),
        json!({ "password": password }),
        json!([password]),
    ] {
        // A password is ignored in whatever form it comes; the rest may be refused.
        watch.said(&http.send("POST", "/scim/v2/Users", &scim, &wrong).await);
        let body = patch_body(json!([{ "op": "replace", "value": wrong }]));
        watch.said(&http.send("PATCH", &path, &scim, &body).await);
    }
    for filter in [
        format!("password eq \"{password}\""),
        format!("password[value eq \"{password}\"]"),
        format!("userName eq \"x\" and password co \"{other}\""),
    ] {
        let query = encoded(&[("filter", &filter)]);
        let answer =
            http.send("GET", &format!("/scim/v2/Users?{query}"), &scim, &json!(null)).await;
        watch.refused(answer, 400);
    }
    for _ in 0..2 {
        let name = format!("{}@example.com", uuid::Uuid::now_v7());
        let body = json!({ "userName": name });
        http.send("POST", "/scim/v2/Users", &scim, &body).await.expect(201);
    }
    let page = http.send("GET", "/scim/v2/Users?cursor&count=1", &scim, &json!(null)).await;
    let cursor = page.expect(200).body["nextCursor"].as_str().expect("a cursor").to_owned();
    watch.keeps("a cursor", &cursor);
    let wrong = format!("/scim/v2/Users?filter=active+eq+true&count=1&cursor={cursor}");
    let answer = http.send("GET", &wrong, &scim, &json!(null)).await;
    watch.refused(answer, 400);
    // Tokens that are wrong in each of the ways that there are.
    let revoked = succeeds(&run(database, &["token", "create", "default", "--json"]));
    let revoked: Value = serde_json::from_str(&revoked).expect("JSON");
    succeeds(&run(database, &["token", "revoke", revoked["id"].as_str().expect("an id")]));
    let revoked = watch.keeps("a revoked token", revoked["token"].as_str().expect("a token"));
    let unknown = watch.keeps("an unknown token", "muster_scim_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0");
    let basic = watch.keeps("a password of nobody", "nobody:Zx8Cv7Bn6Ml5Kj4Hg3Fd2Sa1");
    let basic = format!("Basic {}", STANDARD_NO_PAD.encode(basic));
    for (path, bad) in [
        ("/scim/v2/Users", format!("Bearer {revoked}")),
        ("/scim/v2/Users", format!("Bearer {unknown}")),
        ("/scim/v2/Users", unknown.clone()),
        ("/scim/v2/Users", format!("Bearer {admin}")),
        ("/scim/v2/Users", format!("Token token={token}")),
        ("/scim/v2/Users", basic.clone()),
        ("/scim/v2/Me", format!("Bearer {unknown}")),
        ("/api/v1/users", format!("Bearer {token}")),
        ("/api/v1/users", basic),
        ("/userinfo", format!("Bearer {unknown}")),
    ] {
        let answer = http.send("GET", path, &bad, &json!(null)).await;
        watch.refused(answer, 401);
    }
}

/// A sign-in with everything that is secret about it, refusals first.
async fn sign_in(watch: &mut Watch, login: &Login, admin: &str) {
    let state = watch.keeps("the application's state", "app-state-Tg6Yh7Uj8Ik9Ol0");
    watch.keeps("the application's verifier", VERIFIER);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let ask = login.authorize(&[
        ("response_type", "code"),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let provider_token = watch.keeps("the provider's access token", "provider-token-Vf4Rt5Gb6Nh7");
    login.provider.gives_access_token(&provider_token);
    let claim = watch.keeps("a claim of the ID token", "claim-Mj7Ki8Lo9-Xs2Zw3Ec4");
    for goes_well in [false, true] {
        let begun = login.begin(&ask).await;
        watch.keeps("the state", &begun.state);
        watch.keeps("the nonce", &begun.nonce);
        watch.keeps("the cookie of the sign-in", begun.cookie.split('=').nth(1).expect("a value"));
        let code = watch.keeps("the provider's code", format!("code-{}", uuid::Uuid::now_v7()));
        let back = encoded(&[("code", &code), ("state", &begun.state)]);
        let path = format!("/login/callback?{back}");
        let now = muster::clock::system()() / 1_000_000;
        let claims = json!({
            "iss": login.provider.issuer, "sub": "00uann", "aud": "muster-at-okta",
            "iat": now, "exp": now + 3600,
            "nonce": if goes_well { begun.nonce.as_str() } else { claim.as_str() },
            "preferred_username": "ann@example.com", "private": claim,
        });
        login.provider.gives_for(&code, Token { header: header(), claims, signed: Signed::Well });
        let answer = login.get(&path, Some(&begun.cookie)).await;
        let sent = login.provider.last_request();
        let verifier = url::form_urlencoded::parse(sent.as_bytes())
            .find(|(name, _)| name == "code_verifier")
            .map(|(_, value)| value.into_owned());
        watch.keeps("Muster's verifier", verifier.expect("a verifier"));
        if !goes_well {
            watch.refused(answer, 403);
            let again = login.get(&path, Some(&begun.cookie)).await;
            watch.refused(again, 400);
            continue;
        }
        let answer = answer.expect(303);
        let session = crate::login::harness::cookie(&answer);
        watch.keeps("the session", session.split('=').nth(1).expect("a value"));
        let code = query(&location(&answer), "code").expect("a code");
        watch.keeps("the code", &code);
        use_what_was_given(watch, login, &session, &code, admin).await;
    }
    // The provider refuses the code, in words that repeat it.
    let begun = login.begin(&ask).await;
    let code = watch.keeps("a refused code", format!("code-{}", uuid::Uuid::now_v7()));
    let error = json!({ "error": format!("no_{code}"), "error_description": code });
    login.provider.refuses(400, &error.to_string());
    let back = encoded(&[("code", &code), ("state", &begun.state)]);
    let answer = login.get(&format!("/login/callback?{back}"), Some(&begun.cookie)).await;
    watch.refused(answer, 403);
}

/// The application's part.
async fn use_what_was_given(
    watch: &mut Watch,
    login: &Login,
    session: &str,
    code: &str,
    admin: &str,
) {
    let secret = |name: &str| {
        let found = watch.secrets.iter().find(|(what, _)| *what == name);
        found.map(|(_, secret)| secret.clone()).expect("a secret")
    };
    let app = secret("the application's secret");
    let form = |secret: &str, verifier: &str| {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", login.client_id.as_str()),
            ("client_secret", secret),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", "https://app.example.com/callback?tenant=1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let exchange = async |secret: &str, verifier: &str| {
        let form = form(secret, verifier);
        let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        login.post("/token", &form, &[]).await
    };
    let wrong = format!("{}x", &app[..app.len() - 1]);
    watch.refused(exchange(&wrong, VERIFIER).await, 401);
    let body = exchange(&app, VERIFIER).await.expect(200).body;
    let token = body["access_token"].as_str().expect("a token").to_owned();
    watch.keeps("the access token", &token);
    login.userinfo(&token).await.expect(200);
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    login.post("/introspect", &[("token", &token)], &headers).await.expect(200);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    watch.refused(login.post("/introspect", &[("token", &token)], &headers).await, 401);
    // A code that comes twice, and what is said of what it was exchanged for.
    watch.refused(exchange(&app, VERIFIER).await, 400);
    watch.refused(login.userinfo(&token).await, 401);
    let basic = URL_SAFE_NO_PAD.encode(format!("{}:{wrong}", login.client_id));
    let basic = format!("Basic {basic}");
    let headers = [("authorization", basic.as_str())];
    watch.refused(login.post("/revoke", &[("token", &token)], &headers).await, 401);
    let cross = [("cookie", session), ("origin", "https://evil.example")];
    watch.refused(login.post("/logout", &[], &cross).await, 400);
    let own = [("cookie", session), ("origin", login.base.as_str())];
    login.post("/logout", &[], &own).await.expect(200);
    watch.refused(login.get("/userinfo", Some(session)).await, 401);
}

async fn no_secret_is_in_the_log_of_a_server_with_tls(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let secret = made.signing_key.serialize_pem();
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, &secret).expect("a file");
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let server = Server::start(&database, &["--tls-cert", &certificate, "--tls-key", &key]);
    let address = server.field("Listening on").expect("an address");
    let mut watch = Watch::default();
    let token = watch.keeps("the SCIM token", server.field("API token").expect("a token"));
    let unknown = watch.keeps("an unknown token", "muster_scim_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0");
    watch.keeps("the TLS key", secret.lines().nth(1).expect("a line"));
    for (token, is_good) in [(&token, true), (&unknown, false)] {
        let mut stream = by_tls(&address, &made.cert.pem(), &[]).expect("a handshake");
        let asked = format!(
            "GET /scim/v2/Users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), is_good, "{answer}");
        watch.texts.push(("an answer".to_owned(), answer));
    }
    let log = server.stop();
    assert!(log.contains("/scim/v2/Users"), "{log}");
    watch.texts.push(("the log".to_owned(), log));
    assert_eq!(watch.found(), Vec::<String>::new());
}

#[cfg(unix)]
async fn the_store_and_its_copy_are_their_owners_alone(database: TestDatabase) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let (store, copy) = (folder.path().join("new.db"), folder.path().join("copy.db"));
    succeeds(&run(&database, &["backup", &copy.display().to_string()]));
    let url = format!("sqlite://{}", store.display());
    Server::start_on(&url).stop();
    for file in std::fs::read_dir(folder.path()).expect("a folder") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("a mode").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", file.path().display());
    }
    assert!(store.is_file() && copy.is_file());
}

fn no_error_shows_the_password_of_the_database() {
    // Those that nobody answers take their time, all at once.
    let mut running = Vec::new();
    for url in [
        // Nobody is there, or it is written wrongly in one of the ways in which that happens.
        "postgres://muster:s3cr3t-pw-Xy@127.0.0.1:1/muster",
        "postgres://127.0.0.1:1/muster?user=muster&password=s3cr3t-pw-Xy",
        "postgres://muster:s3cr3t-pw-Xy%zz@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy%@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy%00@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy@x@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy/x@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy#x@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy:x@127.0.0.1:1/muster",
        "postgres://muster:s3cr3t-pw-Xy@127.0.0.1:port/muster",
        "postgres://127.0.0.1:1/muster?password=s3cr3t-pw-Xy%zz",
        "postgres://127.0.0.1:1/muster?password=s3cr3t-pw-Xy=",
        "postgres://127.0.0.1:1/muster?passwrd=s3cr3t-pw-Xy",
        "postgres://127.0.0.1:1/muster?s3cr3t-pw-Xy",
        "postgre://muster:s3cr3t-pw-Xy@127.0.0.1/muster",
        "muster:s3cr3t-pw-Xy@127.0.0.1/muster",
    ] {
        let start = |mut command: Command| {
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (url, command.spawn().expect("a run"))
        };
        let mut by_environment = muster(&["migrate"]);
        by_environment.env("RUST_LOG", "trace").env("MUSTER_DATABASE_URL", url);
        running.push(start(by_environment));
        running.push(start(muster(&["serve", "--listen", "127.0.0.1:0", "--database-url", url])));
    }
    for (url, child) in running {
        let errors = fails(&child.wait_with_output().expect("an end"), 2);
        assert!(!errors.contains("s3cr3t"), "{url}: {errors}");
    }
    let url = "postgres://muster:s3cr3t-pw-Xy@127.0.0.1:1/muster";
    let help = muster(&["serve", "--help"]).env("MUSTER_DATABASE_URL", url).output();
    assert!(!succeeds(&help.expect("a run")).contains("s3cr3t"));
}
