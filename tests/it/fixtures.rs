//! The requests of `tests/fixtures`: each is answered as it says, and takes exactly the tolerances
//! that it names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster::directory::teams::Show;
use muster::directory::{Actor, Context, DirectoryError, connections, teams, users};
use muster::scim::bulk::Job;
use muster::scim::condition::Condition;
use muster::scim::patch::{PatchPlan, member_ids};
use muster::scim::query::Query;
use muster::scim::quirks::{Quirk, Quirks};
use muster::scim::resource::Document;
use muster::scim::schema::Registry;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        every_request_is_answered_as_it_should_be,
        every_request_takes_the_tolerances_it_names
    ];
    let pure: &[Case] = pure_cases![every_tolerance_has_a_fixture];
    [apps, pure].concat()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(skip)]
    file: String,
    #[serde(rename = "client")]
    _client: String,
    #[serde(rename = "why")]
    _why: String,
    method: String,
    path: String,
    body: Option<Value>,
    status: u16,
    quirks: BTreeSet<String>,
    then: Option<Value>,
    members: Option<BTreeSet<String>>,
    total: Option<u64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for client in std::fs::read_dir(folder()).expect("the fixtures") {
        let client = client.expect("an entry").path();
        if !client.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&client).expect("a client's fixtures") {
            let file = file.expect("an entry").path();
            let text = std::fs::read_to_string(&file).expect("a fixture");
            found.push((file.strip_prefix(folder()).expect("a path").display().to_string(), text));
        }
    }
    found.sort();
    assert!(found.len() > 40, "the fixtures are found");
    found
}

/// The resources that placeholders stand for.
struct State {
    client: ScimClient,
    user: String,
    user2: String,
    group: String,
}

impl State {
    /// A connection of its own with the resources that the README describes.
    async fn new(app: &TestApp, connection: &str) -> Self {
        let client = app.other(connection).await;
        let ann = json!({
            "userName": "ann@example.com",
            "externalId": "00u1",
            "name": { "givenName": "Ann", "familyName": "Lee" },
            "title": "Engineer",
            "emails": [{ "value": "ann@example.com", "type": "work", "primary": true }],
        });
        let user = client.post("/Users", &ann).await.expect(201).id();
        let bob = json!({ "userName": "bob@example.com" });
        let user2 = client.post("/Users", &bob).await.expect(201).id();
        let team = json!({ "displayName": "Team", "members": [{ "value": user2 }] });
        let group = client.post("/Groups", &team).await.expect(201).id();
        Self { client, user, user2, group }
    }

    fn fixture(&self, file: &str, text: &str) -> Fixture {
        let text = text
            .replace("{{user}}", &self.user)
            .replace("{{user2}}", &self.user2)
            .replace("{{group}}", &self.group);
        let mut fixture: Fixture =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        file.clone_into(&mut fixture.file);
        fixture
    }
}

async fn every_request_is_answered_as_it_should_be(app: TestApp) {
    for (number, (file, text)) in texts().into_iter().enumerate() {
        let state = State::new(&app, &format!("tenant{number}")).await;
        let fixture = state.fixture(&file, &text);
        let answer = match &fixture.body {
            Some(body) => state.client.with_body(&fixture.method, &fixture.path, body).await,
            None => state.client.send(state.client.request(&fixture.method, &fixture.path)).await,
        };
        assert_eq!(answer.status, fixture.status, "{file} answered {}", answer.text);
        if let Some(total) = fixture.total {
            assert_eq!(answer.body["totalResults"], total, "{file}");
            assert_eq!(
                answer.body["Resources"].as_array().map(Vec::len),
                usize::try_from(total).ok()
            );
        }
        if fixture.then.is_none() && fixture.members.is_none() {
            continue;
        }
        let path = match fixture.method.as_str() {
            "POST" => format!("{}/{}", fixture.path, answer.id()),
            _ => fixture.path.split('?').next().unwrap_or_default().to_owned(),
        };
        let resource = state.client.get(&path).await.expect(200).body;
        if let Some(want) = &fixture.then {
            holds(&resource, want, &file);
        }
        if let Some(want) = &fixture.members {
            let members = resource["members"].as_array().cloned().unwrap_or_default();
            let members: BTreeSet<String> = members
                .iter()
                .map(|member| member["value"].as_str().expect("an id").to_owned())
                .collect();
            assert_eq!(members, *want, "{file}");
        }
    }
}

