//! What an attacker would try from outside: browsers led here by other pages, providers that point
//! at what only the server can reach, certificates that are renewed, and secrets that must not be
//! anywhere but where they belong.

mod cookies;
mod csrf;
mod headers;
mod log_lines;
mod redirects;
mod secrets;
mod ssrf;
mod tls;
mod wire;

use crate::support::Case;

pub fn cases() -> Vec<Case> {
    [
        cookies::cases(),
        csrf::CASES.to_vec(),
        headers::cases(),
        log_lines::cases(),
        redirects::CASES.to_vec(),
        secrets::cases(),
        ssrf::cases(),
        tls::cases(),
    ]
    .concat()
}
