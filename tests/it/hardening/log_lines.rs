//! Everything that others may write and that could come into the log: none of it begins a line there,
//! so that a line of the log is always the server's own.

use std::io::{Read, Write};

use regex::Regex;
use serde_json::{Value, json};

use super::secrets::{Http, Watch, set_up};
use super::wire::connect;
use crate::login::harness::{CLIENT_ID, Login, challenge, encoded};
use crate::support::process::{Server, run, succeeds};
use crate::support::provider::{
    DISCOVERY, Instead, KEYS, Provider, Signed, TOKEN, Token, USERINFO, header,
};
use crate::support::{Case, TestDatabase, database_cases, patch_body, pure_cases};

pub fn cases() -> Vec<Case> {
    let databases: &[Case] =
        database_cases![nothing_from_outside_begins_a_line_of_the_log, nor_one_of_a_log_in_json,];
    let pure: &[Case] = pure_cases![a_forged_line_is_noticed];
    [databases, pure].concat()
}

/// What a forger would have the log say.
const FORGED: &str = "[2026-01-01T00:00:00Z ERROR muster::forged] FORGED";

/// The line after each of the characters by which something takes a line for ended, or a terminal goes
/// elsewhere.
fn forgeries() -> Vec<String> {
    ["\r\n", "\n", "\r", "\u{1b}[2K\u{1b}[1G", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{8}\u{8}"]
        .iter()
        .map(|before| format!("ann{before}{FORGED}{before}x"))
        .collect()
}

/// What is wrong with the lines of a log.
fn wrong_lines(log: &str) -> Vec<String> {
    let own = r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (TRACE|DEBUG|INFO |WARN |ERROR) [\w:]+\] ";
    let own = Regex::new(own).expect("an expression");
    let is_wrong = |line: &&str| {
        let moves = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        !own.is_match(line) || line.trim_start().starts_with(FORGED) || line.contains(moves)
    };
    // The harness ends lines at a line feed alone.
    log.split('\n').filter(|line| !line.is_empty()).filter(is_wrong).map(str::to_owned).collect()
}

/// That the test can fail.
fn a_forged_line_is_noticed() {
    let own = "[2026-11-26T07:00:00Z INFO  muster::http::middleware] GET /x status=404";
    for forgery in forgeries() {
        assert!(!wrong_lines(&format!("{own} {forgery}")).is_empty(), "{forgery:?}");
    }
    for bad in ["    continued", "x", FORGED, "[2026-11-26T07:00:00Z FATAL muster] x"] {
        assert_eq!(wrong_lines(&format!("{own}\n{bad}\n{own}")), [bad], "{bad}");
    }
    assert_eq!(wrong_lines(&format!("{own} ann\\r\\n{FORGED}\n{own}\n")), Vec::<String>::new());
}

/// What a server logs that meets all of them.
async fn forged_log(database: &TestDatabase, format: &str) -> String {
    let options = ["--trusted-proxy", "127.0.0.1", "--failure-limit", "0", "--log-format", format];
    let server = Server::start(database, &options);
    let base = server.field("Listening on").expect("an address");
    let token = server.field("API token").expect("a token");
    let (login, _folder) = set_up(&mut Watch::default(), database, &base);
    by_wire(&base).await;
    let http = Http { base, client: login.http.clone() };
    for (number, forgery) in forgeries().into_iter().enumerate() {
        by_scim(&http, &format!("Bearer {token}"), &forgery).await;
        by_browser(&login, &forgery).await;
        by_provider(&login, &forgery).await;
        by_description(&unasked(database, &login, &format!("a{number}")), &forgery).await;
        by_userinfo_and_keys(&unasked(database, &login, &format!("b{number}")), &forgery).await;
    }
    server.stop()
}

