//! The fuzz targets for a moment each: every input of the corpora, and mutations of them.
//!
//! What is tried differs from run to run; the seed, which is printed, makes it the same again
//! (`MUSTER_FUZZ_SEED`), and `MUSTER_FUZZ_RUNS` says how many mutations there are of each target.
//! libFuzzer, which looks for inputs that reach more of the program, takes longer: see
//! `fuzz/README.md`.

mod mutate;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use self::mutate::Mutator;
use self::targets::TARGETS;
use crate::support::{Case, pure_cases};

pub const CASES: &[Case] = pure_cases![
    bulk,
    claims,
    cursor,
    filter,
    patch,
    path,
    query,
    redirect,
    request,
    resource,
    each_target_has_a_case,
    a_dictionary_is_read_as_libfuzzer_reads_it,
];

/// How many mutations a target is given where nobody says otherwise.
const RUNS: usize = 1_000;

static SEED: LazyLock<u64> = LazyLock::new(|| {
    let seed = setting("MUSTER_FUZZ_SEED").unwrap_or_else(rand::random);
    println!("fuzz: MUSTER_FUZZ_SEED={seed}");
    seed
});

fn bulk() {
    fuzz("bulk");
}

fn claims() {
    fuzz("claims");
}

fn cursor() {
    fuzz("cursor");
}

fn filter() {
    fuzz("filter");
}

fn patch() {
    fuzz("patch");
}

fn path() {
    fuzz("path");
}

fn query() {
    fuzz("query");
}

fn redirect() {
    fuzz("redirect");
}

fn resource() {
    fuzz("resource");
}

fn request() {
    fuzz("request");
    targets::request::clean_up();
}

fn each_target_has_a_case() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert!(TARGETS.iter().all(|(name, _)| cases.contains(name)), "{cases:?}");
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn fuzz(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let corpus = corpus(&folder.join("corpus").join(name));
    let dictionary = folder.join("dictionaries").join(format!("{name}.dict"));
    let words = words(&std::fs::read_to_string(dictionary).expect("a dictionary"));
    let mut mutator = Mutator::new(*SEED, &corpus, &words);
    let runs = setting("MUSTER_FUZZ_RUNS").unwrap_or(RUNS);
    let mutations = std::iter::from_fn(|| Some(mutator.mutation())).take(runs);
    for input in corpus.iter().cloned().chain(mutations) {
        let is_fine = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
        assert!(is_fine, "seed {}, input b\"{}\"", *SEED, input.escape_ascii());
    }
}

/// The inputs in a folder, in the order of their names.
fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 3, "there is a corpus in {}", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

/// The words of a dictionary: a quoted one on a line, with `\x22` and the like.
fn words(text: &str) -> Vec<Vec<u8>> {
    let quoted = |line: &str| Some(line.split_once('"')?.1.strip_suffix('"')?.to_owned());
    let word = |line: &str| unescaped(&quoted(line).expect("a word in quotes"));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(word).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        match bytes.next().expect("an escape") {
            b'x' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("two digits"));
                let digits = String::from_utf8_lossy(&digits).into_owned();
                word.push(u8::from_str_radix(&digits, 16).expect("a byte in hexadecimal"));
            }
            plain => word.push(plain),
        }
    }
    word
}

fn a_dictionary_is_read_as_libfuzzer_reads_it() {
    let found = words("# words\n\"a\"\nname=\"\\x22\\\\b\"\n");
    assert_eq!(found, [b"a".to_vec(), b"\"\\b".to_vec()]);
}
