//! Nobody gets to the console but operators: the guard in front of every page of it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use std::future::{Ready, ready};
use url::Url;

use super::failure::ConsoleFailure;
use super::{parts, shell};
use crate::app::App;
use crate::db::StoreError;
use crate::directory::connections::{self, Connection};
use crate::directory::events::By;
use crate::directory::operators::{self, Operator};
use crate::directory::{Actor, Context};
use crate::http::door::admit as admit_from;
use crate::http::middleware::RequestId;
use crate::http::origin::is_own_page;
use crate::http::signin::{cookie, redirect};
use crate::secret::Secret;

/// The header of requests by which a page follows what happens, without anybody's doing.
pub const FOLLOWING: &str = "x-muster-follow";

/// Somebody at the console, at one of its pages.
#[derive(Clone)]
pub struct Seat {
    pub app: web::Data<App>,
    pub operator: Operator,
    /// The path of the console, as browsers see it.
    pub base: String,
    pub request_id: Option<String>,
    /// UTC microseconds.
    pub now: i64,
}

impl Seat {
    /// The path of a connection's page.
    pub fn connection_path(&self, name: &str) -> String {
        format!("{}/connections/{name}", self.base)
    }

    /// Who does it, for the log.
    pub fn by(&self) -> By {
        By { actor: self.operator.actor(), request_id: self.request_id.clone(), now: self.now }
    }

    /// The context of an operation on a connection.
    pub fn context(&self, connection: &Connection) -> Context {
        Context {
            connection: connection.clone().into(),
            actor: self.operator.actor(),
            request_id: self.request_id.clone(),
            now: self.now,
            base_url: self.app.scim_base_url.clone(),
            registry: self.app.registry.clone(),
        }
    }

    /// The connection of that name.
    ///
    /// # Errors
    /// There is none.
    pub async fn connection(&self, name: &str) -> Result<Connection, ConsoleFailure> {
        let name = name.to_owned();
        Ok(self.app.db.read(move |conn| connections::find(conn, &name)).await?)
    }
}

impl FromRequest for Seat {
    type Error = ConsoleFailure;
    type Future = Ready<Result<Self, ConsoleFailure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let seat = request.extensions().get::<Self>().cloned();
        ready(seat.ok_or(ConsoleFailure::Forbidden("Sign in first.".into())))
    }
}

/// The path of the console as browsers see it.
pub fn base(app: &App) -> String {
    format!("{}{}", prefix(app), shell::PATH)
}

/// What comes before every path as browsers see it: the public address may have a path of its own.
pub fn prefix(app: &App) -> String {
    let path = Url::parse(&app.settings.public_url).map(|url| url.path().to_owned());
    path.unwrap_or_default().trim_end_matches('/').to_owned()
}

/// Middleware of every page but that of signing in. Whoever is nobody is sent there.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let seat = match identify(request.request()).await {
        Ok(seat) => seat,
        Err(failure) => {
            let base = request.app_data::<web::Data<App>>().map(|app| base(app));
            let page = failure.page(base.as_deref().unwrap_or(shell::PATH));
            return Ok(request.into_response(page));
        }
    };
    let Some(seat) = seat else {
        let page = to_login(request.request());
        return Ok(request.into_response(page));
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_own_page(&seat.app, request.request()) {
        let failure =
            ConsoleFailure::Forbidden("This has to begin on a page of the console.".into());
        return Ok(request.into_response(failure.page(&seat.base)));
    }
    let base = seat.base.clone();
    // No name and no id has it, and not every database takes it.
    if request.path().contains("%00") {
        return Ok(request.into_response(
            ConsoleFailure::Missing("There is no such page.".to_owned()).page(&base),
        ));
    }
    request.extensions_mut().insert(seat);
    let response = next.call(request).await?.map_into_boxed_body();
    // The failure itself does not know where the console is.
    let failure = response.response().error().and_then(|error| error.as_error::<ConsoleFailure>());
    let page = failure.filter(|_| base != shell::PATH).map(|failure| failure.page(&base));
    Ok(match page {
        Some(page) => response.into_response(page),
        None => response,
    })
}

/// Whoever has to sign in, and comes back to where they wanted to go. What would have been done is not.
fn to_login(request: &HttpRequest) -> actix_web::HttpResponse {
    let app = request.app_data::<web::Data<App>>();
    let base = app.map_or_else(|| shell::PATH.to_owned(), |app| base(app));
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let signed_out = "Nothing was done: you are signed out. Sign in, and do it again.";
        return ConsoleFailure::Forbidden(signed_out.into()).page(&base);
    }
    let wanted = request.uri().path_and_query().map_or("", |wanted| wanted.as_str());
    let below = wanted.strip_prefix(shell::PATH).filter(|below| below.starts_with('/'));
    let next = below.map(|below| format!("{base}{below}")).unwrap_or_default();
    redirect(&format!("{base}/login?{}", parts::query(&[("next", &next)])))
}

async fn identify(request: &HttpRequest) -> Result<Option<Seat>, ConsoleFailure> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Err(StoreError::Unavailable("the application is not set up".to_owned()).into());
    };
    let now = (app.clock)();
    let (console, session) =
        (cookie::console_value(&app, request), cookie::session_value(&app, request));
    let Some((operator, secret)) = operator(&app, console, session, now).await? else {
        return Ok(None);
    };
    let id = match operator.actor() {
        Actor::Admin(id) | Actor::User(id) => id,
        _ => String::new(),
    };
    admit_from(&app, request, &operator.allow_from, &id)?;
    // A page that follows by itself keeps nobody signed in.
    let is_following = request.headers().contains_key(FOLLOWING);
    if operator.note_use && !is_following {
        let (db, who) = (app.db.clone(), operator.who.clone());
        actix_web::rt::spawn(async move {
            let note = move |conn: &mut _| operators::note_use(conn, secret.expose(), &who, now);
            if let Err(error) = db.note("note_console_use", note).await {
                log::log!(error.level(), "could not note the use of the console: {error}");
            }
        });
    }
    let (base, request_id) = (base(&app), RequestId::of(request));
    Ok(Some(Seat { app, operator, base, request_id, now }))
}

/// Who comes with either cookie, and by which.
async fn operator(
    app: &App,
    console: Option<Secret>,
    session: Option<Secret>,
    now: i64,
) -> Result<Option<(Operator, Secret)>, StoreError> {
    if console.is_none() && session.is_none() {
        return Ok(None);
    }
    // Anybody can send cookies: it is the work of people, who have one share together.
    app.people
        .snapshot(move |conn| {
            if let Some(secret) = console
                && let Some(operator) = operators::of_token(conn, secret.expose(), now)?
            {
                return Ok(Some((operator, secret)));
            }
            let Some(secret) = session else { return Ok(None) };
            let found = operators::of_person(conn, secret.expose(), now)?;
            Ok(found.map(|operator| (operator, secret)))
        })
        .await
}
