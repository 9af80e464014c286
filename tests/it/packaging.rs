//! What comes with the program: a dashboard, alerts, a unit and containers. They name what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use crate::support::process::{muster, succeeds};
use crate::support::{Case, TestApp, cases, pure_cases};

pub fn all() -> Vec<Case> {
    let served: &[Case] =
        cases![the_dashboard_shows_what_is_exported, the_alerts_look_at_what_is_exported];
    let pure: &[Case] = pure_cases![
        the_unit_runs_what_is_there,
        the_containers_are_told_what_there_is,
        a_package_holds_what_it_should,
    ];
    [served, pure].concat()
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of series in an expression of Prometheus, with the labels that it asks for.
fn named(expression: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:muster|process)_[a-z_]+\b").expect("an expression");
    name.find_iter(expression).map(|found| found.as_str().to_owned()).collect()
}

/// What a server exports that knows its store.
async fn exported(app: &TestApp) -> String {
    let begun = app.clock.now();
    app.scim().get("/Users").await.expect(200);
    // Nothing was counted before, which would be good enough for a while.
    app.until_used(begun).await;
    app.app.count_figures().await;
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    assert!(text.contains("muster_disagreements"), "{text}");
    text
}

#[track_caller]
fn are_exported(exported: &str, expressions: &[String]) {
    let mut names = BTreeSet::new();
    let label = Regex::new(r#"(\w+)=~?"([a-z0-9|-]+)""#).expect("an expression");
    for expression in expressions {
        for name in named(expression) {
            let has = exported.lines().any(|line| {
                let rest = line.strip_prefix(&name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            assert!(has, "{name} of {expression} is not exported: {exported}");
            names.insert(name);
        }
        // A value that a label never has would look like all being well.
        for found in label.captures_iter(expression) {
            for value in found[2].split('|').filter(|value| *value != "muster") {
                let pair = format!("{}=\"{value}\"", &found[1]);
                assert!(exported.contains(&pair), "{pair} of {expression} is not exported");
            }
        }
    }
    assert!(names.len() > 5, "{names:?}");
}

async fn the_dashboard_shows_what_is_exported(app: TestApp) {
    let dashboard: Value =
        serde_json::from_str(&file("packaging/grafana/muster.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            expressions.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    assert!(expressions.len() >= panels.len());
    are_exported(&exported(&app).await, &expressions);
}

async fn the_alerts_look_at_what_is_exported(app: TestApp) {
    let alerts = file("packaging/prometheus/alerts.yml");
    // An expression is what follows `expr:` up to the next key.
    let rule = Regex::new(r"(?s)- alert: (\w+)\s+expr:(.*?)\n        (?:labels|for):")
        .expect("an expression");
    let found: Vec<(String, String)> = rule
        .captures_iter(&alerts)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect();
    assert_eq!(found.len(), alerts.matches("- alert:").count());
    let expressions: Vec<String> = found.iter().map(|(_, expression)| expression.clone()).collect();
    are_exported(&exported(&app).await, &expressions);
    let manual = file("docs/operations.md");
    let tests = file("packaging/prometheus/alerts.test.yml");
    for (name, _) in found {
        assert!(
            tests.contains(&format!("- alertname: {name}\n")),
            "nothing holds that {name} fires"
        );
        assert!(manual.contains(&name), "docs/operations.md says nothing of {name}");
    }
}

/// The value of a key of the unit.
fn of_unit<'u>(unit: &'u str, key: &str) -> &'u str {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {key}"))
}

fn the_unit_runs_what_is_there() {
    let unit = file("packaging/muster.service");
    assert_eq!(of_unit(&unit, "ExecStart"), "/usr/bin/muster serve");
    assert_eq!(of_unit(&unit, "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(of_unit(&unit, "Environment"), "MUSTER_CONFIG=/etc/muster/muster.toml");
    for key in ["NoNewPrivileges", "PrivateDevices", "ProtectHome", "LockPersonality"] {
        assert_eq!(of_unit(&unit, key), "yes");
    }
    assert_eq!(of_unit(&unit, "ProtectSystem"), "strict");
    // Longer than requests under way have by default.
    assert!(of_unit(&unit, "TimeoutStopSec").parse::<u64>().expect("seconds") > 30);
}

fn the_containers_are_told_what_there_is() {
    let compose = file("docker-compose.yml");
    let help = succeeds(&muster(&["serve", "--help"]).output().expect("a run"));
    let name = Regex::new(r"(?m)^\s+(MUSTER_[A-Z_]+): ").expect("an expression");
    let names: BTreeSet<&str> =
        name.captures_iter(&compose).map(|found| found.get(1).expect("a name").as_str()).collect();
    // The proxy's own.
    for name in names.iter().filter(|name| **name != "MUSTER_SITE") {
        assert!(help.contains(*name), "{name}");
    }
    assert!(names.len() > 4, "{names:?}");
    for image in compose.lines().filter_map(|line| line.trim().strip_prefix("image: ")) {
        let (_, version) = image.split_once(':').unwrap_or_default();
        assert!(version == "local" || version.contains('.'), "{image} has no version");
    }
    // Both processes are the proxy's.
    let proxy = file("packaging/compose/Caddyfile");
    // Muster takes paths with a slash behind them as well.
    assert!(proxy.contains("@inside path /metrics /metrics/* /readyz /readyz/*\n"));
    for line in compose.lines().filter_map(|line| line.trim().strip_prefix("MUSTER_LISTEN: ")) {
        assert!(proxy.contains(line), "{line}");
    }
    let services = compose.split("\nservices:\n").nth(1).expect("services");
    let service = Regex::new(r"(?m)^  [a-z0-9-]+:\n    \S").expect("an expression");
    let count = service.find_iter(services).count();
    assert_eq!(count, 5);
    assert_eq!(services.matches("    healthcheck:").count(), count, "each has one");
}

fn a_package_holds_what_it_should() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        let is_gate = std::env::var_os("MUSTER_TEST_REQUIRE_POSTGRES").is_some();
        assert!(!is_gate, "there is no dpkg-deb, and nothing may be left out here");
        eprintln!("there is no dpkg-deb: the package was not looked at");
        return;
    }
    let out = tempfile::tempdir().expect("a folder");
    let root = env!("CARGO_MANIFEST_DIR");
    let built = Command::new("sh")
        .arg(format!("{root}/packaging/deb.sh"))
        .args([env!("CARGO_BIN_EXE_muster").as_ref(), out.path()])
        // A binary for debugging is large.
        .env("DPKG_DEB_COMPRESSOR_TYPE", "none")
        .output()
        .expect("a run");
    succeeds(&built);
    let package = std::fs::read_dir(out.path()).expect("a folder").next().expect("a package");
    let package = package.expect("an entry").path();
    let tree = out.path().join("root");
    let extracted = Command::new("dpkg-deb").arg("-x").args([&package, &tree]).output();
    succeeds(&extracted.expect("a run"));
    for name in [
        "usr/bin/muster",
        "lib/systemd/system/muster.service",
        "etc/muster/muster.toml",
        "usr/share/man/man1/muster.1.gz",
        "usr/share/man/man1/muster-serve.1.gz",
        "usr/share/bash-completion/completions/muster",
        "usr/share/zsh/vendor-completions/_muster",
        "usr/share/doc/muster/operations.md",
        "usr/share/doc/muster/copyright",
    ] {
        assert!(tree.join(name).is_file(), "{name}");
    }
    let version = Command::new(tree.join("usr/bin/muster")).arg("version").output();
    assert_eq!(succeeds(&version.expect("a run")), format!("muster {}", env!("CARGO_PKG_VERSION")));
    let control = Command::new("dpkg-deb").arg("-I").arg(&package).output().expect("a run");
    let control = succeeds(&control);
    assert!(control.contains("Package: muster") && control.contains("conffiles"), "{control}");
}
