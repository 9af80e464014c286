//! Providers that have Muster knock at what only Muster can reach. That redirects are not followed,
//! and that answers are bounded in size and time, is in `login::providers`.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster::access::network::Network;
use muster::oidc::{Asked, Limits, OidcError, Providers, Reach, Registration};
use serde_json::json;

use crate::login::harness::{Login, is_refusal_saying, under_way};
use crate::support::process::{Server, fails, run, succeeds};
use crate::support::provider::{DISCOVERY, KEYS, Provider};
use crate::support::{Case, TestApp, TestDatabase, cases, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![an_endpoint_at_a_private_address_is_not_asked];
    let databases: &[Case] = database_cases![
        a_proxy_is_used_only_where_that_is_said,
        a_network_that_is_none_is_refused,
    ];
    let pure: &[Case] = pure_cases![
        an_issuer_at_a_private_address_is_not_asked,
        a_name_that_leads_to_a_private_address_is_not_asked,
        a_network_that_is_allowed_is_asked,
        a_name_that_leads_elsewhere_the_next_time_gains_nothing,
        only_the_allowed_of_several_addresses_is_connected_to,
    ];
    [apps, databases, pure].concat()
}

/// Addresses that nobody but a neighbour reaches, in the forms in which they are hidden.
const PRIVATE: [&str; 22] = [
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://100.64.0.1",
    "https://100.100.100.200",
    "https://169.254.169.254",
    "https://168.63.129.16",
    "https://0.0.0.0",
    "https://0",
    "https://255.255.255.255",
    "https://224.0.0.1",
    "https://2852039166",
    "https://0xa9.0xfe.0xa9.0xfe",
    "https://[::]",
    "https://[::ffff:169.254.169.254]",
    "https://[::ffff:10.0.0.1]",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[fd00:ec2::254]",
    "https://[fe80::1]",
    "https://[fec0::1]",
    "https://[2002:a00:1::]",
    "https://[ff02::1]",
];

fn registration(issuer: &str) -> Registration {
    Registration {
        issuer: issuer.to_owned(),
        client_id: "muster".to_owned(),
        client_secret: None,
        redirect_uri: "https://muster.example.com/login/callback".to_owned(),
    }
}

fn alone(test: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(test);
}

/// What became of a sign-in at a provider of which nothing is known.
async fn begun_at(providers: &Providers, issuer: &str) -> Result<(), OidcError> {
    let now = muster::clock::system()();
    providers.start(&registration(issuer), &Asked::default(), now).await.map(drop)
}

#[track_caller]
fn is_not_public(begun: Result<(), OidcError>) {
    let Err(OidcError::Provider(reason)) = begun else { panic!("{begun:?}") };
    assert!(reason.contains("not public") && reason.contains("--allow-issuer-network"), "{reason}");
}

fn an_issuer_at_a_private_address_is_not_asked() {
    alone(async {
        let providers = Providers::new().expect("providers");
        for issuer in PRIVATE {
            is_not_public(begun_at(&providers, issuer).await);
        }
        for issuer in ["https://127.0.0.1:9", "https://[::1]:9", "https://localhost:9"] {
            // On this machine there may be a provider; here there is none.
            let begun = begun_at(&providers, issuer).await;
            let Err(OidcError::Provider(reason)) = begun else { panic!("{begun:?}") };
            assert!(reason.contains("cannot be connected to"), "{reason}");
        }
        is_not_public(begun_at(&providers, "https://[::ffff:127.0.0.1]:9").await);
    });
}

async fn an_endpoint_at_a_private_address_is_not_asked(app: TestApp) {
    let login = Login::new(&app).await;
    for endpoint in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        for address in PRIVATE {
            login.provider.describes_itself(json!({ endpoint: format!("{address}/x") }));
            let answer = login.get(&login.code_request(), None).await;
            is_refusal_saying(&answer, 502, "The identity provider cannot be used");
            app.clock.advance(6);
        }
    }
    assert_eq!(under_way(&app).await, 0);
    assert!(login.provider.asked(DISCOVERY) >= 4 * PRIVATE.len());
    // Keys are read before the other addresses are, and only from where they may be.
    assert_eq!(login.provider.asked(KEYS), 3 * PRIVATE.len());
    login.provider.describes_itself(json!({}));
    login.does_sign_in(&app).await;
}

/// A place where nobody should come, and whether somebody did.
struct Trap(TcpListener);

impl Trap {
    fn new(address: &str) -> Self {
        Self::at(address).expect("a free port")
    }

