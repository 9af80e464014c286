//! The program as it is run: commands, their output and their exit codes.

mod config;
mod explain;
mod schemas;
mod shell;

use std::path::Path;
use std::process::Stdio;

use muster::scim::quirks::Quirk;
use serde_json::Value;

use crate::support::process::{Server, fails, muster, run, succeeds};
use crate::support::{Case, TestDatabase, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let pure: &[Case] = pure_cases![
        a_mistyped_database_url_is_refused,
        a_command_without_a_store_makes_none,
        the_version_is_printed,
        a_check_of_nothing_cannot_begin,
        settings_can_come_from_the_environment,
        every_profile_is_run_and_documented,
    ];
    let databases: &[Case] = database_cases![
        the_first_start_prints_what_okta_asks_for,
        a_second_start_prints_no_token,
        the_server_speaks_tls,
        nothing_is_served_elsewhere_by_plain_http,
        connections_are_managed,
        tokens_are_managed,
        a_token_lists_the_tolerances_that_its_client_takes,
        the_settings_of_sign_in_say_what_is_missing,
        another_programs_environment_changes_no_connection,
        a_role_that_is_not_granted_cannot_be_revoked,
        the_check_passes_in_every_profile,
        the_check_fails_with_a_wrong_token,
        what_nobody_can_read_is_no_fault_and_what_is_lost_is_said,
        a_backup_is_a_store,
        long_commands_are_quiet_in_a_pipe,
        a_stop_signal_ends_the_server,
        no_log_shows_a_token,
    ];
    [pure, databases, explain::CASES, &schemas::cases(), &config::cases(), shell::CASES].concat()
}

fn a_mistyped_database_url_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for url in
        ["postgre://localhost/muster", "sqlite3://muster.db", "muster.db", "sqlite:muster.db"]
    {
        let output = muster(&["migrate", "--database-url", url])
            .current_dir(folder.path())
            .output()
            .expect("a run");
        let errors = fails(&output, 2);
        assert!(errors.contains("sqlite://"), "{errors}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{url}");
    }
}

fn a_command_without_a_store_makes_none() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in [["connection", "list"], ["token", "list"], ["backup", "copy.db"]] {
        let output = muster(&command).current_dir(folder.path()).output().expect("a run");
        let errors = fails(&output, 2);
        assert!(errors.contains("there is no store"), "{errors}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

fn the_version_is_printed() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        succeeds(&muster(&["version"]).output().expect("a run")),
        format!("muster {version}")
    );
    let json = succeeds(&muster(&["version", "--json"]).output().expect("a run"));
    assert_eq!(json, format!("{{\"version\":\"{version}\"}}"));
}

fn a_check_of_nothing_cannot_begin() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let check = |url: &str| {
        let mut command = muster(&["check", url, "--token-file"]);
        command.arg(&token).output().expect("a run")
    };
    assert!(fails(&check("http://127.0.0.1:9/scim/v2"), 2).contains("token file"));
    std::fs::write(&token, "x").expect("a file");
    // Port 9 discards; nothing listens there.
    assert!(fails(&check("http://127.0.0.1:9/scim/v2"), 2).contains("cannot be reached"));
    assert!(fails(&check("ftp://127.0.0.1/scim/v2"), 2).contains("http"));
}

fn settings_can_come_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/by-environment.db", folder.path().display());
    let output = muster(&["migrate"]).env("MUSTER_DATABASE_URL", &url).output().expect("a run");
    succeeds(&output);
    assert!(folder.path().join("by-environment.db").is_file());
}

