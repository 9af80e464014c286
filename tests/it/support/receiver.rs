//! A receiver of webhooks, which writes down what comes and answers as it is told.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::{Notify, Semaphore};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub id: String,
    pub timestamp: i64,
    pub signatures: Vec<String>,
    pub text: String,
    pub body: Value,
}

impl Received {
    /// Whether one of the signatures is by the secret.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key =
            STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("Base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.text).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.signatures.contains(&expected)
    }

    /// The type that it names.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    /// The cursor of its event.
    pub fn cursor(&self) -> i64 {
        let cursor = self.body["data"]["cursor"].as_str().expect("a cursor");
        cursor.parse().expect("a position")
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    /// A status and one header.
    With(u16, &'static str, String),
    /// 204, once the receiver is let go on.
    Held,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// The next answers; 204 where there is none.
    replies: Mutex<VecDeque<Reply>>,
    /// Every answer, if there is one.
    always: Mutex<Option<Reply>>,
    arrived: Notify,
    gate: Semaphore,
}

/// The receiver.
pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Starts a receiver on a free port of this machine.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            replies: Mutex::default(),
            always: Mutex::default(),
            arrived: Notify::new(),
            gate: Semaphore::new(0),
        });
        let data = web::Data::from(shared.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(64 * 1024 * 1024))
                .default_service(web::to(answer))
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("a server");
        actix_web::rt::spawn(server.run());
        Self { url, shared }
    }

    /// What the next requests are answered.
    pub fn answers(&self, replies: impl IntoIterator<Item = Reply>) {
        lock(&self.shared.replies).extend(replies);
    }

    /// What every request is answered that nothing else is said about.
    pub fn always_answers(&self, status: u16) {
        *lock(&self.shared.always) = Some(Reply::Status(status));
    }

    /// Lets a request that is held be answered.
    pub fn let_go_on(&self) {
        self.shared.gate.add_permits(1);
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// What came since it was last taken.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *lock(&self.shared.received))
    }

    /// Waits until so many requests have come; gives them back.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let all = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let received = self.received();
                if received.len() >= count {
                    return received;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all)
            .await
            .unwrap_or_else(|_| panic!("{count} requests, not {:#?}", self.received()))
    }
}

async fn answer(shared: web::Data<Shared>, request: HttpRequest, text: String) -> HttpResponse {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    lock(&shared.received).push(Received {
        path: request.path().to_owned(),
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().unwrap_or_default(),
        signatures: header("webhook-signature").split(' ').map(str::to_owned).collect(),
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
    });
    shared.arrived.notify_waiters();
    let reply = lock(&shared.replies).pop_front().or_else(|| lock(&shared.always).clone());
    match reply {
        None => HttpResponse::NoContent().finish(),
        Some(Reply::Status(status)) => of(status).body("what a receiver says is not kept"),
        Some(Reply::With(status, name, value)) => of(status).insert_header((name, value)).finish(),
        Some(Reply::Held) => {
            shared.gate.acquire().await.expect("a gate that stays").forget();
            HttpResponse::NoContent().finish()
        }
    }
}

fn of(status: u16) -> actix_web::HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).expect("a status"))
}