    fn at(address: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Two at one port of two addresses; where one of them is free, the other need not be.
    fn pair(one: &str, other: &str) -> (Self, Self) {
        let pair = (0..100).find_map(|_| {
            let first = Self::new(&format!("{one}:0"));
            let second = Self::at(&format!("{other}:{}", first.port())).ok()?;
            Some((first, second))
        });
        pair.expect("a port that is free at both")
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// How many came since it was last looked.
    fn came(&self) -> usize {
        let mut count = 0;
        loop {
            match self.0.accept() {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Names lead to these addresses, one list after the other; nothing is allowed but the networks.
fn providers(networks: &[&str], answers: &'static [&'static [&'static str]]) -> Providers {
    let networks = networks.iter().map(|text| text.parse::<Network>().expect("a network"));
    let asked = AtomicUsize::new(0);
    let reach = Reach::with(networks.collect()).looking_up(Arc::new(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let found = answers[number.min(answers.len() - 1)].iter();
        let found: Vec<IpAddr> = found.map(|text| text.parse().expect("an address")).collect();
        Box::pin(std::future::ready(Ok(found)))
    }));
    // Nobody at the other end speaks TLS, so that no more than a connection is made.
    let limits = Limits { whole: std::time::Duration::from_secs(2), ..Limits::default() };
    Providers::with(limits, reach).expect("providers")
}

fn a_name_that_leads_to_a_private_address_is_not_asked() {
    alone(async {
        let trap = Trap::new("127.0.0.1:0");
        let issuer = format!("https://idp.example.com:{}", trap.port());
        let providers = providers(&[], &[&["127.0.0.1"]]);
        is_not_public(begun_at(&providers, &issuer).await);
        assert_eq!(trap.came(), 0);
        // The name of this machine is for providers on this machine.
        let named = format!("https://localhost.example.com:{}", trap.port());
        is_not_public(begun_at(&providers, &named).await);
        assert_eq!(trap.came(), 0);
    });
}

fn a_network_that_is_allowed_is_asked() {
    alone(async {
        let trap = Trap::new("127.0.0.1:0");
        let issuer = format!("https://idp.example.com:{}", trap.port());
        let providers = providers(&["127.0.0.0/8"], &[&["127.0.0.1"]]);
        let begun = begun_at(&providers, &issuer).await;
        assert!(matches!(&begun, Err(OidcError::Provider(text)) if !text.contains("not public")));
        assert_eq!(trap.came(), 1, "{begun:?}");
    });
}

/// DNS rebinding: the address that is checked is the one that is connected to, each time.
fn a_name_that_leads_elsewhere_the_next_time_gains_nothing() {
    alone(async {
        let (first, second) = (Trap::new("127.0.0.1:0"), Trap::new("127.0.0.2:0"));
        let providers = providers(&["127.0.0.1/32"], &[&["127.0.0.1"], &["127.0.0.2"]]);
        let at = |trap: &Trap| format!("https://idp.example.com:{}", trap.port());
        begun_at(&providers, &at(&first)).await.expect_err("no provider");
        assert_eq!(first.came(), 1);
        is_not_public(begun_at(&providers, &at(&second)).await);
        assert_eq!(second.came(), 0);
    });
}

fn only_the_allowed_of_several_addresses_is_connected_to() {
    alone(async {
        let (forbidden, allowed) = Trap::pair("127.0.0.2", "127.0.0.1");
        let issuer = format!("https://idp.example.com:{}", allowed.port());
        let providers = providers(&["127.0.0.1/32"], &[&["127.0.0.2", "127.0.0.1"]]);
        begun_at(&providers, &issuer).await.expect_err("no provider");
        assert_eq!((forbidden.came(), allowed.came()), (0, 1));
    });
}

async fn a_proxy_is_used_only_where_that_is_said(database: TestDatabase) {
    let provider = Provider::start();
    let issuer = provider.issuer.clone();
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", proxy.local_addr().expect("an address"));
    let environment: Vec<(&str, &str)> =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
            .map(|name| (name, address.as_str()))
            .to_vec();
    let begin = async |server: &Server| {
        let base = server.field("Listening on").expect("an address");
        let query = crate::login::harness::encoded(&[("iss", &issuer)]);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let answer = http.get(format!("{base}/login/initiate?{query}")).send().await;
        answer.expect("an answer").status().as_u16()
    };
    let server = Server::start_in(&database, &[], &environment);
    let update = ["connection", "update", "default", "--client-id", "muster", "--issuer", &issuer];
    succeeds(&run(&database, &update));
    assert_eq!(begin(&server).await, 303);
    assert_eq!(provider.asked(DISCOVERY), 1);
    server.stop();
    // Nobody has come by the proxy so far: its first visitor comes now.
    proxy.set_nonblocking(true).expect("a listener");
    assert_eq!(proxy.accept().expect_err("nobody").kind(), ErrorKind::WouldBlock);
    proxy.set_nonblocking(false).expect("a listener");
    let visitor = std::thread::spawn(move || {
        let (stream, _) = proxy.accept().expect("a visitor");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("a request");
        (line, proxy)
    });
    let server = Server::start_in(&database, &["--issuer-proxy", &address], &[("NO_PROXY", "*")]);
    assert_eq!(begin(&server).await, 502);
    let (line, _) = visitor.join().expect("a visitor");
    assert!(line.starts_with(&format!("GET {issuer}/.well-known/")), "{line}");
    assert_eq!(provider.asked(DISCOVERY), 1);
    server.stop();
    for wrong in ["socks5://127.0.0.1:1", "secret@", "true"] {
        let told = fails(&run(&database, &["serve", "--issuer-proxy", wrong]), 2);
        assert!(told.contains("http://HOST:PORT") && !told.contains("secret"), "{told}");
    }
}

async fn a_network_that_is_none_is_refused(database: TestDatabase) {
    for wrong in ["10.0.0.0/33", "intranet", "10.0.0.0/99"] {
        let output = run(&database, &["serve", "--allow-issuer-network", wrong]);
        assert!(fails(&output, 2).contains("is no network"), "{wrong}");
    }
    Server::start(&database, &["--allow-issuer-network", "10.0.0.0/8,fd00::/8"]).stop();
    // Whoever sets such an issuer is told what it takes.
    for (issuer, is_told) in [
        ("https://10.0.0.1", true),
        ("https://[fd00::1]", true),
        ("https://example.okta.com", false),
        ("http://127.0.0.1:8081", false),
    ] {
        let output = run(&database, &["connection", "update", "default", "--issuer", issuer]);
        succeeds(&output);
        let told = String::from_utf8_lossy(&output.stderr).contains("--allow-issuer-network");
        assert_eq!(told, is_told, "{issuer}");
    }
}
