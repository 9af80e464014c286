//! The configuration file, read: what it says of which option, and all that is wrong with it.
//!
//! Which options there are, of which kind and with which values, is what `muster serve` says of itself;
//! nothing of it is written down here again.

use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

/// The options of every command that the file can set.
const GLOBAL: [&str; 2] = ["database-url", "log-format"];

/// What the file says of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The option's long name.
    pub key: String,
    pub values: Vec<String>,
    /// Where it stands, from 1 on.
    pub line: usize,
}

/// Something that is wrong with the file. It never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub line: Option<usize>,
    pub key: Option<String>,
    pub text: String,
}

/// A file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    /// What is good of it.
    pub entries: Vec<Entry>,
    pub problems: Vec<Problem>,
}

impl File {
    /// Reads the file; `command` is the program.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path, command: &Command) -> std::io::Result<Self> {
        let (entries, problems) = parse(&std::fs::read_to_string(path)?, command);
        Ok(Self { path: path.to_owned(), entries, problems })
    }

    /// What the file says of the option.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The program with what the file says in the place of its defaults, so that the environment and
    /// the command line go before it: of `muster serve`, and of the same options elsewhere.
    pub fn applied(&self, command: Command) -> Command {
        let given: Vec<(Option<OsString>, &Entry)> = settings(&command)
            .into_iter()
            .filter_map(|arg| {
                let entry = self.entry(arg.get_long()?)?;
                Some((arg.get_env().map(std::ffi::OsStr::to_owned), entry))
            })
            .collect();
        with_defaults(command, &given)
    }
}

fn with_defaults(mut command: Command, given: &[(Option<OsString>, &Entry)]) -> Command {
    let found: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| {
            let is_it = |(env, entry): &&(Option<OsString>, &Entry)| {
                // Another option of the same name has an environment variable of its own, and one of
                // another name with the same variable means the same.
                arg.get_env() == env.as_deref()
                    && (env.is_some() || arg.get_long() == Some(&entry.key))
            };
            Some((arg.get_id().clone(), given.iter().find(is_it)?.1))
        })
        .collect();
    for (id, entry) in found {
        command = command.mut_arg(id, |arg| arg.default_values(entry.values.clone()));
    }
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| with_defaults(command, given))
    })
}

/// The options that the file can set.
pub fn settings(command: &Command) -> Vec<&Arg> {
    let global = command.get_arguments().filter(|arg| GLOBAL.iter().any(|name| named(arg, name)));
    let serve = command.find_subcommand("serve").into_iter().flat_map(Command::get_arguments);
    global.chain(serve.filter(|arg| arg.get_long().is_some())).collect()
}

fn named(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name)
}

/// Whether a value of the option may hold a secret.
pub fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

/// What is expected of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Switch,
    List,
    Text,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        let parsed = arg.get_value_parser().type_id();
        let is = |kind: TypeId| parsed == kind;
        if matches!(arg.get_action(), ArgAction::Append) {
            Self::List
        } else if matches!(arg.get_action(), ArgAction::SetTrue) || is(TypeId::of::<bool>()) {
            Self::Switch
        } else if [
            TypeId::of::<u64>(),
            TypeId::of::<i64>(),
            TypeId::of::<u32>(),
            TypeId::of::<usize>(),
        ]
        .into_iter()
        .any(is)
        {
            Self::Number
        } else {
            Self::Text
        }
    }

    /// How it is written, for whoever wrote something else.
    fn expected(self, key: &str) -> String {
        match self {
            Self::Number => format!("expects a whole number, such as {key} = 10"),
            Self::Switch => format!("expects {key} = true or {key} = false"),
            Self::List => format!("expects a list of text in quotes, such as {key} = [\"…\"]"),
            Self::Text => format!("expects text in quotes, such as {key} = \"…\""),
        }
    }

    /// The values, if they are of this kind.
    fn read(self, value: &DeValue<'_>) -> Option<Vec<String>> {
        let one = match (self, value) {
            (Self::List, DeValue::Array(values)) => {
                let texts = values.iter().map(|value| match value.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                });
                return texts.collect();
            }
            (Self::Text | Self::List, DeValue::String(text)) => text.to_string(),
            (Self::Number, DeValue::Integer(number)) => {
                i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()
            }
            (Self::Switch, DeValue::Boolean(flag)) => flag.to_string(),
            _ => return None,
        };
        Some(vec![one])
    }
}

/// Reads what the file says, and what is wrong with it.
pub fn parse(text: &str, command: &Command) -> (Vec<Entry>, Vec<Problem>) {
    let settings = settings(command);
    let line = |span: &Range<usize>| {
        let before = text.get(..span.start).unwrap_or(text);
        before.matches('\n').count() + 1
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // Of the library's words the message alone: the rest repeats the line.
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| Problem {
            line: error.span().map(|span| line(&span)),
            key: None,
            text: format!("this is not TOML: {}", error.message()),
        })
        .collect();
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let (line, key) = (line(&key.span()), key.get_ref().to_string());
        let mut wrong = |text: String| {
            problems.push(Problem { line: Some(line), key: Some(key.clone()), text });
        };
        let Some(arg) = settings.iter().find(|arg| named(arg, &key)) else {
            wrong(unknown(&key, &settings));
            continue;
        };
        let kind = Kind::of(arg);
        let Some(values) = kind.read(value.get_ref()) else {
            wrong(kind.expected(&key));
            continue;
        };
        match refusal(arg, &values) {
            Some(why) => wrong(why),
            None => entries.push(Entry { key, values, line }),
        }
    }
    entries.sort_by_key(|entry| entry.line);
    problems.sort_by_key(|problem| problem.line);
    (entries, problems)
}

