//! The few pages that people see. No script, nothing from elsewhere, and nobody may frame them.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use actix_web::{HttpResponse, HttpResponseBuilder};

/// A page with a heading, a sentence that says what to do, and nothing else.
pub fn page(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    html(HttpResponse::build(status), title, &format!("<p>{}</p>", escaped(text)))
}

/// 400: the request to sign in is wrong; the text is for whoever set the application up.
pub fn bad_request(text: &str) -> HttpResponse {
    page(StatusCode::BAD_REQUEST, "This sign-in cannot go on", text)
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
    builder
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header((
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ))
        .content_type("text/html; charset=utf-8")
        .body(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\
             <body><main><h1>{title}</h1>{body}</main></body></html>"
        ))
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
