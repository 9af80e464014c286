//! What of a request may be kept: nothing that lets somebody in, and nothing that a schema says is
//! never returned.
//!
//! Names decide: whatever is called like a secret is masked, wherever it stands; and so is text where none
//! belongs, since nobody knows what it is. What is no JSON object is not kept at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json_borrow::{ObjectAsVec, Value};

use super::CUT;
use crate::scim::schema::{Attribute, AttributeType, Registry, Returned};

/// What stands in place of a secret.
pub const MASK: &str = "***";
/// What the name of a secret has in it, in small letters without signs.
const WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "authorization",
    "cookie",
    "assertion",
];
/// Query parameters whose values may be kept (RFC 7644 section 3.4.2).
const PARAMETERS: [&str; 7] =
    ["filter", "startindex", "count", "attributes", "excludedattributes", "sortby", "sortorder"];

/// What the members of SCIM's messages are called, besides attributes (RFC 7644 section 3).
const MESSAGES: [&str; 12] = [
    "schemas",
    "Operations",
    "op",
    "path",
    "value",
    "Resources",
    "totalResults",
    "itemsPerPage",
    "startIndex",
    "status",
    "scimType",
    "detail",
];

/// The names of what is secret.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    /// Of attributes that are never returned, in small letters.
    never: BTreeSet<String>,
    /// Of attributes that are no text, in small letters, with what they are.
    no_text: BTreeMap<String, AttributeType>,
    /// What there is to say of the names that are met most, as they are mostly spelled.
    known: HashMap<String, Said, foldhash::fast::RandomState>,
}

/// What a name says of its value.
#[derive(Debug, Clone, Copy)]
struct Said {
    is_secret: bool,
    /// What it is, where that is no text.
    no_text: Option<AttributeType>,
}

impl Masks {
    /// The names of the attributes that are never returned, besides those that every secret has.
    pub fn of(registry: &Registry) -> Self {
        let mut masks = Self::default();
        let kinds = [registry.user(), registry.group()];
        let attributes = || kinds.into_iter().flat_map(|kind| kind.attributes());
        for (_, attribute) in attributes() {
            masks.learn(attribute);
        }
        let subs = attributes().flat_map(|(_, attribute)| &attribute.sub_attributes);
        let names = attributes().map(|(_, attribute)| attribute).chain(subs);
        let urns = kinds.into_iter().flat_map(|kind| &kind.extensions);
        let urns = urns.map(|extension| extension.urn.as_ref());
        let names = names.map(|attribute| attribute.name.as_str()).chain(urns).chain(MESSAGES);
        masks.known = names.map(|name| (name.to_owned(), masks.look_at(name))).collect();
        masks
    }

    fn learn(&mut self, attribute: &Attribute) {
        if attribute.returned == Returned::Never {
            self.never.insert(attribute.name.to_ascii_lowercase());
        }
        let is_text = !matches!(
            attribute.kind,
            AttributeType::Boolean
                | AttributeType::Complex
                | AttributeType::Decimal
                | AttributeType::Integer
        );
        if !is_text {
            self.no_text.insert(attribute.name.to_ascii_lowercase(), attribute.kind);
        }
        for sub in &attribute.sub_attributes {
            self.learn(sub);
        }
    }

    /// What a member's name says of its value.
    fn said(&self, name: &str) -> Said {
        self.known.get(name).copied().unwrap_or_else(|| self.look_at(name))
    }

    fn look_at(&self, name: &str) -> Said {
        let no_text = self.no_text.get(&name.to_ascii_lowercase()).copied();
        Said { is_secret: self.names_secret(name), no_text }
    }

    /// Whether a name, a path or a filter names something secret.
    fn names_secret(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        let bare: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
        WORDS.iter().any(|word| bare.contains(word))
            || lower.split(|c: char| !is_part(c)).any(|part| self.never.contains(part))
    }

    /// Whether a text stands where none belongs. A client may write a boolean or a number as text, and
    /// a complex value as its value alone, if it was not refused for it.
    fn is_misplaced(name: Said, value: &Value<'_>, is_refused: bool) -> bool {
        let Some(kind) = name.no_text else { return false };
        let fits = |text: &str| match kind {
            AttributeType::Boolean => {
                ["true", "false"].iter().any(|b| text.eq_ignore_ascii_case(b))
            }
            AttributeType::Complex => !is_refused,
            _ => text.parse::<f64>().is_ok(),
        };
        match value {
            Value::Str(text) => !fits(text),
            Value::Array(items) => items.iter().filter_map(Value::as_str).any(|text| !fits(text)),
            _ => false,
        }
    }

