//! `muster config`, and the configuration file in every other command.
//!
//! A flag goes before the environment, the environment before the file, the file before the default:
//! what the file says takes the place of the defaults, and all the rest is as without one.

mod file;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Subcommand};
use serde_json::{Value, json};

use self::file::{File, Problem, is_secret, settings};
use super::serve::ServeArgs;
use super::{Cli, Global, output};

/// Where the file is, unless somebody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/muster/muster.toml";

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say all that is wrong with a configuration file, and with the settings that come of it; exits
    /// with 2 if anything is
    Check {
        /// The file [default: the one that is in effect]
        file: Option<PathBuf>,
    },
    /// Print every setting that is in effect, and where it comes from
    Show {
        /// Options of 'muster serve', after `--`
        #[arg(last = true, value_name = "OPTIONS")]
        options: Vec<OsString>,
    },
}

/// Reads the command line, the environment and the configuration file. What is wrong with the first two
/// ends the program, as does a call for help.
///
/// # Errors
/// The file cannot be read, or something is wrong with it.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Cli> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches =
        Cli::command().try_get_matches_from(&arguments).unwrap_or_else(|error| error.exit());
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if cli.command.goes_without_file() {
        cli.global.given = given(&matches);
        return Ok(cli);
    }
    let Some(file) = in_effect(&cli.global)? else { return Ok(cli) };
    if !file.problems.is_empty() {
        let lines: Vec<String> = file.problems.iter().map(|one| shown(&file.path, one)).collect();
        bail!("the configuration file cannot be used\n{}", lines.join("\n"));
    }
    let command = file.applied(Cli::command());
    let matches = command.try_get_matches_from(&arguments).unwrap_or_else(|error| error.exit());
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// The options for every command that were given as flags.
fn given(matches: &ArgMatches) -> Vec<OsString> {
    let command = Cli::command();
    let flags = command.get_arguments().filter(|arg| {
        let is_flag = matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        is_flag && arg.get_action().takes_values()
    });
    let mut given = Vec::new();
    for (arg, long) in flags.filter_map(|arg| Some((arg, arg.get_long()?))) {
        for value in matches.get_raw(arg.get_id().as_str()).into_iter().flatten() {
            let mut flag = OsString::from(format!("--{long}="));
            flag.push(value);
            given.push(flag);
        }
    }
    given
}

/// The file that is in effect, if there is one. An empty name is none.
///
/// # Errors
/// It cannot be read.
fn in_effect(global: &Global) -> anyhow::Result<Option<File>> {
    let path = match &global.config {
        Some(name) if name.is_empty() => return Ok(None),
        Some(name) => PathBuf::from(name),
        None => match std::fs::exists(DEFAULT_FILE) {
            Ok(false) => return Ok(None),
            // Whether it is not there cannot be known; the reading tells why.
            Ok(true) | Err(_) => PathBuf::from(DEFAULT_FILE),
        },
    };
    open(&path).map(Some)
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::read(path, &Cli::command()).with_context(|| {
        format!(
            "could not read the configuration file {}; run this as somebody who may, or set \
             MUSTER_CONFIG to nothing to go without one",
            path.display()
        )
    })
}

/// A problem as an editor finds its place.
fn shown(path: &Path, problem: &Problem) -> String {
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = problem.key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
    format!("{}{line}: {key}{}", path.display(), problem.text)
}

/// Carries out the command.
///
/// # Errors
/// There is no file to check, or it cannot be read.
pub fn run(command: ConfigCommand, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check { file } => {
            let file = match file {
                Some(path) => Some(open(&path)?),
                None => in_effect(global)?,
            };
            let Some(file) = file else {
                bail!("there is no configuration file: name one, or write {DEFAULT_FILE}");
            };
            Ok(check(&file, global))
        }
        ConfigCommand::Show { options } => show(options, global),
    }
}

/// The settings as `muster serve` would have them.
fn effective(
    file: Option<&File>,
    global: &Global,
    options: Vec<OsString>,
) -> Result<ArgMatches, clap::Error> {
    let command = match file {
        Some(file) => file.applied(Cli::command()),
        None => Cli::command(),
    };
    let before = [OsString::from("muster"), "serve".into()];
    let arguments = before.into_iter().chain(global.given.iter().cloned()).chain(options);
    command.try_get_matches_from(arguments)
}

