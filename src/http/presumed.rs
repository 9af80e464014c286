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
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::answer::Failure;
use super::client::{self, Client, Presented};
use super::scopes;
use crate::access::scope::Scope;
use crate::app::known::Entry;
use crate::db::Conn;
use crate::directory::tokens::Told;
use crate::directory::{Context, DirectoryResult};

/// What a request takes for granted.
struct Presumed {
    entry: Entry,
    /// What the request has presented, until the store has said whether that is still good.
    presented: RefCell<Option<Presented>>,
    /// The scopes of which the route needs one.
    scopes: Cell<&'static [Scope]>,
}

/// Presumes that the token of a request is as good as it was.
pub(super) fn presume(request: &HttpRequest, entry: Entry, presented: Presented) {
    let presented = RefCell::new(Some(presented));
    let presumed = Presumed { entry, presented, scopes: Cell::new(scopes::NONE) };
    request.extensions_mut().insert(Rc::new(presumed));
}

/// Notes of which scopes the route needs one.
pub(super) fn needs(request: &HttpRequest, scopes: &'static [Scope]) {
    if let Some(presumed) = open(request) {
        presumed.scopes.set(scopes);
    }
}

/// Whether something is presumed of the request that is not known.
pub(super) fn is_open(request: &HttpRequest) -> bool {
    open(request).is_some()
}

/// What is presumed of the request and not known.
fn open(request: &HttpRequest) -> Option<Rc<Presumed>> {
    let extensions = request.extensions();
    let presumed = extensions.get::<Rc<Presumed>>()?;
    presumed.presented.borrow().is_some().then(|| presumed.clone())
}

impl Presumed {
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
        // From here on it is known: how the second look ends is the answer.
        let Some(presented) = self.presented.take() else { return Ok(None) };
        if is_so {
            presented.still_good(&client.app, &self.entry);
            return Ok(None);
        }
        let client = client::look_again(request, presented).await?;
        scopes::check_scope(&client, self.scopes.get())?;
        Ok(Some(client))
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
    match open(request) {
        Some(presumed) => presumed.renewed(request, client, None).await,
        None => Ok(None),
    }
}

/// The answer, if the token of its request is good; whoever has made sure of that is not asked again.
pub(super) async fn settle(
    client: &Client,
    answer: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    match make_sure(answer.request(), client).await {
        Ok(_) => answer,
        Err(failure) => answer.error_response(failure),
    }
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
    /// The client, as it is presumed to be: for what is answered only together with what it looks up.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, once it is known to be good.
    ///
    /// # Errors
    /// It is not, or the store's.
    pub async fn sure(&self) -> Result<Client, Failure> {
        let renewed = make_sure(&self.request, &self.client).await?;
        Ok(renewed.unwrap_or_else(|| self.client.clone()))
    }

    /// Runs `work`, which finds some rows by an index and no more; see [`lookup`](crate::db::Db::lookup).
    ///
    /// # Errors
    /// What `work` says, or that the client's token is not good any more.
    pub async fn look_up<T>(
        &self,
        work: impl Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
    ) -> Result<T, Failure>
    where
        T: Told + Send + 'static,
    {
        self.seek(Arc::new(work), true).await
    }

    /// Runs `work`, all of whose reads see the same state of the store; see [`snapshot`](crate::db::Db::snapshot).
    ///
    /// # Errors
    /// What `work` says, or that the client's token is not good any more.
    pub async fn read<T>(
        &self,
        work: impl Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
    ) -> Result<T, Failure>
    where
        T: Told + Send + 'static,
    {
        self.seek(Arc::new(work), false).await
    }

    async fn seek<T, W>(&self, work: Arc<W>, is_quick: bool) -> Result<T, Failure>
    where
        T: Told + Send + 'static,
        W: Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
    {
        let Some(presumed) = open(&self.request) else {
            return Ok(run(&self.client, work, is_quick).await?);
        };
        let found = run(&self.client, work.clone(), is_quick).await;
        // What was not found tells nothing, and is nobody's business either before that is known.
        let told = found.as_ref().ok().and_then(Told::epoch);
        match presumed.renewed(&self.request, &self.client, told).await? {
            None => Ok(found?),
            Some(client) => Ok(run(&client, work, is_quick).await?),
        }
    }
}

async fn run<T, W>(client: &Client, work: Arc<W>, is_quick: bool) -> DirectoryResult<T>
where
    T: Send + 'static,
    W: Fn(&mut Conn, &Context) -> DirectoryResult<T> + Send + Sync + 'static,
{
    let context = client.context();
    let work = move |conn: &mut Conn| work(conn, &context);
    if is_quick { client.db().lookup(work).await } else { client.db().snapshot(work).await }
}
