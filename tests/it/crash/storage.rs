//! SQLite on a disk that is full, that fails or that may only be read. What can be read is read,
//! what cannot be written is refused and changes nothing, and once there is room all goes on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use super::client::{Client, Outcome, retry_after};
use crate::support::process::{Server, run, serve, succeeds};
use crate::support::provider::Provider;
use crate::support::{Backend, Case, TestDatabase, needing, patch_body};

pub fn cases() -> Vec<Case> {
    let limited: &[Case] = needing!(can_limit; a_disk_that_fails_is_no_end);
    let mounted: &[Case] = needing!(can_mount;
        a_disk_that_is_full_is_no_end,
        a_file_that_may_only_be_read_is_no_end,
        a_server_does_not_start_where_it_can_store_nothing,
    );
    [limited, mounted].concat()
}

/// Whether the size of a running process's files can be limited.
fn can_limit() -> bool {
    Command::new("prlimit").arg("--version").output().is_ok_and(|done| done.status.success())
}

/// Whether there can be a file system of the test's own.
fn can_mount() -> bool {
    let probe = in_own_mounts("mount -t tmpfs none /tmp", &["true"]).output();
    probe.is_ok_and(|done| done.status.success())
}

/// A command, after others of the shell, in a view of the file systems that nobody else has.
fn in_own_mounts(before: &str, command: &[&str]) -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    unshare.arg(format!("set -e; {before}; exec \"$@\"")).arg("sh").args(command);
    unshare
}

/// The server of a test, and how to reach it and its store.
struct Fixture {
    server: Server,
    client: Client,
    address: String,
    place: Place,
}

/// Where the store is.
enum Place {
    Here(TestDatabase),
    /// In a folder that is a file system of the server's own.
    Within(TempDir),
}

impl Fixture {
    fn new(server: Server, place: Place) -> Self {
        let token = server.field("API token").expect("a token");
        let address = server.field("Listening on").expect("an address");
        let client = Client::new(&address, &token, "");
        let mut fixture = Self { server, client, address, place };
        let admin = fixture.muster(&["admin-token", "create"]);
        fixture.client = Client::new(&fixture.address, &token, &admin);
        fixture
    }

    /// A server on a file system of its own, of that size.
    fn on_small_disk(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::launch(on_small_disk(&folder, size).env("RUST_LOG", "warn"));
        Self::new(server, Place::Within(folder))
    }

    /// Runs a command of the program on the store; returns what it prints.
    fn muster(&self, arguments: &[&str]) -> String {
        match &self.place {
            Place::Here(database) => succeeds(&run(database, arguments)),
            Place::Within(folder) => {
                let url = format!("sqlite://{}/muster.db", folder.path().display());
                let mut words = vec![env!("CARGO_BIN_EXE_muster"), "--database-url", &url];
                words.extend(arguments);
                succeeds(&self.within("exec \"$@\"", &words))
            }
        }
    }

    /// Runs a command of the shell among the server's file systems.
    fn within(&self, command: &str, words: &[&str]) -> Output {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--user", "--mount", "--target", &self.server.id().to_string()]);
        nsenter.args(["--preserve-credentials", "sh", "-c", command, "sh"]).args(words);
        nsenter.output().expect("nsenter")
    }

    /// Runs a command of the shell on the folder of the store, `$1`, among the server's file systems.
    fn on_folder(&self, command: &str) {
        let folder = self.folder();
        succeeds(&self.within(command, &[folder.to_str().expect("a path")]));
    }

    /// The folder of the store, as its server sees it.
    fn folder(&self) -> PathBuf {
        match &self.place {
            Place::Here(database) => {
                let file = Path::new(database.url.trim_start_matches("sqlite://"));
                file.parent().expect("a folder").to_owned()
            }
            Place::Within(folder) => folder.path().to_owned(),
        }
    }