fn check(file: &File, global: &Global) -> ExitCode {
    let mut problems = file.problems.clone();
    // What is good of the file is looked at together, as the server would begin with it.
    match effective(Some(file), global, Vec::new()).and_then(|matches| serve_args(&matches)) {
        Ok((global, args)) => {
            for (key, error) in args.problems(&global.database_url) {
                let entry = file.entry(key);
                problems.push(Problem {
                    line: entry.map(|entry| entry.line),
                    key: Some(key.to_owned()),
                    text: format!("{error:#}"),
                });
            }
        }
        // Of the environment, since the file was looked at.
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            problems.push(Problem { line: None, key: None, text: first.to_owned() });
        }
    }
    problems.sort_by_key(|problem| problem.line);
    if global.json {
        let all: Vec<Value> = problems
            .iter()
            .map(|one| json!({ "line": one.line, "key": one.key, "problem": one.text }))
            .collect();
        let file = file.path.display().to_string();
        output::json(&json!({ "file": file, "problems": all }));
    } else {
        for problem in &problems {
            eprintln!("{}", shown(&file.path, problem));
        }
        if problems.is_empty() {
            eprintln!("{}: {} settings, all good", file.path.display(), file.entries.len());
        }
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn serve_args(matches: &ArgMatches) -> Result<(Global, ServeArgs), clap::Error> {
    let serve = matches.subcommand_matches("serve").unwrap_or(matches);
    Ok((Global::from_arg_matches(matches)?, ServeArgs::from_arg_matches(serve)?))
}

fn show(options: Vec<OsString>, global: &Global) -> anyhow::Result<ExitCode> {
    let file = in_effect(global)?;
    if let Some(file) = &file
        && !file.problems.is_empty()
    {
        let lines: Vec<String> = file.problems.iter().map(|one| shown(&file.path, one)).collect();
        bail!("the configuration file cannot be used\n{}", lines.join("\n"));
    }
    let matches = effective(file.as_ref(), global, options).unwrap_or_else(|error| error.exit());
    let serve = matches.subcommand_matches("serve").unwrap_or(&matches);
    let command = Cli::command();
    let mut rows = Vec::new();
    if let Some(file) = &file {
        let from = match matches.value_source("config") {
            Some(ValueSource::CommandLine) => "flag".to_owned(),
            Some(ValueSource::EnvVariable) => "environment (MUSTER_CONFIG)".to_owned(),
            _ => "default".to_owned(),
        };
        rows.push(("config".to_owned(), Some(file.path.display().to_string()), from));
    }
    for arg in settings(&command) {
        let (Some(long), id) = (arg.get_long(), arg.get_id().as_str()) else { continue };
        // Those of every command are found with the program itself.
        let is_global = arg.is_global_set();
        let found = if is_global { &matches } else { serve };
        let values: Vec<String> = found
            .get_raw(id)
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned())
            .map(|value| if is_secret(arg) { masked(&value) } else { value })
            .collect();
        let value = (!values.is_empty()).then(|| values.join(", "));
        let from = origin(arg, found.value_source(id), file.as_ref());
        rows.push((long.to_owned(), value, from));
    }
    print(&rows, global.json);
    Ok(ExitCode::SUCCESS)
}

fn origin(arg: &Arg, source: Option<ValueSource>, file: Option<&File>) -> String {
    let entry = arg.get_long().and_then(|long| file?.entry(long));
    match (source, entry) {
        (Some(ValueSource::CommandLine), _) => "flag".to_owned(),
        (Some(ValueSource::EnvVariable), _) => {
            let name = arg.get_env().unwrap_or_default().to_string_lossy();
            format!("environment ({name})")
        }
        (_, Some(entry)) => format!("file, line {}", entry.line),
        (_, None) => "default".to_owned(),
    }
}

fn print(rows: &[(String, Option<String>, String)], as_json: bool) {
    if as_json {
        let all: Vec<Value> = rows
            .iter()
            .map(|(name, value, from)| json!({ "name": name, "value": value, "from": from }))
            .collect();
        return output::json(&json!({ "settings": all }));
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, value, from)| {
            vec![name.clone(), value.clone().unwrap_or_else(|| "-".to_owned()), from.clone()]
        })
        .collect();
    output::table(&["setting", "value", "from"], &rows);
}

/// An address without its password and its parameters, which may hold one.
fn masked(text: &str) -> String {
    // What is no address may be anything, a password alone too.
    if !text.contains("://") {
        return "***".to_owned();
    }
    // It is shown as it stands where there is nothing to hide.
    if !text.contains(['@', '?', '#']) {
        return text.to_owned();
    }
    let Ok(mut url) = url::Url::parse(text) else { return "***".to_owned() };
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    if url.fragment().is_some() {
        url.set_fragment(Some("***"));
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    url.to_string()
}

/// The program as it describes itself.
pub fn program() -> Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked() {
        for (text, shown) in [
            ("sqlite://muster.db", "sqlite://muster.db"),
            ("postgres://m:hunter2@h/m", "postgres://m:***@h/m"),
            ("postgres://h/m?password=hunter2", "postgres://h/m?***"),
            ("postgres://m:hunter2@h/m?sslmode=require", "postgres://m:***@h/m?***"),
            ("postgres://m:x#hunter2@h/m", "***"),
            ("m:hunter2@h", "***"),
            ("hunter2", "***"),
        ] {
            let found = masked(text);
            assert!(!found.contains("hunter2"), "{found}");
            assert!(found == shown || shown == "***", "{found}");
        }
    }

    #[test]
    fn the_program_is_well_described() {
        program().debug_assert();
    }
}
