//! `muster check`: a black-box connector test of any SCIM 2.0 server.
//!
//! It sends what the clients of the identity providers send, in their order and their wording, and
//! judges the answers; it knows nothing of how the server is built. A file under `check/` is one
//! client's list of requests, as [`Profile`] names them, or what they share; [`run`] is the entry.
//! Whatever it creates has a fresh name `muster-check-…` and is removed at the end.

mod announced;
mod authentik;
mod bodies;
mod cleanup;
mod client;
mod entra;
mod errors;
mod expect;
mod import;
mod jumpcloud;
mod okta;
mod okta_oin;
mod onelogin;
mod ping;
mod rauthy;
mod report;
mod rfc;
mod spec;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};

use self::client::{Client, Dialect};
use self::report::Report;

/// Test a SCIM 2.0 server the way an identity provider uses it.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// SCIM base URL, as it is typed into the identity provider's form.
    #[arg(env = "MUSTER_CHECK_URL")]
    pub url: String,
    /// File that holds the SCIM token.
    #[arg(long, value_name = "FILE", env = "MUSTER_CHECK_TOKEN_FILE")]
    pub token_file: PathBuf,
    /// Whose requests to send.
    #[arg(long, value_enum, default_value_t, env = "MUSTER_CHECK_PROFILE")]
    pub profile: Profile,
}

/// The client whose requests are replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Okta, an app of the classic wizard: writes with PUT.
    #[default]
    Okta,
    /// Okta, an app of the integration network: writes with PATCH.
    OktaOin,
    /// Microsoft Entra ID, in both its PATCH dialects.
    Entra,
    /// OneLogin, with the schemas of drafts and of SCIM 1.
    Onelogin,
    /// JumpCloud's Custom SCIM.
    Jumpcloud,
    /// Ping Identity's SCIM provisioner.
    Ping,
    /// authentik's SCIM provider.
    Authentik,
    /// rauthy's SCIM client.
    Rauthy,
    /// The RFC to the letter, as far as the server announces it.
    Rfc,
}

impl Profile {
    /// The name of the profile on the command line and in the JSON report.
    fn name(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::OktaOin => "okta-oin",
            Self::Entra => "entra",
            Self::Onelogin => "onelogin",
            Self::Jumpcloud => "jumpcloud",
            Self::Ping => "ping",
            Self::Authentik => "authentik",
            Self::Rauthy => "rauthy",
            Self::Rfc => "rfc",
        }
    }

    /// The headers of the client.
    fn dialect(self) -> &'static Dialect {
        match self {
            Self::Okta | Self::OktaOin => &client::OKTA,
            Self::Entra | Self::Onelogin | Self::Jumpcloud | Self::Ping | Self::Rfc => {
                &client::PLAIN
            }
            Self::Authentik => &client::AUTHENTIK,
            Self::Rauthy => &client::RAUTHY,
        }
    }
}

/// Runs the check: exit code 0 if nothing failed, 1 if a step did, 2 if it could not begin.
pub async fn run(args: CheckArgs, json: bool) -> anyhow::Result<ExitCode> {
    match examine(&args, json).await {
        Ok(report) if report.failed() == 0 => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::from(1)),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::from(2))
        }
    }
}

/// Replays the profile, cleans up, and prints the summary.
async fn examine(args: &CheckArgs, json: bool) -> anyhow::Result<Report> {
    let file = args.token_file.display();
    let content = std::fs::read_to_string(&args.token_file)
        .with_context(|| format!("cannot read the token file {file}"))?;
    let token = content.trim();
    ensure!(!token.is_empty(), "the token file {file} is empty");

    let api = Client::new(&args.url, token, args.profile.dialect())?;
    let reached = api.reach().await;
    let first = reached.map_err(anyhow::Error::msg).context("the server cannot be reached")?;

    let mut report = Report::new(args.profile.name(), token, json);
    if matches!(first.status, 401 | 404 | 429) {
        // Each step would fail by the same, and a server may count how often a token was wrong.
        report.fail("the address and the token are right", first.wrong("a list of users"));
        report.finish();
        return Ok(report);
    }
    // An interrupted run ends early but still removes what it made.
    let interrupted = tokio::select! {
        () = replay(args.profile, &api, &mut report) => false,
        signal = tokio::signal::ctrl_c() => signal.is_ok(),
    };
    if interrupted {
        report.fail("the check runs to its end", "interrupted: the remaining steps were not run");
    }
    cleanup::run(&api, &mut report).await;
    report.finish();
    Ok(report)
}

async fn replay(profile: Profile, api: &Client, report: &mut Report) {
    match profile {
        Profile::Okta => Box::pin(okta::run(api, report)).await,
        Profile::OktaOin => Box::pin(okta_oin::run(api, report)).await,
        Profile::Entra => Box::pin(entra::run(api, report)).await,
        Profile::Onelogin => Box::pin(onelogin::run(api, report)).await,
        Profile::Jumpcloud => Box::pin(jumpcloud::run(api, report)).await,
        Profile::Ping => Box::pin(ping::run(api, report)).await,
        Profile::Authentik => Box::pin(authentik::run(api, report)).await,
        Profile::Rauthy => Box::pin(rauthy::run(api, report)).await,
        Profile::Rfc => Box::pin(rfc::run(api, report)).await,
    }
}
