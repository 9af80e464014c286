//! The provider's forms, field by field, in their order: a pure function of the settings.

use crate::config::Settings;
use crate::directory::connections::{Connection, Provider};

/// What to do with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Paste this.
    Copy(String),
    /// Choose or leave, as it says.
    Choose(&'static str),
    /// Paste a token that is yet to be made.
    Token,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As the provider calls it.
    pub name: &'static str,
    pub value: Value,
}

/// A form of the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What the page calls it by.
    pub id: &'static str,
    pub title: &'static str,
    /// How to get there.
    pub about: &'static str,
    pub fields: Vec<Field>,
    /// Whether Muster has to know something of it.
    pub has_registration: bool,
}

/// The forms of a connection's provider.
pub fn forms(settings: &Settings, connection: &Connection) -> Vec<Form> {
    let base_url = settings.scim_base_url();
    let redirect_uri = format!("{}{}", settings.public_url, connection.redirect_path());
    // Where two connections have the same issuer, the address has to name the one that is meant.
    let initiate = format!("{}?connection={}", settings.initiate_login_uri(), connection.name);
    match connection.settings.provider {
        Provider::Okta => okta(base_url, redirect_uri, initiate, connection),
        Provider::Entra => entra(base_url, redirect_uri),
        Provider::Generic => generic(base_url, redirect_uri, initiate),
    }
}

fn copy(name: &'static str, text: impl Into<String>) -> Field {
    Field { name, value: Value::Copy(text.into()) }
}

fn choose(name: &'static str, text: &'static str) -> Field {
    Field { name, value: Value::Choose(text) }
}

fn token(name: &'static str) -> Field {
    Field { name, value: Value::Token }
}

fn okta(
    base_url: String,
    redirect_uri: String,
    initiate: String,
    connection: &Connection,
) -> Vec<Form> {
    let sign_in = &connection.settings.sign_in;
    let filter = sign_in.groups_filter.clone().unwrap_or_else(|| ".*".to_owned());
    vec![
        Form {
            id: "scim",
            title: "Okta: the SCIM application",
            about: "Applications → Create App Integration → SWA - Secure Web Authentication. Then, on the \
                    tab General, App Settings → Edit: Provisioning SCIM. Then the tab Provisioning → \
                    Integration → Edit:",
            fields: vec![
                copy("SCIM connector base URL", base_url),
                copy("Unique identifier field for users", "userName"),
                choose(
                    "Supported provisioning actions",
                    "Tick Push New Users, Push Profile Updates and Push Groups.",
                ),
                choose("Authentication Mode", "HTTP Header"),
                token("HTTP Header → Authorization"),
                choose("Test Connector Configuration", "Press it, see it arrive above, and Save."),
                choose(
                    "To App → Edit",
                    "Enable Create Users, Update User Attributes and Deactivate Users, and Save.",
                ),
                choose(
                    "Assignments",
                    "Assign people or groups. Then choose groups on Push Groups.",
                ),
            ],
            has_registration: false,
        },
        Form {
            id: "oidc",
            title: "Okta: the OIDC application, for sign-in",
            about: "Applications → Create App Integration → OIDC - OpenID Connect → Single-Page \
                    Application:",
            fields: vec![
                choose("Grant type", "Authorization Code, and no other."),
                copy("Sign-in redirect URIs", redirect_uri),
                choose("Sign-out redirect URIs", "Leave it empty."),
                choose(
                    "Controlled access",
                    "The same people and groups as in the SCIM application.",
                ),
                choose("Login initiated by", "Either Okta or App"),
                choose("Login flow", "Redirect to app to initiate login (OIDC Compliant)"),
                copy("Initiate login URI", initiate),
                copy("Sign On → Groups claim filter: name", sign_in.groups_claim.as_str()),
                copy("Sign On → Groups claim filter: Matches regex", filter),
                choose("Sign On → Issuer", "The Okta URL, such as https://example.okta.com."),
            ],
            has_registration: true,
        },
    ]
}

fn entra(base_url: String, redirect_uri: String) -> Vec<Form> {
    vec![
        Form {
            id: "scim",
            title: "Entra ID: provisioning",
            about: "Enterprise applications → New application → Create your own application → Integrate any \
                    other application you don't find in the gallery. Then Provisioning → Get started → \
                    Automatic → Admin Credentials:",
            fields: vec![
                copy("Tenant URL", base_url),
                token("Secret Token"),
                choose("Test Connection", "Press it, see it arrive above, and Save."),
                choose("Mappings", "Keep both, for users and for groups."),
                choose("Users and groups", "Assign people or groups, and Start provisioning."),
            ],
            has_registration: false,
        },
        Form {
            id: "oidc",
            title: "Entra ID: the app registration, for sign-in",
            about: "App registrations → New registration:",
            fields: vec![
                choose("Supported account types", "Accounts in this organizational directory only"),
                choose("Redirect URI: platform", "Web"),
                copy("Redirect URI", redirect_uri),
                choose(
                    "Token configuration → Add groups claim",
                    "Groups assigned to the application, in the ID token, as sAMAccountName or as names \
                     of groups, so that they are those that are pushed.",
                ),
                choose(
                    "Issuer",
                    "https://login.microsoftonline.com/TENANT-ID/v2.0, with the Directory (tenant) ID.",
                ),
            ],
            has_registration: true,
        },
    ]
}

fn generic(base_url: String, redirect_uri: String, initiate: String) -> Vec<Form> {
    vec![
        Form {
            id: "scim",
            title: "SCIM 2.0",
            about: "Where the provider asks for a SCIM target:",
            fields: vec![
                copy("Base URL", base_url),
                token("Bearer token"),
                copy("What users are told apart by", "userName"),
            ],
            has_registration: false,
        },
        Form {
            id: "oidc",
            title: "OpenID Connect, for sign-in",
            about: "Where the provider asks for a client (a relying party):",
            fields: vec![
                choose("Flow", "Authorization code with PKCE (S256)"),
                copy("Redirect URI", redirect_uri),
                copy("Initiate login URI", initiate),
                choose("Groups", "In the ID token, as a claim that lists the names of groups."),
            ],
            has_registration: true,
        },
    ]
}
