//! `/authorize`: an application asks for somebody to sign in (RFC 6749 sections 4.1.1 and 4.2.1).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::failure::PageFailure;
use super::parameters::PageQuery;
use super::{page, start};
use crate::app::App;
use crate::directory::apps::{self, VendorApp};
use crate::directory::connections::{self, AdminError, Connection};
use crate::directory::flows::{Request, Wanted};
use crate::oidc::Asked;
use crate::secret::Secret;

/// The longest `state` that is handed back, in bytes.
const MAX_STATE: usize = 2048;
/// The longest `login_hint` that a provider is given, in bytes.
pub const MAX_HINT: usize = 1024;
/// The longest `prompt` that a provider is given, in bytes.
const MAX_PROMPT: usize = 64;

/// The parameters of a request for authorization.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    response_type: Option<String>,
    client_id: Option<String>,
    connection: Option<String>,
    redirect_uri: Option<String>,
    state: Option<Secret>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    login_hint: Option<String>,
    prompt: Option<String>,
}

/// `GET /authorize`
pub async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    let parameters = parameters.0;
    // Nothing is sent to an address that is not the application's own: until that is known, what
    // is wrong is said on a page of ours (RFC 6749 section 4.1.2.1).
    let client = match parameters.client_id.clone() {
        None => {
            return Ok(page::bad_request("The address lacks the client_id of the application."));
        }
        Some(id) => app.people.read(move |conn| apps::find(conn, &id)).await?,
    };
    let Some(client) = client else {
        return Ok(page::bad_request("There is no application with this client_id."));
    };
    let Some(redirect_uri) = redirect_uri(&client, parameters.redirect_uri.as_deref()) else {
        return Ok(page::bad_request(
            "The redirect_uri is not one that this application was created with.",
        ));
    };
    let wanted = match wanted(&client, &parameters) {
        Ok(wanted) => wanted,
        Err(error) => {
            let state = parameters
                .state
                .as_ref()
                .map(Secret::expose)
                .filter(|state| state.len() <= MAX_STATE);
            return Ok(error.answer(&app.settings.public_url, &redirect_uri, state));
        }
    };
    let connection = match chosen(&app, parameters.connection).await? {
        Ok(connection) => connection,
        Err(text) => return Ok(page::bad_request(text)),
    };
    let asked = Asked { login_hint: parameters.login_hint, prompt: parameters.prompt };
    let wanted = Request {
        app_id: Some(client.id),
        redirect_uri: Some(redirect_uri),
        wanted,
        state: parameters.state,
    };
    start::start(&app, &request, connection, wanted, asked).await
}

/// The connection by name; without a name, the only one there is.
async fn chosen(
    app: &web::Data<App>,
    name: Option<String>,
) -> Result<Result<Connection, &'static str>, PageFailure> {
    let is_named = name.is_some();
    let found = app
        .people
        .read(move |conn| {
            if let Some(name) = name {
                match connections::find(conn, &name) {
                    Ok(connection) => Ok(Some(connection)),
                    Err(AdminError::Store(error)) => Err(error),
                    Err(_) => Ok(None),
                }
            } else {
                connections::only(conn)
            }
        })
        .await?;
    Ok(found.ok_or(if is_named {
        "There is no connection of the name that the address gives (connection=NAME)."
    } else {
        "The address does not say which connection is meant (connection=NAME)."
    }))
}

/// The redirect URI, if it is one of the application's, compared as it stands (RFC 9700 section
/// 2.1); where there is only one it may be left out.
fn redirect_uri(client: &VendorApp, asked: Option<&str>) -> Option<String> {
    match (asked, client.redirect_uris.as_slice()) {
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
        (Some(asked), known) => known.iter().find(|known| *known == asked).cloned(),
    }
}

/// An error that the application is told by way of the browser.
#[derive(Debug)]
struct OAuthError {
    error: &'static str,
    description: &'static str,
    in_fragment: bool,
}

impl OAuthError {
    fn answer(&self, issuer: &str, redirect_uri: &str, state: Option<&str>) -> HttpResponse {
        // RFC 9207 section 2: errors too say who answers.
        let mut pairs =
            vec![("error", self.error), ("error_description", self.description), ("iss", issuer)];
        pairs.extend(state.map(|state| ("state", state)));
        match apps::address(redirect_uri, &pairs, self.in_fragment) {
            Some(address) => start::redirect(&address),
            None => page::bad_request(self.description),
        }
    }
}

fn wanted(client: &VendorApp, parameters: &Parameters) -> Result<Wanted, OAuthError> {
    let error = |error, description| OAuthError { error, description, in_fragment: false };
    if parameters.state.as_ref().is_some_and(|state| state.expose().len() > MAX_STATE) {
        return Err(error("invalid_request", "state is too long"));
    }
    let too_long =
        |text: &Option<String>, most| text.as_ref().is_some_and(|text| text.len() > most);
    if too_long(&parameters.login_hint, MAX_HINT) || too_long(&parameters.prompt, MAX_PROMPT) {
        return Err(error("invalid_request", "login_hint or prompt is too long"));
    }
    match parameters.response_type.as_deref() {
        None => Ok(Wanted::Session),
        Some("token") if client.allow_implicit => Ok(Wanted::Token),
        Some("token") => Err(OAuthError {
            error: "unauthorized_client",
            description: "this application was not created with --allow-implicit",
            in_fragment: true,
        }),
        Some("code") => match (&parameters.code_challenge, &parameters.code_challenge_method) {
            (Some(challenge), Some(method)) if method == "S256" && challenge.len() == 43 => {
                Ok(Wanted::Code { challenge: challenge.clone() })
            }
            _ => Err(error(
                "invalid_request",
                "a code_challenge with code_challenge_method=S256 is needed (RFC 7636)",
            )),
        },
        Some(_) => Err(error("unsupported_response_type", "use response_type=code")),
    }
}