    /// A body as it may be kept; `None` for what is no JSON object.
    pub fn whole(&self, body: &Value<'_>, is_refused: bool) -> Option<String> {
        self.kept(body, Of { is_open: false, is_refused })
    }

    /// The beginning of a body as it may be kept, as far as it is complete; `None` for what is no JSON
    /// object.
    pub fn beginning(&self, bytes: &[u8], is_refused: bool) -> Option<String> {
        let completed = completed(bytes)?;
        let body = serde_json::from_str(&completed).ok()?;
        let mut kept = self.kept(&body, Of { is_open: true, is_refused })?;
        kept.push(CUT);
        Some(kept)
    }

    fn kept(&self, body: &Value<'_>, of: Of) -> Option<String> {
        if !body.is_object() {
            return None;
        }
        serde_json::to_string(&Masked { masks: self, value: body, of }).ok()
    }

    /// Whether an object says of its `value` that it is secret, or does not say what it is. Of a name that is
    /// there more than once each is believed, since nobody knows which was meant.
    fn hides_value(&self, members: &ObjectAsVec<'_>, of: Of) -> bool {
        let all = |name: &'static str| {
            let named = members.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value)
        };
        // The path of a PATCH operation names what its value is.
        let mut paths = all("path").filter_map(Value::as_str).peekable();
        if paths.peek().is_none() {
            // Without one, it has to be an object that names what it holds.
            let is_operation = all("op").next().is_some();
            return of.is_open || (is_operation && !all("value").all(Value::is_object));
        }
        paths.any(|path| {
            let name = self.said(path.rsplit([':', '.']).next().unwrap_or_default());
            self.names_secret(path)
                || all("value").any(|value| Self::is_misplaced(name, value, of.is_refused))
        })
    }

    /// What stands in place of a member's value; nothing where it is to be looked into.
    fn in_place<'v>(
        &self,
        key: &str,
        value: &'v Value<'_>,
        hides_value: bool,
        of: Of,
    ) -> Option<Cow<'v, str>> {
        if value.is_null() {
            return None;
        }
        let is_called = |name: &str| key.eq_ignore_ascii_case(name);
        let said = self.said(key);
        let is_secret = said.is_secret
            || Self::is_misplaced(said, value, of.is_refused)
            || (hides_value && is_called("value"));
        match value {
            _ if is_secret => Some(MASK.into()),
            // The data of a bulk operation is an object; as a text it may hold anything.
            Value::Str(_) if is_called("data") => Some(MASK.into()),
            Value::Str(text) if is_called("path") || is_called("filter") => Some(self.filter(text)),
            _ => None,
        }
    }

    /// A filter without what a secret is compared with, or a path that may have one in brackets.
    fn filter<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.names_secret(text) {
            return cleaned(text);
        }
        match (text.split_once('['), text.rsplit_once(']')) {
            (Some((before, _)), Some((_, after))) if !before.contains(' ') => {
                format!("{before}[{MASK}]{after}").into()
            }
            _ if text.contains(char::is_whitespace) => MASK.into(),
            _ => text.into(),
        }
    }

    /// The query of a request as it may be kept: the values of SCIM's own parameters, and of others
    /// the names.
    pub fn query(&self, query: &str) -> String {
        let shown = query.split('&').map(|pair| {
            let Some((name, value)) = pair.split_once('=') else { return cleaned(pair) };
            let decode = |text: &str| {
                let pair = url::form_urlencoded::parse(text.as_bytes()).next();
                pair.map(|(text, _)| text.into_owned()).unwrap_or_default()
            };
            let is_known = PARAMETERS.contains(&decode(name).to_ascii_lowercase().as_str());
            // What comes in quotes could be encoded in more than one way, so it is decoded first.
            let value_text = decode(&value.replace('=', "%3D"));
            let may_be_kept = is_known
                && !self.names_secret(&value_text)
                && matches!(cleaned(&value_text), Cow::Borrowed(_));
            if value.is_empty() || may_be_kept {
                return Cow::Borrowed(pair);
            }
            Cow::Owned(format!("{}={MASK}", cleaned(name)))
        });
        shown.collect::<Vec<_>>().join("&")
    }
}

