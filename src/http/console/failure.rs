//! How a page of the console fails: as a page, in words that say what to do.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use maud::html;

use super::shell;
use crate::access::limit::TooOften;
use crate::db::{RETRY_AFTER as RETRY_AFTER_SECONDS, StoreError};
use crate::directory::DirectoryError;
use crate::directory::connections::AdminError;
use crate::directory::shares::Refused;
use crate::http::door::Denied;
use crate::http::signin::failure::{PageFailure, Unreadable};
use crate::http::signin::page::sentence;

/// Why a page cannot be shown, or a thing not be done.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleFailure {
    /// There is no such thing, or none any more.
    #[error("{0}")]
    Missing(String),
    /// What was asked for cannot be done as it is.
    #[error("{0}")]
    Wrong(String),
    /// Somebody who may not.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// A page that is not up to date.
    #[error("{0}")]
    Outdated(String),
    #[error(transparent)]
    TooOften(#[from] TooOften),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AdminError> for ConsoleFailure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => Self::Store(error),
            AdminError::NoConnection(_) => Self::Missing("There is no such connection.".to_owned()),
            AdminError::NoUser(_) => Self::Missing("There is no such user.".to_owned()),
            AdminError::NoTeam(_) => Self::Missing("There is no such team.".to_owned()),
            AdminError::NoToken(_) => Self::Missing("There is no such token.".to_owned()),
            other => Self::Wrong(sentence(&other.to_string())),
        }
    }
}

impl From<Refused> for ConsoleFailure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Admin(error) => error.into(),
            Refused::AnotherPage => Self::Outdated(refused.to_string()),
            Refused::NotPublic => Self::Wrong(refused.to_string()),
            Refused::OnlyLooks | Refused::OfTheVendorsOwn | Refused::NotByLink => {
                Self::Forbidden(refused.to_string().into())
            }
        }
    }
}

impl From<DirectoryError> for ConsoleFailure {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => Self::Store(error),
            DirectoryError::Refused(error) if error.status == 404 => Self::Missing(error.detail),
            DirectoryError::Refused(error) => Self::Wrong(error.detail),
            DirectoryError::Held(held) => Self::Wrong(held.to_string()),
        }
    }
}

impl From<Denied> for ConsoleFailure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TooOften(error) => Self::TooOften(error),
            Denied::Address => {
                Self::Forbidden("This admin token may not be used from where you are.".into())
            }
            Denied::Store(error) => Self::Store(error),
        }
    }
}

impl From<Unreadable> for ConsoleFailure {
    fn from(error: Unreadable) -> Self {
        Self::Wrong(error.text.to_owned())
    }
}

impl From<PageFailure> for ConsoleFailure {
    fn from(failure: PageFailure) -> Self {
        match failure {
            PageFailure::Unreadable(error) => error.into(),
            PageFailure::Failed(error) => Self::Wrong(error.to_string()),
        }
    }
}

impl ResponseError for ConsoleFailure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Outdated(_) => StatusCode::CONFLICT,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.page(shell::PATH)
    }
}

impl ConsoleFailure {
    /// The page for operators, where the console is at `base`.
    pub fn page(&self, base: &str) -> HttpResponse {
        self.page_with(base, &format!("{base}/connections"), "To the connections")
    }

    /// The page for guests, whose own page is at `path`.
    pub fn guest_page(&self, base: &str, path: &str) -> HttpResponse {
        self.page_with(base, path, "Back to the set-up page")
    }

    fn page_with(&self, base: &str, back: &str, back_text: &str) -> HttpResponse {
        let (title, text) = match self {
            Self::Missing(text) => ("Not found", text.clone()),
            Self::Wrong(text) | Self::Outdated(text) => ("This was not done", text.clone()),
            Self::Forbidden(text) => ("Not allowed", text.clone().into_owned()),
            Self::TooOften(error) => ("Too many attempts", sentence(&error.to_string())),
            Self::Store(error) if error.is_unavailable() => {
                log::log!(error.level(), "the store is unavailable: {error}");
                ("Not now", "The database cannot be reached. Try again in a minute.".to_owned())
            }
            Self::Store(error) => {
                log::error!("internal error: {error}");
                let text = "Something is wrong in Muster; the server's log tells more.";
                ("Not now", text.to_owned())
            }
        };
        let body = html! { h1 { (title) } p { (text) } p { a href=(back) { (back_text) } } };
        let mut response = shell::open_page(self.status_code(), base, title, &body);
        let wait = match self {
            Self::TooOften(error) => Some(error.seconds.into()),
            Self::Store(error) if error.is_unavailable() => Some(RETRY_AFTER_SECONDS.into()),
            _ => None,
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(RETRY_AFTER, wait);
        }
        response
    }
}
