//! A cursor that was not given out is refused, whatever it is; one that was is opened by its query
//! alone, and is written in one way only.

use muster::scim::cursor::{CursorKey, Position};
use std::sync::LazyLock;

const QUERY: &str = r#"["c/Users/","userName sw \"a\"","userName",null]"#;

static KEY: LazyLock<CursorKey> = LazyLock::new(|| CursorKey::new(vec![7; 32]));

/// A cursor as a client sends it; or a place in a list, as JSON.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(position) = KEY.open(text, QUERY)
    {
        // The seeds have cursors that were given out. A second way to write one would be a forgery.
        assert_eq!(KEY.seal(&position, QUERY), text, "a cursor is opened that was not given out");
    }
    let Ok(position) = serde_json::from_slice::<Position>(data) else { return };
    let cursor = KEY.seal(&position, QUERY);
    assert_eq!(KEY.open(&cursor, QUERY).as_ref(), Ok(&position), "a place is not found again");
    assert!(cursor.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
    assert!(KEY.open(&cursor, "").is_err() && KEY.open(&cursor, &QUERY[1..]).is_err());
    assert!(CursorKey::new(vec![8; 32]).open(&cursor, QUERY).is_err(), "another key opens it");
    // One character another, at a place that the input chooses.
    let at = data.iter().map(|byte| usize::from(*byte)).sum::<usize>() % cursor.len();
    let mut forged = cursor.into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    assert!(KEY.open(&forged, QUERY).is_err(), "a forged cursor is opened");
    assert!(KEY.open(&format!("{forged}A"), QUERY).is_err());
}
