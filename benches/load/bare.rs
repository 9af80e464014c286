//! A handler that does nothing: it answers every request with the same bytes. What the program does
//! is held against it, as against the least that the library and the machine ask for.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};
use hyper::body::Bytes;

use super::client::Answer;

/// The process of the handler.
pub struct Bare {
    child: Child,
    pub host: String,
}

impl Bare {
    /// Starts one that gives this answer.
    pub fn start(answer: &Answer) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &answer.body).expect("a file");
        let header = |name: &str| {
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args(["bare", answer.status.as_str(), &header("content-type"), &header("etag")])
            .arg(file.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut host = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut host).expect("an address");
        Self { child, host: host.trim().to_owned() }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does.
pub fn serve(arguments: &[String]) {
    let [status, content_type, tag, file] = arguments else { panic!("four arguments") };
    let status: StatusCode = status.parse().expect("a status");
    let body = Bytes::from(std::fs::read(file).expect("a body"));
    let content_type = HeaderValue::from_str(content_type).expect("a type");
    let tag = (!tag.is_empty()).then(|| HeaderValue::from_str(tag).expect("a tag"));
    let server = HttpServer::new(move || {
        let (body, content_type, tag) = (body.clone(), content_type.clone(), tag.clone());
        let app = App::new().app_data(web::PayloadConfig::new(1 << 30));
        app.default_service(web::to(move |_: web::Bytes| {
            let mut answer = HttpResponse::build(status);
            answer.insert_header((CONTENT_TYPE, content_type.clone()));
            if let Some(tag) = &tag {
                answer.insert_header((HeaderName::from_static("etag"), tag.clone()));
            }
            let answer = answer.body(body.clone());
            async move { answer }
        }))
    });
    let server = server.bind("127.0.0.1:0").expect("a port");
    println!("{}", server.addrs()[0]);
    actix_web::rt::System::new().block_on(server.run()).expect("a server");
}
