//! `/login/callback`: the browser is back from the provider, by GET or by a form.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;

use super::failure::PageFailure;
use super::page::sentence;
use super::parameters::{PageForm, PageQuery};
use super::start::{redirect, registration};
use super::{cookie, page};
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::apps;
use crate::directory::flows::{self, Flow, Wanted};
use crate::directory::grants::{self, Grant};
use crate::directory::requests::record::{Outcome, claims_seen};
use crate::directory::signin::{self, Identity, SignInError};
use crate::directory::tokens::{self, PlainToken};
use crate::directory::{Actor, Context, DirectoryError, claims};
use crate::http::address;
use crate::http::answer::Failure;
use crate::http::door::Attempt;
use crate::http::middleware::RequestId;
use crate::http::notes;
use crate::metrics::SignInEnd;
use crate::oidc::{Answer, OidcError, Secret};

/// What the provider sends by way of the browser.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    code: Option<Secret>,
    state: Option<Secret>,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /login/callback`, and `/login/callback/{connection}`
pub async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    finish(app, request, parameters.0).await
}

/// `POST /login/callback`, and `/login/callback/{connection}` (OAuth 2.0 Form Post Response Mode)
pub async fn post(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageForm<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    finish(app, request, parameters.0).await
}

async fn finish(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
) -> Result<HttpResponse, PageFailure> {
    let ended = come_back(&app, &request, parameters).await;
    let outcome = ended.as_ref().ok().map(|(outcome, _)| *outcome);
    // What came too often was not looked at, and is counted where it was refused.
    if !matches!(ended, Err(PageFailure::Failed(Failure::TooOften(_)))) {
        app.metrics.count_sign_in(outcome.map_or(SignInEnd::Failed, end_of));
    }
    notes::sign_in(&request, |sign_in| sign_in.outcome = outcome);
    ended.map(|(_, response)| response)
}

/// How a sign-in ended, and what the browser is told.
type Ended = Result<(Outcome, HttpResponse), PageFailure>;

async fn come_back(app: &web::Data<App>, request: &HttpRequest, parameters: Parameters) -> Ended {
    let stale = "This sign-in is not under way in this browser: it took longer than ten minutes, \
                 was finished already, or was begun elsewhere. Begin again at the application.";
    let not_under_way = || Ok((Outcome::NotUnderWay, page::bad_request(stale)));
    let Some(state) = parameters.state else { return not_under_way() };
    let attempt = Attempt::begin(app, request, Credential::SignIn, state.expose())?;
    let (browser, now) = (cookie::flow_value(app, request), (app.clock)());
    let flow = app
        .people
        .note("take_flow", move |conn| {
            flows::take(conn, state.expose(), browser.as_ref().map(Secret::expose), now)
        })
        .await?;
    let Some(flow) = flow else {
        attempt.failed(Refusal::SignIn);
        return not_under_way();
    };
    let because = |detail: &str| because(request, detail);
    notes::sign_in(request, |sign_in| {
        sign_in.connection_id = Some(flow.connection.id.clone());
    });
    // Where each provider has an address of its own to answer at, one cannot make another's answer
    // pass for its own (RFC 9700 section 4.4.2).
    if !request.path().eq_ignore_ascii_case(&flow.connection.redirect_path()) {
        because("the answer came to another address than this connection's");
        let text = "The identity provider's answer came to another address than this connection's. \
                    Tell the administrator to check the redirect URI there.";
        return Ok((Outcome::WrongAddress, page::bad_request(text)));
    }
    if let Some(error) = parameters.error {
        because(named(&error));
        return Ok((Outcome::ProviderError, page::refused(provider_error(&error))));
    }
    let Some(code) = parameters.code else {
        because("the answer has neither a code nor an error");
        return Ok((Outcome::ProviderError, page::bad_request(stale)));
    };
    let registration = match registration(app, &flow.connection).await? {
        Ok(registration) => registration,
        Err(text) => {
            because(text);
            return Ok((Outcome::NotSetUp, page::provider_failed(text)));
        }
    };
    let answer = Answer {
        code,
        issuer: parameters.iss,
        nonce: flow.nonce.clone(),
        pkce_verifier: flow.pkce_verifier.clone(),
    };
    let verified = match app.providers.finish(&registration, &answer, now).await {
        Ok(verified) => verified,
        Err(error) => {
            log::warn!(
                connection:% = flow.connection.name,
                client:% = address::shown(request);
                "sign-in failed: {error}"
            );
            because(&error.to_string());
            return Ok((outcome(&error), failed(&error)));
        }
    };
    let identity = Identity {
        issuer: verified.issuer,
        subject: verified.subject,
        issued_at: verified.issued_at,
        claims: verified.claims,
    };
    enter(app, request, flow, identity, now).await
}

/// Notes what was in the way of the sign-in.
fn because(request: &HttpRequest, detail: &str) {
    notes::sign_in(request, |sign_in| sign_in.detail = Some(detail.to_owned()));
}

/// Lets the person in, or says why not.
async fn enter(
    app: &web::Data<App>,
    request: &HttpRequest,
    flow: Flow,
    identity: Identity,
    now: i64,
) -> Ended {
    let settings = &flow.connection.settings.sign_in;
    let claimed = claims::identifier(&identity.claims, &settings.user_name_claim);
    notes::sign_in(request, |sign_in| {
        sign_in.facts = Some(claims_seen(settings, &identity.claims).to_string());
        sign_in.user_name = claimed.map(str::to_owned);
    });
    let because = |detail: &str| because(request, detail);
    let context = Context {
        connection: flow.connection.into(),
        actor: Actor::SignIn(uuid::Uuid::now_v7().to_string()),
        request_id: RequestId::of(request),
        now,
        base_url: app.scim_base_url.clone(),
        registry: app.registry.clone(),
    };
    let wanted = flow.request;
    let (registry_app, kept) = (app.clone(), (context.clone(), identity.clone(), wanted.clone()));
    let entered = app
        .people
        .write("sign_in", move |conn| {
            let (context, identity, wanted) = &kept;
            if flows::is_orphaned(conn, &context.connection, wanted)? {
                return Ok(None);
            }
            let user_type = registry_app.registry.user();
            let entered = signin::sign_in(conn, context, user_type, identity)?;
            let session = &entered.session;
            let handed = match (&wanted.wanted, &wanted.app_id, &wanted.redirect_uri) {
                (Wanted::Code { challenge }, Some(client), Some(uri)) => {
                    Some(grants::issue_code(conn, &session.id, client, uri, challenge, now)?)
                }
                (Wanted::Token, Some(client), _) => {
                    Some(grants::issue_token(conn, &session.id, client, None, now)?)
                }
                _ => None,
            };
            // Who is signed in is said on the page, where no application says it.
            let who = match wanted.redirect_uri {
                None => grants::of_session(conn, &session.id, now)?,
                Some(_) => None,
            };
            Ok::<_, SignInError>(Some((entered, handed, who)))
        })
        .await;
    let (entered, handed, who) = match entered {
        Ok(Some(entered)) => entered,
        Ok(None) => {
            because("the application or the connection was deleted meanwhile");
            let text = "The application that you began at may not ask for sign-in any more. Begin \
                        again at the application; if it stays so, tell the administrator.";
            return Ok((Outcome::ApplicationGone, page::refused(text)));
        }
        Err(SignInError::Directory(DirectoryError::Refused(error))) => {
            log::warn!(connection:% = context.connection.name; "sign-in failed: {error}");
            because(&error.detail);
            let text =
                "What the identity provider says of you cannot be stored; tell the administrator.";
            return Ok((Outcome::NotStorable, page::refused(text)));
        }
        Err(SignInError::Directory(error)) => return Err(error.into()),
        Err(SignInError::Refused(refusal)) => {
            let text = sentence(&refusal.to_string());
            because(&refusal.to_string());
            app.people
                .write("record_refusal", move |conn| {
                    signin::record_refusal(conn, &context, &identity, refusal)
                })
                .await?;
            return Ok((Outcome::Refused(refusal), page::refused(&text)));
        }
    };
    if let (Wanted::Code { .. }, Some(code)) = (&wanted.wanted, &handed) {
        app.limiter.succeeded(Credential::Code, tokens::hash(code.expose()));
    }
    let mut response = match who {
        Some(who) => signed_in(&who),
        None => hand_over(app, &wanted, handed.as_ref()),
    };
    let outcome = if entered.created { Outcome::Created } else { Outcome::SignedIn };
    notes::sign_in(request, |sign_in| {
        sign_in.user_id = Some(entered.session.user_id.clone());
        sign_in.user_name = Some(entered.user_name.clone());
    });
    let session = cookie::session(app, entered.session.secret.expose().to_owned());
    response
        .add_cookie(&session)
        .map_err(|_| StoreError::Corrupt("a cookie that is none".to_owned()))?;
    Ok((outcome, response))
}

/// Says who is signed in: it need not be who sits there, if somebody else sent the browser here.
fn signed_in(who: &Grant) -> HttpResponse {
    let name = who.person.get("preferred_username").and_then(Value::as_str).unwrap_or_default();
    let text = format!("You are signed in as {name}. You can go on to the application.");
    page::page(StatusCode::OK, "You are signed in", &text)
}

/// Sends the browser to the application with what it asked for.
fn hand_over(app: &App, request: &flows::Request, handed: Option<&PlainToken>) -> HttpResponse {
    let Some(redirect_uri) = &request.redirect_uri else {
        return page::bad_request("The application has no address to go on to.");
    };
    let lifetime = grants::TOKEN_LIFETIME.to_string();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut in_fragment = false;
    match (&request.wanted, handed) {
        (Wanted::Code { .. }, Some(code)) => {
            pairs.push(("code", code.expose()));
        }
        (Wanted::Token, Some(token)) => {
            in_fragment = true;
            pairs.push(("access_token", token.expose()));
            pairs.push(("token_type", "Bearer"));
            pairs.push(("expires_in", &lifetime));
        }
        _ => return redirect(redirect_uri),
    }
    // RFC 9207: who answers.
    pairs.push(("iss", &app.settings.public_url));
    pairs.extend(request.state.as_ref().map(|state| ("state", state.expose())));
    match apps::address(redirect_uri, &pairs, in_fragment) {
        Some(address) => redirect(&address),
        None => page::bad_request("The application's address cannot be used."),
    }
}

/// A provider's error by its name, if it is written as such names are: anybody can write something else
/// into the address.
fn named(error: &str) -> &str {
    let is_name = error.len() <= 40 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_name { error } else { "an error that is none of OAuth" }
}

/// How a sign-in ended that the provider does not vouch for.
fn outcome(error: &OidcError) -> Outcome {
    match error {
        OidcError::Provider(_) | OidcError::BadIssuer(_) => Outcome::ProviderFailed,
        OidcError::CodeRefused(code) if code == "invalid_client" => Outcome::ClientRefused,
        OidcError::CodeRefused(_) => Outcome::CodeRefused,
        _ => Outcome::NotVerified,
    }
}

/// Under which name the end of a sign-in is counted.
fn end_of(outcome: Outcome) -> SignInEnd {
    use signin::Refusal;
    match outcome {
        Outcome::SignedIn | Outcome::Created => SignInEnd::SignedIn,
        Outcome::Refused(Refusal::Inactive) => SignInEnd::Inactive,
        Outcome::Refused(Refusal::NotProvisioned) => SignInEnd::NotProvisioned,
        Outcome::Refused(Refusal::NameTaken) => SignInEnd::NameTaken,
        Outcome::Refused(Refusal::NoUserName) => SignInEnd::NoUserName,
        Outcome::NotUnderWay => SignInEnd::NotUnderWay,
        Outcome::WrongAddress => SignInEnd::WrongAddress,
        Outcome::ProviderError => SignInEnd::ProviderRefused,
        Outcome::NotSetUp => SignInEnd::NotSetUp,
        Outcome::ProviderFailed => SignInEnd::ProviderFailed,
        Outcome::ClientRefused | Outcome::CodeRefused => SignInEnd::CodeRefused,
        Outcome::NotVerified => SignInEnd::InvalidToken,
        Outcome::NotStorable => SignInEnd::NotStorable,
        Outcome::ApplicationGone => SignInEnd::ApplicationGone,
    }
}

/// What a provider's error means for the person (RFC 6749 section 4.1.2.1); its own words are not
/// repeated, since anybody can write them into the address.
fn provider_error(error: &str) -> &'static str {
    match error {
        "access_denied" => {
            "The identity provider did not let you in: the application is not assigned to you, or \
             you did not agree. Ask the administrator to assign it."
        }
        "login_required" | "interaction_required" | "consent_required" => {
            "The identity provider wants you to sign in there first. Begin again at the application."
        }
        "temporarily_unavailable" | "server_error" => {
            "The identity provider has a problem for the moment. Try again in a minute."
        }
        _ => {
            "The identity provider refused the request. Tell the administrator to check the \
             application's settings there: redirect URI, grant type and scopes."
        }
    }
}

fn failed(error: &OidcError) -> HttpResponse {
    let text = match error {
        OidcError::Provider(_) | OidcError::BadIssuer(_) => {
            return page::provider_failed(
                "Muster cannot reach the identity provider, or does not understand it. Try again \
                 in a minute; if it stays so, tell the administrator.",
            );
        }
        OidcError::CodeRefused(code) if code == "invalid_client" => {
            "The identity provider does not accept Muster's client id or secret. Tell the \
             administrator to check them."
                .to_owned()
        }
        OidcError::CodeRefused(_) => {
            "The identity provider did not accept the answer that it gave itself. Begin again at \
             the application."
                .to_owned()
        }
        // The reason is in words of ours, and tells the administrator what to mend.
        other => format!(
            "What the identity provider says of you did not stand the checks: {other}. Begin again \
             at the application; if it stays so, tell the administrator."
        ),
    };
    page::refused(&text)
}