    /// A file in the folder of the store, as the test sees it.
    fn file(&self, name: &str) -> PathBuf {
        let folder = self.folder();
        let below = folder.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.server.id())).join(below).join(name)
    }

    /// What SQLite finds wrong with the store.
    fn integrity(&self) -> String {
        // SQLite would not find the way into another process's file systems.
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["muster.db", "muster.db-wal"] {
            std::fs::copy(self.file(name), copy.path().join(name)).expect("a copy");
        }
        let url = format!("sqlite://{}/muster.db", copy.path().display());
        TestDatabase::at(Backend::Sqlite, &url).integrity()
    }

    /// Creates users, each of whom is a good part of what there is room for, until one cannot be stored;
    /// returns the ids of the others.
    async fn write_until_refused(&self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let name = format!("user-{}", ids.len());
            let body = json!({ "userName": name, "title": "x".repeat(20_000) });
            match self.client.scim("POST", "/Users", Some(&body)).await {
                Outcome::Answered { status: 201, body, .. } => {
                    ids.push(body["id"].as_str().expect("an id").to_owned());
                }
                other => {
                    is_refused(&other);
                    return ids;
                }
            }
            assert!(ids.len() < 2_000, "there is no end to the room");
        }
    }

    /// Writes what needs little room until none of it can be stored any more: which of it needs the least
    /// depends on where its rows come to lie. Adds the users to `ids`, of whom the last is changed.
    async fn fill(&self, ids: &mut Vec<String>) {
        for round in 0..2_000 {
            let user = json!({ "userName": format!("small-{round}") });
            let user = self.client.scim("POST", "/Users", Some(&user)).await;
            if let Outcome::Answered { status: 201, body, .. } = &user {
                ids.push(body["id"].as_str().expect("an id").to_owned());
            }
            let group = json!({ "displayName": format!("small {round}") });
            let group = self.client.scim("POST", "/Groups", Some(&group)).await;
            let title = json!([{ "op": "replace", "path": "title", "value": round.to_string() }]);
            let last = format!("/Users/{}", ids[ids.len() - 1]);
            let patch = self.client.scim("PATCH", &last, Some(&patch_body(title))).await;
            let mut has_room = false;
            for outcome in [&user, &group, &patch] {
                match outcome {
                    Outcome::Answered { status: 200 | 201, .. } => has_room = true,
                    other => is_refused(other),
                }
            }
            if !has_room {
                return;
            }
        }
        panic!("there is no end to the room");
    }

    /// What is there is read, and nothing is written, whoever asks.
    async fn reads_and_refuses(&self, ids: &[String]) {
        let (client, first) = (&self.client, format!("/Users/{}", ids[0]));
        for path in ["/scim/v2/Users", "/api/v1/users", "/readyz", "/healthz"] {
            client.read(path).await.expect(path);
        }
        let title = patch_body(json!([{ "op": "replace", "path": "title", "value": "y" }]));
        let whole = json!({ "userName": "user-0", "title": "z" });
        let group = json!({ "displayName": "g", "members": [{ "value": ids[0] }] });
        for (method, path, body) in [
            ("PATCH", first.as_str(), Some(&title)),
            ("PUT", &first, Some(&whole)),
            ("DELETE", &first, None),
            ("POST", "/Groups", Some(&group)),
        ] {
            is_refused(&client.scim(method, path, body).await);
        }
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{ "method": "DELETE", "path": first }],
        });
        let done = client.scim("POST", "/Bulk", Some(&bulk)).await;
        let Outcome::Answered { status: 200, body, .. } = done else { panic!("{done:?}") };
        assert_eq!(body["Operations"][0]["status"], "503", "{body}");
        let shown = client.read(&format!("/scim/v2{first}")).await.expect("the user");
        assert_eq!(shown["title"].as_str().map(str::len), Some(20_000), "nothing was changed");
    }

    /// Everything can be written again, and nothing is broken.
    async fn goes_on(&self, ids: &[String]) {
        let made = self.client.scim("POST", "/Users", Some(&json!({ "userName": "new" }))).await;
        assert!(matches!(made, Outcome::Answered { status: 201, .. }), "{made:?}");
        for id in ids {
            self.client.read(&format!("/scim/v2/Users/{id}")).await.expect("what was stored");
        }
        let total = self.client.read("/scim/v2/Users?count=0").await.expect("a list");
        assert_eq!(total["totalResults"], ids.len() + 1);
        assert_eq!(self.integrity(), "ok");
    }
}

/// 503 in SCIM's form, which says that the server cannot store anything, and when to come again.
#[track_caller]
fn is_refused(outcome: &Outcome) {
    let Outcome::Answered { status: 503, headers, body } = outcome else { panic!("{outcome:?}") };
    assert!(retry_after(headers) > 0);
    assert_eq!(body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("cannot store") && detail.contains("nothing was changed"), "{detail}");
}

/// The log says what the operator has to mend, and not once for each request.
fn tells_of_it_once(log: &str, cause: &str) {
    let told = log.lines().filter(|line| line.contains("cannot be written: its disk")).count();
    assert!((1..=4).contains(&told) && log.contains(cause), "{log}");
    assert!(log.lines().count() < 12, "{log}");
}

/// Writes fail with an error that is not that of a full disk, as on a broken one. A limit of the
/// process does it, which every machine has; the signal that comes with it is no end either.
fn a_disk_that_fails_is_no_end() {
    let database = TestDatabase::migrated(Backend::Sqlite);
    let server = Server::start_logging(&database, &[], "warn");
    let fixture = Fixture::new(server, Place::Here(database));
    let limit = |bytes: &str| {
        let id = fixture.server.id().to_string();
        let done =
            Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bytes}:")]).output();
        succeeds(&done.expect("prlimit"));
    };
    actix_web::rt::System::new().block_on(async {
        limit("2000000");
        let ids = fixture.write_until_refused().await;
        // What is smaller could still find room.
        limit("1000");
        fixture.reads_and_refuses(&ids).await;
        limit("unlimited");
        fixture.goes_on(&ids).await;
    });
    tells_of_it_once(&fixture.server.stop(), "disk I/O error");
}

