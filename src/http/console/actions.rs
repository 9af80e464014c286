//! What is done from the console. Whatever takes something away says first what will happen, on a page
//! of its own, and is done by its form.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, copied, notice};
use super::shell;
use crate::access::Permit;
use crate::directory::connections::{self, AdminError};
use crate::directory::{DirectoryError, brake, sessions, tokens, users};
use crate::http::signin::parameters::PageForm;
use crate::http::signin::redirect;

/// How long a token works that is made here, in microseconds: a year.
pub(super) const TOKEN_LIFETIME: i64 = 365 * 86_400 * 1_000_000;
/// How long what was held goes through, in microseconds: an hour.
const RELEASED_FOR: i64 = 3_600 * 1_000_000;
/// Most bytes of a token's label.
const MAX_LABEL: usize = 64;

/// A page that says what will happen, and does it when it is told to.
fn question(seat: &Seat, title: &str, text: &Markup, button: &str, back: &str) -> HttpResponse {
    let body = html! {
        h1 { (title) }
        section.card {
            (text)
            form method="post" {
                button.danger { (button) } " "
                a.button href=(back) { "Leave it as it is" }
            }
        }
    };
    shell::page(seat, title, &body)
}

/// The form of a new token.
#[derive(Debug, Deserialize)]
pub struct NewToken {
    label: Option<String>,
}

/// `POST /console/connections/{name}/tokens`
pub async fn make_token(
    seat: Seat,
    name: web::Path<String>,
    form: PageForm<NewToken>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, by) = (name.into_inner(), seat.by());
    let label = form.0.label.unwrap_or_default();
    if label.len() > MAX_LABEL {
        return Err(ConsoleFailure::Wrong(format!("A label has at most {MAX_LABEL} bytes.")));
    }
    let (connection, token, secret) = seat
        .app
        .db
        .write("create_token", move |conn| {
            let connection = connections::find(conn, &name)?;
            let end = Some(by.now + TOKEN_LIFETIME);
            let permit = Permit::default();
            let (token, secret) = tokens::create_by(conn, &connection, &label, &permit, end, &by)?;
            Ok::<_, AdminError>((connection, token, secret.expose().to_owned()))
        })
        .await?;
    let back = seat.connection_path(&connection.name);
    let body = html! {
        h1 { "A new token for " (connection.name) }
        (notice(Tone::Warn, "It is shown this once. Enter it at the provider before you leave this page."))
        section.card {
            (copied("base-url", "SCIM connector base URL", &seat.app.scim_base_url))
            (copied("new-token", "HTTP Header → Authorization", &secret))
            p.small.soft { "Its id is " code { (token.id) } "." }
            p { a.button.main href=(back) { "Done" } }
        }
    };
    Ok(shell::page(&seat, "A new token", &body))
}

/// `GET /console/connections/{name}/tokens/{id}/revoke`
pub async fn ask_revoke_token(
    seat: Seat,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let (connection, others, token) = of_token(&seat, name, id).await?;
    let text = html! {
        p { "The next request with " strong { (token.label) } " is refused, and the provider shows an error at each \
            push until another token is entered there. This cannot be taken back." }
        @if others == 0 {
            (notice(Tone::Bad, "It is the only token that works: without another one nothing can be pushed."))
        } @else {
            p { (others) " other token" @if others > 1 { "s" } " of the connection " @if others > 1 { "go" } @else { "goes" } " on working." }
        }
    };
    let back = seat.connection_path(&connection);
    Ok(question(&seat, "Revoke this token?", &text, "Revoke the token", &back))
}

/// `POST /console/connections/{name}/tokens/{id}/revoke`
pub async fn revoke_token(
    seat: Seat,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let (connection, _, token) = of_token(&seat, name, id).await?;
    let by = seat.by();
    seat.app.db.write("revoke_token", move |conn| tokens::revoke_by(conn, &token.id, &by)).await?;
    Ok(redirect(&format!("{}?done=token-revoked", seat.connection_path(&connection))))
}

/// A token of a connection, with the connection's name and the number of others that work.
async fn of_token(
    seat: &Seat,
    name: String,
    id: String,
) -> Result<(String, usize, tokens::Token), ConsoleFailure> {
    let now = seat.now;
    let (name, found) = seat
        .app
        .db
        .snapshot(move |conn| {
            let connection = connections::find(conn, &name)?;
            let found = tokens::of(conn, &connection)?;
            Ok::<_, AdminError>((connection.name, found))
        })
        .await?;
    let lives = |token: &&tokens::Token| token.id != id && token.status(now) == "live";
    let others = found.iter().filter(lives).count();
    let token = found.into_iter().find(|token| token.id == id);
    let token =
        token.ok_or_else(|| ConsoleFailure::Missing("There is no such token.".to_owned()))?;
    Ok((name, others, token))
}

