//! Cursors: places in a list that stay where they are while others write (RFC 9865).
//!
//! A cursor names the resource that a page ends or begins with by what the list is sorted by and by
//! its id, so the next page costs the same wherever it is, and what is added or deleted meanwhile
//! moves nothing. It is sealed: nobody can make one up, and one works for the query, and for the
//! connection, that it was given for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::{ScimError, ScimResult};
use super::sort::Key;

/// Bytes of the seal in front of the place.
const SEAL_LENGTH: usize = 16;

/// A place between two resources of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The resource next to it; without one, the place is the beginning of the list.
    pub anchor: Option<Anchor>,
    /// Whether the page wanted is the one that ends here, rather than the one that begins here.
    pub backwards: bool,
    /// How many resources the list had when its first page was read.
    pub total: u64,
}

/// What a resource is found again by in an ordered list, whether or not it is still there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    /// What the list is sorted by; absent where it is in the order of ids alone.
    pub key: Key,
    pub id: String,
}

/// The secret that cursors are sealed with; the same for all servers on one store.
#[derive(Clone)]
pub struct CursorKey(Zeroizing<Vec<u8>>);

impl CursorKey {
    /// Takes a secret, of 32 random bytes or more.
    pub fn new(secret: Vec<u8>) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The cursor for a place in the list that `query` describes.
    pub fn seal(&self, position: &Position, query: &str) -> String {
        // A position is a few texts and numbers; there is nothing in it that could not be written.
        let place = serde_json::to_vec(position).unwrap_or_default();
        let mut sealed = self.mac(&place, query).to_vec();
        sealed.extend(place);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The place that a cursor names in the list that `query` describes.
    ///
    /// # Errors
    /// `invalidCursor` if it was not given out for this query.
    pub fn open(&self, cursor: &str, query: &str) -> ScimResult<Position> {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (seal, place) = sealed.split_at_checked(SEAL_LENGTH)?;
            self.keyed(place, query).verify_truncated_left(seal).ok()?;
            serde_json::from_slice(place).ok()
        };
        opened().ok_or_else(|| {
            ScimError::invalid_cursor(
                "the cursor was not given out for this query; send the query exactly as the first \
                 time, with the nextCursor or previousCursor of its last answer, or an empty \
                 cursor to begin again",
            )
        })
    }

    fn mac(&self, place: &[u8], query: &str) -> [u8; SEAL_LENGTH] {
        let whole = self.keyed(place, query).finalize().into_bytes();
        whole.first_chunk().copied().unwrap_or_default()
    }

    fn keyed(&self, place: &[u8], query: &str) -> Hmac<Sha256> {
        // A key of any length will do (RFC 2104 section 3), so the fallback is never taken.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        mac.update(&u64::try_from(query.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(query.as_bytes());
        mac.update(place);
        mac
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        let key = Key::Text("ünal".to_owned());
        Position { anchor: Some(Anchor { key, id: "7".to_owned() }), backwards: true, total: 12 }
    }

    #[test]
    fn a_cursor_is_opened_by_the_query_it_is_for() {
        let key = CursorKey::new(vec![7; 32]);
        let cursor = key.seal(&position(), "query");
        assert_eq!(key.open(&cursor, "query"), Ok(position()));
        // RFC 3986 section 2.3, so that it needs no encoding in a URL.
        assert!(cursor.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c)));
        for (key, query) in [(&key, "other"), (&CursorKey::new(vec![8; 32]), "query")] {
            let error = key.open(&cursor, query).expect_err("another query or key");
            assert_eq!(error.scim_type.map(super::super::ScimType::as_str), Some("invalidCursor"));
        }
    }

    #[test]
    fn a_forged_cursor_is_refused() {
        let key = CursorKey::new(vec![7; 32]);
        let cursor = key.seal(&position(), "query");
        for place in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(key.open(&forged, "query").is_err(), "{place}");
        }
        for forged in ["", "AAAA", "not base64!", &cursor[..cursor.len() - 4]] {
            assert!(key.open(forged, "query").is_err(), "{forged}");
        }
    }
}
