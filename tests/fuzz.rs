//! The fuzz targets for a moment each: every input of the corpora, and mutations of them.
//!
//! What is tried differs from run to run; the seed that a failure names makes it the same again
//! (`MUSTER_FUZZ_SEED`), and `MUSTER_FUZZ_RUNS` says how many mutations there are of each target.
//! libFuzzer, which looks for inputs that reach more of the program, takes longer: see `fuzz/README.md`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected has failed"
)]

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use mutate::Mutator;
use targets::{TARGETS, Target};

/// How many mutations a target is given where nobody says otherwise.
const RUNS: u64 = 2_000;

fn main() -> ExitCode {
    let seed = setting("MUSTER_FUZZ_SEED").unwrap_or_else(rand::random);
    let runs = setting("MUSTER_FUZZ_RUNS").unwrap_or(RUNS);
    let trial = |(name, target): (&'static str, Target)| {
        Trial::test(name, move || fuzz(name, target, seed, runs))
    };
    let conclusion = libtest_mimic::run(&Arguments::from_args(), TARGETS.map(trial).into());
    targets::request::clean_up();
    println!("fuzz: {} targets, {runs} mutations each, seed {seed}", conclusion.num_passed);
    conclusion.exit_code()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

fn fuzz(name: &str, target: Target, seed: u64, runs: u64) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let corpus = corpus(&folder.join("corpus").join(name));
    let words = words(&folder.join("dictionaries").join(format!("{name}.dict")));
    let mut mutator = Mutator::new(seed, &corpus, &words);
    let mutations = std::iter::from_fn(|| Some(mutator.mutation())).take(
        usize::try_from(runs).expect("a number of runs"),
    );
    for input in corpus.iter().cloned().chain(mutations) {
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let text = String::from_utf8_lossy(&input);
            return Err(format!("seed {seed}, input {input:?}, as text: {text}").into());
        }
    }
    Ok(())
}

/// The inputs in a folder, in the order of their names.
fn corpus(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 3, "there is a corpus in {}", folder.display());
    files.iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

/// The words of a dictionary as libFuzzer reads it: a quoted one on a line, with `\x22` and the like.
fn words(file: &Path) -> Vec<Vec<u8>> {
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
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
