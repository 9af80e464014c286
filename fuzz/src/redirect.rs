//! Addresses that browsers are sent to. One that passes as an application's names the same host to
//! every reader: to the URL standard, wherever the browser stands, and to a reader that only splits
//! the text. What Muster adds to it stays in the query or the fragment.

use muster::directory::apps::{address, check_redirect_uri};
use muster::oidc::{is_loopback, is_safe, issuer_url};
use url::Url;

/// The addresses of pages that a browser may be on when it is sent elsewhere.
const BASES: [&str; 2] =
    ["https://muster.example.com/login/callback", "http://localhost:8080/login/callback"];

/// An address, and in the lines after it the values that are added.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (uri, values) = text.split_once('\n').unwrap_or((text, ""));
    assert_issuer(uri);
    if check_redirect_uri(uri).is_err() {
        return;
    }
    let url = Url::parse(uri).expect("an accepted address is a URL");
    assert!(is_safe(&url), "it is neither https nor on this machine");
    for base in BASES {
        let seen = Url::parse(base).expect("a URL").join(uri);
        assert_eq!(seen.as_ref(), Ok(&url), "on {base}, a browser goes elsewhere");
    }
    let (scheme, host) = split(uri).expect("an accepted address has no host as text");
    assert!(scheme.eq_ignore_ascii_case(url.scheme()), "the scheme as text");
    assert!(url.host_str().is_some_and(|seen| seen.eq_ignore_ascii_case(host)), "the host as text");
    assert_added(&url, uri, values);
}

/// Scheme and host of a URL as the plainest reading has it (RFC 3986 appendix B).
fn split(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if authority.contains('@') {
        return None;
    }
    // The colons of an IPv6 address stand in brackets.
    let port = authority.rfind(':').filter(|at| authority.rfind(']').is_none_or(|end| end < *at));
    Some((scheme, port.map_or(authority, |at| &authority[..at])))
}

fn assert_added(url: &Url, uri: &str, values: &str) {
    let pairs: Vec<(&str, &str)> = values.split('\n').map(|value| ("state", value)).collect();
    for in_fragment in [false, true] {
        let to = address(uri, &pairs, in_fragment).expect("an accepted address takes parameters");
        // The header must hold it, and nothing in it may end the header.
        assert!(to.bytes().all(|byte| byte.is_ascii_graphic()), "{to}");
        let to = Url::parse(&to).expect("a URL with parameters is a URL");
        assert_eq!(to.origin(), url.origin(), "parameters change where a browser goes");
        assert_eq!((to.path(), to.username(), to.password()), (url.path(), "", None));
        let (before, own) = (url.query().unwrap_or_default(), to.query().unwrap_or_default());
        let added = if in_fragment {
            assert_eq!(to.query(), url.query(), "the query is not the fragment's business");
            to.fragment().unwrap_or_default()
        } else {
            assert_eq!(to.fragment(), None);
            own.strip_prefix(before).expect("the query of its own is kept").trim_start_matches('&')
        };
        let read: Vec<(String, String)> =
            url::form_urlencoded::parse(added.as_bytes()).into_owned().collect();
        let wanted: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read, wanted, "what the application reads is not what was added");
    }
}

fn assert_issuer(text: &str) {
    let Ok(url) = issuer_url(text) else { return };
    assert!(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)));
    assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    // What is on this machine is so by the standard library's reading, too.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    };
    assert_eq!(is_local, is_loopback(&url), "{host}");
}
