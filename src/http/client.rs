//! The SCIM client behind a request: its bearer token says which connection it speaks for.
//!
//! No path and no body can choose another one.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};

use super::address;
use super::answer::{Failure, internal_error};
use super::door::{Attempt, Denied, admit};
use super::middleware::RequestId;
use super::notes::Notes;
use super::presumed;
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::access::scope::{Scope, Scopes};
use crate::app::App;
use crate::app::known::Entry;
use crate::db::rehearsal::Witness;
use crate::db::{Db, StoreError};
use crate::directory::brake::{self, Held};
use crate::directory::tokens::{self, Authenticated, TokenRefused};
use crate::directory::{Actor, Connection, Context};
use crate::scim::ScimError;
use crate::scim::quirks::Quirks;
use crate::secret::Secret;

const NO_TOKEN: &str = "send the token of the connection as 'Authorization: Bearer TOKEN'";

/// A client whose token has the scope that the route needs, and is known to be good: what a handler gets
/// that is not known yet is a [`Seeker`](super::presumed::Seeker).
#[derive(Clone)]
pub struct Client {
    pub app: web::Data<App>,
    db: Db,
    token: Arc<Authenticated>,
    request_id: Option<String>,
    notes: Option<Notes>,
    /// Whether nothing of what it asks for is kept.
    is_rehearsing: bool,
}

/// A client before it is known whether its token has the scope that the route needs; that the token is
/// good is known, or [presumed].
pub(super) struct Identified(pub(super) Client);

impl Client {
    fn new(app: web::Data<App>, request: &HttpRequest, token: Arc<Authenticated>) -> Self {
        let db = app.db.of(&token.connection.id);
        let (request_id, notes) = (RequestId::of(request), Notes::of(request));
        Self { app, db, token, request_id, notes, is_rehearsing: false }
    }

    /// Whether the token has the scope.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes().has(scope)
    }

    /// What the token may do.
    pub fn scopes(&self) -> Scopes {
        self.token.permit.scopes
    }

    /// The id of the token, which is no secret.
    pub fn token_id(&self) -> &str {
        &self.token.token_id
    }

    /// The connection that the client speaks for.
    pub fn connection(&self) -> &Connection {
        &self.token.connection
    }

    /// The store, for the connection's work.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The same client, of whose request nothing is kept: the witness sees what it would write.
    pub(super) fn rehearsing(self, witness: Arc<dyn Witness>) -> Self {
        Self { db: self.db.rehearsing(witness), is_rehearsing: true, ..self }
    }

    /// Whether nothing of what it asks for is kept.
    pub fn is_rehearsing(&self) -> bool {
        self.is_rehearsing
    }

    /// The context of the operation that the client asks for.
    pub fn context(&self) -> Context {
        Context {
            connection: self.token.connection.clone(),
            actor: Actor::Token(self.token.token_id.clone()),
            request_id: self.request_id.clone(),
            now: (self.app.clock)(),
            base_url: self.app.scim_base_url.clone(),
            registry: self.app.registry.clone(),
        }
    }

    /// Puts the mass-change brake on, because a request went too far.
    pub async fn put_brake_on(&self, held: Held) {
        if self.is_rehearsing {
            return;
        }
        self.app.metrics.count_held();
        // Thousands may come after the one that was too much: they are held, and no news.
        if held.is_on() {
            log::debug!(connection:% = self.connection().name; "{held}");
            return;
        }
        log::warn!(connection:% = self.connection().name; "{held}");
        let context = self.context();
        let put_on =
            self.app.db.write("put_brake_on", move |conn| brake::put_on(conn, &context, &held));
        if let Err(error) = put_on.await {
            // The next request that goes too far tries it again.
            log::error!("could not put the mass-change brake on: {error}");
        }
    }

    /// What is noted of the request, if it is logged.
    pub fn notes(&self) -> Option<&Notes> {
        self.notes.as_ref()
    }

    /// Notes the compatibility rules that a request made use of, without making it wait for the
    /// store: several requests' are written together.
    pub fn note_quirks(&self, quirks: &Quirks) {
        if let Some(notes) = &self.notes {
            notes.quirks(quirks);
        }
        let now = (self.app.clock)();
        if let Some(wait) = self.app.quirks.note(&self.token.token_id, quirks, now) {
            let app = self.app.clone();
            actix_web::rt::spawn(async move {
                actix_web::rt::time::sleep(wait).await;
                app.save_quirks().await;
            });
        }
    }
}

impl FromRequest for Client {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A route that leaves it open has a handler that sees to it.
        let known = |client| {
            let is_known = presumed::is_known(request);
            is_known.then_some(client).ok_or_else(|| internal_error().into())
        };
        ready(of(request).and_then(known))
    }
}

