//! Paging by cursor (RFC 9865).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases};

pub const CASES: &[Case] = cases![
    a_list_goes_on_by_cursors,
    a_list_without_cursors_is_paged_by_index,
    a_search_goes_on_by_cursors,
    a_cursor_works_on_every_server_of_the_store,
    a_cursor_is_for_its_query_alone,
    a_cursor_is_for_its_connection_alone,
    a_forged_cursor_is_refused,
    a_count_that_is_no_number_is_refused,
    a_count_of_nothing_moves_nothing,
    everybody_is_seen_once_while_others_write,
    a_resource_that_a_cursor_names_may_be_gone,
    the_page_before_is_found_again,
    a_cursor_fits_into_an_address,
];

async fn people(client: &ScimClient, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let user = json!({ "userName": format!("user{number:03}") });
        ids.push(client.post("/Users", &user).await.expect(201).id());
    }
    ids
}

async fn page(client: &ScimClient, query: &str, cursor: &str) -> Value {
    client.get(&format!("{query}&cursor={cursor}")).await.expect(200).body
}

fn ids(body: &Value) -> Vec<String> {
    let resources = body["Resources"].as_array().expect("resources");
    resources.iter().map(|resource| resource["id"].as_str().expect("an id").to_owned()).collect()
}

fn next(body: &Value) -> &str {
    body["nextCursor"].as_str().expect("a next page")
}

async fn a_list_goes_on_by_cursors(app: TestApp) {
    let client = app.scim();
    let all = people(&client, 5).await;
    let first = client.get("/Users?cursor&count=2").await.expect(200).body;
    assert_eq!(ids(&first), all[..2]);
    assert_eq!(first["totalResults"], 5);
    assert_eq!(first["itemsPerPage"], 2);
    assert!(first.get("previousCursor").is_none() && first.get("startIndex").is_none());
    let second = page(&client, "/Users?count=2", next(&first)).await;
    assert_eq!(ids(&second), all[2..4]);
    assert_eq!(second["totalResults"], 5);
    let third = page(&client, "/Users?count=2", next(&second)).await;
    assert_eq!(ids(&third), all[4..]);
    assert!(third.get("nextCursor").is_none(), "it is the last page");
    let whole = client.get("/Users?cursor=&count=5").await.expect(200).body;
    assert!(whole.get("nextCursor").is_none(), "one page holds it all");
    let limit = client.get("/Users?cursor=&count=4000").await.expect(200).body;
    assert_eq!(ids(&limit), all);
    let config = client.get("/ServiceProviderConfig").await.expect(200).body;
    let expected = json!({
        "cursor": true,
        "index": true,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 1000,
    });
    assert_eq!(config["pagination"], expected);
}

async fn a_list_without_cursors_is_paged_by_index(app: TestApp) {
    let client = app.scim();
    people(&client, 3).await;
    for query in ["/Users?count=2", "/Users", "/Users?startIndex=1&count=2"] {
        let body = client.get(query).await.expect(200).body;
        assert_eq!(body["startIndex"], 1);
        assert!(body.get("nextCursor").is_none(), "{query}");
    }
    // No more is written for the sake of cursors than they need.
    let key = async || app.db.read(muster::directory::cursors::key).await.expect("the store");
    assert!(key().await.is_none());
    // What a client sends from habit is in nobody's way.
    let both = client.get("/Users?startIndex=2&count=2&cursor=").await.expect(200).body;
    assert_eq!(both["Resources"][0]["userName"], "user000");
    assert!(key().await.is_some());
}

async fn a_search_goes_on_by_cursors(app: TestApp) {
    let client = app.scim();
    let mut all = people(&client, 3).await;
    for name in ["A", "B"] {
        let group = json!({ "displayName": name });
        all.push(client.post("/Groups", &group).await.expect(201).id());
    }
    for (path, expected) in
        [("/.search", &all[..]), ("/Users/.search", &all[..3]), ("/Groups/.search", &all[3..])]
    {
        let mut search = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "cursor": "",
            "count": 2,
        });
        let mut found = Vec::new();
        loop {
            let body = client.post(path, &search).await.expect(200).body;
            assert_eq!(body["totalResults"], expected.len());
            found.extend(ids(&body));
            match body.get("nextCursor") {
                Some(next) => search["cursor"] = next.clone(),
                None => break,
            }
        }
        assert_eq!(found, expected, "{path}");
    }
}

