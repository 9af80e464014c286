//! The command line: a file per command. Words for people go to stderr, results to stdout.

mod app;
mod backup;
mod brake;
mod check;
mod config;
mod connection;
mod doctor;
mod dry_run;
mod events;
mod explain;
mod hangup;
mod healthcheck;
mod lines;
mod migrate;
mod output;
mod progress;
mod requests;
mod restore;
mod role;
mod serve;
mod shell;
mod signals;
mod store;
mod token;
mod webhook;

use std::convert::Infallible;
use std::ffi::OsString;
use std::process::ExitCode;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};

use self::lines::LogFormat;
use crate::db::{DatabaseUrl, DatabaseUrlError};

/// SCIM 2.0 provisioning server.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Where the store is: `sqlite://FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`
    #[arg(
        long,
        global = true,
        env = "MUSTER_DATABASE_URL",
        default_value = "sqlite://muster.db",
        hide_env_values = true
    )]
    database_url: GivenUrl,
    /// Print results as JSON
    #[arg(long, global = true, env = "MUSTER_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
    /// What the log on stderr is
    #[arg(
        long,
        global = true,
        env = "MUSTER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
    /// Configuration file, whose keys are the options of 'muster serve'; none if empty
    /// [default: /etc/muster/muster.toml, where there is one]
    #[arg(long, global = true, env = "MUSTER_CONFIG", value_name = "FILE")]
    #[arg(value_parser = clap::builder::OsStringValueParser::new())]
    config: Option<OsString>,
    /// The flags among these, for a command that looks into what others would be told.
    #[arg(skip)]
    given: Vec<OsString>,
}

/// A database URL as it was given, good or bad: the parser of arguments would repeat a bad one, with
/// its password.
#[derive(Debug, Clone)]
struct GivenUrl(Result<DatabaseUrl, DatabaseUrlError>);

impl FromStr for GivenUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Migrate the database, then serve
    Serve(serve::ServeArgs),
    /// Manage connections: one customer's identity provider each
    #[command(subcommand)]
    Connection(connection::ConnectionCommand),
    /// Manage the SCIM tokens of connections
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Manage the applications that ask for sign-in
    #[command(subcommand)]
    App(app::AppCommand),
    /// Manage the roles that teams stand for in your application
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// See what the mass-change brake holds, and let it through
    #[command(subcommand)]
    Brake(brake::BrakeCommand),
    /// Show the log of requests: what directories have asked for, who signed in, and what was said
    Requests(requests::RequestsArgs),
    /// Manage the tokens of the vendor's own back end
    #[command(subcommand)]
    AdminToken(app::AdminTokenCommand),
    /// Manage webhooks: where events are sent to, signed
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Say why a user is in a team or is not, and what would change it
    Explain(explain::ExplainArgs),
    /// Look at the store, the server and the identity providers for what is wrong
    Doctor(doctor::DoctorArgs),
    /// Say what a SCIM request would change, and change nothing
    DryRun(dry_run::DryRunArgs),
    /// Verify, export and replay the log of changes
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Test any SCIM server the way an identity provider uses it
    Check(check::CheckArgs),
    /// Ask the server on this machine whether it can serve; exits with 1 if not
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Bring the database's tables up to date
    Migrate,
    /// Write a consistent copy of the store into a new SQLite file
    Backup(backup::BackupArgs),
    /// Carry a backup over into an empty store, of either kind
    Restore(restore::RestoreArgs),
    /// Check the configuration file, or show what is set and where
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a script by which a shell completes commands and options
    Completions(shell::CompletionsArgs),
    /// Write manual pages
    Man(shell::ManArgs),
    /// Print the version
    Version,
}

impl Command {
    /// Whether it has nothing to do with the configuration file, or looks into it by itself.
    fn goes_without_file(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Completions(_) | Self::Man(_) | Self::Version)
    }
}

/// Reads the command line and runs the command to its end.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match config::read(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            eprintln!("muster: {error:#}");
            return ExitCode::from(2);
        }
    };
    lines::begin(cli.global.log_format);
    match run(cli) {
        Ok(code) if code == ExitCode::SUCCESS && output::is_lost() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            lines::say(log::Level::Error, "muster: ", &format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve(args) => serve::run(args, global.database_url.0?, global.json),
        Command::Config(command) => config::run(command, &global),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run_async(command, global))
        }
    }
}

async fn run_async(command: Command, global: Global) -> anyhow::Result<ExitCode> {
    let Global { database_url, json, .. } = global;
    match command {
        Command::Check(args) => return check::run(args, json).await,
        Command::Healthcheck(args) => return healthcheck::run(&args).await,
        Command::Version => {
            output::version(json);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Completions(args) => {
            shell::completions(&args);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Man(args) => {
            shell::man(&args)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let database_url = database_url.0?;
    match command {
        Command::Serve(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Check(_)
        | Command::Healthcheck(_)
        | Command::Version => {}
        Command::Connection(command) => connection::run(command, database_url, json).await?,
        Command::Token(command) => token::run(command, database_url, json).await?,
        Command::App(command) => app::run(command, database_url, json).await?,
        Command::Role(command) => role::run(command, database_url, json).await?,
        Command::Brake(command) => brake::run(command, database_url, json).await?,
        Command::AdminToken(command) => app::run_admin(command, database_url, json).await?,
        Command::Webhook(command) => return webhook::run(command, database_url, json).await,
        Command::Explain(args) => explain::run(args, database_url, json).await?,
        Command::Requests(args) => return requests::run(args, database_url, json).await,
        Command::Doctor(args) => return doctor::run(args, database_url, json).await,
        Command::DryRun(args) => return dry_run::run(args, database_url, json).await,
        Command::Events(command) => return events::run(command, database_url, json).await,
        Command::Restore(args) => restore::run(args, database_url, json).await?,
        Command::Migrate => migrate::run(database_url, json).await?,
        Command::Backup(args) => backup::run(args, database_url, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}