/// The client behind a request, its token known or presumed to be good.
///
/// # Errors
/// There is none.
pub(super) fn of(request: &HttpRequest) -> Result<Client, Failure> {
    let client = request.extensions().get::<Client>().cloned();
    client.ok_or_else(|| unauthorized(NO_TOKEN))
}

/// Middleware of every SCIM endpoint, known or not: no token, no answer. It runs before the body is
/// read.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match identify(request.request()).await {
        Ok(client) => {
            request.extensions_mut().insert(Identified(client.clone()));
            let answer = next.call(request).await?.map_into_boxed_body();
            let answer = presumed::settle(&client, answer).await;
            let held = answer.response().extensions().get::<Held>().cloned();
            if let Some(held) = held {
                client.put_brake_on(held).await;
            }
            Ok(answer)
        }
        Err(failure) => Ok(request.error_response(failure)),
    }
}

/// The client whose token the request carries. One that reads is presumed to be whom its token stood
/// for a moment ago.
async fn identify(request: &HttpRequest) -> Result<Client, Failure> {
    let app = app(request)?;
    let presented = Presented::of(&app, request)?;
    let now = (app.clock)();
    let presumed = match *request.method() {
        Method::GET => app.known.find(&presented.attempt.hash, now),
        _ => None,
    };
    // Whoever is turned away is not turned away by what was.
    let is_likely = |entry: &Entry| entry.token.permit.allow_from.admits(address::of(request));
    let (token, known) = if let Some(entry) = presumed.filter(is_likely) {
        let token = entry.token.clone();
        note_token(request, Some(&token));
        presumed::presume(request, entry, presented);
        (token, None)
    } else {
        let entry = look(&app, request, presented, now).await?;
        (entry.token.clone(), Some(entry))
    };
    let client = Client::new(app, request, token);
    if let Err(error) = client.app.limiter.request(client.token_id(), now) {
        // That it was too much is told to nobody else.
        presumed::make_sure(request, &client).await?;
        client.app.metrics.count_limited(error.limit);
        return Err(Denied::from(error).into());
    }
    if let Some(entry) = known {
        note_use(&client.app, &entry, now);
    }
    Ok(client)
}

/// The client again, once it has turned out that something has changed; its request counts once.
pub(super) async fn look_again(
    request: &HttpRequest,
    presented: Presented,
) -> Result<Client, Failure> {
    let app = app(request)?;
    note_token(request, None);
    let now = (app.clock)();
    let entry = look(&app, request, presented, now).await?;
    note_use(&app, &entry, now);
    Ok(Client::new(app, request, entry.token))
}

/// The token that a request carries, and the attempt to get in by it.
pub(super) struct Presented {
    token: Secret,
    attempt: Attempt,
}

impl Presented {
    fn of(app: &web::Data<App>, request: &HttpRequest) -> Result<Self, Failure> {
        let Some(token) = presented(request) else {
            app.metrics.count_refused(Refusal::NoToken);
            return Err(unauthorized(NO_TOKEN));
        };
        let attempt = Attempt::begin(app, request, Credential::Token, token.expose())?;
        Ok(Self { token, attempt })
    }

    /// It is good, as it was.
    pub(super) fn still_good(self, app: &web::Data<App>, entry: &Entry) {
        self.attempt.succeeded();
        note_use(app, entry, (app.clock)());
    }
}

/// What the token stands for, if it may be used.
async fn look(
    app: &web::Data<App>,
    request: &HttpRequest,
    presented: Presented,
    now: i64,
) -> Result<Entry, Failure> {
    let Presented { token, attempt } = presented;
    let entry = match known(app, token, &attempt.hash, now).await? {
        Ok(entry) => entry,
        Err(refused) => {
            app.known.forget(&attempt.hash);
            match refused {
                TokenRefused::Unknown => attempt.failed(Refusal::UnknownToken),
                TokenRefused::AnotherKind => attempt.failed(Refusal::OtherToken),
                // Nobody guesses these. A provider asks for many customers from one address, and
                // goes on with the old token of one while another enters a new one.
                TokenRefused::Expired => attempt.ended(Refusal::ExpiredToken),
                TokenRefused::Revoked => attempt.ended(Refusal::RevokedToken),
            }
            return Err(unauthorized(&refused.to_string()));
        }
    };
    attempt.succeeded();
    note_token(request, Some(&entry.token));
    admit(app, request, &entry.token.permit.allow_from, &entry.token.token_id)?;
    Ok(entry)
}

