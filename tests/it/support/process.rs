//! The program itself, as a process: its commands, and servers that are started and ended like any.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::database::{Backend, TestDatabase};

/// The program with these arguments, and no environment that could change what it does.
pub fn muster(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    // Nor a file of this machine.
    command.env("MUSTER_CONFIG", "");
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

/// The command of a server on a free port.
pub fn serve(database: &TestDatabase) -> Command {
    let mut command = muster(&["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--database-url", &database.url]);
    command
}

/// A running server.
pub struct Server {
    child: Child,
    /// What it printed when it was ready.
    pub lines: Vec<String>,
    /// What it logs, line by line. It is read all along: a server must not wait for somebody to do so.
    log: Receiver<String>,
    /// What was read of it so far.
    seen: String,
}

impl Server {
    /// Starts a server on the database, and waits until it can be asked.
    pub fn start(database: &TestDatabase, more: &[&str]) -> Self {
        Self::start_in(database, more, &[])
    }

    /// Starts a server with more in its environment.
    pub fn start_in(database: &TestDatabase, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = serve(database);
        command.args(more).envs(environment.iter().copied()).env("RUST_LOG", "trace");
        Self::launch(&mut command)
    }

    /// Starts a server that logs as `RUST_LOG` says, for one that is asked a great deal.
    pub fn start_logging(database: &TestDatabase, more: &[&str], log: &str) -> Self {
        Self::launch(serve(database).args(more).env("RUST_LOG", log))
    }

    /// Starts a server by a command, and waits until it can be asked.
    pub fn launch(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a server");
        let errors = BufReader::new(child.stderr.take().expect("its log"));
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in errors.split(b'\n').map_while(Result::ok) {
                // Nobody may be there any more to look at it.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = Vec::new();
        // The redirect URI is the last thing it says.
        while !lines.last().is_some_and(|line: &String| line.contains("redirect")) {
            let mut line = String::new();
            let read = output.read_line(&mut line).expect("a line");
            if read == 0 {
                let log: Vec<String> = log.iter().collect();
                panic!("the server ended before it was ready: {lines:?}\n{}", log.join("\n"));
            }
            lines.push(line.trim().to_owned());
        }
        Self { child, lines, log, seen: String::new() }
    }

    /// A server on a store that the test has made.
    pub fn start_on(url: &str) -> Self {
        let database = TestDatabase::at(Backend::Sqlite, url);
        Self::start(&database, &[])
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed under that name.
    pub fn field(&self, name: &str) -> Option<String> {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().to_owned())
    }

    /// Ends it at once, in the middle of whatever it does (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits until it has logged this, after what was waited for before.
    #[track_caller]
    pub fn logs(&mut self, text: &str) {
        loop {
            let line = self.log.recv_timeout(Duration::from_mins(1));
            let line = line.unwrap_or_else(|_| panic!("no '{text}' in {}", self.seen));
            self.seen.extend([&line, "\n"]);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Sends it the signal by which a service manager ends it.
    pub fn tell_to_stop(&self) {
        self.signal("TERM");
    }

    /// Waits for its end; gives back its exit code and what it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        // The channel ends when the log does.
        let rest: Vec<String> = self.log.iter().collect();
        let log = format!("{}{}", self.seen, rest.join("\n"));
        (self.child.wait().expect("an end").code(), log)
    }

    /// Ends it by the signal that a service manager sends; gives back what it logged.
    pub fn stop(self) -> String {
        self.tell_to_stop();
        let (code, log) = self.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
