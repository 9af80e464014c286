//! Clients that send byte by byte, or stop halfway.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::TestApp;

/// A connection of its own.
pub struct Raw(TcpStream);

impl Raw {
    pub fn open(app: &TestApp) -> Self {
        let address = app.base_url.strip_prefix("http://").expect("an address");
        let stream = TcpStream::connect(address).expect("a connection");
        // Nothing takes that long; a test that waits for ever says nothing.
        stream.set_read_timeout(Some(Duration::from_mins(2))).expect("a timeout");
        Self(stream)
    }

    pub fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
    }

    /// Sends what the server may not want to read to the end.
    pub fn try_send(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes());
    }

    /// The same connection once more, to send by while an answer is waited for.
    pub fn twin(&self) -> Self {
        Self(self.0.try_clone().expect("a connection"))
    }

    /// Gives up sending where nobody takes it.
    pub fn stop_sending_after(&mut self, patience: Duration) {
        self.0.set_write_timeout(Some(patience)).expect("a timeout");
    }

    /// The head of a request with a body, and the beginning of the body.
    pub fn begin(app: &TestApp, token: &str, path: &str, length: usize, beginning: &str) -> Self {
        let mut raw = Self::open(app);
        raw.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: muster\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{beginning}"
        ));
        raw
    }

    /// All that the server sends until it closes the connection.
    pub async fn rest(mut self) -> String {
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            // A server that does not want the rest may end the connection by a reset.
            let _ = self.0.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        read.await.expect("an answer")
    }

    /// The head of the next answer.
    pub async fn head(self) -> (Self, String) {
        let read = tokio::task::spawn_blocking(move || {
            let Self(mut stream) = self;
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a head") > 0 {
                head.push(byte[0]);
            }
            (Self(stream), String::from_utf8_lossy(&head).into_owned())
        });
        read.await.expect("a head")
    }

    pub fn hang_up(self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The status of an answer.
#[track_caller]
pub fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().expect("a status")
}
