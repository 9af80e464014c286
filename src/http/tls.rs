//! TLS, for whoever has no proxy that ends it.
//!
//! The certificate and its key are read from two files, and read again when the operator says that
//! they were renewed. A handshake takes what was read last; connections that are there go on.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificate::validity;

/// How long before its end a certificate is warned of, in microseconds.
const NOTICE: i64 = 14 * 86_400 * 1_000_000;

/// What the server shows of itself: the certificates in a file, its own first, and the key to it in
/// another, both as PEM.
#[derive(Debug)]
pub struct Tls {
    certificates: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
}

/// What handshakes take.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or is of the wrong kind, or the key does not belong to the certificate.
    pub fn read(certificates: PathBuf, key: PathBuf) -> io::Result<Self> {
        let read = read(&certificates, &key)?;
        Ok(Self { certificates, key, shown: Arc::new(Shown(RwLock::new(Arc::new(read)))) })
    }

    /// Reads the files again; what was shown stays if they are not good.
    ///
    /// # Errors
    /// As in [`Tls::read`].
    pub fn read_again(&self) -> io::Result<()> {
        let read = Arc::new(read(&self.certificates, &self.key)?);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// TLS 1.2 and 1.3 are spoken: "the SCIM service provider MUST support TLS 1.2" (RFC 7644
    /// section 7.2). Older versions are not.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn config(&self) -> io::Result<ServerConfig> {
        Ok(ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&self.certificates, &error))?
            .with_no_client_auth()
            .with_cert_resolver(self.shown.clone()))
    }

    /// What there is to say about how long the certificate is good, if anything; `now` is in UTC
    /// microseconds.
    pub fn warning(&self, now: i64) -> Option<String> {
        let shown = self.shown.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (begins, ends) = validity(shown.cert.first()?)?;
        let file = self.certificates.display();
        if ends <= now {
            Some(format!("{file}: the certificate has expired; clients will refuse it"))
        } else if begins > now {
            Some(format!("{file}: the certificate is not valid yet; clients will refuse it"))
        } else if ends - now < NOTICE {
            let days = (ends - now) / (86_400 * 1_000_000);
            Some(format!(
                "{file}: the certificate expires in {days} days; put the next one in its place and \
                 send SIGHUP"
            ))
        } else {
            None
        }
    }
}

fn wrong(file: &Path, error: &dyn Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", file.display()))
}

fn read(certificates: &Path, key: &Path) -> io::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificates, &error))?;
    if chain.is_empty() {
        let hint = hint(certificates, "takes the certificate");
        return Err(wrong(certificates, &format!("there is no certificate in the file{hint}")));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            let hint = hint(key, "takes the key");
            wrong(key, &format!("there is no key in the file{hint}"))
        }
        error => wrong(key, &error),
    })?;
    CertifiedKey::from_der(chain, secret, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => wrong(
            key,
            &format!(
                "the key is not that of the first certificate in {}, which has to be the server's \
                 own",
                certificates.display()
            ),
        ),
        error => wrong(key, &error),
    })
}

/// What the file seems to be instead of what is wanted of it.
fn hint(file: &Path, wanted: &str) -> String {
    let content = std::fs::read(file).unwrap_or_default();
    let has = |text: &str| content.windows(text.len()).any(|part| part == text.as_bytes());
    if has("-----BEGIN ENCRYPTED PRIVATE KEY") {
        "; the one in it is encrypted, and Muster asks for no passphrase: decrypt it with 'openssl \
         pkey -in FILE -out NEWFILE'"
            .to_owned()
    } else if has("PRIVATE KEY-----") {
        format!("; it holds a key, and this setting {wanted}")
    } else if has("-----BEGIN CERTIFICATE REQUEST") {
        "; it holds a request for a certificate, not what was made of it".to_owned()
    } else if has("-----BEGIN CERTIFICATE-----") {
        format!("; it holds a certificate, and this setting {wanted}")
    } else if content.first() == Some(&0x30) {
        "; it is not PEM but DER or PKCS #12, which 'openssl x509', 'openssl pkey' or 'openssl \
         pkcs12' turn into PEM"
            .to_owned()
    } else {
        "; PEM begins with a line '-----BEGIN …'".to_owned()
    }
}
