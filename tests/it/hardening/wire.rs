//! TLS and HTTP/2 as they are on the wire, where an HTTP client would not say how it went.

use std::io::{Read, Write};
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

/// A connection by TLS to `localhost`, for a client that trusts the certificate alone and speaks
/// these protocols.
///
/// # Errors
/// The handshake fails.
pub fn by_tls(
    address: &str,
    certificate: &str,
    protocols: &[&str],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
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

/// Asks for a path by HTTP/2; gives the block of headers that is answered (RFC 9113, RFC 7541).
pub fn by_http2(
    stream: &mut (impl Read + Write),
    path: &str,
    authorization: &str,
) -> std::io::Result<Vec<u8>> {
    // GET, https, then the authority, the path and the authorization as they are.
    let mut headers = vec![0x82, 0x87];
    for (index, value) in
        [(&[0x01][..], "localhost"), (&[0x04], path), (&[0x0f, 0x08], authorization)]
    {
        headers.extend(index);
        headers.push(u8::try_from(value.len()).expect("a short value"));
        headers.extend(value.as_bytes());
    }
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    sent.extend([0, 0, u8::try_from(headers.len()).expect("few headers"), 1, 5, 0, 0, 0, 1]);
    sent.extend(headers);
    stream.write_all(&sent)?;
    stream.flush()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        stream.read_exact(&mut payload)?;
        if head[3] == 1 {
            return Ok(payload);
        }
    }
}

/// How `:status: 200` begins a block of headers.
pub const STATUS_200: u8 = 0x88;

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
