//! Clients whose token is presumed to stand for what it stood for a moment ago. What they look up with
//! one statement tells by itself whether that is so, and the store is asked once instead of twice.
//!
//! No answer leaves before it is known: where a handler does not make sure, [`settle`] does.

use std::cell::{Cell, RefCell};
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::answer::{Failure, internal_error};
use super::client::{self, Client, Presented};
use super::scopes;
use crate::access::scope::Scope;
use crate::app::known::Entry;
use crate::db::Conn;
use crate::directory::tokens::AsOf;
use crate::directory::{Context, DirectoryError, DirectoryResult};

/// What a request takes for granted.
struct Presumed {
    entry: Entry,
    standing: RefCell<Standing>,
    /// The scopes of which the route needs one.
    scopes: Cell<&'static [Scope]>,
}

/// Whether it is so.
enum Standing {
    /// The store has not said yet.
    Open(Presented),
    /// Something has changed, and what was presented was not found to be good, or not yet.
    Refuted,
    /// The token is good: it was so at some moment since the request came.
    Known,
}

/// Presumes that the token of a request is as good as it was.
pub(super) fn presume(request: &HttpRequest, entry: Entry, presented: Presented) {
    let standing = RefCell::new(Standing::Open(presented));
    let presumed = Presumed { entry, standing, scopes: Cell::new(scopes::NONE) };
    request.extensions_mut().insert(Rc::new(presumed));
}

/// Notes of which scopes the route needs one.
pub(super) fn needs(request: &HttpRequest, scopes: &'static [Scope]) {
    if let Some(presumed) = of(request) {
        presumed.scopes.set(scopes);
    }
}

/// Whether nothing is presumed of the request that is not known.
pub(super) fn is_known(request: &HttpRequest) -> bool {
    of(request).is_none_or(|presumed| matches!(*presumed.standing.borrow(), Standing::Known))
}

fn of(request: &HttpRequest) -> Option<Rc<Presumed>> {
    request.extensions().get::<Rc<Presumed>>().cloned()
}

impl Presumed {
    fn is_open(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Open(_))
    }

    /// The client with whatever its token stands for now, if anything has changed since it was looked
    /// up last, of which `told` may tell already.
    async fn renewed(
        &self,
        request: &HttpRequest,
        client: &Client,
        told: Option<&str>,
    ) -> Result<Option<Client>, Failure> {
        let is_so = match told {
            Some(epoch) => epoch == self.entry.epoch,
            None => client.app.known.epoch(&client.app.db).await? == self.entry.epoch,
        };
        let presented = match self.standing.replace(Standing::Refuted) {
            Standing::Open(presented) => presented,
            other => {
                self.standing.replace(other);
                return Err(internal_error().into());
            }
        };
        let renewed = if is_so {
            presented.still_good(&client.app, &self.entry);
            None
        } else {
            let client = client::look_again(request, presented).await?;
            scopes::check_scope(&client, self.scopes.get())?;
            Some(client)
        };
        self.standing.replace(Standing::Known);
        Ok(renewed)
    }
}

/// The client again, if something has changed of what was presumed of it.
///
/// # Errors
/// The token is not good any more, or may not do what it is to do.
pub(super) async fn make_sure(
    request: &HttpRequest,
    client: &Client,
) -> Result<Option<Client>, Failure> {
    match of(request).filter(|presumed| presumed.is_open()) {
        Some(presumed) => presumed.renewed(request, client, None).await,
        None => Ok(None),
    }
}

/// The answer, if the token of its request is good; whoever has made sure of that is not asked again.
pub(super) async fn settle(
    client: &Client,
    answer: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    // That something is wrong here tells nothing.
    if answer.status().is_server_error() {
        return answer;
    }
    if let Err(failure) = make_sure(answer.request(), client).await {
        return answer.error_response(failure);
    }
    let is_refusal = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_known(answer.request()) || is_refusal {
        return answer;
    }
    answer.error_response(Failure::from(internal_error()))
}

/// A client that looks something up, its token known or presumed to be good.
pub struct Seeker {
    client: Client,
    request: HttpRequest,
}

impl FromRequest for Seeker {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let seeker = client::of(request).map(|client| Self { client, request: request.clone() });
        ready(seeker)
    }
}

impl Seeker {
    /// The client, as it is presumed to be until something was looked up.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, once it is known to be good.
    ///
    /// # Errors
    /// It is not, or the store's.
    pub async fn sure(&mut self) -> Result<&Client, Failure> {
        if let Some(client) = make_sure(&self.request, &self.client).await? {
            self.client = client;
        }
        Ok(&self.client)
    }

    /// Runs `work`, which finds some rows by an index and no more; see [`lookup`](crate::db::Db::lookup).
    ///
    /// # Errors
    /// What `work` says, or that the client's token is not good any more.
    pub async fn look_up<T, W>(&mut self, work: W) -> Result<T, Failure>
    where
        T: AsOf + Send + 'static,
        W: Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let presumed = of(&self.request).filter(|presumed| presumed.is_open());
        let Some(presumed) = presumed else {
            return Ok(run(&self.client, work).await?);
        };
        let found = run(&self.client, work.clone()).await;
        let told = match &found {
            Ok(found) => found.epoch(),
            // A store that has too much to do, or is not there, is not asked again.
            Err(DirectoryError::Store(error)) if error.is_unavailable() => return Ok(found?),
            // What is not there is nobody's business either before it is known who asks.
            Err(_) => None,
        };
        match presumed.renewed(&self.request, &self.client, told).await? {
            None => Ok(found?),
            Some(client) => {
                self.client = client;
                Ok(run(&self.client, work).await?)
            }
        }
    }
}

async fn run<T, W>(client: &Client, work: Arc<W>) -> DirectoryResult<T>
where
    T: Send + 'static,
    W: Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
{
    let context = client.context();
    client.db().lookup(move |conn| work(conn, &context)).await
}