/// `GET /console/connections/{name}/brake/release`
pub async fn ask_release(
    seat: Seat,
    name: web::Path<String>,
) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    let text = html! {
        p { "For an hour everything that the provider pushes goes through, however much it takes away. What was \
            refused comes again when the provider tries it again." }
        p { "Make sure first that the provider means it: the people in question lose their sessions at once." }
    };
    let back = seat.connection_path(&connection.name);
    Ok(question(&seat, "Release the brake?", &text, "Release it for an hour", &back))
}

/// `POST /console/connections/{name}/brake/release`
pub async fn release(seat: Seat, name: web::Path<String>) -> Result<HttpResponse, ConsoleFailure> {
    let (name, by) = (name.into_inner(), seat.by());
    let released = seat
        .app
        .db
        .write("release_brake", move |conn| {
            let until = by.now + RELEASED_FOR;
            brake::release(conn, &name, &by.actor, by.request_id.as_deref(), until, by.now)
        })
        .await?;
    Ok(redirect(&format!("{}?done=brake-released", seat.connection_path(&released.connection))))
}

/// What can be done with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserAction {
    Deactivate,
    Reactivate,
    SignOut,
}

/// `GET /console/connections/{name}/users/{id}/{action}`
pub async fn ask_user(
    seat: Seat,
    path: web::Path<(String, String, UserAction)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id, action) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let back = format!("{}/users/{id}", seat.connection_path(&connection.name));
    let (context, now) = (seat.context(&connection), seat.now);
    let (user_name, sessions) = seat
        .app
        .db
        .snapshot(move |conn| {
            let user = users::get(conn, &context, &id, false)?;
            let sessions = sessions::of_user(conn, user.id(), now)?.len();
            Ok::<_, DirectoryError>((user.row().user_name.clone(), sessions))
        })
        .await?;
    let (title, text, button) = match action {
        UserAction::Deactivate => (
            "Deactivate this user?",
            html! {
                p { strong { (user_name) } " loses " (sessions) " session" @if sessions != 1 { "s" }
                    " at once, belongs to no team in effect, and cannot sign in." }
                p { "The provider is not told. If it says that the user is active, by a push, the user is so \
                    again: take the assignment away there, too." }
            },
            "Deactivate",
        ),
        UserAction::Reactivate => (
            "Reactivate this user?",
            html! {
                p { strong { (user_name) } " can sign in again, and is back in the teams that the sources say." }
                p { "If the provider has deactivated the user, it may say so again at its next push." }
            },
            "Reactivate",
        ),
        UserAction::SignOut => (
            "End every session of this user?",
            html! {
                p { strong { (user_name) } " has " (sessions) " live session" @if sessions != 1 { "s" }
                    ". They end at once, with their access tokens, in every application. The user stays active \
                    and may sign in again." }
            },
            "End the sessions",
        ),
    };
    Ok(question(&seat, title, &text, button, &back))
}

/// `POST /console/connections/{name}/users/{id}/{action}`
pub async fn change_user(
    seat: Seat,
    path: web::Path<(String, String, UserAction)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id, action) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let back = format!("{}/users/{id}", seat.connection_path(&connection.name));
    let (context, by) = (seat.context(&connection), seat.by());
    seat.app
        .db
        .write("change_user", move |conn| {
            match action {
                UserAction::Deactivate => users::set_active_by_hand(conn, &context, &id, false)?,
                UserAction::Reactivate => users::set_active_by_hand(conn, &context, &id, true)?,
                UserAction::SignOut => {
                    sessions::revoke(conn, &context.connection.id, &id, None, &by)?;
                }
            }
            Ok::<_, DirectoryError>(())
        })
        .await?;
    let done = match action {
        UserAction::Deactivate => "deactivated",
        UserAction::Reactivate => "reactivated",
        UserAction::SignOut => "signed-out",
    };
    Ok(redirect(&format!("{back}?done={done}")))
}

/// `POST /console/connections/{name}/users/{id}/sessions/{session}/end`: one session, whose loss costs
/// a person no more than signing in again.
pub async fn end_session(
    seat: Seat,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id, session) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let back = format!("{}/users/{id}", seat.connection_path(&connection.name));
    let by = seat.by();
    let ended = seat
        .app
        .db
        .write("end_session", move |conn| {
            sessions::revoke(conn, &connection.id, &id, Some(&session), &by)
        })
        .await?;
    let done = if ended == 0 { "no-session" } else { "session-ended" };
    Ok(redirect(&format!("{back}?done={done}")))
}
