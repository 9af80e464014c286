//! The program itself, as a process: its commands, and servers that are started and ended like any.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use super::database::{Backend, TestDatabase};

/// The program with these arguments, and no environment that could change what it does.
pub fn muster(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Runs a command on the database.
pub fn run(database: &TestDatabase, arguments: &[&str]) -> Output {
    muster(arguments).args(["--database-url", &database.url]).output().expect("a run")
}

#[track_caller]
pub fn succeeds(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exit {:?}: {errors}", output.status.code());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
pub fn fails(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    errors
}

/// A running server.
pub struct Server {
    child: Child,
    /// What it printed when it was ready.
    pub lines: Vec<String>,
    /// Reads its log all along: a server must not wait for somebody to do so.
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server on the database, and waits until it can be asked.
    pub fn start(database: &TestDatabase, more: &[&str]) -> Self {
        Self::start_logging(database, more, "trace")
    }

    /// Starts a server that logs as `RUST_LOG` says, for one that is asked a great deal.
    pub fn start_logging(database: &TestDatabase, more: &[&str], log: &str) -> Self {
        let mut child = muster(&["serve", "--listen", "127.0.0.1:0"])
            .args(["--database-url", &database.url])
            .args(more)
            .env("RUST_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut errors = child.stderr.take().expect("its log");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).map(|_| log).expect("a readable log")
        });
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = Vec::new();
        // The redirect URI is the last thing it says.
        while !lines.last().is_some_and(|line: &String| line.contains("redirect")) {
            let mut line = String::new();
            let read = output.read_line(&mut line).expect("a line");
            if read == 0 {
                let log = log.join().expect("a log");
                panic!("the server ended before it was ready: {lines:?}\n{log}");
            }
            lines.push(line.trim().to_owned());
        }
        Self { child, lines, log: Some(log) }
    }

    /// A server on a store that the test has made.
    pub fn start_on(url: &str) -> Self {
        let database = TestDatabase::at(Backend::Sqlite, url);
        Self::start(&database, &[])
    }

    /// What it printed under that name.
    pub fn field(&self, name: &str) -> Option<String> {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().to_owned())
    }

    /// Ends it by the signal that a service manager sends; gives back what it logged.
    pub fn stop(mut self) -> String {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(killed.expect("kill").success());
        let log = self.log.take().expect("a log").join().expect("a log");
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "{status}: {log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
