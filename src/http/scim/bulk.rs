//! `POST /Bulk` (RFC 7644 section 3.7).

use actix_web::HttpResponse;
use serde_json::Value;

use super::log_quirks;
use crate::access::scope::Scope;
use crate::app::budget::{Held, Spent};
use crate::db::{Conn, StoreError};
use crate::directory::{DirectoryError, bulk, rehearsal};
use crate::http::answer::{self, Failure};
use crate::http::body::BulkBody;
use crate::http::client::Client;
use crate::http::scopes::check_scope;
use crate::metrics::TurnedAway;
use crate::scim::bulk::{Broken, Endpoint, Job, Run};
use crate::scim::quirks::Quirks;
use crate::scim::{ScimError, ScimResult};
use crate::serving;

/// So many operations in a row find no database before the rest of a job is given up: each may have
/// waited for it as long as a request of its own would.
const ATTEMPTS: u32 = 2;

/// `POST /Bulk`.
pub async fn post(client: Client, body: BulkBody) -> Result<HttpResponse, Failure> {
    let mut quirks = Quirks::default();
    let mut job = Job::parse(body.0, &mut quirks)?;
    log_quirks(&client, &quirks);
    // Each operation is held against the scope that a request of its own would need, and counts as
    // one.
    job.refuse(|endpoint| {
        let scope = match endpoint {
            Endpoint::Users => Scope::UsersWrite,
            Endpoint::Groups => Scope::GroupsWrite,
        };
        check_scope(&client, &[scope]).err().map(|lack| lack.error)
    });
    client.app.limiter.more_work(
        client.token_id(),
        job.size().saturating_sub(1),
        (client.app.clock)(),
    );
    let turn = turn(&client)?;
    if client.is_rehearsing() {
        return rehearse(&client, job).await;
    }
    // A client that hangs up leaves no job half done, and what is logged of it names the request.
    let request = serving::request();
    let work = carry_out(client, job, turn);
    let work = async move {
        match request {
            Some(request) => serving::during(&request, work).await,
            None => work.await,
        }
    };
    let done = actix_web::rt::spawn(work).await;
    Ok(answer::message(&done.map_err(|_| StoreError::Panicked)?))
}

/// Carries the whole job out in one transaction, of which nothing is kept.
async fn rehearse(client: &Client, job: Job) -> Result<HttpResponse, Failure> {
    let (context, app) = (client.context(), client.app.clone());
    let work = move |conn: &mut Conn| {
        rehearsal::bulk_job(conn, &context, &app.registry, job.clone(), rehearsal::PATIENCE)
    };
    let run = client.db().large(true).write("rehearse_bulk", work).await?;
    Ok(answer::message(&run.answer(&client.app.scim_base_url)))
}

/// A turn for one more job: each may keep the store busy for long.
fn turn(client: &Client) -> ScimResult<Held> {
    let app = &client.app;
    let mut turn = app.bulk.begin(Some(&client.connection().id));
    turn.take(1).map(|()| turn).map_err(|spent| {
        if spent == Spent::Share {
            app.metrics.turn_away(TurnedAway::BulkShare);
            let detail = "this connection has bulk requests under way; send one after the other";
            return ScimError::new(429, detail);
        }
        app.metrics.turn_away(TurnedAway::BulkFull);
        ScimError::new(503, "the server carries out as many bulk requests as it can; try again")
    })
}

/// Carries the job out, each step in a transaction of its own, and answers it.
///
/// When the database goes away in the middle, what was done stays done, and the rest is answered as
/// unavailable: the client can send that again.
async fn carry_out(client: Client, job: Job, _turn: Held) -> Value {
    let mut run = Run::new(job);
    let mut missed = 0;
    while let Some(step) = run.next(&client.app.registry) {
        let (places, context, app) = (step.places(), client.context(), client.app.clone());
        let work = move |conn: &mut _| bulk::carry_out(conn, &context, &app.registry, &step);
        match client.db().large(true).write("bulk", work).await {
            Ok(done) => {
                missed = 0;
                for (_, written) in &done {
                    log_quirks(&client, &written.quirks);
                }
                run.succeed(done);
            }
            Err(Broken { place, error }) => {
                missed = if error.is_unavailable() { missed + 1 } else { 0 };
                if let DirectoryError::Held(held) = &error {
                    client.put_brake_on(held.clone()).await;
                }
                let error = answer::shown(&error);
                run.fail(&places, &Broken { place, error: error.clone() });
                if missed == ATTEMPTS {
                    run.abandon(&error);
                }
            }
        }
    }
    let (processed, failed) = run.counts();
    let context = client.context();
    log::info!(processed, failed, connection:% = context.connection.name; "bulk");
    run.answer(&client.app.scim_base_url)
}
