//! TLS, for whoever has no proxy that ends it.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What the server shows of itself: the certificates in a file, its own first, and the key to it in
/// another, both as PEM.
///
/// TLS 1.2 and 1.3 are spoken: "the SCIM service provider MUST support TLS 1.2" (RFC 7644 section
/// 7.2). Older versions are not.
///
/// # Errors
/// A file cannot be read, or the key does not belong to the certificate.
pub fn config(certificates: &Path, key: &Path) -> io::Result<ServerConfig> {
    let wrong = |file: &Path, error: &dyn Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificates, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificates, &"there is no certificate in the file"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(certificates, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| wrong(key, &error))
}