fn on_small_disk(folder: &TempDir, size: &str) -> Command {
    let path = folder.path().to_str().expect("a path");
    let url = format!("sqlite://{path}/muster.db");
    let serve = serve(&TestDatabase::at(Backend::Sqlite, &url));
    let words = std::iter::once(serve.get_program()).chain(serve.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("text")).collect();
    let mount = format!("mount -t tmpfs -o size={size},mode=700 none '{path}'");
    let mut command = in_own_mounts(&mount, &words);
    command.env_clear();
    command
}

fn a_disk_that_is_full_is_no_end() {
    actix_web::rt::System::new().block_on(async {
        let fixture = Fixture::on_small_disk("6m");
        let provider = Provider::start();
        let to_provider =
            ["connection", "update", "default", "--issuer", &provider.issuer, "--client-id", "m"];
        fixture.muster(&to_provider);
        let mut ids = fixture.write_until_refused().await;
        std::fs::write(fixture.file("ballast"), vec![0; 8_000_000]).expect_err("a full disk");
        // What a large write has left of its room in SQLite's own files is enough for some small ones.
        fixture.fill(&mut ids).await;
        fixture.reads_and_refuses(&ids).await;
        let browser = reqwest::Client::builder()
            .no_proxy()
            .tls_built_in_root_certs(false)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        // What a large write has left of its room is enough for some small ones.
        let mut begun = 0;
        let page = loop {
            let page = browser.get(format!("{}/login/initiate", fixture.address));
            let page = page.query(&[("iss", provider.issuer.as_str())]).send().await;
            let page = page.expect("a page");
            if page.status() != 303 {
                break page;
            }
            begun += 1;
            assert!(begun < 1_000, "there is no end to the room");
        };
        assert_eq!(page.status(), 503);
        assert!(retry_after(page.headers()) > 0);
        assert!(page.text().await.expect("a page").contains("Try again in a minute"));
        // Somebody tidies up.
        std::fs::remove_file(fixture.file("ballast")).expect("a file less");
        fixture.on_folder("mount -o remount,size=30m \"$1\"");
        fixture.goes_on(&ids).await;
        tells_of_it_once(&fixture.server.stop(), "database or disk is full");
    });
}

/// The file system is made read-only under the server, as the kernel does with one that is damaged.
fn a_file_that_may_only_be_read_is_no_end() {
    actix_web::rt::System::new().block_on(async {
        let fixture = Fixture::on_small_disk("6m");
        let mut ids = fixture.write_until_refused().await;
        // Its next connection for writing meets a file that it may not write. It comes to its place as one
        // for reading: one that the server has opened a file of by then is busy.
        let read_only = "mount --bind \"$1\" /srv && mount -o remount,bind,ro /srv";
        let moved = format!("{read_only} && mount --move /srv \"$1\"");
        fixture.on_folder(&format!("mount --bind \"$1\" /mnt && {moved}"));
        std::fs::write(fixture.file("ballast"), "x").expect_err("a disk for reading");
        // One that it has opened before, for something that left nothing to be written, may write as long as
        // there is room.
        fixture.fill(&mut ids).await;
        // It is for nothing else any more that nothing can be written.
        fixture.on_folder("mount -o remount,size=30m /mnt");
        fixture.reads_and_refuses(&ids).await;
        // Lazily, since it is busy as long as the server has a file open there.
        fixture.on_folder("umount --lazy \"$1\"");
        fixture.goes_on(&ids).await;
        tells_of_it_once(&fixture.server.stop(), "attempt to write a readonly database");
    });
}

fn a_server_does_not_start_where_it_can_store_nothing() {
    let refused = |output: &Output, words: &[&str]| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        for word in words {
            assert!(errors.contains(word), "{word}: {errors}");
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    refused(&on_small_disk(&folder, "64k").output().expect("a run"), &["muster.db", "full"]);

    let database = TestDatabase::migrated(Backend::Sqlite);
    let file = PathBuf::from(database.url.strip_prefix("sqlite://").expect("a file"));
    let path = file.parent().and_then(|path| path.to_str()).expect("a path");
    let serve = serve(&database);
    let words = std::iter::once(serve.get_program()).chain(serve.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("text")).collect();
    let read_only = format!("mount --bind '{path}' '{path}'; mount -o remount,bind,ro '{path}'");
    let output = in_own_mounts(&read_only, &words).env_clear().output().expect("a run");
    refused(&output, &["muster.db", "have to be writable"]);
    assert_eq!(database.integrity(), "ok");
}