/// The resource holds all that is wanted; an array has exactly as many elements.
fn holds(found: &Value, want: &Value, place: &str) {
    match (found, want) {
        (Value::Object(found), Value::Object(want)) => {
            for (key, want) in want {
                holds(found.get(key).unwrap_or(&Value::Null), want, &format!("{place} {key}"));
            }
        }
        (Value::Array(found), Value::Array(want)) => {
            assert_eq!(found.len(), want.len(), "{place}: {found:?}");
            for (found, want) in found.iter().zip(want) {
                holds(found, want, place);
            }
        }
        (found, want) => assert_eq!(found, want, "{place}"),
    }
}

async fn every_request_takes_the_tolerances_it_names(app: TestApp) {
    let registry = Arc::new(Registry::builtin().expect("schemas"));
    for (number, (file, text)) in texts().into_iter().enumerate() {
        let connection = format!("tenant{number}");
        let state = State::new(&app, &connection).await;
        let fixture = state.fixture(&file, &text);
        if fixture.status >= 400 {
            continue;
        }
        let quirks = match fixture.method.as_str() {
            "GET" => of_query(&registry, &fixture),
            "PATCH" => of_patch(&app, &connection, registry.clone(), fixture.clone()).await,
            "POST" if fixture.path == "/Bulk" => of_job(&fixture),
            "POST" | "PUT" => of_body(&registry, &fixture),
            _ => Quirks::default(),
        };
        let names: BTreeSet<String> = quirks.iter().map(|quirk| quirk.name().to_owned()).collect();
        assert_eq!(names, fixture.quirks, "{file}");
    }
}

fn of_query(registry: &Registry, fixture: &Fixture) -> Quirks {
    let mut quirks = Quirks::default();
    let resource_type =
        if fixture.path.starts_with("/Users") { registry.user() } else { registry.group() };
    let query = fixture.path.split_once('?').map_or("", |(_, query)| query);
    Query::from_url(query).filter(resource_type, &mut quirks).expect("a filter");
    quirks
}

fn of_body(registry: &Registry, fixture: &Fixture) -> Quirks {
    let mut quirks = Quirks::default();
    let mut body = fixture.body.clone().expect("a body");
    let resource_type = if fixture.path.starts_with("/Users") {
        registry.user()
    } else {
        let members = body.as_object_mut().and_then(|body| body.shift_remove("members"));
        member_ids(members.unwrap_or_default(), &mut quirks).expect("members");
        registry.group()
    };
    Document::from_body(resource_type, body, &mut quirks).expect("a document");
    quirks
}

fn of_job(fixture: &Fixture) -> Quirks {
    let mut quirks = Quirks::default();
    Job::parse(fixture.body.clone().expect("a body"), &mut quirks).expect("a job");
    quirks
}

/// What the directory says of the request, which it carries out.
async fn of_patch(
    app: &TestApp,
    connection: &str,
    registry: Arc<Registry>,
    fixture: Fixture,
) -> Quirks {
    let (connection, now) = (connection.to_owned(), app.clock.now());
    app.db
        .write("patch", move |conn| {
            let context = Context {
                connection: connections::find(conn, &connection).expect("a connection"),
                actor: Actor::CommandLine,
                request_id: None,
                now,
                base_url: "http://localhost".into(),
            };
            let path = fixture.path.split('?').next().unwrap_or_default();
            let id = path.rsplit('/').next().unwrap_or_default();
            let body = fixture.body.clone().expect("a body");
            let none = Condition::none();
            if path.starts_with("/Users") {
                let plan = PatchPlan::new(registry.user(), body)?;
                users::patch(conn, &context, id, &plan, &none).map(|(_, quirks)| quirks)
            } else {
                let plan = PatchPlan::new(registry.group(), body)?;
                let patched = teams::patch(conn, &context, id, &plan, &none, Show::Nobody);
                patched.map(|(_, quirks)| quirks)
            }
        })
        .await
        .unwrap_or_else(|error: DirectoryError| panic!("{error}"))
}

fn every_tolerance_has_a_fixture() {
    let fixtures: String = texts().into_iter().map(|(_, text)| text).collect();
    for quirk in Quirk::ALL {
        assert!(fixtures.contains(&format!("\"{}\"", quirk.name())), "{}", quirk.name());
    }
}
