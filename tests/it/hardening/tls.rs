//! TLS without a proxy: what is spoken, and certificates that are renewed while the server runs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Datelike;
use muster::app::App;
use muster::config::Settings;
use muster::http::tls::Tls;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::wire::{Tunnel, by_tls, connect, old_greeting};
use crate::support::process::{Server, fails, muster, run, succeeds};
use crate::support::{Case, TestApp, TestDatabase, cases, database_cases};

pub fn cases() -> Vec<Case> {
    let databases: &[Case] = database_cases![
        a_renewed_certificate_is_shown_after_a_hangup,
        a_bad_certificate_does_not_take_the_good_ones_place,
        http_1_1_alone_is_spoken_by_tls,
        old_versions_of_tls_are_refused,
        a_hangup_without_tls_ends_nothing,
        a_certificate_that_ends_soon_is_warned_of,
        a_file_of_the_wrong_kind_is_explained,
        a_container_can_ask_its_server,
    ];
    [databases, cases![by_tls_too_the_slow_keep_nobody_out]].concat()
}

/// A certificate for `localhost` with its key, both as PEM.
struct Made {
    certificate: String,
    key: String,
}

impl Made {
    fn new() -> Self {
        Self::until(4096, 1, 1)
    }

    fn until(year: i32, month: u8, day: u8) -> Self {
        let names = ["localhost".to_owned()];
        let mut parameters = CertificateParams::new(names).expect("parameters");
        parameters.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    fn put(&self, folder: &Path) {
        std::fs::write(folder.join("cert.pem"), &self.certificate).expect("a file");
        std::fs::write(folder.join("key.pem"), &self.key).expect("a file");
    }

    /// A client that trusts this certificate alone.
    fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.certificate.as_bytes()).expect("a root");
        reqwest::Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .add_root_certificate(root)
            .build()
            .expect("a client")
    }
}

