//! The load generator: connections that are kept, each of which asks again as soon as it is answered.
//!
//! It runs on one thread, so that on a small machine it leaves the rest to what is measured.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{LocalBoxFuture, join_all};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long an operation is tried before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// A request, but for where it goes.
#[derive(Clone, Default)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub token: Option<Arc<str>>,
    pub content_type: &'static str,
    pub cookie: Option<String>,
    pub body: Bytes,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One connection of a client, kept from request to request.
pub struct Lane {
    /// The number of the client among those of a run.
    pub number: usize,
    host: String,
    sender: SendRequest<Full<Bytes>>,
    /// How much of the turn is not to be measured.
    aside: Duration,
}

/// A piece of work that is done again and again; the numbers tell turns apart.
pub type Work = Rc<dyn for<'a> Fn(&'a mut Lane, u64) -> LocalBoxFuture<'a, ()>>;

/// What a run has shown.
pub struct Measured {
    pub per_second: f64,
    /// Microseconds.
    pub p50: u64,
    /// Microseconds.
    pub p99: u64,
}

impl Lane {
    /// Connects to `host`, a name or an address with a port.
    pub async fn open(host: &str, number: usize) -> Self {
        let stream = TcpStream::connect(host).await.expect("a connection");
        stream.set_nodelay(true).expect("a setting");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::task::spawn_local(async move {
            // An end of the connection shows at the next request.
            let _ = connection.await;
        });
        Self { number, host: host.to_owned(), sender, aside: Duration::ZERO }
    }

    /// Leaves out of the measured time what others do in a turn.
    pub fn aside(&mut self, took: Duration) {
        self.aside += took;
    }

    /// Asks, and waits for the whole answer.
    pub async fn send(&mut self, ask: &Ask) -> Answer {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(HOST, self.host.as_str());
        if let Some(token) = &ask.token {
            request = request.header(AUTHORIZATION, &**token);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.header(COOKIE, cookie.as_str());
        }
        if !ask.body.is_empty() {
            request = request
                .header(CONTENT_TYPE, ask.content_type)
                .header(CONTENT_LENGTH, ask.body.len());
        }
        let request = request.body(Full::new(ask.body.clone())).expect("a request");
        self.sender.ready().await.expect("a connection that lasts");
        let (parts, body) =
            self.sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Asks for what has to succeed.
    pub async fn get(&mut self, ask: &Ask) -> Answer {
        let answer = self.send(ask).await;
        assert!(
            answer.status.is_success() || answer.status.is_redirection(),
            "{} {}: {} {}",
            ask.method,
            ask.path,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        answer
    }
}

/// Lets `clients` do the work for so long, and measures it.
pub async fn drive(host: &str, clients: usize, lasting: Duration, work: &Work) -> Measured {
    let mut lanes = Vec::new();
    for number in 0..clients {
        lanes.push(Lane::open(host, number).await);
    }
    let begin = Instant::now() + WARM_UP;
    let end = begin + lasting;
    let done = join_all(lanes.iter_mut().map(|lane| one(lane, begin, end, work))).await;
    let took = begin.elapsed();
    let mut all = done.concat();
    all.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let per_second = all.len() as f64 / took.as_secs_f64();
    let percentile = |part: usize| all[(all.len() * part).div_ceil(100).max(1) - 1];
    Measured { per_second, p50: percentile(50), p99: percentile(99) }
}

/// The microseconds that each turn took.
async fn one(lane: &mut Lane, begin: Instant, end: Instant, work: &Work) -> Vec<u64> {
    let mut times = Vec::new();
    for turn in 0.. {
        let asked = Instant::now();
        // Whatever takes long is done once at least.
        if asked >= end && !times.is_empty() {
            break;
        }
        work(lane, turn).await;
        let took = asked.elapsed().saturating_sub(std::mem::take(&mut lane.aside));
        if asked >= begin {
            times.push(u64::try_from(took.as_micros()).expect("a short time"));
        }
    }
    times
}
