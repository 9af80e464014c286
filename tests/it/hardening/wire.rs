//! TLS as it is on the wire, where an HTTP client would not say how it went.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A connection to a server on this machine.
pub fn connect(address: &str) -> TcpStream {
    let authority = address.split("://").last().expect("an address");
    let stream = TcpStream::connect(authority).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
    stream
}

/// A connection by TLS.
pub type Tunnel = StreamOwned<ClientConnection, TcpStream>;

/// A connection by TLS to `localhost`, for a client that trusts the certificate alone and speaks
/// these protocols.
///
/// # Errors
/// The handshake fails.
pub fn by_tls(address: &str, certificate: &str, protocols: &[&str]) -> std::io::Result<Tunnel> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(client, connect(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The greeting of a client that speaks no newer version of TLS than this (RFC 5246 section
/// 7.4.1.2); the last byte is that of the version.
pub fn old_greeting(version: u8) -> Vec<u8> {
    let ciphers = [0xc0, 0x13, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x0a, 0x00, 0x2f, 0x00, 0x35];
    // Groups, formats of points, and algorithms of signatures.
    let extensions =
        [0, 10, 0, 6, 0, 4, 0, 23, 0, 24, 0, 11, 0, 2, 1, 0, 0, 13, 0, 8, 0, 6, 2, 1, 2, 3, 4, 1];
    let mut hello = vec![3, version];
    hello.extend([7; 32]);
    hello.extend([0, 0, 12]);
    hello.extend(ciphers);
    hello.extend([1, 0, 0, u8::try_from(extensions.len()).expect("few extensions")]);
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).expect("a short greeting");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}
