//! `muster healthcheck`: for container images, which need nothing else to ask with then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

/// How long the server may take; it tells by itself after three seconds that its database is late.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Where the server listens, as 'muster serve' was told
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The certificate that 'muster serve' was told, if it was told one: then it is asked by https
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
}

/// Asks `/readyz`. What is asked for is no secret and neither is the answer, so the certificate,
/// which is for another name than this machine's, is not looked at.
///
/// # Errors
/// There is no answer.
pub async fn run(args: &HealthcheckArgs) -> anyhow::Result<ExitCode> {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/readyz", reachable(args.listen));
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_built_in_root_certs(false)
        .danger_accept_invalid_certs(true)
        .timeout(PATIENCE)
        .build()?;
    match client.get(&url).send().await {
        Ok(answer) if answer.status().is_success() => Ok(ExitCode::SUCCESS),
        Ok(answer) => {
            eprintln!("muster: {url} answers {}", answer.status());
            Ok(ExitCode::FAILURE)
        }
        Err(_) => {
            eprintln!("muster: nothing answers at {url}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where a server that listens there is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listen, wanted) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:443", "[::1]:443"),
            ("192.168.1.7:80", "192.168.1.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), wanted);
        }
    }
}
