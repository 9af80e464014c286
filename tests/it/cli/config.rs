//! The configuration file beside flags and environment, and the commands that look into it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::process::{Server, fails, muster, serve, succeeds};
use crate::support::{Case, TestDatabase, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let pure: &[Case] = pure_cases![
        a_flag_goes_before_the_environment_and_that_before_the_file,
        all_problems_are_told_at_once,
        a_bad_file_stops_every_command_that_reads_it,
        what_the_settings_come_to_is_checked_too,
        a_password_is_shown_by_no_command,
        a_file_that_is_not_there_is_an_error_and_none_is_none,
        the_example_is_good_and_leaves_nothing_out,
    ];
    let databases: &[Case] = database_cases![
        a_server_is_set_up_by_a_file,
        a_certificate_in_the_file_has_its_key_in_the_environment,
    ];
    [pure, databases].concat()
}

/// A file in a folder of its own.
struct Written {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Written {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("muster.toml");
        std::fs::write(&path, text).expect("a file");
        Self { folder, path }
    }

    /// The program with this file in effect, in the file's folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = muster(arguments);
        command.env("MUSTER_CONFIG", &self.path).current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("a run")
    }
}

/// The value of a setting and where it is from, as `muster config show` says.
#[track_caller]
fn setting(output: &Output, name: &str) -> (Value, String) {
    let shown: Value = serde_json::from_str(&succeeds(output)).expect("JSON");
    let all = shown["settings"].as_array().expect("settings");
    let found = all.iter().find(|one| one["name"] == name).expect("the setting");
    (found["value"].clone(), found["from"].as_str().expect("text").to_owned())
}

fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let file = Written::new(
        "listen = \"127.0.0.1:1\"\npool-size = 2\nmax-bulk = 3\ntrusted-proxy = [\"10.0.0.0/8\"]\n\
         database-url = \"sqlite://of-the-file.db\"\n",
    );
    let show = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = file.command(&[&["--json", "config", "show"], arguments].concat());
        command.envs(environment.iter().copied()).output().expect("a run")
    };
    let alone = show(&[], &[]);
    let from_file = |value: &str, line: usize| (value.into(), format!("file, line {line}"));
    assert_eq!(setting(&alone, "listen"), from_file("127.0.0.1:1", 1));
    assert_eq!(setting(&alone, "pool-size"), from_file("2", 2));
    assert_eq!(setting(&alone, "trusted-proxy"), from_file("10.0.0.0/8", 4));
    assert_eq!(setting(&alone, "database-url"), from_file("sqlite://of-the-file.db", 5));
    assert_eq!(setting(&alone, "query-timeout"), ("10".into(), "default".to_owned()));
    assert_eq!(setting(&alone, "public-url"), (Value::Null, "default".to_owned()));
    assert_eq!(setting(&alone, "config").1, "environment (MUSTER_CONFIG)");
    let environment =
        [("MUSTER_LISTEN", "127.0.0.1:2"), ("MUSTER_DATABASE_URL", "sqlite://of-the-env.db")];
    let both = show(&environment, &[]);
    assert_eq!(setting(&both, "listen").0, "127.0.0.1:2");
    assert_eq!(setting(&both, "listen").1, "environment (MUSTER_LISTEN)");
    assert_eq!(setting(&both, "database-url").0, "sqlite://of-the-env.db");
    let flags = ["--database-url", "sqlite://of-a-flag.db", "--", "--listen", "127.0.0.1:3"];
    let all = show(&environment, &flags);
    assert_eq!(setting(&all, "listen"), ("127.0.0.1:3".into(), "flag".to_owned()));
    assert_eq!(setting(&all, "database-url"), ("sqlite://of-a-flag.db".into(), "flag".to_owned()));
    assert_eq!(setting(&all, "max-bulk"), from_file("3", 3));
    let table = succeeds(&file.run(&["config", "show"]));
    assert!(table.contains("SETTING") && table.contains("file, line 2"), "{table}");
}

