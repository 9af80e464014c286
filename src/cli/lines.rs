//! The log: each message a line of its own, whoever wrote what is in it.
//!
//! Messages repeat what others said: a provider, a database's library, a library that tells of its
//! work. So it is here, where all of them pass, that none of them can begin a line.

use std::panic::Location;

use env_logger::fmt::ConfigurableFormat;
use env_logger::{Builder, Env};
use log::Record;

/// Begins to log, panics too.
pub fn begin() {
    builder().init();
    // The words of a panic may hold anything, secrets too, and several lines.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{}", panicked(panic.location(), std::thread::current().name()));
    }));
}

/// A log as the environment wants it.
fn builder() -> Builder {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    let usual = ConfigurableFormat::default();
    builder.format(move |formatter, record| {
        let text = in_one_line(&record.args().to_string());
        let of = |arguments| {
            let mut cleaned = Record::builder();
            cleaned.level(record.level()).target(record.target()).args(arguments).build()
        };
        usual.format(formatter, &of(format_args!("{text}")))
    });
    builder
}

/// The text without what ends a line, moves a terminal's cursor or turns the direction of writing.
fn in_one_line(text: &str) -> String {
    let moves =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.trim_end().replace(moves, " ")
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
        let logger = builder().target(Target::Pipe(Box::new(sink.clone()))).build();
        let mut record = Record::builder();
        let record = record.level(Level::Error).target("muster::x");
        logger.log(&record.args(format_args!("{message}")).build());
        let bytes = sink.0.lock().expect("a sink").clone();
        String::from_utf8(bytes).expect("text")
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
            begin();
            let thread = std::thread::Builder::new().name("a thread\nof two lines".to_owned());
            let panics = || panic!("secret-of-the-panic\nand more");
            thread.spawn(panics).expect("a thread").join().expect_err("a panic");
            return;
        }
        let name = "cli::lines::tests::a_panic_is_one_line_without_its_words";
        let mut again = Command::new(std::env::current_exe().expect("this program"));
        let again = again.args(["--exact", name, "--nocapture"]).env(PANICS, "1");
        let output = again.env_remove("RUST_LOG").output().expect("a run");
        let log = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.success(), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(
            log.contains(" ERROR muster::cli::lines] a fault of Muster's: a panic at "),
            "{log}"
        );
        assert!(log.contains("lines.rs:") && log.contains("the thread a thread of two"), "{log}");
        assert!(!log.contains("secret-of-the-panic"), "{log}");
    }

    #[test]
    fn a_panic_of_which_nothing_is_known_is_told_too() {
        assert!(panicked(None, None).contains("somewhere"));
    }
}