async fn the_first_start_prints_what_okta_asks_for(database: TestDatabase) {
    let server = Server::start(&database, &["--public-url", "https://muster.example.com/"]);
    let address = server.field("Listening on").expect("an address");
    assert!(address.starts_with("http://127.0.0.1:") && !address.ends_with(":0"), "{address}");
    let base = server.field("SCIM base URL");
    assert_eq!(base.as_deref(), Some("https://muster.example.com/scim/v2"));
    let redirect = server.field("Sign-in redirect URI");
    assert_eq!(redirect.as_deref(), Some("https://muster.example.com/login/callback"));
    let token = server.field("API token").expect("a token");
    assert!(token.starts_with("muster_scim_"), "{token}");
    let answer = reqwest::Client::new()
        .get(format!("{address}/scim/v2/Users?startIndex=1&count=2"))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

async fn a_second_start_prints_no_token(database: TestDatabase) {
    Server::start(&database, &[]).stop();
    let again = Server::start(&database, &[]);
    assert!(again.field("API token").is_none());
    let listed = succeeds(&run(&database, &["token", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(days(&listed[0]), 365, "the first token, too, ends some day");
    assert!(again.field("SCIM base URL").is_some());
}

async fn the_server_speaks_tls(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file.to_str().expect("a name").to_owned()
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("another");
    let (certificate, key) =
        (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let server = Server::start(&database, &["--tls-cert", &certificate, "--tls-key", &key]);
    let address = server.field("Listening on").expect("an address");
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    assert_eq!(server.field("SCIM base URL"), Some(format!("{address}/scim/v2")));
    let token = server.field("API token").expect("a token");
    let url = format!("{}/scim/v2/Users", address.replace("127.0.0.1", "localhost"));
    let trusting = |certificate: &str| {
        let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        reqwest::Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .add_root_certificate(root)
    };
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = trusting(&made.cert.pem())
            .min_tls_version(version)
            .max_tls_version(version)
            .build()
            .expect("a client");
        let answer = client.get(&url).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{version:?}");
    }
    let doubting = trusting(&other.cert.pem()).build().expect("a client");
    doubting.get(&url).send().await.expect_err("another certificate than the one that is trusted");
    let plain = url.replace("https:", "http:");
    let answer = reqwest::Client::new().get(plain).bearer_auth(&token).send().await;
    assert!(!answer.is_ok_and(|answer| answer.status().is_success()));
    // What does not belong together is told before anything is served.
    let foreign = file("foreign.pem", other.signing_key.serialize_pem());
    let empty = file("empty.pem", String::new());
    let serve = |arguments: &[&str]| {
        fails(&run(&database, &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()), 2)
    };
    for (certificate, key, said) in [
        (&certificate, &foreign, "foreign.pem"),
        (&empty, &key, "no certificate"),
        (&certificate, &empty, "empty.pem"),
        (&"/nowhere.pem".to_owned(), &key, "/nowhere.pem"),
    ] {
        let errors = serve(&["--tls-cert", certificate, "--tls-key", key]);
        assert!(errors.contains(said), "{errors}");
    }
    assert!(serve(&["--tls-cert", &certificate]).contains("--tls-key"));
}

async fn nothing_is_served_elsewhere_by_plain_http(database: TestDatabase) {
    for arguments in [
        ["--listen", "127.0.0.1:0", "--public-url", "http://muster.example.com"].as_slice(),
        &["--listen", "0.0.0.0:0"],
    ] {
        let errors = fails(&run(&database, &[&["serve"], arguments].concat()), 2);
        assert!(errors.contains("https") && errors.contains("--tls-cert"), "{errors}");
    }
    // The base URL has no query (RFC 7644 section 1.3).
    let query = ["serve", "--public-url", "https://muster.example.com/?tenant=a"];
    assert!(fails(&run(&database, &query), 2).contains("https://muster.example.com"));
    // On this machine, and behind a proxy with a certificate, it is.
    for url in ["http://localhost:8080", "https://muster.example.com"] {
        Server::start(&database, &["--public-url", url]).stop();
    }
}

async fn connections_are_managed(database: TestDatabase) {
    let on = |arguments: &[&str]| run(&database, arguments);
    let json = |arguments: &[&str]| -> Value {
        let text = succeeds(&on(&[arguments, &["--json"]].concat()));
        serde_json::from_str(&text).expect("JSON")
    };
    let made = json(&["connection", "create", "acme", "--provider", "entra"]);
    assert_eq!(made["name"], "acme");
    assert_eq!(made["provider"], "entra");
    assert!(made["id"].is_string());
    let taken = fails(&on(&["connection", "create", "ACME"]), 2);
    assert!(taken.contains("acme") || taken.contains("ACME"), "{taken}");
    fails(&on(&["connection", "create", "beta", "--provider", "octa"]), 2);
    succeeds(&on(&["connection", "create", "beta"]));
    assert_eq!(json(&["connection", "list"]).as_array().map(Vec::len), Some(2));
    let table = succeeds(&on(&["connection", "list"]));
    assert!(table.starts_with("NAME") && table.contains("acme"), "{table}");
    let updated = json(&["connection", "update", "acme", "--unknown-members", "skip"]);
    assert_eq!(updated["unknown_members"], "skip");
    assert_eq!(updated["provider"], "entra", "what is not given stays");
    assert_eq!(json(&["connection", "show", "Acme"]), updated);
    assert!(fails(&on(&["connection", "delete", "acme"]), 2).contains("--yes"));
    succeeds(&on(&["connection", "delete", "acme", "--yes"]));
    assert!(fails(&on(&["connection", "show", "acme"]), 2).contains("acme"));
}

/// How many days a token works, from its creation on.
fn days(token: &Value) -> i64 {
    let time = |name: &str| {
        let text = token[name].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(text).expect("a time")
    };
    (time("expires_at") - time("created_at")).num_days()
}

async fn tokens_are_managed(database: TestDatabase) {
    let on = |arguments: &[&str]| run(&database, arguments);
    succeeds(&on(&["connection", "create", "acme"]));
    let token =
        succeeds(&on(&["token", "create", "acme", "--label", "okta", "--expires-in", "30d"]));
    assert!(token.starts_with("muster_scim_") && !token.contains(char::is_whitespace), "{token}");
    assert!(fails(&on(&["token", "create", "nobody"]), 2).contains("nobody"));
    assert!(fails(&on(&["token", "create", "acme", "--expires-in", "soon"]), 2).contains("365d"));
    let list: Value =
        serde_json::from_str(&succeeds(&on(&["token", "list", "acme", "--json"]))).expect("JSON");
    assert_eq!(list[0]["label"], "okta");
    assert!(list[0]["expires_at"].is_string());
    // Every token ends some day: RFC 7644 section 7.4.
    succeeds(&on(&["connection", "create", "other"]));
    succeeds(&on(&["token", "create", "other"]));
    let list_of = |connection: &str| -> Value {
        let list = succeeds(&on(&["token", "list", connection, "--json"]));
        serde_json::from_str(&list).expect("JSON")
    };
    assert_eq!(days(&list_of("other")[0]), 365);
    assert!(!list.to_string().contains(&token), "a list does not show tokens");
    let server = Server::start(&database, &[]);
    let url = format!("{}/scim/v2/Users", server.field("Listening on").expect("an address"));
    let status = async || {
        let request = reqwest::Client::new().get(&url).bearer_auth(&token);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(status().await, 200);
    // Revoked at once, by another process.
    succeeds(&on(&["token", "revoke", list[0]["id"].as_str().expect("an id")]));
    assert_eq!(status().await, 401);
    fails(&on(&["token", "revoke", "unknown"]), 2);
}

/// Every use is in the list once the server has stopped, the later ones of a minute too.
async fn a_token_lists_the_tolerances_that_its_client_takes(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let base = server.field("SCIM base URL").expect("a URL");
    let token = server.field("API token").expect("a token");
    for name in ["ann", "bob", "cho"] {
        let request = reqwest::Client::new()
            .post(format!("{base}/Users"))
            .bearer_auth(&token)
            .header("content-type", "application/scim+json")
            .body(format!(r#"{{"userName":"{name}","active":"True"}}"#));
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), 201);
    }
    server.stop();
    let list = succeeds(&run(&database, &["token", "list", "--json"]));
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let quirks = list[0]["quirks"].as_array().expect("the rules");
    let names: Vec<&Value> = quirks.iter().map(|quirk| &quirk["name"]).collect();
    assert_eq!(names, ["foreign-schemas", "string-boolean"]);
    for quirk in quirks {
        assert_eq!(quirk["uses"], 3, "{quirk}");
        assert!(quirk["first_used_at"].is_string() && quirk["last_used_at"].is_string());
    }
    let table = succeeds(&run(&database, &["token", "list"]));
    assert!(table.contains("foreign-schemas,string-boolean"), "{table}");
}

/// The profiles, as the help of the check lists them.
fn profiles() -> Vec<String> {
    let help = succeeds(&muster(&["check", "--help"]).output().expect("a run"));
    let values = help.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(": "));
    let names: Vec<String> = values.map(|(name, _)| name.to_owned()).collect();
    assert!(names.len() >= 8 && names.contains(&"okta-oin".to_owned()), "{help}");
    names
}

fn every_profile_is_run_and_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("a file");
    let run = format!("for profile in {}; do", profiles().join(" "));
    assert!(read(".ci/run").contains(&run), "{run}");
    for profile in profiles() {
        assert!(read("docs/clients.md").contains(&format!("`--profile {profile}`")), "{profile}");
    }
}

async fn the_check_passes_in_every_profile(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    let base = server.field("SCIM base URL").expect("a URL");
    for profile in profiles() {
        let token = succeeds(&run(&database, &["token", "create", "default", "--label", &profile]));
        let file = folder.path().join(&profile);
        std::fs::write(&file, token).expect("a file");
        let output = muster(&["check", &base, "--profile", &profile, "--token-file"])
            .arg(&file)
            .output()
            .expect("a run");
        let text = succeeds(&output);
        let last = text.lines().last().unwrap_or_default();
        assert!(last.ends_with("passed, 0 failed"), "{text}");
        assert!(!text.contains("FAIL") && !text.contains("note"), "{text}");
        let passed = text.lines().filter(|line| line.starts_with("pass")).count();
        assert!(passed > 15 && last.starts_with(&passed.to_string()), "{text}");
    }
    // Nothing of it is left.
    let token = server.field("API token").expect("a token");
    for kind in ["Users", "Groups"] {
        let request = reqwest::Client::new().get(format!("{base}/{kind}")).bearer_auth(&token);
        let body = request.send().await.expect("an answer").text().await.expect("a body");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["totalResults"], 0, "{kind}");
    }
    server.stop();
    rules_are_those_of_the_client(&database);
}

/// No profile takes a tolerance that its client is not known to need, and the RFC's takes none.
fn rules_are_those_of_the_client(database: &TestDatabase) {
    let list = succeeds(&run(database, &["token", "list", "--json"]));
    let list: Value = serde_json::from_str(&list).expect("JSON");
    for profile in profiles() {
        let client = if profile == "okta-oin" { "okta" } else { profile.as_str() };
        let mut tokens = list.as_array().expect("tokens").iter();
        let token = tokens.find(|token| token["label"] == profile).expect("its token");
        let quirks = token["quirks"].as_array().expect("its rules");
        assert!(profile != "rfc" || quirks.is_empty(), "{quirks:?}");
        for quirk in quirks {
            let name = quirk["name"].as_str().expect("a name");
            let needed_by = Quirk::from_name(name).expect("a rule").rule().clients;
            assert!(
                needed_by.contains(&client) || needed_by.contains(&"generic"),
                "{profile}: {name}"
            );
        }
    }
}

async fn the_check_fails_with_a_wrong_token(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    let file = folder.path().join("token");
    std::fs::write(&file, "muster_scim_wrong\n").expect("a file");
    let base = server.field("SCIM base URL").expect("a URL");
    let output = muster(&["check", &base, "--json", "--token-file"]).arg(&file).output();
    let output = output.expect("a run");
    fails(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["profile"], "okta");
    assert_eq!(report["steps"][0]["result"], "fail");
    // It would count as guessing to go on.
    assert_eq!(report["failed"], 1, "{report}");
    assert!(!report.to_string().contains("muster_scim_wrong"), "the token is masked");
}

async fn what_nobody_can_read_is_no_fault_and_what_is_lost_is_said(database: TestDatabase) {
    succeeds(&run(&database, &["migrate"]));
    for name in ["acme", "bell"] {
        succeeds(&run(&database, &["connection", "create", name]));
    }
    let command = |arguments: &[&str], out: Stdio| {
        let mut command = muster(arguments);
        let output = command.args(["--database-url", &database.url]).stdout(out).output();
        output.expect("a run")
    };
    for arguments in [&["connection", "list"][..], &["events", "export", "-"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(arguments, writer.into());
        succeeds(&output);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("roken pipe") && !errors.contains("panicked"), "{errors}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let errors = fails(&command(&["token", "create", "acme"], full.into()), 1);
    assert!(errors.contains("could not be printed") && !errors.contains("panicked"), "{errors}");
}

async fn a_backup_is_a_store(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy.db");
    let name = file.display().to_string();
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let base = server.field("SCIM base URL").expect("a URL");
    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| -> Value {
        let request = http
            .post(format!("{base}{path}"))
            .bearer_auth(&token)
            .header("content-type", "application/scim+json")
            .body(body.to_string());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    };
    let user = serde_json::json!({
        "userName": "Ånn", "active": false, "emails": [{ "value": "a@example.com" }],
    });
    let user = post("/Users", user).await;
    let members = serde_json::json!([{ "value": user["id"] }]);
    let group = serde_json::json!({ "displayName": "Team", "members": members });
    let group = post("/Groups", group).await;
    succeeds(&run(&database, &["backup", &name]));
    assert!(fails(&run(&database, &["backup", &name]), 2).contains("exists already"));
    server.stop();

    // What the copy serves is what the store did.
    let copied = Server::start_on(&format!("sqlite://{name}"));
    let address = copied.field("Listening on").expect("an address");
    for (path, want) in [("Users", &user), ("Groups", &group)] {
        let id = want["id"].as_str().expect("an id");
        let url = format!("{address}/scim/v2/{path}/{id}");
        let answer = http.get(url).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let mut body: Value =
            serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        let mut want = want.clone();
        // The copy is served at another address.
        for resource in [&mut body, &mut want] {
            if let Some(meta) = resource["meta"].as_object_mut() {
                meta.remove("location");
            }
            if let Some(member) = resource.pointer_mut("/members/0") {
                member.as_object_mut().expect("a member").remove("$ref");
            }
        }
        assert_eq!(body, want);
    }
}

async fn a_stop_signal_ends_the_server(database: TestDatabase) {
    let log = Server::start(&database, &[]).stop();
    assert!(log.contains("stopping"), "{log}");
}

async fn no_log_shows_a_token(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let base = server.field("SCIM base URL").expect("a URL");
    let http = reqwest::Client::new();
    let body = serde_json::json!({ "userName": "ann", "password": "hunter2-secret" });
    for authorization in [format!("Bearer {token}"), token.clone(), format!("Bearer {token}x")] {
        let request = http
            .post(format!("{base}/Users"))
            .header("authorization", authorization)
            .header("content-type", "application/scim+json")
            .body(body.to_string());
        request.send().await.expect("an answer");
    }
    let log = server.stop();
    let secret = token.trim_start_matches("muster_scim_");
    assert!(log.contains("/scim/v2/Users"), "requests are logged: {log}");
    assert!(!log.contains(secret) && !log.contains("hunter2"), "{log}");
}

async fn the_settings_of_sign_in_say_what_is_missing(database: TestDatabase) {
    let create = ["connection", "create", "acme", "--issuer", "https://acme.okta.com"];
    let made = run(&database, &create);
    succeeds(&made);
    assert!(String::from_utf8_lossy(&made.stderr).contains("needs --client-id"));
    let update =
        |more: &[&str]| run(&database, &[&["connection", "update", "acme"], more].concat());
    assert_eq!(String::from_utf8_lossy(&update(&["--client-id", "0oa1"]).stderr), "");
    // A second connection at another provider, and a third at the same one.
    let other = ["connection", "create", "other", "--issuer", "https://other.okta.com"];
    let advice = run(&database, &[&other[..], &["--client-id", "0oa2"]].concat());
    assert!(String::from_utf8_lossy(&advice.stderr).contains("--own-callback on"));
    let apart = update(&["--own-callback", "on"]);
    assert!(succeeds(&apart).contains("/login/callback/acme"));
    assert!(!String::from_utf8_lossy(&apart.stderr).contains("--own-callback"));
    let same = ["connection", "create", "same", "--issuer", "https://acme.okta.com"];
    let advice = run(&database, &same);
    assert!(String::from_utf8_lossy(&advice.stderr).contains("/login/initiate?connection=same"));
    // What is given as empty is unset; what makes no sense is refused.
    succeeds(&update(&["--issuer", "", "--client-id", ""]));
    let shown = succeeds(&run(&database, &["connection", "show", "acme", "--json"]));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["issuer"], &shown["client_id"]), (&Value::Null, &Value::Null));
    let document = "https://acme.okta.com/.well-known/openid-configuration";
    for wrong in [["--issuer", document], ["--groups-claim", ""], ["--groups-filter", "("]] {
        fails(&update(&wrong), 2);
    }
    for name in [".", ".."] {
        fails(&run(&database, &["connection", "create", name]), 2);
    }
}

async fn another_programs_environment_changes_no_connection(database: TestDatabase) {
    let create = ["connection", "create", "acme", "--client-id", "0oa1", "--issuer"];
    succeeds(&run(&database, &[&create[..], &["https://acme.okta.com"]].concat()));
    // An application that uses Muster is likely to call its own settings so.
    let update = ["connection", "update", "acme", "--unknown-members", "skip", "--json"];
    let updated = muster(&update)
        .args(["--database-url", &database.url])
        .env("MUSTER_CLIENT_ID", "my-app")
        .env("MUSTER_ISSUER", "https://muster.example.com")
        .output();
    let updated: Value = serde_json::from_str(&succeeds(&updated.expect("a run"))).expect("JSON");
    assert_eq!(updated["client_id"], "0oa1");
    assert_eq!(updated["issuer"], "https://acme.okta.com");
    assert_eq!(updated["unknown_members"], "skip");
}

async fn a_role_that_is_not_granted_cannot_be_revoked(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let (token, base) = (server.field("API token"), server.field("SCIM base URL"));
    let request = reqwest::Client::new()
        .post(format!("{}/Groups", base.expect("a URL")))
        .bearer_auth(token.expect("a token"))
        .header("content-type", "application/scim+json")
        .body(serde_json::json!({ "displayName": "Staff" }).to_string());
    assert_eq!(request.send().await.expect("an answer").status(), 201);
    let role = |verb: &str, role: &str| run(&database, &["role", verb, "default", "staff", role]);
    succeeds(&role("grant", "editor"));
    let errors = fails(&role("revoke", "editr"), 2);
    assert!(errors.contains("muster role list default"), "{errors}");
    let listed = || succeeds(&run(&database, &["role", "list", "default"]));
    assert!(listed().contains("editor"));
    succeeds(&role("revoke", "editor"));
    assert!(!listed().contains("editor"));
    fails(&role("grant", "a role"), 2);
    fails(&run(&database, &["role", "grant", "default", "nobody", "editor"]), 2);
}

async fn long_commands_are_quiet_in_a_pipe(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (backup, log) = (at("backup.db"), at("log.jsonl"));
    let restored = format!("sqlite://{}", at("restored.db"));
    succeeds(&run(&database, &["connection", "create", "acme"]));
    for arguments in [
        &["migrate"][..],
        &["backup", &backup],
        &["events", "export", &log],
        &["events", "verify"],
        &["events", "verify", "--file", &log],
    ] {
        let output = run(&database, arguments);
        succeeds(&output);
        quiet(&output);
    }
    let output = muster(&["restore", &backup, "--database-url", &restored]).output();
    quiet(&output.expect("a run"));
}

/// A line or none on stderr beside the log, and nothing that moves a cursor.
#[track_caller]
fn quiet(output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    let words = said.lines().filter(|line| !line.starts_with('['));
    assert!(!said.contains(['\r', '\u{1b}']) && words.count() <= 1, "{said:?}");
}