/// Notes whose request it is, if it is logged.
fn note_token(request: &HttpRequest, token: Option<&Arc<Authenticated>>) {
    if let Some(notes) = Notes::of(request) {
        notes.token(token.cloned());
    }
}

/// Who the token speaks for: as it was found before, if the store says that nothing has changed.
///
/// # Errors
/// The store's; a token that is not accepted is the inner error.
async fn known(
    app: &App,
    presented: Secret,
    hash: &str,
    now: i64,
) -> Result<Result<Entry, TokenRefused>, StoreError> {
    if let Some(entry) = app.known.find(hash, now)
        && app.known.epoch(&app.db).await? == entry.epoch
    {
        return Ok(Ok(entry));
    }
    let (epoch, found) = app
        .db
        .snapshot(move |conn| {
            let epoch = tokens::epoch(conn)?;
            Ok::<_, StoreError>((epoch, tokens::authenticate(conn, presented.expose(), now)?))
        })
        .await?;
    Ok(found.map(|token| app.known.learn(hash, token, epoch, now)))
}

/// Whether the request carries a directory's token, where it should carry a person's. Nothing is let
/// in by it, and nothing is counted: what people's tokens are over is everyday.
///
/// # Errors
/// The store's.
pub(super) async fn is_directory(request: &HttpRequest) -> Result<bool, Failure> {
    let (app, Some(presented)) = (app(request)?, presented(request)) else { return Ok(false) };
    let now = (app.clock)();
    let found =
        app.db.read(move |conn| tokens::authenticate(conn, presented.expose(), now)).await?;
    // From elsewhere nobody learns what a token is.
    Ok(found.is_ok_and(|token| token.permit.allow_from.admits(address::of(request))))
}

fn app(request: &HttpRequest) -> Result<web::Data<App>, Failure> {
    let app = request.app_data::<web::Data<App>>().cloned();
    Ok(app.ok_or_else(|| StoreError::Unavailable("the application is not set up".to_owned()))?)
}

/// The token that the request carries.
fn presented(request: &HttpRequest) -> Option<Secret> {
    let header = request.headers().get(AUTHORIZATION)?;
    bearer(header.to_str().ok()?).map(Secret::new)
}

/// Notes the use of a token, where it is time to, without making the request wait for it.
fn note_use(app: &web::Data<App>, entry: &Entry, now: i64) {
    if !entry.is_due(now) {
        return;
    }
    let (db, id) = (app.db.clone(), entry.token.token_id.clone());
    actix_web::rt::spawn(async move {
        let noted = db.note("note_token_use", move |conn| tokens::note_use(conn, &id, now)).await;
        if let Err(error) = noted {
            log::log!(error.level(), "could not note the use of a token: {error}");
        }
    });
}

fn unauthorized(detail: &str) -> Failure {
    ScimError::new(401, detail).into()
}

/// The token in an `Authorization` header.
///
/// Okta's header mode sends whatever was pasted: the bare token, or one with the scheme, and then
/// sometimes a second scheme in front of it.
pub(super) fn bearer(header: &str) -> Option<&str> {
    let mut rest = header.trim();
    for _ in 0..2 {
        match rest.split_once(char::is_whitespace) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => rest = token.trim(),
            _ => break,
        }
    }
    let is_scheme_alone = rest.eq_ignore_ascii_case("bearer");
    (!rest.is_empty() && !is_scheme_alone).then_some(rest)
}

/// How an `Authorization` header differs from the one that was to be pasted, though it works.
pub(super) fn pasted(header: &str) -> Option<&'static str> {
    let mut words = header.split_whitespace();
    let is_scheme = |word: &str| word.eq_ignore_ascii_case("bearer");
    match (words.next()?, words.next()) {
        (first, None) => (!is_scheme(first)).then_some("bare-token"),
        (first, Some(second)) => (is_scheme(first) && is_scheme(second)).then_some("bearer-twice"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bearer, pasted};

    #[test]
    fn it_is_noticed_how_the_token_was_pasted() {
        for (header, expected) in [
            ("Bearer x", None),
            ("x", Some("bare-token")),
            (" bearer  Bearer x", Some("bearer-twice")),
            ("Basic x", None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(pasted(header), expected, "{header}");
        }
    }

    #[test]
    fn every_way_of_pasting_the_token_works() {
        for header in ["Bearer x", "bearer x", "BEARER  x ", "x", " x", "Bearer Bearer x"] {
            assert_eq!(bearer(header), Some("x"), "{header}");
        }
        for header in ["", "Bearer", "Bearer ", "Bearer Bearer"] {
            assert_eq!(bearer(header), None, "{header}");
        }
        assert_eq!(bearer("Basic x"), Some("Basic x"));
    }
}