fn unknown(key: &str, settings: &[&Arg]) -> String {
    let names = settings.iter().filter_map(|arg| arg.get_long());
    let near = names.min_by_key(|name| strsim::damerau_levenshtein(name, key));
    format!("there is no such setting; the nearest is {}", near.unwrap_or_default())
}

/// Why the option does not take the values, in words without a secret.
fn refusal(arg: &Arg, values: &[String]) -> Option<String> {
    let given = values.iter().map(|value| format!("--{}={value}", arg.get_id()));
    // Alone, so that nothing else is missing.
    let alone = arg.clone().long(arg.get_id().to_string());
    let command = Command::new("muster").no_binary_name(true).disable_help_flag(true).arg(alone);
    let error = command.try_get_matches_from(given).err()?;
    if is_secret(arg) {
        return Some("the value is not accepted".to_owned());
    }
    if let Some(why) = error.source() {
        return Some(why.to_string());
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(known))) if !known.is_empty() => {
            Some(format!("expects one of {}", known.join(", ")))
        }
        _ => Some("the value is not accepted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn read(text: &str) -> (Vec<Entry>, Vec<(Option<usize>, String)>) {
        let (entries, problems) = parse(text, &Cli::command());
        (entries, problems.into_iter().map(|problem| (problem.line, problem.text)).collect())
    }

    #[test]
    fn options_are_keys() {
        let text = "# where\nlisten = \"0.0.0.0:80\"\npool-size = 1_0\n\n\
                    trusted-proxy = [\n  \"10.0.0.0/8\",\n  \"192.0.2.1\",\n]\n\
                    allow-issuer-network = \"10.1.0.0/16\"\nlog-format = \"json\"\n";
        let (entries, problems) = read(text);
        assert_eq!(problems, []);
        let entry = |key: &str, values: &[&str], line| Entry {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            line,
        };
        let wanted = [
            entry("listen", &["0.0.0.0:80"], 2),
            entry("pool-size", &["10"], 3),
            entry("trusted-proxy", &["10.0.0.0/8", "192.0.2.1"], 5),
            entry("allow-issuer-network", &["10.1.0.0/16"], 9),
            entry("log-format", &["json"], 10),
        ];
        assert_eq!(entries, wanted);
    }

    #[test]
    fn each_problem_has_its_line_and_says_what_is_expected() {
        let text = "lisen = \"0.0.0.0:80\"\npool-size = \"ten\"\nmax-queue = 0\n\
                    trusted-proxy = [1]\nlisten = 80\nlog-format = \"xml\"\npublic_url = \"x\"\n\
                    trusted-proxy = [\"10.0.0.0/99\"]\n[serve]\nlisten = \"x\"\n";
        let (entries, problems) = read(text);
        assert_eq!(entries, []);
        for (line, words) in [
            (1, "the nearest is listen"),
            (2, "expects a whole number, such as pool-size = 10"),
            (3, "it must be 1 at least"),
            (4, "expects a list of text in quotes"),
            (5, "expects text in quotes"),
            (6, "expects one of text, json"),
            (7, "the nearest is public-url"),
            (8, "duplicate key"),
            (9, "there is no such setting"),
        ] {
            let found = problems.iter().any(|(at, text)| *at == Some(line) && text.contains(words));
            assert!(found, "{line} {words} in {problems:#?}");
        }
    }

    #[test]
    fn what_is_no_toml_is_told_without_the_line() {
        let text = "listen = \"127.0.0.1:1\"\ndatabase-url = \"postgres://m:hunter2@h/m\n";
        let (_, problems) = read(text);
        assert!(problems.iter().any(|(line, _)| *line == Some(2)), "{problems:#?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:#?}");
    }

    #[test]
    fn the_same_option_elsewhere_has_the_same_default() {
        let (entries, _) = parse("listen = \"127.0.0.1:99\"", &Cli::command());
        let file = File { path: PathBuf::new(), entries, problems: Vec::new() };
        let command = file.applied(Cli::command());
        for name in ["serve", "healthcheck"] {
            let command = command.find_subcommand(name).expect("a command");
            let listen = command.get_arguments().find(|arg| named(arg, "listen"));
            assert_eq!(listen.expect("an option").get_default_values(), ["127.0.0.1:99"], "{name}");
        }
        let (entries, _) = parse("public-url = \"https://m.example.com\"", &Cli::command());
        let file = File { path: PathBuf::new(), entries, problems: Vec::new() };
        let command = file.applied(Cli::command());
        let doctor = command.find_subcommand("doctor").expect("a command");
        let url = doctor.get_arguments().find(|arg| named(arg, "url")).expect("an option");
        assert_eq!(url.get_default_values(), ["https://m.example.com"]);
    }
}
