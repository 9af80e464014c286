//! The log: each message a line of its own, whoever wrote what is in it, as text or as JSON.
//!
//! Messages repeat what others said: a provider, a database's library, a library that tells of its
//! work. So it is here, where all of them pass, that none of them can begin a line.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::panic::Location;
use std::sync::OnceLock;

use clap::ValueEnum;
use env_logger::{Builder, Env};
use log::kv::{self, Key, VisitSource};
use log::{Level, Record};
use serde_json::{Map, Value};

use crate::clock::{rfc3339, system};
use crate::serving;

/// What the lines of the log are: text for people, or an object of JSON each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    // Not told in the help, where it would take more room than the option itself.
    #[default]
    Text,
    Json,
}

/// The names of what the messages beside them say already, so that text need not say it twice.
const SAID: [&str; 5] = ["method", "path", "token", "position", "hash"];

/// What the log of this process is.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Begins to log, panics too.
pub fn begin(format: LogFormat) {
    FORMAT.get_or_init(|| format);
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    builder(format, is_coloured).init();
    // The words of a panic may hold anything, secrets too, and several lines.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{}", panicked(panic.location(), std::thread::current().name()));
    }));
}

/// Says something on stderr that is no part of the log, whatever the log leaves out; but where the log
/// is JSON, so is this.
pub fn say(level: Level, before: &str, text: &str) {
    let line = match FORMAT.get() {
        Some(LogFormat::Json) => json_line(level, "muster", text, Map::new()),
        _ => format!("{before}{text}"),
    };
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A log as the environment wants it.
fn builder(format: LogFormat, is_coloured: bool) -> Builder {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    builder.format(move |formatter, record| {
        let mut line = match format {
            LogFormat::Text => text_line(record, formatter.timestamp(), is_coloured),
            LogFormat::Json => {
                let mut values = Members::default();
                // A value that cannot be read is left out; the line is not.
                let _ = record.key_values().visit(&mut values);
                if let Some(request) = serving::request()
                    && !values.0.contains_key("request")
                {
                    values.0.insert("request".to_owned(), Value::from(&*request));
                }
                let message = record.args().to_string();
                json_line(record.level(), record.target(), &message, values.0)
            }
        };
        line.push('\n');
        formatter.write_all(line.as_bytes())
    });
    builder
}

/// What a terminal shows the levels in.
fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\u{1b}[1;31m",
        Level::Warn => "\u{1b}[33m",
        Level::Info => "\u{1b}[32m",
        Level::Debug => "\u{1b}[34m",
        Level::Trace => "\u{1b}[36m",
    }
}

/// A line of the log as text: when, how bad, who says it, and the message with its named values behind it.
///
/// Every request has one, so that nothing is put together first that is only written again.
fn text_line(record: &Record<'_>, time: impl Display, is_coloured: bool) -> String {
    // What is written is memory, which does not fail; a value that cannot be read is left out.
    let mut said = String::with_capacity(256);
    let _ = write!(said, "{}", record.args());
    said.truncate(said.trim_end().len());
    let mut values = Pairs { said, has_request: false };
    let _ = record.key_values().visit(&mut values);
    if !values.has_request
        && let Some(request) = serving::request()
    {
        values.add("request", &request);
    }
    let (colour, plain) =
        if is_coloured { (colour(record.level()), "\u{1b}[0m") } else { ("", "") };
    let mut line = String::with_capacity(values.said.len() + 64);
    let _ = write!(line, "[{time} {colour}{:<5}{plain} {}] ", record.level(), record.target());
    line.push_str(&in_one_line(&values.said));
    line
}

/// A message as text, with the named values that were added to it.
struct Pairs {
    said: String,
    has_request: bool,
}

impl Pairs {
    fn add(&mut self, name: &str, value: &str) {
        let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
        let _ = if !value.is_empty() && value.chars().all(is_plain) {
            write!(self.said, " {name}={value}")
        } else {
            // As text in quotes, what is in it cannot be taken for the next value.
            write!(self.said, " {name}={}", Value::from(value))
        };
    }
}

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let name = key.as_str();
        self.has_request |= name == "request";
        if !SAID.contains(&name) {
            self.add(name, &value.to_string());
        }
        Ok(())
    }
}

/// The named values of a message.
#[derive(Default)]
struct Members(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Members {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let value = if let Some(number) = value.to_u64() {
            number.into()
        } else if let Some(number) = value.to_i64() {
            number.into()
        } else if let Some(flag) = value.to_bool() {
            flag.into()
        } else {
            Value::from(value.to_string())
        };
        put(&mut self.0, key.as_str(), value);
        Ok(())
    }
}

