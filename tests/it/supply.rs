//! What Muster is built from and tested with comes from the public registries, and is pinned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Case, pure_cases};

pub const CASES: &[Case] = pure_cases![
    every_package_is_of_the_registry,
    the_fuzz_targets_are_built_from_the_same,
    other_languages_are_pinned,
    every_target_is_fuzzed_once_a_week,
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const LOCKS: [&str; 2] = [include_str!("../../Cargo.lock"), include_str!("../../fuzz/Cargo.lock")];

/// The members of each package of a lock file.
fn packages(lock: &str) -> Vec<BTreeMap<&str, &str>> {
    let packages = lock.split("[[package]]\n").skip(1).map(|package| {
        let members = package.lines().filter_map(|line| line.split_once(" = "));
        members.map(|(name, value)| (name, value.trim_matches('"'))).collect()
    });
    packages.collect()
}

fn every_package_is_of_the_registry() {
    for lock in LOCKS {
        let packages = packages(lock);
        assert!(packages.len() > 100, "the packages are found");
        for package in packages {
            if ["muster", "muster-fuzz"].contains(&package["name"]) {
                assert_eq!(package.get("source"), None);
                continue;
            }
            assert_eq!(package.get("source"), Some(&REGISTRY), "{package:?}");
            assert!(package.get("checksum").is_some_and(|sum| sum.len() == 64), "{package:?}");
        }
    }
}

/// What is tried is what runs: no library is there in a version that Muster is not built from.
fn the_fuzz_targets_are_built_from_the_same() {
    let [own, fuzz] = LOCKS.map(|lock| {
        let names = packages(lock).into_iter().map(|one| (one["name"], one["version"]));
        names.collect::<BTreeSet<(&str, &str)>>()
    });
    let known: BTreeSet<&str> = own.iter().map(|(name, _)| *name).collect();
    let others: Vec<_> = fuzz.difference(&own).filter(|(name, _)| known.contains(name)).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn other_languages_are_pinned() {
    for lock in [
        include_str!("../clients/node/package-lock.json"),
        include_str!("../e2e/package-lock.json"),
    ] {
        let lock: Value = serde_json::from_str(lock).expect("a lock file");
        for (place, package) in lock["packages"].as_object().expect("packages") {
            let is_summed = package["integrity"].as_str().is_some_and(|sum| sum.len() > 40);
            assert!(place.is_empty() || is_summed, "{place} has no checksum");
            let from = package["resolved"].as_str().unwrap_or("https://registry.npmjs.org/");
            assert!(from.starts_with("https://registry.npmjs.org/"), "{place} is from {from}");
        }
    }
    for list in [
        include_str!("../../.ci/requirements.txt"),
        include_str!("../clients/python/requirements.txt"),
    ] {
        assert!(list.lines().count() > 5);
        for line in list.lines() {
            let version = line.split_once("==").map(|(_, version)| version).unwrap_or_default();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{line} is not pinned");
        }
    }
}

fn every_target_is_fuzzed_once_a_week() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
    let files =
        std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let mut targets: Vec<String> = files
        .map(|file| file.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned())
        .collect();
    targets.sort();
    let matrix = format!("target: [{}]", targets.join(", "));
    assert!(include_str!("../../.github/workflows/fuzz.yml").contains(&matrix), "{matrix}");
}