/// A value that is written as it may be kept.
struct Masked<'a, 'v> {
    masks: &'a Masks,
    value: &'a Value<'v>,
    of: Of,
}

impl Masked<'_, '_> {
    fn part<'a, 'v>(&'a self, value: &'a Value<'v>, is_last: bool) -> Masked<'a, 'v> {
        Masked { masks: self.masks, value, of: self.of.part(is_last) }
    }
}

impl Serialize for Masked<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(members) => {
                let hides_value = self.masks.hides_value(members, self.of);
                let mut written = serializer.serialize_map(Some(members.len()))?;
                for (place, (key, value)) in members.iter().enumerate() {
                    let in_place = self.masks.in_place(key, value, hides_value, self.of);
                    if let Some(text) = in_place {
                        written.serialize_entry(key, &text)?;
                    } else {
                        let value = self.part(value, place + 1 == members.len());
                        written.serialize_entry(key, &value)?;
                    }
                }
                written.end()
            }
            Value::Array(items) => {
                let mut written = serializer.serialize_seq(Some(items.len()))?;
                for (place, item) in items.iter().enumerate() {
                    written.serialize_element(&self.part(item, place + 1 == items.len()))?;
                }
                written.end()
            }
            // JSON inside of a text has names of its own.
            Value::Str(text) if text.trim_start().starts_with(['{', '[']) => {
                serializer.serialize_str(MASK)
            }
            Value::Str(text) => serializer.serialize_str(&cleaned(text)),
            plain => plain.serialize(serializer),
        }
    }
}

/// What a masked value is part of.
#[derive(Debug, Clone, Copy)]
struct Of {
    /// It was cut, so that what would name the last of it may be missing.
    is_open: bool,
    /// The request was refused.
    is_refused: bool,
}

impl Of {
    fn part(self, is_last: bool) -> Self {
        Self { is_open: self.is_open && is_last, ..self }
    }
}

/// A text without the tokens that are written in it.
pub fn cleaned(text: &str) -> Cow<'_, str> {
    if !may_hold_token(text) {
        return Cow::Borrowed(text);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    let (mut kept, mut is_next, mut is_masked) = (String::with_capacity(text.len()), false, false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else {
            rest.find(is_part).unwrap_or(rest.len())
        };
        let (part, after) = rest.split_at(end);
        rest = after;
        if !is_part(first) {
            kept.push_str(part);
            continue;
        }
        let lower = part.to_ascii_lowercase();
        // Of Muster's own, of the kind that providers sign, and what is called one.
        let is_own = lower.contains("muster_") && part.len() >= 24;
        let is_signed = lower.starts_with("eyj") && part.matches('.').count() >= 2;
        let is_scheme = lower == "bearer";
        if is_own || is_signed || (is_next && !is_scheme && part.len() >= 12) {
            kept.push_str(MASK);
            is_masked = true;
        } else {
            kept.push_str(part);
        }
        is_next = is_scheme;
    }
    if is_masked { Cow::Owned(kept) } else { Cow::Borrowed(text) }
}

/// Whether one of the signs of a token is in a text, in whatever letters: `muster_`, `eyj` and `bearer`.
fn may_hold_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has = |start: Option<usize>, sign: &str| {
        let part = start.and_then(|start| bytes.get(start..start + sign.len()));
        part.is_some_and(|part| part.eq_ignore_ascii_case(sign.as_bytes()))
    };
    // Looked for by their rarest letters.
    bytes.iter().enumerate().any(|(place, byte)| match byte {
        b'_' => has(place.checked_sub(6), "muster_"),
        b'j' | b'J' => has(place.checked_sub(2), "eyj"),
        b'b' | b'B' => has(Some(place), "bearer"),
        _ => false,
    })
}