/// Adds a member under a name that none has yet.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    let mut name = name.to_owned();
    while members.contains_key(&name) {
        name.push('_');
    }
    members.insert(name, value);
}

/// A line of the log as JSON. What every line has comes first, and nothing takes its name.
fn json_line(level: Level, target: &str, message: &str, values: Map<String, Value>) -> String {
    let mut members = Map::new();
    members.insert("time".to_owned(), rfc3339(system()()).into());
    members.insert("level".to_owned(), level.as_str().into());
    members.insert("target".to_owned(), target.into());
    members.insert("message".to_owned(), message.trim_end().into());
    for (name, value) in values {
        put(&mut members, &name, value);
    }
    let written = Value::Object(members).to_string();
    if !written.contains(is_moving) {
        return written;
    }
    let mut line = String::new();
    for c in written.chars() {
        // JSON itself escapes the characters of ASCII alone; these can only be within a string.
        if is_moving(c) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line
}

/// Whether it ends a line, moves a terminal's cursor or turns the direction of writing.
fn is_moving(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text without what ends a line, moves a terminal's cursor or turns the direction of writing.
fn in_one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if text.contains(is_moving) { text.replace(is_moving, " ").into() } else { text.into() }
}

/// What the log says of a panic.
fn panicked(place: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let thread = thread.unwrap_or("without a name");
    match place {
        Some(place) => {
            let (file, line) = (place.file(), place.line());
            format!("a fault of Muster's: a panic at {file}:{line}, in the thread {thread}")
        }
        None => format!("a fault of Muster's: a panic somewhere, in the thread {thread}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;
    use std::sync::{Arc, Mutex};

    use env_logger::Target;
    use log::{Level, Log};

    use super::*;

    /// What a log writes of a message.
    fn written(message: &str) -> String {
        written_as(LogFormat::Text, message, &[])
    }

    /// What a log writes of a message with named values.
    fn written_as(format: LogFormat, message: &str, values: &[(&str, kv::Value<'_>)]) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);

        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("a sink").write(bytes)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let sink = Sink::default();
        let logger = builder(format, false).target(Target::Pipe(Box::new(sink.clone()))).build();
        let mut record = Record::builder();
        let record = record.level(Level::Error).target("muster::x").key_values(&values);
        logger.log(&record.args(format_args!("{message}")).build());
        let bytes = sink.0.lock().expect("a sink").clone();
        String::from_utf8(bytes).expect("text")
    }

    /// The line as an object, which a program would read line by line.
    fn read(line: &str) -> Value {
        let is_moving = |c: char| is_moving(c) && c != '\n';
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line:?}");
        assert!(!line.contains(is_moving), "{line:?}");
        serde_json::from_str(line).expect("JSON")
    }

    #[test]
    fn text_and_json_say_the_same() {
        let values = [
            ("method", kv::Value::from("GET")),
            ("status", kv::Value::from(404)),
            ("client", kv::Value::from("192.0.2.7")),
            ("label", kv::Value::from("x status=200")),
        ];
        let text = written_as(LogFormat::Text, "GET /x", &values);
        let wanted = "] GET /x status=404 client=192.0.2.7 label=\"x status=200\"\n";
        assert!(text.ends_with(wanted), "{text}");
        let line = read(&written_as(LogFormat::Json, "GET /x", &values));
        assert_eq!(line["message"], "GET /x");
        assert_eq!((&line["level"], &line["target"]), (&"ERROR".into(), &"muster::x".into()));
        assert_eq!((&line["method"], &line["status"]), (&"GET".into(), &404.into()));
        assert_eq!(line["label"], "x status=200");
        let time = line["time"].as_str().expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'));
        assert_eq!(time.len(), "2026-11-26T07:00:00.000000Z".len());
    }

    #[test]
    fn a_terminal_shows_the_level_in_a_colour_and_nothing_else() {
        let record = Record::builder()
            .level(Level::Warn)
            .target("x")
            .args(format_args!("\u{1b}[1mm"))
            .build();
        let line = text_line(&record, "now", true);
        assert_eq!(line, "[now \u{1b}[33mWARN \u{1b}[0m x]  [1mm");
        assert_eq!(text_line(&record, "now", false), "[now WARN  x]  [1mm");
    }

    #[test]
    fn no_value_takes_the_name_of_what_every_line_has() {
        let values = ["time", "level", "target", "message", "time_", "x", "x"];
        let values = values.map(|name| (name, kv::Value::from("forged")));
        let line = read(&written_as(LogFormat::Json, "said", &values));
        assert_eq!((&line["message"], &line["level"]), (&"said".into(), &"ERROR".into()));
        assert_eq!(line.as_object().expect("an object").len(), 4 + values.len());
        assert_ne!(line["time"], "forged");
        for name in ["time_", "time__", "message_", "x", "x_"] {
            assert_eq!(line[name], "forged", "{name}");
        }
    }

    #[test]
    fn nothing_begins_a_line_in_json_either() {
        for end in [
            "\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}", "\u{1b}",
            "\u{7f}",
        ] {
            let text = format!("before{end}{{\"level\":\"ERROR\"}}");
            let values = [("x", kv::Value::from(text.as_str())), (&text, kv::Value::from(1))];
            let line = read(&written_as(LogFormat::Json, &text, &values));
            assert_eq!(
                (&line["message"], &line["x"]),
                (&text.as_str().into(), &text.as_str().into())
            );
            assert_eq!(line[&text], 1);
            let line = written_as(LogFormat::Text, &text, &values);
            assert!(line.matches(is_moving).count() == 1 && line.ends_with('\n'), "{line:?}");
        }
    }

    #[tokio::test]
    async fn a_line_names_the_request_that_is_served() {
        let (text, json) = serving::during("r1", async {
            let json = written_as(LogFormat::Json, "m", &[]);
            (written("m"), json)
        })
        .await;
        assert!(text.ends_with("] m request=r1\n"), "{text}");
        assert_eq!(read(&json)["request"], "r1");
        assert!(!written("m").contains("request"));
    }

    #[test]
    fn a_message_is_one_line() {
        // As PostgreSQL's library says it.
        let of_libpq = "connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n\
                        \tIs the server running on that host and accepting TCP/IP connections?\n";
        let line = written(of_libpq);
        assert!(line.contains("refused  Is the server"), "{line}");
        assert!(line.ends_with("connections?\n") && line.lines().count() == 1, "{line}");
        for end in
            ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}", "\u{1b}"]
        {
            let line = written(&format!("before{end}after"));
            let inner = line.strip_suffix('\n').expect("an end");
            assert!(
                inner.ends_with("after") && inner.contains("ERROR muster::x] before "),
                "{line}"
            );
            let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert!(!inner.contains(ends), "{line:?}");
        }
        assert!(written("żółć 𝔘 ok").ends_with("] żółć 𝔘 ok\n"));
    }

    /// Tells this test, started anew as a process, to panic as the program would.
    const PANICS: &str = "MUSTER_TEST_PANICS";

    #[test]
    fn a_panic_is_one_line_without_its_words() {
        if std::env::var_os(PANICS).is_some() {
            let format = std::env::var(PANICS).expect("a format");
            begin(LogFormat::from_str(&format, false).expect("a format"));
            let thread = std::thread::Builder::new().name("a thread\nof two lines".to_owned());
            let panics = || panic!("secret-of-the-panic\nand more");
            thread.spawn(panics).expect("a thread").join().expect_err("a panic");
            return;
        }
        let name = "cli::lines::tests::a_panic_is_one_line_without_its_words";
        let log_of = |format| {
            let mut again = Command::new(std::env::current_exe().expect("this program"));
            let again = again.args(["--exact", name, "--nocapture"]).env(PANICS, format);
            let output = again.env_remove("RUST_LOG").output().expect("a run");
            let log = String::from_utf8(output.stderr).expect("text");
            assert!(output.status.success(), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(!log.contains("secret-of-the-panic"), "{log}");
            log
        };
        let line = read(&log_of("json"));
        assert_eq!(line["target"], "muster::cli::lines");
        let message = line["message"].as_str().expect("text");
        assert!(message.ends_with("in the thread a thread\nof two lines"), "{message}");
        let log = log_of("text");
        assert!(
            log.contains(" ERROR muster::cli::lines] a fault of Muster's: a panic at "),
            "{log}"
        );
        assert!(log.contains("lines.rs:") && log.contains("the thread a thread of two"), "{log}");
    }

    #[test]
    fn a_panic_of_which_nothing_is_known_is_told_too() {
        assert!(panicked(None, None).contains("somewhere"));
    }
}
