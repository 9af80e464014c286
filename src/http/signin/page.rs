//! The few pages that people see. No script, nothing from elsewhere, and nobody may frame them.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How every page looks: readable on a telephone and in the dark, with nothing to be fetched.
const STYLE: &str = "\
    :root{color-scheme:light dark}\
    body{font:1.0625rem/1.5 system-ui,sans-serif;margin:0}\
    main{max-width:34rem;margin:0 auto;padding:12vh 1.25rem 2rem}\
    h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}\
    button{font:inherit;min-height:2.75rem;padding:.5rem 1.5rem;cursor:pointer}";

/// No script and nothing from elsewhere; the one style is named by its hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    )
});

/// What a page may fetch, run and be shown in.
pub fn page_policy() -> &'static str {
    &POLICY
}

/// A page with a heading, a sentence that says what to do, and nothing else.
pub fn page(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    html(HttpResponse::build(status), title, &format!("<p>{}</p>", escaped(text)))
}

/// 400: the request to sign in is wrong; the text is for whoever set the application up.
pub fn bad_request(text: &str) -> HttpResponse {
    unreadable(StatusCode::BAD_REQUEST, text)
}

/// The request is no request to sign in.
pub fn unreadable(status: StatusCode, text: &str) -> HttpResponse {
    page(status, "This sign-in cannot go on", text)
}

/// 403: the person is not let in.
pub fn refused(text: &str) -> HttpResponse {
    page(StatusCode::FORBIDDEN, "You are not signed in", text)
}

/// 502: the provider cannot be used.
pub fn provider_failed(text: &str) -> HttpResponse {
    page(StatusCode::BAD_GATEWAY, "The identity provider cannot be used", text)
}

/// A page that asks, with a button that posts to this server.
pub fn question(title: &str, text: &str, action: &str, button: &str) -> HttpResponse {
    let form = format!(
        "<p>{}</p><form method=\"post\" action=\"{}\"><button>{}</button></form>",
        escaped(text),
        escaped(action),
        escaped(button)
    );
    html(HttpResponse::Ok(), title, &form)
}

fn html(mut builder: HttpResponseBuilder, title: &str, body: &str) -> HttpResponse {
    let title = escaped(title);
    builder.content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <style>{STYLE}</style></head>\
             <body><main><h1>{title}</h1>{body}</main></body></html>"
    ))
}

/// The text as a sentence.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_is_no_markup() {
        assert_eq!(
            escaped("<a href='x'>&\"</a>"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;"
        );
    }
}