/// A connection whose client does not go on.
enum Begun {
    /// Not even with the handshake.
    Nothing(#[expect(dead_code, reason = "it is there to be kept open")] TcpStream),
    Tls(#[expect(dead_code, reason = "it is there to be kept open")] Box<Tunnel>),
}

fn start(database: &TestDatabase, folder: &Path) -> (Server, String) {
    let file = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let server = Server::start(database, &["--tls-cert", &certificate, "--tls-key", &key]);
    let address = server.field("Listening on").expect("an address");
    (server, address.replace("127.0.0.1", "localhost"))
}

async fn answers(client: &reqwest::Client, address: &str) -> bool {
    let answer = client.get(format!("{address}/healthz")).send().await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

async fn a_renewed_certificate_is_shown_after_a_hangup(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (Made::new(), Made::new());
    old.put(folder.path());
    let (mut server, address) = start(&database, folder.path());
    let connected = old.client();
    assert!(answers(&connected, &address).await);
    assert!(!answers(&new.client(), &address).await);
    // Written is not yet shown.
    new.put(folder.path());
    assert!(answers(&old.client(), &address).await);
    server.signal("HUP");
    server.logs("new connections are shown the certificate");
    assert!(answers(&new.client(), &address).await);
    assert!(!answers(&old.client(), &address).await, "a new connection");
    assert!(answers(&connected, &address).await, "a connection that was there goes on");
    server.stop();
}

async fn a_bad_certificate_does_not_take_the_good_ones_place(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, other) = (Made::new(), Made::new());
    good.put(folder.path());
    let (mut server, address) = start(&database, folder.path());
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let write = |file: &Path, text: &str| std::fs::write(file, text).expect("a file");
    for (bad, said) in [
        (&other.key, "is not that of the first certificate"),
        (&String::new(), "there is no key in the file"),
        (&good.key[..good.key.len() / 2].to_owned(), "key.pem"),
    ] {
        write(&key, bad);
        server.signal("HUP");
        server.logs(said);
        assert!(answers(&good.client(), &address).await, "{said}");
    }
    write(&key, &other.key);
    write(&certificate, "no certificate");
    server.signal("HUP");
    server.logs("there is no certificate in the file");
    std::fs::remove_file(&certificate).expect("a file");
    server.signal("HUP");
    server.logs("the certificate stays what it was");
    assert!(answers(&good.client(), &address).await);
    // Mended, it is shown.
    other.put(folder.path());
    server.signal("HUP");
    server.logs("new connections are shown the certificate");
    assert!(answers(&other.client(), &address).await);
    let log = server.stop();
    let middle = good.key.lines().nth(1).expect("a line of the key");
    assert!(!log.contains(middle), "{log}");
}

/// The library sets no end to the streams and the answers of an HTTP/2 connection, so that one is
/// enough to pile up what it wants. Whoever needs HTTP/2 has a proxy that speaks it.
async fn http_1_1_alone_is_spoken_by_tls(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Made::new();
    made.put(folder.path());
    let (server, address) = start(&database, folder.path());
    let protocol = |offered: &[&str]| {
        let stream = by_tls(&address, &made.certificate, offered)?;
        let name = stream.conn.alpn_protocol().unwrap_or_default();
        Ok::<_, std::io::Error>(String::from_utf8_lossy(name).into_owned())
    };
    assert_eq!(protocol(&["h2", "http/1.1"]).expect("a handshake"), "http/1.1");
    assert_eq!(protocol(&[]).expect("a handshake"), "");
    let refused = protocol(&["h2"]).expect_err("no protocol in common").to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    // Nor does it help not to ask.
    let mut stream = by_tls(&address, &made.certificate, &[]).expect("a handshake");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    server.stop();
}

/// Those who begin a handshake, a head or an answer and do not go on take all connections that there
/// are, one kind after the other; whoever comes later is served.
async fn by_tls_too_the_slow_keep_nobody_out(app: TestApp) {
    const MANY: usize = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let made = Made::new();
    made.put(folder.path());
    let files = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let [certificate, key] = files;
    let config = Tls::read(certificate, key).expect("a certificate").config().expect("TLS");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address =
        format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    let mut settings = Settings::new(address.clone());
    settings.workers = 1;
    settings.max_connections = MANY;
    settings.head_patience = Duration::from_secs(2);
    settings.reader_patience = Duration::from_secs(1);
    let clock = muster::clock::system();
    let own = App::new(app.db.clone(), app.registry.clone(), settings, clock).expect("an app");
    let server = muster::http::serve_with(Arc::new(own), listener, Some(config)).expect("a server");
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let plain = address.replace("localhost", "127.0.0.1");
    let by_tls = {
        let (plain, certificate) = (plain.clone(), made.certificate.clone());
        move || by_tls(&plain, &certificate, &[])
    };
    let requests = "GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n".repeat(2_000);
    for (what, said) in [
        ("a handshake", None),
        ("a head", Some("GET /healthz HTTP/1.1\r\nHost: m\r\nX-Slow: a".to_owned())),
        ("an answer", Some(requests)),
    ] {
        let (by_tls, address, served_at) = (by_tls.clone(), plain.clone(), address.clone());
        let begin = move || {
            let begin_one = || {
                let Some(text) = &said else { return Begun::Nothing(connect(&address)) };
                let mut stream = by_tls().expect("a handshake");
                stream.sock.set_write_timeout(Some(Duration::from_millis(100))).expect("a limit");
                let _ = stream.write_all(text.as_bytes());
                Begun::Tls(Box::new(stream))
            };
            (0..MANY).map(|_| begin_one()).collect::<Vec<_>>()
        };
        let slow = tokio::task::spawn_blocking(begin).await.expect("connections");
        assert_eq!(slow.len(), MANY);
        assert!(answers(&made.client(), &served_at).await, "{what}");
        drop(slow);
    }
    handle.stop(false).await;
}

/// "the SCIM service provider MUST support TLS 1.2" (RFC 7644 section 7.2); TLS 1.0 and 1.1 "MUST
/// NOT be used" (RFC 8996).
async fn old_versions_of_tls_are_refused(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    Made::new().put(folder.path());
    let (server, _) = start(&database, folder.path());
    let address = server.field("Listening on").expect("an address");
    for (version, answered) in [(1, 0x15), (2, 0x15), (3, 0x16)] {
        let mut stream = connect(&address);
        stream.write_all(&old_greeting(version)).expect("a greeting");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("an answer");
        // TLS 1.2 is refused for the ciphers that go with the old ones, not for its version.
        match version {
            3 => assert_ne!(answer[6], 70, "{answer:?}"),
            _ => assert_eq!((answer[0], answer[5], answer[6]), (answered, 2, 70), "{answer:?}"),
        }
    }
}

async fn a_hangup_without_tls_ends_nothing(database: TestDatabase) {
    let mut server = Server::start(&database, &[]);
    let address = server.field("Listening on").expect("an address");
    for _ in 0..2 {
        server.signal("HUP");
        server.logs("there is no certificate to read again");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        assert!(answers(&client, &address).await);
    }
    server.stop();
}

async fn a_certificate_that_ends_soon_is_warned_of(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let now = chrono::DateTime::from_timestamp_micros(muster::clock::system()()).expect("a time");
    let until = |days: i64| {
        let day = now.date_naive() + chrono::TimeDelta::days(days);
        let part = |number: u32| u8::try_from(number).expect("a part of a date");
        Made::until(day.year(), part(day.month()), part(day.day()))
    };
    until(5).put(folder.path());
    let (mut server, _) = start(&database, folder.path());
    server.logs("the certificate expires in 4 days");
    until(-5).put(folder.path());
    server.signal("HUP");
    server.logs("the certificate has expired");
    until(40).put(folder.path());
    server.signal("HUP");
    server.logs("new connections are shown");
    let log = server.stop();
    let after = log.rsplit("new connections are shown").next().unwrap_or_default();
    assert!(!after.contains("expire"), "{after}");
}

async fn a_file_of_the_wrong_kind_is_explained(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Made::new();
    made.put(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let put = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).expect("a file");
        file(name)
    };
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let encrypted = made.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let request = made.certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST");
    let der = put("cert.der", &[0x30, 0x82, 1, 2, 3]);
    let encrypted = put("encrypted.pem", encrypted.as_bytes());
    let request = put("request.pem", request.as_bytes());
    let text = put("text.pem", b"hello");
    for (certificate, key, said) in [
        (&key, &certificate, "it holds a key, and this setting takes the certificate"),
        (&certificate, &certificate, "it holds a certificate, and this setting takes the key"),
        (&certificate, &encrypted, "openssl pkey"),
        (&request, &key, "a request for a certificate"),
        (&der, &key, "it is not PEM but DER"),
        (&certificate, &der, "it is not PEM but DER"),
        (&text, &key, "-----BEGIN"),
        (&certificate, &file("nowhere.pem"), "nowhere.pem"),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", certificate];
        let output = run(&database, &[&arguments[..], &["--tls-key", key]].concat());
        let errors = fails(&output, 2);
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

async fn a_container_can_ask_its_server(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    Made::new().put(folder.path());
    let ask = |address: &str, tls: bool| {
        let mut command = muster(&["healthcheck"]);
        let authority = address.split("://").last().expect("an address");
        command.env("MUSTER_LISTEN", authority.replace("127.0.0.1", "0.0.0.0"));
        if tls {
            command.env("MUSTER_TLS_CERT", folder.path().join("cert.pem"));
        }
        command.output().expect("a run")
    };
    let plain = Server::start(&database, &[]);
    let address = plain.field("Listening on").expect("an address");
    succeeds(&ask(&address, false));
    assert!(fails(&ask(&address, true), 1).contains("nothing answers"), "it speaks no TLS");
    plain.stop();
    assert!(fails(&ask(&address, false), 1).contains("nothing answers"), "it has ended");
    let (secure, _) = start(&database, folder.path());
    let address = secure.field("Listening on").expect("an address");
    succeeds(&ask(&address, true));
    fails(&ask(&address, false), 1);
}
