//! How far a long command has come: shown on a terminal, and nowhere else. In a pipe, in a log and
//! beside JSON it stays quiet.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressBarIter, ProgressDrawTarget, ProgressStyle};

/// How often it is drawn.
const TICK: Duration = Duration::from_millis(200);

/// A line on the terminal, which goes away when the work is done.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins to show what is being done, and how much of `bytes` if that is known.
    pub fn begin(what: &'static str, bytes: Option<u64>, as_json: bool) -> Self {
        Self::on(what, bytes, !as_json && std::io::stderr().is_terminal())
    }

    fn on(what: &'static str, bytes: Option<u64>, is_shown: bool) -> Self {
        if !is_shown {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{msg} {wide_bar} {bytes}/{total_bytes} {elapsed}, {eta} to go",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {bytes} {elapsed}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// The file, as it is read.
    pub fn reading(&self, file: BufReader<File>) -> ProgressBarIter<BufReader<File>> {
        self.0.wrap_read(file)
    }

    /// What is written, as it is.
    pub fn writing<W: std::io::Write>(&self, to: W) -> ProgressBarIter<W> {
        self.0.wrap_write(to)
    }

    /// Does work that makes a file grow.
    pub async fn growing<T>(&self, file: &Path, work: impl Future<Output = T>) -> T {
        if self.0.is_hidden() {
            return work.await;
        }
        let mut ticks = tokio::time::interval(TICK);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => self.0.set_position(size(file).unwrap_or(0)),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How large a file is, if it is there.
pub fn size(file: &Path) -> Option<u64> {
    std::fs::metadata(file).ok().map(|found| found.len())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn what_is_shown_is_how_far_it_is() {
        let progress = Progress::on("writing", Some(10), true);
        progress.writing(Vec::new()).write_all(b"1234").expect("bytes");
        assert_eq!(progress.0.position(), 4);
        assert_eq!(progress.0.length(), Some(10));
        let quiet = Progress::on("writing", Some(10), false);
        assert!(quiet.0.is_hidden());
        assert_eq!(quiet.growing(Path::new("none"), async { 7 }).await, 7);
    }
}