async fn a_cursor_works_on_every_server_of_the_store(app: TestApp) {
    let replica = app.replica().await;
    let all = people(&app.scim(), 4).await;
    let first = app.scim().get("/Users?cursor&count=3").await.expect(200).body;
    let other = replica.with_token(app.default_token());
    let second = page(&other, "/Users?count=3", next(&first)).await;
    assert_eq!(ids(&second), all[3..]);
    replica.stopper().await;
}

async fn a_cursor_is_for_its_query_alone(app: TestApp) {
    let client = app.scim();
    people(&client, 4).await;
    let query = "/Users?count=2&filter=userName%20sw%20%22user%22&sortBy=userName";
    let first = page(&client, query, "").await;
    let cursor = next(&first);
    assert_eq!(ids(&page(&client, query, cursor).await).len(), 2);
    for other in [
        "/Users?count=2",
        "/Users?count=2&filter=userName%20sw%20%22user0%22&sortBy=userName",
        "/Users?count=2&filter=userName%20sw%20%22user%22&sortBy=userName&sortOrder=descending",
        "/Users?count=2&filter=userName%20sw%20%22user%22&sortBy=id",
        "/?count=2&filter=userName%20sw%20%22user%22&sortBy=userName",
        "/Groups?count=2",
    ] {
        let refused = client.get(&format!("{other}&cursor={cursor}")).await;
        let detail = refused.expect_error(400, Some("invalidCursor"));
        assert!(detail.contains("query"), "{detail}");
    }
    // How many, and which attributes, is for each page to say.
    let one = "/Users?count=1&attributes=id&filter=userName%20sw%20%22user%22&sortBy=userName";
    assert_eq!(ids(&page(&client, one, cursor).await).len(), 1);
}

async fn a_cursor_is_for_its_connection_alone(app: TestApp) {
    let client = app.scim();
    people(&client, 3).await;
    let other = app.other("other").await;
    people(&other, 3).await;
    let first = page(&client, "/Users?count=2", "").await;
    let path = format!("/Users?count=2&cursor={}", next(&first));
    other.get(&path).await.expect_error(400, Some("invalidCursor"));
}

async fn a_forged_cursor_is_refused(app: TestApp) {
    let client = app.scim();
    people(&client, 3).await;
    let first = page(&client, "/Users?count=2", "").await;
    let cursor = next(&first);
    let (head, tail) = cursor.split_at(cursor.len() / 2);
    for forged in [
        "x",
        "AAAA",
        "%00",
        "null",
        &format!("{tail}{head}"),
        head,
        &format!("{cursor}A"),
        &cursor.to_lowercase(),
    ] {
        let refused = client.get(&format!("/Users?count=2&cursor={forged}")).await;
        refused.expect_error(400, Some("invalidCursor"));
    }
}

async fn a_count_that_is_no_number_is_refused(app: TestApp) {
    for count in ["many", "1.5", "0x10"] {
        let refused = app.scim().get(&format!("/Users?cursor&count={count}")).await;
        refused.expect_error(400, Some("invalidCount"));
    }
}

async fn a_count_of_nothing_moves_nothing(app: TestApp) {
    let client = app.scim();
    let empty = client.get("/Users?cursor&count=0").await.expect(200).body;
    assert_eq!(empty["totalResults"], 0);
    assert!(empty.get("nextCursor").is_none());
    let all = people(&client, 3).await;
    for count in ["0", "-1"] {
        let none = client.get(&format!("/Users?cursor&count={count}")).await.expect(200).body;
        assert_eq!((&none["totalResults"], ids(&none)), (&json!(3), Vec::new()));
        let cursor = next(&none);
        assert_eq!(ids(&page(&client, "/Users?count=2", cursor).await), all[..2]);
    }
}

