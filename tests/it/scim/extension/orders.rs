//! Lists sorted by an attribute whose type has changed: what is stored under another type must not
//! lose anybody on the way from page to page.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    decimals_that_became_integers_are_listed,
    integers_that_became_text_are_listed,
    text_that_became_truths_is_listed,
    text_that_became_times_is_listed,
    a_cursor_from_before_a_change_of_type_is_refused,
];

const URN: &str = "urn:example:orders:User";

fn folder(attribute: &Value) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let document = json!({ "id": URN, "attributes": [attribute] });
    std::fs::write(folder.path().join("a.json"), document.to_string()).expect("a file");
    folder
}

fn names(body: &Value) -> Vec<String> {
    let users = body["Resources"].as_array().expect("users");
    users.iter().map(|user| user["userName"].as_str().expect("a name").to_owned()).collect()
}

/// Whether all users are listed page by page, both ways, as they are at once.
async fn check(database: &TestDatabase, before: Value, values: &[Value], after: Value) {
    let old = folder(&before);
    let app = TestApp::with_schemas(database.clone(), old.path()).await;
    for (number, value) in values.iter().enumerate() {
        let user = json!({ "userName": format!("u{number}"), URN: { "a": value } });
        app.scim().post("/Users", &user).await.expect(201);
    }
    app.stopper().await;
    let new = folder(&after);
    let app = TestApp::with_schemas(database.clone(), new.path()).await;
    for order in ["ascending", "descending"] {
        let path = format!("/Users?sortBy={URN}:a&sortOrder={order}");
        let whole = names(&app.scim().get(&path).await.expect(200).body);
        assert_eq!(whole.len(), values.len());
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = format!("{path}&count=1&cursor={cursor}");
            let page = app.scim().get(&page).await.expect(200).body;
            found.extend(names(&page));
            match page["nextCursor"].as_str() {
                Some(next) if found.len() <= whole.len() => next.clone_into(&mut cursor),
                _ => break,
            }
        }
        assert_eq!(found, whole, "{order}");
    }
    app.stopper().await;
}

async fn decimals_that_became_integers_are_listed(database: TestDatabase) {
    let values = [json!(1.5), json!(2), json!(3.5), json!(4), json!(1e300)];
    let (before, after) =
        (json!({ "name": "a", "type": "decimal" }), json!({ "name": "a", "type": "integer" }));
    check(&database, before, &values, after).await;
}

async fn integers_that_became_text_are_listed(database: TestDatabase) {
    let values = [json!(1), json!(20), json!(3), json!(4)];
    let before = json!({ "name": "a", "type": "integer" });
    check(&database, before, &values, json!({ "name": "a" })).await;
}

async fn text_that_became_truths_is_listed(database: TestDatabase) {
    let values = [json!("x"), json!("y"), json!("true"), json!("1")];
    let after = json!({ "name": "a", "type": "boolean" });
    check(&database, json!({ "name": "a" }), &values, after).await;
}

async fn text_that_became_times_is_listed(database: TestDatabase) {
    let values = [json!("x"), json!("2026-01-01T00:00:00Z"), json!("2026"), json!("z")];
    let after = json!({ "name": "a", "type": "dateTime" });
    check(&database, json!({ "name": "a" }), &values, after).await;
}

async fn a_cursor_from_before_a_change_of_type_is_refused(database: TestDatabase) {
    let old = folder(&json!({ "name": "a" }));
    let app = TestApp::with_schemas(database.clone(), old.path()).await;
    for number in 0..4 {
        let user = json!({ "userName": format!("u{number}"), URN: { "a": format!("{number}") } });
        app.scim().post("/Users", &user).await.expect(201);
    }
    let path = format!("/Users?sortBy={URN}:a&count=2&cursor=");
    let page = app.scim().get(&path).await.expect(200).body;
    let next = page["nextCursor"].as_str().expect("a cursor").to_owned();
    app.stopper().await;
    for kind in ["integer", "decimal", "boolean", "dateTime"] {
        let new = folder(&json!({ "name": "a", "type": kind }));
        let app = TestApp::with_schemas(database.clone(), new.path()).await;
        let answer = app.scim().get(&format!("{path}{next}")).await;
        answer.expect_error(400, Some("invalidCursor"));
        app.stopper().await;
    }
}
