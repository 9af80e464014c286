//! Behind a proxy: who is believed, and of what.

use muster::access::proxy::ProxyHeader;
use serde_json::json;

use super::{behind_proxy, token};
use crate::support::process::{Server, fails, muster};
use crate::support::{Case, TestApp, TestDatabase, cases, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let served: &[Case] = cases![no_header_gets_into_an_address];
    let databases: &[Case] = database_cases![
        one_header_is_believed_and_not_the_other,
        the_log_names_the_client,
        a_proxy_that_is_not_named_is_pointed_out_once,
    ];
    let pure: &[Case] = pure_cases![a_network_that_is_none_is_refused];
    [served, databases, pure].concat()
}

async fn one_header_is_believed_and_not_the_other(database: TestDatabase) {
    let app =
        behind_proxy(database, |settings| settings.proxies.header = ProxyHeader::Forwarded).await;
    let client = app.with_token(&token(&app, "users:read", "2001:db8::/32").await.1);
    let ask = || client.request("GET", "/Users");
    client.send(ask().header("x-forwarded-for", "2001:db8::1")).await.expect_error(403, None);
    let named = "for=203.0.113.9, for=\"[2001:db8::1]:4711\";proto=https;host=evil";
    client.send(ask().header("forwarded", named)).await.expect(200);
    let both = ask().header("forwarded", named).header("x-forwarded-for", "203.0.113.9");
    client.send(both).await.expect(200);
    // A quote that is opened further left hides nothing.
    let hiding = "for=\"[2001:db8::1]\";x=\", for=203.0.113.9";
    client.send(ask().header("forwarded", hiding)).await.expect_error(403, None);
}

/// Under which address clients reach the server is a setting: what a request says of it goes into no
/// link, no redirect and no cookie.
async fn no_header_gets_into_an_address(app: TestApp) {
    let trusting = behind_proxy(app.database.clone(), |_| {}).await;
    for app in [&app, &trusting] {
        let scim = app.scim();
        let web = app.anonymous();
        let user = json!({ "userName": app.base_url, "emails": [{ "value": "a@example.com" }] });
        let ask = |client: &crate::support::ScimClient, method: &str, path: &str| {
            client
                .request(method, path)
                .header("host", "evil.example")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-server", "evil.example")
                .header("x-forwarded-proto", "gopher")
                .header("x-forwarded-port", "1717")
                .header("x-forwarded-prefix", "/evil")
                .header("x-original-url", "/evil")
                .header("forwarded", "for=192.0.2.7;host=evil.example;proto=gopher")
                .header("content-type", "application/scim+json")
        };
        let created =
            scim.send(ask(&scim, "POST", "/Users").body(user.to_string())).await.expect(201);
        let path = format!("/Users/{}", created.id());
        let location = format!("{}/scim/v2{path}", app.base_url);
        assert_eq!(created.header("location"), Some(location.as_str()));
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{ "method": "DELETE", "path": path }],
        });
        for answer in [
            created,
            scim.send(ask(&scim, "GET", &path)).await.expect(200),
            scim.send(ask(&scim, "GET", "/Users")).await.expect(200),
            scim.send(ask(&scim, "GET", "/Schemas")).await.expect(200),
            scim.send(ask(&scim, "GET", "/ServiceProviderConfig")).await.expect(200),
            scim.send(ask(&scim, "POST", "/Bulk").body(bulk.to_string())).await.expect(200),
            scim.send(ask(&scim, "GET", "/Users/unknown")).await.expect(404),
            web.send(ask(&web, "GET", "/.well-known/oauth-authorization-server")).await.expect(200),
            web.send(ask(&web, "GET", "/authorize?client_id=x")).await.expect(400),
            web.send(ask(&web, "GET", "/login/callback?state=x")).await.expect(400),
            web.send(ask(&web, "GET", "/logout")).await.expect(200),
            web.send(ask(&web, "GET", "/nowhere")).await.expect(404),
        ] {
            let whole = format!("{} {:?}", answer.text, answer.headers);
            for foreign in ["evil", "gopher", "1717"] {
                assert!(!whole.contains(foreign), "{}: {whole}", answer.request);
            }
        }
    }
}

async fn the_log_names_the_client(database: TestDatabase) {
    let server = Server::start(&database, &["--trusted-proxy", "127.0.0.1", "::1/128"]);
    let base = server.field("SCIM base URL").expect("an address");
    let ask = async |forwarded: &str| {
        let request = reqwest::Client::new().get(format!("{base}/Users"));
        let request = request.header("x-forwarded-for", forwarded).bearer_auth("muster_scim_wrong");
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask("203.0.113.9, 198.51.100.7").await, 401);
    assert_eq!(ask("[2001:db8::17]:4711").await, 401);
    let log = server.stop();
    for client in ["198.51.100.7", "2001:db8::17"] {
        let line = "GET /scim/v2/Users status=401 ms=";
        let found = log.lines().find(|found| found.contains(&format!("client={client} ")));
        assert!(found.is_some_and(|found| found.contains(line)), "{client} in {log}");
    }
    assert!(!log.contains("client=203.0.113.9"), "{log}");
    assert!(!log.contains("muster_scim_wrong"), "{log}");
}

async fn a_proxy_that_is_not_named_is_pointed_out_once(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let url = server.field("Listening on").expect("an address");
    for _ in 0..3 {
        let request = reqwest::Client::new().get(format!("{url}/healthz"));
        request.header("x-forwarded-for", "198.51.100.7").send().await.expect("an answer");
    }
    let log = server.stop();
    assert_eq!(log.matches("name it with --trusted-proxy").count(), 1, "{log}");
    assert!(!log.contains("client=198.51.100.7"), "{log}");
}

fn a_network_that_is_none_is_refused() {
    for arguments in [
        ["serve", "--trusted-proxy", "proxy.example.com"],
        ["serve", "--trusted-proxy", "10.0.0.0/33"],
        ["serve", "--proxy-header", "x-real-ip"],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = muster(&arguments).current_dir(folder.path()).output().expect("a run");
        let errors = fails(&output, 2);
        assert!(errors.contains("192.0.2.0/24") || errors.contains("forwarded"), "{errors}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
