//! A query of a list, in an address or as a body, is read or refused. Both say the same; the page is
//! within its bounds; what is shown is part of the resource, never a secret, always its id; and a
//! cursor comes back to the place that it was made for.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use muster::scim::ScimType;
use muster::scim::cursor::{Anchor, CursorKey, Position};
use muster::scim::filter::matches;
use muster::scim::list::{MAX_COUNT, Start};
use muster::scim::projection::Projection;
use muster::scim::query::Query;
use muster::scim::quirks::Quirks;
use muster::scim::schema::ResourceType;
use muster::scim::sort::Key;
use serde_json::{Map, Value, json};

use super::known::{REGISTRY, resources};

static KEY: LazyLock<CursorKey> = LazyLock::new(|| CursorKey::new(vec![7; 32]));

/// `U` and the query part of an address, or `B` and the body of a search.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let Some(body) = body(*kind, rest) else { return };
    let Ok(query) = Query::from_body(body.clone().into()) else { return };
    if let (b'U', Ok(text)) = (kind, std::str::from_utf8(rest)) {
        assert_eq!(Query::from_url(text), query, "an address and a body");
    }
    let (user, group) = (REGISTRY.user(), REGISTRY.group());
    let _ = query.filters([user, group], &mut Quirks::default());
    let _ = query.orders([user, group]);
    assert_page(&query);
    for (resource_type, document) in resources() {
        let mut whole = document.as_map().clone();
        whole.insert("id".to_owned(), json!("2819c223-7f76-453a-919d-413861904646"));
        let meta = json!({
            "resourceType": resource_type.name, "version": "W/\"1\"",
            "created": "2026-01-31T09:00:00Z", "lastModified": "2026-01-31T09:00:00Z",
            "location": "https://muster.example.com/scim/v2/Users/2819c223",
        });
        whole.insert("meta".to_owned(), meta);
        if let Ok(Some(filter)) = query.filter(resource_type, &mut Quirks::default()) {
            matches(&filter, &whole);
        }
        if let Ok(Some(order)) = query.order(resource_type) {
            assert_cursor(&body, &query, order.key(&whole));
        }
        if let Ok(projection) = query.projection(resource_type) {
            assert_projection(resource_type, &body, &projection, &whole);
        }
    }
}

/// The parameters by their names in lower case, the last of each.
fn body(kind: u8, rest: &[u8]) -> Option<Map<String, Value>> {
    let mut body = Map::new();
    if kind == b'U' {
        let text = std::str::from_utf8(rest).ok()?;
        // Who writes a space as %20 means a plus by a plus: that is not for this reading.
        if text.contains("%20") && text.contains('+') {
            Query::from_url(text);
            return None;
        }
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let name = name.to_ascii_lowercase();
            if !value.is_empty() || name == "cursor" {
                body.insert(name, value.as_ref().into());
            }
        }
    } else {
        let Ok(Value::Object(sent)) = serde_json::from_slice(rest) else { return None };
        body.extend(sent.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
    }
    Some(body)
}

/// The query with another value of one parameter.
fn with(body: &Map<String, Value>, name: &str, value: &str) -> Query {
    let mut body = body.clone();
    body.insert(name.to_owned(), value.into());
    Query::from_body(body.into()).expect("a query with another text is refused")
}

fn assert_page(query: &Query) {
    for key in [None, Some(&*KEY)] {
        let Ok(page) = query.page(key, "list") else { continue };
        assert!(page.count <= MAX_COUNT && page.offset() >= 0);
        assert!(!matches!(page.start, Start::Index(0)), "an index counts from 1");
        assert!(key.is_some() || !page.has_cursor(), "a cursor is opened without a key");
    }
}

fn assert_cursor(body: &Map<String, Value>, query: &Query, key: Key) {
    let anchor = Some(Anchor { key, id: "7".to_owned() });
    let position = Position { anchor, backwards: false, total: 12 };
    let cursor = query.cursor(&KEY, "list", &position);
    let next = with(body, "cursor", &cursor);
    match next.page(Some(&KEY), "list") {
        Ok(page) => assert_eq!(page.start, Start::Cursor(position)),
        Err(error) => assert_eq!(error.scim_type, Some(ScimType::InvalidCount), "{error:?}"),
    }
    assert!(next.page(Some(&KEY), "another").is_err(), "a cursor opens another list");
    let mut other = body.clone();
    other.insert("cursor".to_owned(), cursor.into());
    for (name, value) in [("filter", "id eq \"?\""), ("sortby", "?"), ("sortorder", "?")] {
        if body.get(name) != Some(&json!(value)) {
            let other = with(&other, name, value);
            assert!(other.page(Some(&KEY), "list").is_err(), "a cursor opens another query");
        }
    }
}

fn assert_projection(
    resource_type: &Arc<ResourceType>,
    body: &Map<String, Value>,
    projection: &Projection,
    whole: &Map<String, Value>,
) {
    let mut stored = whole.clone();
    stored.insert("password".to_owned(), json!("secret"));
    let mut shown = stored.clone();
    projection.apply(&mut shown);
    let mut again = shown.clone();
    projection.apply(&mut again);
    assert_eq!(again, shown, "a projection of what it shows");
    assert!(shown.get("id") == whole.get("id") && shown.contains_key("schemas"), "{shown:?}");
    assert!(!shown.contains_key("password"));
    let known = leaves(whole);
    assert!(leaves(&shown).is_subset(&known), "a projection adds something");
    assert!(shown.keys().all(|name| projection.includes(name) || name.contains(':')));
    // What is asked for and what is left after it is asked away are together what there is.
    let (attributes, excluded) = (body.get("attributes"), body.get("excludedattributes"));
    if let (Some(Value::String(names)), None) = (attributes, excluded) {
        let turned = Query::from_body(json!({"excludedAttributes": names})).expect("a query");
        let mut rest = stored.clone();
        turned.projection(resource_type).expect("a projection turned").apply(&mut rest);
        let mut default = stored;
        Projection::all(resource_type).apply(&mut default);
        let both: BTreeSet<String> = leaves(&shown).union(&leaves(&rest)).cloned().collect();
        assert!(leaves(&default).is_subset(&both), "something is neither here nor there");
    }
}

/// The attributes and sub-attributes that have a value.
fn leaves(resource: &Map<String, Value>) -> BTreeSet<String> {
    fn walk(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    walk(&format!("{prefix}/{name}"), value, found);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|e| walk(prefix, e, found)),
            _ => {
                found.insert(prefix.to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    for (name, value) in resource.iter().filter(|(name, _)| *name != "schemas") {
        walk(name, value, &mut found);
    }
    found
}
