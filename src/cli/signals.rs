//! The signals that a server listens to, but for SIGHUP.

use std::io;

/// SIGTERM and Ctrl-C; they are caught from the start on, not from the first wait.
#[cfg(unix)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// That a file would become larger than files may be: caught, a write that fails like any other,
    /// else the end of the process.
    _file_size: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Waits until somebody wants the server to end.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits until somebody wants the server to end.
    pub async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            log::error!("cannot listen for signals: {error}");
            std::future::pending::<()>().await;
        }
    }
}