/// A log in JSON is an object a line, and no line is anybody else's.
async fn nor_one_of_a_log_in_json(database: TestDatabase) {
    let log = forged_log(&database, "json").await;
    let mut requests = 0;
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        let moves = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
        assert!(!line.contains(moves), "{line:?}");
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(object["target"] != "muster::forged", "{line}");
        for member in ["time", "level", "target", "message"] {
            assert!(object[member].is_string(), "{line}");
        }
        if object["target"] == "muster::http::middleware" {
            requests += 1;
            assert!(object["status"].is_u64() && object["ms"].is_u64(), "{line}");
            for member in ["request", "client", "method", "path"] {
                assert!(object[member].is_string(), "{line}");
            }
        }
        let message = object["message"].as_str().unwrap_or_default();
        if message.starts_with("sign-in failed") || message.starts_with("userinfo of") {
            assert!(object["request"].is_string(), "{line}");
        }
    }
    assert!(requests > 100 && log.contains("sign-in failed") && log.contains("FORGED"));
}

async fn nothing_from_outside_begins_a_line_of_the_log(database: TestDatabase) {
    let log = forged_log(&database, "text").await;
    // What the start says beside the log.
    let notice =
        log.lines().find(|line| line.starts_with("This is a new store")).expect("a notice");
    let log = log.replacen(&format!("{notice}\n"), "", 1);
    // What was sent came where something is written about it.
    for text in ["status=404", "status=400", "sign-in failed", "%0d%0a", "client=192.0.2.7"] {
        assert!(log.contains(text), "{text} is not in {log}");
    }
    // The words of providers among them, and each of these was heard.
    for (text, word) in [
        ("its discovery document cannot be used", "FORGED"),
        ("its keys cannot be read", "FORGED"),
        ("userinfo of http", "is about somebody else"),
    ] {
        let said = |line: &&str| line.contains(text) && line.contains(word);
        assert!(log.lines().filter(said).count() >= forgeries().len(), "{text}");
    }
    let wrong = wrong_lines(&log);
    assert!(wrong.is_empty(), "{} lines, first {:#?}", wrong.len(), wrong.iter().take(12));
}

