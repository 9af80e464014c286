//! Whose request it is where proxies stand in between.
//!
//! Anybody can write a header, so nothing is believed but what a proxy that the operator named has
//! added: its header is read from the right, and the first address that is no such proxy's is the
//! client's. Entry point: [`Proxies::client`].

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::network::Networks;

/// The header in which proxies say for whom they ask.
///
/// It is one or the other: a proxy writes the one that it knows, and passes the other on as a client
/// sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ProxyHeader {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

impl FromStr for ProxyHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::XForwardedFor, Self::Forwarded];
        let found = known.into_iter().find(|header| header.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("'{text}' is neither x-forwarded-for nor forwarded"))
    }
}

/// The proxies that are believed, and how they say for whom they ask; none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    pub trusted: Networks,
    pub header: ProxyHeader,
}

impl Proxies {
    /// The client's address: that of the peer, unless it is a trusted proxy and says for whom it
    /// asks. `lines` are the values of the header, in the order in which they stand.
    ///
    /// What cannot be read ends the way back: whoever is beyond is not known. The last proxy does not
    /// stand for them: a client may have made the line unreadable, and may not pass for a proxy.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> Option<IpAddr> {
        let mut client = peer.to_canonical();
        for line in lines.rev() {
            if !self.trusted.contains(client) {
                break;
            }
            for hop in self.hops(line)?.into_iter().rev() {
                if !self.trusted.contains(client) {
                    break;
                }
                client = hop?;
            }
        }
        Some(client)
    }

    /// The addresses that a line of the header names, as far as they can be read. What is no text
    /// spoils the element that it is in, and no other.
    fn hops(&self, line: &[u8]) -> Option<Vec<Option<IpAddr>>> {
        let line = String::from_utf8_lossy(line);
        match self.header {
            ProxyHeader::XForwardedFor => Some(line.split(',').map(address).collect()),
            ProxyHeader::Forwarded => {
                Some(elements(&line, ',')?.into_iter().map(forwarded_for).collect())
            }
        }
    }
}

/// The parts of a text between separators that do not stand in quotes; none where a quote does not
/// end: a client may have opened it to hide what the proxy added behind it.
fn elements(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text
        .split(|c: char| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match c {
                '\\' if is_quoted && !was_escaped => is_escaped = true,
                '"' if !was_escaped => is_quoted = !is_quoted,
                _ => {}
            }
            c == separator && !is_quoted
        })
        .collect();
    (!is_quoted).then_some(parts)
}

/// The address in an element of `Forwarded` (RFC 7239 section 4): `for="[2001:db8::17]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = elements(element, ';')?.into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    address(node)
}

/// An address, perhaps quoted, in brackets or with a port: `192.0.2.7`, `192.0.2.7:4711`,
/// `2001:db8::17`, `[2001:db8::17]`, `"[2001:db8::17]:4711"`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let found = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    found.map(|found: IpAddr| found.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(header: ProxyHeader, peer: &str, lines: &[impl AsRef<[u8]>]) -> String {
        let trusted = "10.0.0.0/8 127.0.0.1 fd00::/8".parse().unwrap();
        let lines = lines.iter().map(AsRef::as_ref);
        let found = Proxies { trusted, header }.client(peer.parse().unwrap(), lines);
        found.map_or_else(|| "unknown".to_owned(), |found| found.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let at = |peer, lines: &[&str]| client(ProxyHeader::XForwardedFor, peer, lines);
        // Nobody else is believed.
        assert_eq!(at("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(at("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(at("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(at("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        // What the client wrote itself stands further left, also in lines of its own.
        assert_eq!(at("127.0.0.1", &["203.0.113.9, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(at("127.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(at("127.0.0.1", &["203.0.113.9", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(at("127.0.0.1", &["198.51.100.7 ,10.0.0.2", "10.0.0.1"]), "198.51.100.7");
        // All of them are proxies.
        assert_eq!(at("127.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(at("127.0.0.1", &[]), "127.0.0.1");
        for written in
            ["2001:db8::17", "[2001:db8::17]", "[2001:db8::17]:4711", "\"[2001:db8::17]:4711\""]
        {
            assert_eq!(at("fd00::1", &[written]), "2001:db8::17", "{written}");
        }
        assert_eq!(at("127.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(at("127.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        for garbage in ["", "unknown", "_hidden", "198.51.100", "[::1", "1.2.3.4:x", "a,", "ü"] {
            assert_eq!(at("127.0.0.1", &["198.51.100.7", garbage]), "unknown", "{garbage}");
            assert_eq!(at("192.0.2.1", &[garbage]), "192.0.2.1", "{garbage}");
            assert_eq!(at("127.0.0.1", &[garbage, "198.51.100.7"]), "198.51.100.7");
        }
        // What is no text is what a client sent; the proxy has written behind it.
        let lines = [b"198.51.100.7".as_slice(), b"\xff, 203.0.113.9"];
        assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1", &lines), "203.0.113.9");
        assert_eq!(client(ProxyHeader::XForwardedFor, "127.0.0.1", &[b"\xff"]), "unknown");
    }

    #[test]
    fn forwarded_is_read_where_it_is_what_the_proxies_write() {
        let at = |lines: &[&str]| client(ProxyHeader::Forwarded, "127.0.0.1", lines);
        assert_eq!(at(&["for=198.51.100.7"]), "198.51.100.7");
        assert_eq!(at(&["For=\"[2001:db8::17]:4711\";proto=https"]), "2001:db8::17");
        assert_eq!(at(&["for=203.0.113.9, by=x; for=198.51.100.7 ,for=10.0.0.1"]), "198.51.100.7");
        // A comma in quotes is none.
        assert_eq!(at(&["for=198.51.100.7;host=\"a,for=203.0.113.9\""]), "198.51.100.7");
        assert_eq!(at(&["for=198.51.100.7;host=\"a\\\",for=203.0.113.9\""]), "198.51.100.7");
        for garbage in ["for=unknown", "for=_x", "proto=https", "198.51.100.7", "for=", "for=\"\""]
        {
            assert_eq!(at(&["for=198.51.100.7", garbage]), "unknown", "{garbage}");
        }
    }

    proptest! {
        /// Whatever a client sends, what the proxy adds is what counts: in a line of its own, or at
        /// the end of the last one.
        #[test]
        fn nobody_can_pass_for_another(
            lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
            last in r#"((for=|)("|\\|,|;|203\.0\.113\.9|x=| ){0,8})|.{0,40}"#,
            bytes in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let last = [last.as_bytes(), &bytes, b", "].concat();
            let at = |header, before: &[u8], added: &str| {
                let mut lines = lines.clone();
                lines.push([before, added.as_bytes()].concat());
                client(header, "127.0.0.1", &lines)
            };
            for before in [b"".as_slice(), &last] {
                let found = at(ProxyHeader::XForwardedFor, before, "198.51.100.7");
                prop_assert_eq!(found, "198.51.100.7");
            }
            let alone = at(ProxyHeader::Forwarded, b"", "for=198.51.100.7;host=\"a\"");
            prop_assert_eq!(alone, "198.51.100.7");
            for own in ["for=198.51.100.7", "for=\"198.51.100.7:1\";host=\"a,for=203.0.113.8\""] {
                // A quote that the client opened leaves nobody to be known.
                let found = at(ProxyHeader::Forwarded, &last, own);
                prop_assert!(["198.51.100.7", "unknown"].contains(&found.as_str()), "{}", found);
            }
        }
    }
}
