//! What SIGHUP does: the certificate and its key are read again. Without TLS there is nothing to
//! read, and the server goes on.

use std::io;

use crate::clock::Clock;
use crate::http::tls::Tls;

/// Reads the certificate again at every SIGHUP. The signal is caught from the call on, not from the
/// first wait: uncaught it would end the process.
///
/// # Errors
/// The signal cannot be caught.
#[cfg(unix)]
pub fn renew(tls: Option<Tls>, clock: Clock) -> io::Result<impl Future<Output = ()> + use<>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let Some(tls) = &tls else {
                log::info!("SIGHUP: there is no certificate to read again");
                continue;
            };
            match tls.read_again() {
                Ok(()) => {
                    log::info!("SIGHUP: new connections are shown the certificate as it is now");
                }
                Err(error) => {
                    log::error!("SIGHUP: the certificate stays what it was: {error}");
                }
            }
            if let Some(warning) = tls.warning(clock()) {
                log::warn!("{warning}");
            }
        }
    })
}

/// There is no such signal here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn renew(_: Option<Tls>, _: Clock) -> io::Result<impl Future<Output = ()> + use<>> {
    Ok(std::future::pending())
}
