//! `muster doctor`

use std::process::ExitCode;

use clap::Args;

use super::serve::issuer_proxy;
use super::{output, store};
use crate::access::network::Network;
use crate::app::doctor::{Wanted, examine};
use crate::clock::system;
use crate::db::DatabaseUrl;
use crate::directory::doctor::{Bounds, Check, Report, Status};
use crate::oidc::{Limits, Providers, Reach};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look at this connection alone [default: at all]
    #[arg(long, value_name = "NAME", env = "MUSTER_DOCTOR_CONNECTION")]
    connection: Option<String>,
    /// Public address of the server, which is asked whether it answers
    #[arg(long, env = "MUSTER_PUBLIC_URL")]
    url: Option<String>,
    /// Network that identity providers may be in, as for 'muster serve'
    #[arg(
        long,
        env = "MUSTER_ALLOW_ISSUER_NETWORK",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    allow_issuer_network: Vec<Network>,
    /// Reach identity providers by way of this proxy, as for 'muster serve'
    #[arg(long, env = "MUSTER_ISSUER_PROXY", value_name = "URL", hide_env_values = true)]
    issuer_proxy: Option<String>,
}

/// Looks at everything; exit code 1 if there is a problem.
///
/// # Errors
/// There is no such connection.
pub async fn run(args: DoctorArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<ExitCode> {
    let proxy = args.issuer_proxy.as_deref().map(issuer_proxy).transpose()?;
    let reach = Reach::with(args.allow_issuer_network).by_proxy(proxy);
    let providers = Providers::with(Limits::default(), reach)?;
    let wanted = Wanted { connection: args.connection, url: args.url, bounds: Bounds::COMMAND };
    let report = examine(&store::unchecked(url), &providers, &wanted, system()()).await?;
    if as_json {
        output::json(&report.to_json());
    } else {
        show(&report);
    }
    Ok(if report.status() == Status::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(report: &Report) {
    let mut about: Option<&str> = None;
    for check in &report.checks {
        if check.connection.as_deref() != about {
            about = check.connection.as_deref();
            output::line("");
            output::line(format!("connection {}", about.unwrap_or_default()));
        }
        for line in lines(check) {
            output::line(line);
        }
    }
    let number = |status: Status| report.checks.iter().filter(|one| one.status == status).count();
    output::line("");
    output::line(format!(
        "{}, {}, {} well, {} not checked",
        counted(number(Status::Problem), "problem"),
        counted(number(Status::Warning), "warning"),
        number(Status::Ok),
        number(Status::Unchecked)
    ));
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn lines(check: &Check) -> Vec<String> {
    let status = match check.status {
        Status::Unchecked => "not checked",
        status => status.as_str(),
    };
    let mut lines = vec![format!("{status:<11}  {:<15} {}", check.name, check.found)];
    lines.extend(check.advice.as_ref().map(|advice| format!("{:<11}  {:<15} -> {advice}", "", "")));
    lines
}