fn all_problems_are_told_at_once() {
    let file = Written::new(
        "pubic-url = \"https://muster.example.com\"\npool-size = \"ten\"\nmax-queue = 0\n\
         schemas = \"nowhere\"\ntrusted-proxy = [\"10.0.0.0/99\"]\nlisten = \"here\"\n",
    );
    let path = file.path.display();
    let errors = fails(&file.run(&["config", "check"]), 2);
    for (line, words) in [
        (1, "pubic-url: there is no such setting; the nearest is public-url"),
        (2, "pool-size: expects a whole number, such as pool-size = 10"),
        (3, "max-queue: it must be 1 at least"),
        (4, "schemas: "),
        (5, "trusted-proxy: "),
        (6, "listen: "),
    ] {
        let wanted = format!("{path}:{line}: {words}");
        assert!(errors.lines().any(|found| found.starts_with(&wanted)), "{wanted} in {errors}");
    }
    // What one says may take several lines.
    let begun = |errors: &str| errors.matches(&format!("{path}:")).count();
    assert_eq!(begun(&errors), 6, "{errors}");
    let output = file.run(&["--json", "config", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["problems"].as_array().map(Vec::len), Some(6), "{told}");
    assert_eq!(
        (&told["problems"][0]["line"], &told["problems"][0]["key"]),
        (&1.into(), &"pubic-url".into())
    );
    // By name, too.
    let named = muster(&["config", "check"]).arg(&file.path).output().expect("a run");
    assert_eq!(begun(&fails(&named, 2)), 6);
    let torn = Written::new("listen = \"127.0.0.1:1\"\nmax-queue = [\n");
    assert!(fails(&torn.run(&["config", "check"]), 2).contains("this is not TOML"));
}

fn a_bad_file_stops_every_command_that_reads_it() {
    let file = Written::new("\n\nlisten = 80\n");
    for arguments in [&["serve"][..], &["migrate"], &["connection", "list"], &["healthcheck"]] {
        let errors = fails(&file.run(arguments), 2);
        assert!(errors.contains("muster.toml:3: listen: expects text in quotes"), "{errors}");
    }
    assert_eq!(std::fs::read_dir(file.folder.path()).expect("a folder").count(), 1, "no store");
    // These have nothing to do with it.
    succeeds(&file.run(&["version"]));
    succeeds(&file.run(&["serve", "--help"]));
}

fn what_the_settings_come_to_is_checked_too() {
    for (text, key, words) in [
        ("public-url = \"http://muster.example.com\"", "public-url", "plain http"),
        ("listen = \"0.0.0.0:80\"", "listen", "plain http"),
        ("tls-cert = \"cert.pem\"", "tls-cert", "needs --tls-key"),
        ("tls-key = \"key.pem\"", "tls-key", "needs --tls-cert"),
        ("tls-cert = \"a.pem\"\ntls-key = \"b.pem\"", "tls-cert", "a.pem"),
        ("database-url = \"mysql://h/m\"", "database-url", "unknown scheme"),
        ("database-url = \"sqlite:///no/such/folder/m.db\"", "database-url", "no folder"),
        ("issuer-proxy = \"nowhere\"", "issuer-proxy", "http://HOST:PORT"),
        ("schemas = \"nowhere\"", "schemas", "nowhere"),
    ] {
        let errors = fails(&Written::new(text).run(&["config", "check"]), 2);
        let wanted = format!("muster.toml:1: {key}: ");
        assert!(errors.contains(&wanted) && errors.contains(words), "{text}: {errors}");
    }
    // What is wrong with the environment is no fault of the file, and is told.
    let file = Written::new("pool-size = 3\n");
    let output = file.command(&["config", "check"]).env("MUSTER_MAX_QUEUE", "x").output();
    assert!(fails(&output.expect("a run"), 2).contains("--max-queue"));
    succeeds(&file.run(&["config", "check"]));
}

fn a_password_is_shown_by_no_command() {
    for url in [
        "postgres://muster:hunter2@localhost/muster",
        "postgres://localhost/muster?user=m&password=hunter2",
        "postgres://muster:hunter2@x@localhost/muster",
        "hunter2",
    ] {
        let text = format!("database-url = \"{url}\"\nissuer-proxy = \"http://m:hunter2@h:1\"\n");
        for text in [&text, &format!("{text}listen = 1\n"), &format!("x = {text}")] {
            let file = Written::new(text);
            for arguments in [&["config", "check"][..], &["config", "show"], &["serve", "--help"]] {
                let output = file.run(arguments);
                for said in [output.stdout, output.stderr] {
                    let said = String::from_utf8_lossy(&said);
                    assert!(!said.contains("hunter2"), "{arguments:?} {said}");
                }
            }
        }
    }
}

fn a_file_that_is_not_there_is_an_error_and_none_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = muster(&["connection", "list", "--config", "missing.toml"])
        .current_dir(folder.path())
        .output();
    assert!(fails(&missing.expect("a run"), 2).contains("missing.toml"));
    let none = muster(&["connection", "list"]).current_dir(folder.path()).output();
    assert!(fails(&none.expect("a run"), 2).contains("there is no store"));
    fails(&muster(&["config", "check"]).output().expect("a run"), 2);
}

