//! What is noted of a request while it is served, for the log of requests. Nothing here waits, and a
//! body is at most kept longer, not copied.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{AUTHORIZATION, USER_AGENT};
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpRequest};

use super::client::{bearer, pasted};
use super::dry_run;
use crate::app::App;
use crate::directory::requests::record::{
    Kept, Outcome, Record, SignIn, is_change, is_read, resource_type,
};
use crate::directory::requests::{DRY_RUN, Kind};
use crate::directory::tokens::{self, Authenticated};
use crate::scim::quirks::Quirks;

/// The path of the SCIM endpoint.
const SCIM: &str = "/scim/v2";
/// The path at which sign-ins end.
const CALLBACK: &str = "/login/callback";

/// The notes of one request.
#[derive(Debug, Clone)]
pub struct Notes {
    kind: Kind,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    token: Option<Arc<Authenticated>>,
    request: Kept,
    quirks: BTreeSet<&'static str>,
    resources: Option<usize>,
    sign_in: SignIn,
}

impl Notes {
    /// Begins the notes of a request, if it is one that is logged.
    pub fn begin(app: &App, request: &HttpRequest) -> Option<Self> {
        if !app.requests.is_on() {
            return None;
        }
        let is_below = |base: &str| {
            request
                .path()
                .strip_prefix(base)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let kind = if is_below(SCIM) {
            Kind::Scim
        } else if is_below(CALLBACK) {
            Kind::SignIn
        } else {
            return None;
        };
        let notes = Self { kind, noted: Arc::default() };
        request.extensions_mut().insert(notes.clone());
        Some(notes)
    }

    /// The notes of a request, if it is logged.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who asks, as far as is known.
    pub fn token(&self, token: Option<Arc<Authenticated>>) {
        self.noted().token = token;
    }

    /// Notes the body of the request.
    pub fn body(&self, body: &Bytes) {
        self.noted().request = Kept::of(body);
    }

    /// Notes the compatibility rules that the request made use of.
    pub fn quirks(&self, quirks: &Quirks) {
        self.noted().quirks.extend(quirks.iter().map(crate::scim::quirks::Quirk::name));
    }

    /// Notes how many resources a list answers.
    pub fn resources(&self, count: usize) {
        self.noted().resources = Some(count);
    }
}

/// Notes something of a sign-in, if it is logged.
pub fn sign_in(request: &HttpRequest, note: impl FnOnce(&mut SignIn)) {
    if let Some(notes) = request.extensions().get::<Notes>() {
        note(&mut notes.noted().sign_in);
    }
}

/// Notes that a sign-in could not begin, and has it logged: one that begins says nothing until it is over.
pub fn not_begun(
    app: &App,
    request: &HttpRequest,
    connection_id: &str,
    outcome: Outcome,
    detail: &str,
) {
    if !app.requests.is_on() {
        return;
    }
    let notes = Notes { kind: Kind::SignIn, noted: Arc::default() };
    notes.noted().sign_in = SignIn {
        not_begun: true,
        connection_id: Some(connection_id.to_owned()),
        outcome: Some(outcome),
        detail: Some(detail.to_owned()),
        ..SignIn::default()
    };
    request.extensions_mut().insert(notes);
}

/// What is known of a request besides what was noted.
pub struct About {
    pub id: String,
    pub method: &'static str,
    /// The path that was asked for.
    pub path: String,
    /// When it came, in UTC microseconds.
    pub at: i64,
    /// Microseconds until the answer.
    pub duration: i64,
    pub client: String,
}

/// Leaves the record of a request for the log, if it is one that is logged, and gives the answer on.
pub fn end<B: MessageBody + 'static>(
    app: &App,
    notes: Option<&Notes>,
    about: About,
    done: Result<ServiceResponse<B>, Error>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let done = done.map(ServiceResponse::map_into_boxed_body);
    // Those of a sign-in that could not begin were made on the way.
    let late = || done.as_ref().ok().and_then(|response| Notes::of(response.request()));
    let late = if notes.is_none() { late() } else { None };
    let notes = notes.or(late.as_ref());
    let kind = match (notes, &done) {
        (Some(notes), _) => notes.kind,
        // A directory that was told a wrong address.
        (None, Ok(response)) if app.requests.is_on() && is_astray(response) => Kind::Scim,
        _ => return done,
    };
    let noted = notes.map(|notes| std::mem::take(&mut *notes.noted())).unwrap_or_default();
    let status = match &done {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let is_somebodys_read = kind == Kind::Scim
        && noted.token.is_some()
        && is_read(about.method, &about.path, status.as_u16());
    if is_somebodys_read && app.requests.leaves_read_out() {
        return done;
    }
    let mut record = Record {
        at: about.at,
        duration: about.duration,
        kind,
        method: about.method,
        path: about.path,
        query: None,
        status: status.as_u16(),
        token: noted.token,
        token_hash: None,
        request_id: about.id,
        client: Some(about.client),
        user_agent: None,
        quirks: Vec::new(),
        resources: noted.resources,
        request: noted.request,
        answer: Kept::default(),
        sign_in: None,
    };
    if kind == Kind::SignIn {
        // Of these neither the parameters nor the page are kept.
        record.request = Kept::default();
        record.sign_in = Some(Box::new(noted.sign_in));
    }
    record.quirks.extend(noted.quirks);
    let done = match done {
        Ok(response) => Ok(answered(response, &mut record)),
        Err(error) => Err(error),
    };
    app.requests.push(record);
    done
}

/// Notes what the request and its answer say themselves.
fn answered(response: ServiceResponse<BoxBody>, record: &mut Record) -> ServiceResponse<BoxBody> {
    let request = response.request();
    let agent = request.headers().get(USER_AGENT);
    record.user_agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    if record.kind == Kind::SignIn {
        return response;
    }
    let query = request.query_string();
    record.query = (!query.is_empty()).then(|| query.to_owned());
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    record.quirks.extend(header.and_then(pasted));
    let is_dry = response.headers().contains_key(&dry_run::DRY_RUN);
    record.quirks.extend(is_dry.then_some(DRY_RUN));
    if record.token.is_none() {
        record.token_hash = header.and_then(bearer).map(tokens::hash);
    }
    let is_told = record.status >= 400 || is_change(record.method, &record.path);
    let mut answer = Kept::default();
    let response = response.map_body(|_, body| {
        if !is_told {
            if let BodySize::Sized(size) = body.size() {
                answer = Kept::sized(usize::try_from(size).unwrap_or(usize::MAX));
            }
            return body;
        }
        match body.try_into_bytes() {
            Ok(bytes) => {
                answer = Kept::of(&bytes);
                BoxBody::new(bytes)
            }
            Err(body) => body,
        }
    });
    record.answer = answer;
    response
}

/// Whether somebody asks for something of SCIM's at an address that is none.
fn is_astray(response: &ServiceResponse<BoxBody>) -> bool {
    let request = response.request();
    let is_known = |part: &str| part.eq_ignore_ascii_case("scim") || resource_type(part).is_some();
    // What is below these is nobody's mistake at a provider.
    let is_elsewhere = ["/api/", "/console", "/setup"];
    response.status() == actix_web::http::StatusCode::NOT_FOUND
        && request.match_pattern().is_none()
        && !is_elsewhere.iter().any(|place| request.path().starts_with(place))
        && request.path().split('/').any(is_known)
}
