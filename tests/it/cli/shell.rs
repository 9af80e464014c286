//! What the program says of itself to shells and to `man`.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::process::{fails, muster, succeeds};
use crate::support::{Case, pure_cases};

pub const CASES: &[Case] =
    pure_cases![completions_are_scripts, every_command_has_a_page_that_names_its_options];

fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeeds(&muster(&["completions", shell]).output().expect("a run"));
        for word in ["muster", "trusted-proxy", "healthcheck"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    let script = succeeds(&muster(&["completions", "bash"]).output().expect("a run"));
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash");
    bash.stdin.take().expect("its input").write_all(script.as_bytes()).expect("a script");
    assert!(bash.wait().expect("an end").success());
    fails(&muster(&["completions", "dosshell"]).output().expect("a run"), 2);
}

/// The long options in the help of a command.
fn options(arguments: &[&str]) -> Vec<String> {
    let help = succeeds(&muster(&[arguments, &["--help"]].concat()).output().expect("a run"));
    let option = regex::Regex::new(r"(?m)^\s+(?:-\w, |    )?--([a-z-]+)").expect("an expression");
    option.captures_iter(&help).map(|found| found[1].to_owned()).collect()
}

fn every_command_has_a_page_that_names_its_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("man");
    succeeds(&muster(&["man"]).arg(&dir).output().expect("a run"));
    for command in [
        &[][..],
        &["serve"],
        &["backup"],
        &["token", "create"],
        &["events", "verify"],
        &["config", "show"],
    ] {
        let name = [&["muster"], command].concat().join("-");
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).expect("a page");
        assert!(page.contains(".TH") && page.contains(".SH"), "{page}");
        let options = options(command);
        assert!(!options.is_empty());
        for option in options {
            let option = option.replace('-', "\\-");
            assert!(page.contains(&option), "{option} is not in {name}: {page}");
        }
    }
    let printed = succeeds(&muster(&["man"]).output().expect("a run"));
    assert!(printed.contains("muster") && printed.contains(".SH"), "{printed}");
}