/// Heads of requests as they are on the wire, with what no client would send.
async fn by_wire(base: &str) {
    let mut heads = Vec::new();
    let line = FORGED.replace(' ', "%20");
    for before in
        ["%0d%0a", "%0a", "%0D", "%1b[2K", "%00", "%c2%85", "%e2%80%a8", "%250a", "%u000a"]
    {
        for path in ["/", "/scim/v2/Users/", "/login/callback/", "/healthz/", "/api/v1/users/"] {
            heads.push(format!("GET {path}{before}{line} HTTP/1.1\r\nhost: x").into_bytes());
        }
        heads.push(format!("GET /authorize?x={before}{line} HTTP/1.1\r\nhost: x").into_bytes());
        heads.push(format!("{before} /{before} HTTP/1.1\r\nhost: {before}").into_bytes());
    }
    for byte in
        [b"\t".as_slice(), b"\x1b", b"\x0b", b"\r", b"\n", b"\x80", b"\xc2\x85", b"\xe2\x80\xa8"]
    {
        let planted = [b"x", byte, FORGED.as_bytes(), byte].concat();
        heads.push([b"GET /x", byte, b"y HTTP/1.1\r\nhost: x"].concat());
        heads.push([b"GE", byte, b"T /x HTTP/1.1\r\nhost: x"].concat());
        for name in [
            "host",
            "authorization",
            "cookie",
            "user-agent",
            "referer",
            "origin",
            "content-type",
            "accept",
            "if-match",
            "x-request-id",
            "x-forwarded-for",
            "forwarded",
            "content-length",
            "transfer-encoding",
            "expect",
            "upgrade",
            "x",
        ] {
            let head = format!("GET /scim/v2/Users HTTP/1.1\r\nhost: x\r\n{name}: ").into_bytes();
            heads.push([head, planted.clone()].concat());
        }
    }
    heads.push(b"GET /x HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.7".to_vec());
    let base = base.to_owned();
    let sent = actix_web::web::block(move || {
        for head in heads {
            let mut stream = connect(&base);
            // The server may close before all is sent.
            let _ = stream.write_all(&[&head[..], b"\r\nconnection: close\r\n\r\n"].concat());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    sent.await.expect("requests");
}

/// Names, paths, filters and values of SCIM.
async fn by_scim(http: &Http, token: &str, forgery: &str) {
    let query = encoded(&[("filter", &format!("userName eq \"{forgery}\" {forgery}"))]);
    let query = format!("/scim/v2/Users?{query}&{}", encoded(&[("sortBy", forgery)]));
    http.send("GET", &query, token, &json!(null)).await;
    for (method, path, body) in [
        ("POST", "/scim/v2/Users", json!({ "userName": forgery })),
        ("POST", "/scim/v2/Users", json!({ "userName": forgery })),
        ("POST", "/scim/v2/Users", json!({ "userName": "x", forgery: forgery })),
        ("POST", "/scim/v2/Users", json!({ "userName": "x", "emails": [{ "type": [forgery] }] })),
        ("POST", "/scim/v2/Users", json!({ "schemas": [forgery], "userName": "x" })),
        ("POST", "/scim/v2/Users", json!({ "userName": "x", "active": forgery })),
        (
            "POST",
            "/scim/v2/Groups",
            json!({ "displayName": forgery, "members": [{ "value": forgery }] }),
        ),
        ("POST", "/scim/v2/Users/.search", json!({ "filter": forgery, "cursor": forgery })),
        ("PATCH", "/scim/v2/Users/0198", patch_body(json!([{ "op": forgery, "path": forgery }]))),
        (
            "POST",
            "/scim/v2/Bulk",
            json!({ "Operations": [{ "method": "POST", "path": forgery, "bulkId": forgery, "data": {} }] }),
        ),
    ] {
        http.send(method, path, token, &body).await;
    }
}

/// What a browser and an application may be made to send.
async fn by_browser(login: &Login, forgery: &str) {
    for name in [
        "client_id",
        "connection",
        "redirect_uri",
        "response_type",
        "state",
        "scope",
        "prompt",
        "login_hint",
        "code_challenge",
        "iss",
        "target_link_uri",
        forgery,
    ] {
        let query = encoded(&[(name, forgery)]);
        login.get(&format!("/authorize?{query}"), None).await;
        login.get(&format!("/login/initiate?{query}"), None).await;
        login.get(&format!("{}&{query}", login.authorize(&[])), None).await;
    }
    let basic = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(format!("{forgery}:{forgery}"))
    };
    let basic = format!("Basic {basic}");
    for path in ["/token", "/introspect", "/revoke", "/logout", "/login/callback"] {
        let form = [
            ("grant_type", forgery),
            ("client_id", forgery),
            ("client_secret", forgery),
            ("code", forgery),
            ("token", forgery),
            ("state", forgery),
            ("error", forgery),
        ];
        login.post(path, &form, &[]).await;
        login.post(path, &form, &[("authorization", &basic)]).await;
    }
}

/// What a provider may answer, at every place where it is asked.
async fn by_provider(login: &Login, forgery: &str) {
    let ask = login.authorize(&[
        ("response_type", "code"),
        ("state", forgery),
        ("code_challenge", &challenge()),
        ("code_challenge_method", "S256"),
    ]);
    let begun = login.begin(&ask).await;
    login.come_back_with(&begun, &[("error", forgery), ("error_description", forgery)]).await;
    let begun = login.begin(&ask).await;
    login.come_back_with(&begun, &[("iss", forgery)]).await;
    let json = "application/json";
    let error = json!({ "error": forgery, "error_description": forgery, "error_uri": forgery });
    let token = json!({ "access_token": forgery, "token_type": forgery, "id_token": forgery });
    for body in [error.to_string(), token.to_string(), forgery.to_owned()] {
        for status in [200, 400, 500] {
            let begun = login.begin(&ask).await;
            login.provider.answers(TOKEN, Instead::Body(status, json, body.clone()));
            login.come_back(&begun).await;
        }
    }
    login.provider.mends(TOKEN);
    let now = muster::clock::system()() / 1_000_000;
    let claims = |nonce: &str| {
        json!({
            "iss": login.provider.issuer, "sub": "00uann", "aud": "muster-at-okta", "iat": now,
            "exp": now + 3600, "nonce": nonce, "preferred_username": "ann@example.com",
        })
    };
    let long = forgery.repeat(200);
    let mut wrong: Vec<(&str, Value)> = Vec::new();
    for name in ["iss", "sub", "aud", "azp", "nonce", "iat", "preferred_username", "email", "name"]
    {
        wrong.push((name, json!(forgery)));
        wrong.push((name, json!(long)));
    }
    wrong.extend([
        ("aud", json!([forgery, "muster-at-okta"])),
        ("groups", json!([forgery, long])),
        ("groups", json!({ forgery: forgery })),
        (forgery, json!(forgery)),
        ("at_hash", json!(forgery)),
    ]);
    for (name, value) in wrong {
        let begun = login.begin(&ask).await;
        let mut claims = claims(&begun.nonce);
        claims[name] = value;
        login.provider.gives(Token { header: header(), claims, signed: Signed::Well });
        login.provider.says(json!({ "sub": forgery, "groups": [forgery] }));
        login.come_back(&begun).await;
    }
    for (name, signed) in [("kid", Signed::Falsely), ("typ", Signed::Well)] {
        let begun = login.begin(&ask).await;
        let mut header = header();
        header[name] = json!(forgery);
        let claims = claims(&begun.nonce);
        login.provider.gives(Token { header, claims, signed });
        login.come_back(&begun).await;
    }
}

/// The same, with a connection to a provider that nobody has asked yet: what one says of itself is
/// kept for an hour.
fn unasked(database: &TestDatabase, login: &Login, name: &str) -> Login {
    let provider = Provider::start();
    let create = ["connection", "create", name, "--issuer", &provider.issuer];
    succeeds(&run(database, &[&create[..], &["--client-id", CLIENT_ID]].concat()));
    Login {
        provider,
        connection: name.to_owned(),
        client_id: login.client_id.clone(),
        http: login.http.clone(),
        base: login.base.clone(),
    }
}

/// What a provider may say of itself: all is well but for its name.
async fn by_description(login: &Login, forgery: &str) {
    let issuer = format!("{}/{forgery}", login.provider.issuer);
    login.provider.describes_itself(json!({ "issuer": issuer }));
    login.get(&login.code_request(), None).await.expect(502);
    assert_eq!(login.provider.asked(DISCOVERY), 1);
}

/// What a provider may answer that is asked for more than its tokens say.
async fn by_userinfo_and_keys(login: &Login, forgery: &str) {
    let provider = &login.provider;
    let now = muster::clock::system()() / 1_000_000;
    // Without groups, so that userinfo is asked for them.
    let claims = |nonce: &str| {
        json!({
            "iss": provider.issuer, "sub": "00uann", "aud": CLIENT_ID, "iat": now,
            "exp": now + 3600, "nonce": nonce, "preferred_username": "ann@example.com",
        })
    };
    for subject in [forgery, "00uann"] {
        let begun = login.begin(&login.code_request()).await;
        let claims = claims(&begun.nonce);
        provider.gives(Token { header: header(), claims, signed: Signed::Well });
        provider.says(json!({ "sub": subject, "groups": [forgery], "name": forgery }));
        login.come_back(&begun).await;
    }
    assert_eq!(provider.asked(USERINFO), 2);
    let begun = login.begin(&login.code_request()).await;
    let asked = provider.asked(KEYS);
    let keys = json!({ "keys": forgery }).to_string();
    provider.answers(KEYS, Instead::Body(200, "application/json", keys));
    let mut header = header();
    header["kid"] = json!(forgery);
    let claims = claims(&begun.nonce);
    provider.gives(Token { header, claims, signed: Signed::Falsely });
    login.come_back(&begun).await.expect(502);
    assert_eq!(provider.asked(KEYS), asked + 1);
}