/// Between two pages somebody comes and somebody goes, before and after the place.
async fn everybody_is_seen_once_while_others_write(app: TestApp) {
    let client = app.scim();
    for sorting in ["", "&sortBy=userName", "&sortBy=userName&sortOrder=descending"] {
        let lasting: BTreeSet<String> = people(&client, 20).await.into_iter().collect();
        let query = format!("/Users?count=3{sorting}");
        let (mut seen, mut passing) = (Vec::new(), Vec::new());
        let mut body = page(&client, &query, "").await;
        for round in 0.. {
            seen.extend(ids(&body));
            let Some(cursor) = body["nextCursor"].as_str() else { break };
            body = page(&client, &query, cursor).await;
            if round >= 5 {
                // Enough have come; the list must come to an end.
                continue;
            }
            // Their names lie among those of the others.
            let user = json!({ "userName": format!("user{:03}x", round * 7 % 20) });
            passing.push(client.post("/Users", &user).await.expect(201).id());
            if round % 2 == 1 {
                let gone = passing.remove(0);
                client.delete(&format!("/Users/{gone}")).await.expect(204);
            }
        }
        let lasted: Vec<&String> = seen.iter().filter(|id| lasting.contains(*id)).collect();
        assert_eq!(lasted.len(), 20, "{sorting}: nobody is missed, nobody comes twice");
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{sorting}: nobody comes twice");
        for id in lasting.iter().chain(&passing) {
            client.delete(&format!("/Users/{id}")).await.expect(204);
        }
    }
}

async fn a_resource_that_a_cursor_names_may_be_gone(app: TestApp) {
    let client = app.scim();
    let all = people(&client, 5).await;
    for sorting in ["", "&sortBy=userName", "&sortBy=title", "&sortBy=meta.created"] {
        let query = format!("/Users?count=2{sorting}");
        let first = page(&client, &query, "").await;
        let last = ids(&first).pop().expect("a user");
        let user = client.get(&format!("/Users/{last}")).await.expect(200).body;
        client.delete(&format!("/Users/{last}")).await.expect(204);
        let rest = page(&client, &query, next(&first)).await;
        assert_eq!(ids(&rest).len(), 2, "{sorting}");
        assert!(!ids(&rest).iter().any(|id| ids(&first).contains(id)), "{sorting}");
        client.post("/Users", &json!({ "userName": user["userName"] })).await.expect(201);
    }
    assert_eq!(all.len(), 5);
}

/// However long what the list is sorted by is; of it the beginning counts.
async fn a_cursor_fits_into_an_address(app: TestApp) {
    let client = app.scim();
    let mut ids = Vec::new();
    for end in ["b", "a", "c"] {
        let title = format!("{}{end}", "\u{1f600}".repeat(15_000));
        let user = json!({ "userName": end, "title": title });
        ids.push(client.post("/Users", &user).await.expect(201).id());
    }
    let query = "/Users?sortBy=title&attributes=id&count=1";
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for _ in 0..ids.len() {
        let body = page(&client, query, &cursor).await;
        found.extend(self::ids(&body));
        body["nextCursor"].as_str().unwrap_or_default().clone_into(&mut cursor);
        assert!(cursor.len() < 2048, "{} bytes", cursor.len());
    }
    assert_eq!(found, ids, "what begins alike is in the order of creation");
}

async fn the_page_before_is_found_again(app: TestApp) {
    let client = app.scim();
    let all = people(&client, 5).await;
    let query = "/Users?count=2";
    let first = page(&client, query, "").await;
    let second = page(&client, query, next(&first)).await;
    let third = page(&client, query, next(&second)).await;
    let back = page(&client, query, third["previousCursor"].as_str().expect("a page before")).await;
    assert_eq!(ids(&back), all[2..4]);
    let back = page(&client, query, back["previousCursor"].as_str().expect("a page before")).await;
    assert_eq!(ids(&back), all[..2]);
    assert!(back.get("previousCursor").is_none(), "it is the first page");
    assert_eq!(ids(&page(&client, query, next(&back)).await), all[2..4]);
    // From the second page back there is less than a page if some have gone.
    client.delete(&format!("/Users/{}", all[0])).await.expect(204);
    let back =
        page(&client, query, second["previousCursor"].as_str().expect("a page before")).await;
    assert_eq!(ids(&back), all[1..2]);
    assert!(back.get("previousCursor").is_none());
    assert_eq!(ids(&page(&client, query, next(&back)).await), all[2..4]);
}