/// The beginning of a JSON text made whole: up to the last value that is complete, with what is open
/// closed.
fn completed(bytes: &[u8]) -> Option<String> {
    let mut open = Vec::new();
    let mut safe = None;
    let (mut is_text, mut is_escaped) = (false, false);
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => {
                open.push(if *byte == b'{' { b'}' } else { b']' });
                safe = Some((place + 1, open.clone()));
            }
            b'}' | b']' => {
                if open.pop() != Some(*byte) {
                    return None;
                }
                safe = Some((place + 1, open.clone()));
            }
            b',' => safe = Some((place, open.clone())),
            _ => {}
        }
        // The parser reads no deeper.
        if open.len() > 128 {
            return None;
        }
    }
    let (end, open) = safe?;
    let mut whole = bytes.get(..end)?.to_vec();
    whole.extend(open.iter().rev());
    String::from_utf8(whole).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn masks() -> Masks {
        let registry = Registry::builtin().expect("schemas");
        let mut masks = Masks::of(&registry);
        masks.never.insert("pin".to_owned());
        masks
    }

    fn kept(body: &Value, is_refused: bool) -> Option<String> {
        let text = body.to_string();
        masks().whole(&serde_json::from_str(&text).expect("JSON"), is_refused)
    }

    fn masked(body: &Value) -> Value {
        let text = kept(body, false).expect("an object");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn what_is_called_like_a_secret_is_masked_wherever_it_stands() {
        let body = json!({
            "userName": "ann", "Password": "s3cret",
            "badge": { "number": 7, "pin": 1234 },
            "urn:example:2.0:User": { "apiKeys": ["a"], "client_secret": { "x": "y" } },
            "Operations": [
                { "op": "replace", "path": "password", "value": "s3cret" },
                { "op": "replace", "value": "s3cret", "PATH": "urn:ietf:x:2.0:User:password" },
                { "op": "add", "path": "badges[number eq 7].pin", "value": 1234 },
                { "op": "add", "value": { "password": "s3cret", "badge.pin": 1, "title": "x" } },
                { "op": "replace", "path": "title", "value": "x" },
            ],
        });
        assert_eq!(
            masked(&body),
            json!({
                "userName": "ann", "Password": MASK,
                "badge": { "number": 7, "pin": MASK },
                "urn:example:2.0:User": { "apiKeys": MASK, "client_secret": MASK },
                "Operations": [
                    { "op": "replace", "path": "password", "value": MASK },
                    { "op": "replace", "value": MASK, "PATH": "urn:ietf:x:2.0:User:password" },
                    { "op": "add", "path": "badges[***].pin", "value": MASK },
                    { "op": "add", "value": { "password": MASK, "badge.pin": MASK, "title": "x" } },
                    { "op": "replace", "path": "title", "value": "x" },
                ],
            })
        );
    }

    #[test]
    fn a_name_that_is_there_twice_hides_nothing() {
        for body in [
            r#"{"op":"replace","path":"title","path":"password","value":"s3cret"}"#,
            r#"{"op":"replace","path":"password","Path":"title","value":"s3cret"}"#,
            r#"{"op":"replace","path":1,"path":"password","value":"s3cret"}"#,
            r#"{"op":"replace","path":"title","value":"s3cret","value":"x","path":"active"}"#,
            r#"{"op":"replace","value":{"title":"x"},"value":"s3cret"}"#,
            r#"{"password":"x","password":"s3cret"}"#,
        ] {
            let body = serde_json::from_str(body).expect("JSON");
            let kept = masks().whole(&body, false).expect("an object");
            assert!(!kept.contains("s3cret"), "{kept}");
        }
    }

    #[test]
    fn text_where_none_belongs_is_masked() {
        let refused = |body: &Value| kept(body, true).expect("an object");
        for body in [
            json!({ "active": "s3cret" }),
            json!({ "emails": "s3cret" }),
            json!({ "emails": ["s3cret"] }),
            json!({ "op": "replace", "value": ["s3cret"] }),
            json!({ "op": "replace", "value": "s3cret" }),
            json!({ "op": "replace", "path": "active", "value": "s3cret" }),
            json!({ "op": "replace", "path": "emails", "value": "s3cret" }),
            json!({ "Operations": [{ "op": "replace", "value": { "active": "s3cret" } }] }),
        ] {
            let kept = refused(&body);
            assert!(kept.contains(MASK) && !kept.contains("s3cret"), "{kept}");
        }
        let tolerated = json!({ "active": "True", "emails": ["a@example.com"], "title": "x" });
        assert_eq!(masked(&tolerated), tolerated);
    }

    #[test]
    fn what_a_secret_is_compared_with_is_masked() {
        let body = json!({ "filter": "userName eq \"ann\" and password eq \"s3cret\"" });
        assert!(!masked(&body).to_string().contains("s3cret"));
        for body in [
            json!({ "filter": "password eq s3cret" }),
            json!({ "filter": "x[password eq s3cret]" }),
            json!({ "path": "badge[pin eq \"s3cret\"].number", "value": 1 }),
            json!({ "path": "badge[pin eq s3cret].number", "value": 1 }),
        ] {
            assert!(!masked(&body).to_string().contains("s3cret"), "{body}");
        }
        let masks = masks();
        for query in [
            "filter=password+eq+%22s3cret%22",
            "FILTER=p%61ssword%20eq%20%22s3cret%22",
            "filter=a&filter=password%20eq%20%22s3cret%22&count=2",
            "access_token=s3cret",
            "x=s3cret",
        ] {
            assert!(!masks.query(query).contains("s3cret"), "{query}");
        }
        for query in ["filter=userName+eq+%22ann%22&startIndex=1&count=2", "aadOptscim062020", ""] {
            assert_eq!(masks.query(query), query);
        }
        assert_eq!(masks.query("cursor=abc&count=2"), "cursor=***&count=2");
    }

    #[test]
    fn tokens_are_masked_in_any_text() {
        let token = format!("muster_scim_{}", "a1".repeat(20));
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for text in [
            token.clone(),
            format!("/Users/{token}"),
            format!("Bearer {token}, {signed}"),
            format!("({signed})"),
            "bearer  0123456789abcdef".to_owned(),
        ] {
            let kept = cleaned(&text).into_owned();
            assert!(kept.contains(MASK), "{kept}");
            assert!(!kept.contains("a1a1") && !kept.contains("eyJ"), "{kept}");
            assert!(!kept.contains("0123"), "{kept}");
        }
        for text in ["the bearer of news", "muster_scim_", "eyjafjallajökull", "ann@example.com"] {
            assert_eq!(cleaned(text), text);
        }
        let body = json!({ "displayName": format!("it is {token}") });
        assert_eq!(masked(&body), json!({ "displayName": "it is ***" }));
    }

    #[test]
    fn signs_of_tokens_are_seen_wherever_they_stand() {
        let signs = ["muster_", "eyj", "bearer", "Muster_", "EYJ", "beAReR"];
        for sign in signs {
            for text in
                [sign.to_owned(), format!("é{sign}"), format!("b_j{sign} x"), format!("ey{sign}")]
            {
                assert!(may_hold_token(&text), "{text}");
            }
        }
        for text in ["", "_", "j", "b", "yj", "uster_", "beare", "e-yj", "muster-", "é_", "bear"] {
            assert!(!may_hold_token(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_kept() {
        for body in [json!(null), json!(["s3cret"]), json!("s3cret"), json!(1)] {
            assert_eq!(kept(&body, false), None, "{body}");
        }
        for body in ["", "password=s3cret", "]", "<a/>", "{\"a\": \u{1}"] {
            let kept = masks().beginning(body.as_bytes(), false).unwrap_or_default();
            assert!(!kept.contains("s3cret"), "{kept}");
        }
    }

    #[test]
    fn of_a_body_that_is_cut_nothing_is_kept_of_which_the_name_is_missing() {
        let body = r#"{"Operations":[{"op":"replace","value":"s3cret","path":"password"}]}"#;
        for end in 0..body.len() {
            let kept = masks().beginning(&body.as_bytes()[..end], false).unwrap_or_default();
            assert!(!kept.contains("s3cret"), "{end}: {kept}");
        }
        let body = r#"{"displayName":"Staff","members":[{"value":"1"},{"value":"2"},{"val"#;
        assert_eq!(
            masks().beginning(body.as_bytes(), false).as_deref(),
            Some(r#"{"displayName":"Staff","members":[{"value":"1"},{"value":"2"},{}]}…"#)
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(Value::from),
            "[a\\[\\]{},\"\\\\é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a,\"\\\\{]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn signs_of_tokens_are_seen_in_any_text(text in "([_jJbBéey]|muster|MUSTER|eY|earer|EARER|x){0,6}") {
            let lower = text.to_ascii_lowercase();
            let has = ["muster_", "eyj", "bearer"].iter().any(|sign| lower.contains(sign));
            prop_assert_eq!(may_hold_token(&text), has, "{}", text);
        }

        #[test]
        fn every_beginning_can_be_made_whole(value in any_value(), part in 0.0..1.0_f64) {
            let text = value.to_string();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss,
                     clippy::cast_precision_loss, reason = "a place in a short text")]
            let end = (text.len() as f64 * part) as usize;
            if let Some(whole) = completed(&text.as_bytes()[..end]) {
                prop_assert!(serde_json::from_str::<Value>(&whole).is_ok(), "{}", whole);
            }
            if let Some(whole) = completed(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&whole).ok(), Some(value));
            }
        }
    }
}