fn the_example_is_good_and_leaves_nothing_out() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/muster.toml");
    let example = std::fs::read_to_string(path).expect("the example");
    // Where the package puts the store there is a folder once it is installed.
    let folder = tempfile::tempdir().expect("a folder");
    let installed =
        |text: &str| text.replace("/var/lib/muster", &folder.path().display().to_string());
    succeeds(&Written::new(&installed(&example)).run(&["config", "check"]));
    let shown = succeeds(&muster(&["--json", "config", "show"]).output().expect("a run"));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    for setting in shown["settings"].as_array().expect("settings") {
        let name = setting["name"].as_str().expect("a name");
        let has = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
        assert!(example.lines().any(has), "{name} is not in the example");
    }
    // What is commented out is what it would be anyway, or good as it stands.
    let whole: Vec<&str> = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") && !setting.contains("/etc/muster") => setting,
            _ => line,
        })
        .collect();
    succeeds(&Written::new(&installed(&whole.join("\n"))).run(&["config", "check"]));
}

async fn a_server_is_set_up_by_a_file(database: TestDatabase) {
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndatabase-url = \"{}\"\nlog-format = \"json\"\n\
         public-url = \"https://muster.example.com\"\n",
        database.url
    );
    let file = Written::new(&text);
    let server = Server::launch(&mut file.command(&["serve"]));
    assert_eq!(
        server.field("SCIM base URL").as_deref(),
        Some("https://muster.example.com/scim/v2")
    );
    let log = server.stop();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert!(line["message"].is_string(), "{line}");
    }
    // Every command is on the same store.
    let listed = succeeds(&file.run(&["connection", "list"]));
    assert!(listed.contains("default"), "{listed}");
}

async fn a_certificate_in_the_file_has_its_key_in_the_environment(database: TestDatabase) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = Written::new("tls-cert = \"cert.pem\"\n");
    std::fs::write(file.folder.path().join("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(file.folder.path().join("key.pem"), made.signing_key.serialize_pem())
        .expect("a file");
    let errors = fails(&file.run(&["serve"]), 2);
    assert!(errors.contains("needs --tls-key"), "{errors}");
    let mut command = serve(&database);
    command.env("MUSTER_CONFIG", &file.path).env("MUSTER_TLS_KEY", "key.pem");
    let server = Server::launch(command.current_dir(file.folder.path()));
    assert!(server.field("Listening on").is_some_and(|url| url.starts_with("https://")));
    server.stop();
}
