//! Pages of groups that have very many members together.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    a_page_of_large_groups_is_shorter,
    a_page_by_cursor_of_large_groups_is_shorter,
];

/// Groups of 4, 1, 5, 12 and 0 members, where a page may show 10.
async fn filled(database: TestDatabase) -> (TestApp, Vec<String>) {
    let app = TestApp::start_with(database, |settings| settings.page_members = 10).await;
    let client = app.scim();
    let mut users = Vec::new();
    for number in 0..12 {
        let user = json!({ "userName": format!("u{number}") });
        users.push(json!({ "value": client.post("/Users", &user).await.expect(201).id() }));
    }
    let mut groups = Vec::new();
    for (number, size) in [4, 1, 5, 12, 0].into_iter().enumerate() {
        let group = json!({ "displayName": format!("g{number}"), "members": users[..size] });
        groups.push(client.post("/Groups", &group).await.expect(201).id());
    }
    (app, groups)
}

fn ids(page: &Value) -> Vec<String> {
    let resources = page["Resources"].as_array().expect("resources");
    assert_eq!(page["itemsPerPage"], resources.len());
    resources.iter().map(|group| group["id"].as_str().expect("an id").to_owned()).collect()
}

async fn page(client: &ScimClient, query: &str) -> Value {
    client.get(query).await.expect(200).body
}

async fn a_page_of_large_groups_is_shorter(database: TestDatabase) {
    let (app, groups) = filled(database).await;
    let client = app.scim();
    for path in ["/Groups?startIndex=", "/?filter=displayName%20sw%20%22g%22&startIndex="] {
        let (mut found, mut sizes, mut start) = (Vec::new(), Vec::new(), 1);
        while start <= 5 {
            let page = page(&client, &format!("{path}{start}")).await;
            // "totalResults" is that of the list, whatever one page shows of it.
            assert_eq!(page["totalResults"], 5);
            sizes.push(ids(&page).len());
            start += ids(&page).len();
            found.extend(ids(&page));
        }
        assert_eq!(found, groups);
        // The three first fill a page; the fourth is too large for any, and has one for itself.
        assert_eq!(sizes, [3, 1, 1]);
    }
    // Whoever asks for no members gets all groups.
    let page = page(&client, "/Groups?excludedAttributes=members").await;
    assert_eq!(ids(&page), groups);
}

async fn a_page_by_cursor_of_large_groups_is_shorter(database: TestDatabase) {
    let (app, groups) = filled(database).await;
    let client = app.scim();
    let mut found = Vec::new();
    let mut query = "/Groups?cursor&count=4".to_owned();
    let mut back = None;
    loop {
        let page = page(&client, &query).await;
        found.extend(ids(&page));
        back = page["previousCursor"].as_str().map(str::to_owned).or(back);
        let Some(next) = page["nextCursor"].as_str() else { break };
        query = format!("/Groups?cursor={next}&count=4");
    }
    assert_eq!(found, groups);
    // And all of them are there on the way back.
    let mut before = BTreeSet::new();
    while let Some(cursor) = back {
        let page = page(&client, &format!("/Groups?cursor={cursor}&count=4")).await;
        let here = ids(&page);
        assert!(!here.is_empty() && here.len() < 4, "{here:?}");
        before.extend(here);
        back = page["previousCursor"].as_str().map(str::to_owned);
    }
    assert!(groups[..3].iter().all(|id| before.contains(id)), "{before:?}");
}
