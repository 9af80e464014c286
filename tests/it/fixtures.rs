//! The requests of `tests/fixtures/clients`: each is answered as its file says, strictly in the
//! RFC's form, and takes exactly the tolerances that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use muster::scim::quirks::Quirk;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::strict::Strict;
use crate::support::{Answer, Case, ScimClient, TestApp, cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] =
        cases![every_request_is_answered_as_it_should_be, a_loose_answer_is_noticed];
    let pure: &[Case] = pure_cases![
        every_request_has_a_source,
        a_rule_names_the_clients_whose_requests_need_it,
        what_keeps_to_the_rfc_needs_no_rule
    ];
    [apps, pure].concat()
}

/// What is known of a client; `tests/fixtures/README.md` says what the members mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: String,
    about: String,
    sources: BTreeMap<String, Source>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body_headers: BTreeMap<String, String>,
    unknown: Vec<String>,
    sequences: Vec<Sequence>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    #[serde(rename = "grade")]
    _grade: Grade,
    #[serde(rename = "where")]
    place: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    Documented,
    Captured,
    SourceCode,
    Reported,
    Assumed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    name: String,
    #[serde(default)]
    given: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    why: String,
    source: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    #[serde(default)]
    over: bool,
    status: u16,
    quirks: BTreeSet<String>,
    #[serde(default)]
    save: BTreeMap<String, String>,
    answer: Option<Value>,
    #[serde(default)]
    lacks: Vec<String>,
    total: Option<u64>,
    then: Option<Value>,
    members: Option<Vec<String>>,
}

fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a fixture");
        let file: File = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(file.client.as_str()));
        files.push(file);
    }
    files.sort_by(|a, b| a.client.cmp(&b.client));
    assert!(files.len() >= 10, "the fixtures are found");
    files
}

impl File {
    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.sequences.iter().flat_map(|sequence| &sequence.steps)
    }
}

async fn every_request_is_answered_as_it_should_be(app: TestApp) {
    for file in files() {
        for (number, sequence) in file.sequences.iter().enumerate() {
            let client = app.other(&format!("{}-{number}", file.client)).await;
            let mut replay = Replay {
                strict: Strict::of(&client).await,
                place: format!("{}: {}", file.client, sequence.name),
                app: &app,
                client,
                file: &file,
                saved: BTreeMap::new(),
                last: Value::Null,
            };
            if sequence.given {
                replay.prepare().await;
            }
            for step in &sequence.steps {
                replay.step(step).await;
            }
        }
    }
}

/// A sequence under way, on a connection of its own.
struct Replay<'a> {
    app: &'a TestApp,
    client: ScimClient,
    strict: Strict,
    file: &'a File,
    place: String,
    /// What placeholders stand for.
    saved: BTreeMap<String, String>,
    /// The body of the last answer.
    last: Value,
}

impl Replay<'_> {
    /// The resources that the README describes.
    async fn prepare(&mut self) {
        let ann = json!({
            "userName": "ann@example.com",
            "externalId": "00u1",
            "name": { "givenName": "Ann", "familyName": "Lee" },
            "title": "Engineer",
            "emails": [{ "value": "ann@example.com", "type": "work", "primary": true }],
        });
        let user = self.client.post("/Users", &ann).await.expect(201).id();
        let bob = json!({ "userName": "bob@example.com" });
        let user2 = self.client.post("/Users", &bob).await.expect(201).id();
        let team = json!({ "displayName": "Team", "members": [{ "value": user2 }] });
        let group = self.client.post("/Groups", &team).await.expect(201).id();
        let given = [("user", user), ("user2", user2), ("group", group)];
        self.saved.extend(given.map(|(name, id)| (name.to_owned(), id)));
    }

    async fn step(&mut self, step: &Step) {
        let place = format!("{}: {}", self.place, step.why);
        let before = self.quirks().await;
        let answer = self.send(step).await;
        let after = self.quirks().await;
        assert_eq!(answer.status, step.status, "{place}: answered {}", answer.text);
        self.strict.check(&self.filled(&step.path), &answer, &place);
        let used: BTreeSet<String> = after
            .into_iter()
            .filter(|(name, n)| before[name] != *n)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(used, step.quirks, "{place}: the rules of {}", answer.request);
        if let Some(total) = step.total {
            assert_eq!(answer.body["totalResults"], total, "{place}: {}", answer.text);
        }
        if let Some(want) = &step.answer {
            holds(&answer.body, &self.filled_json(want), &place);
        }
        for pointer in &step.lacks {
            assert_eq!(answer.body.pointer(pointer), None, "{place}: {pointer}");
        }
        for (name, pointer) in &step.save {
            let found = answer.body.pointer(pointer).and_then(Value::as_str);
            let found = found.unwrap_or_else(|| panic!("{place}: no {pointer}: {}", answer.text));
            self.saved.insert(name.clone(), found.to_owned());
        }
        self.afterwards(step, &answer, &place).await;
        self.last = answer.body;
    }

    async fn send(&self, step: &Step) -> Answer {
        let path = self.filled(&step.path);
        let mut request = self.client.request(&step.method, &path);
        let mut headers = self.file.headers.clone();
        if let Some(body) = &step.body {
            let mut body = self.filled_json(body);
            if step.over {
                let mut read = self.last.as_object().expect("an answer before").clone();
                read.extend(body.as_object().expect("an object").clone());
                body = read.into();
            }
            headers.insert("Content-Type".to_owned(), "application/scim+json".to_owned());
            headers.extend(self.file.body_headers.clone());
            request = request.body(body.to_string());
        }
        headers.extend(step.headers.clone());
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a header");
            (name, HeaderValue::from_str(value).expect("its value"))
        });
        self.client.send(request.headers(headers.collect())).await
    }

    /// The state that the request leaves.
    async fn afterwards(&self, step: &Step, answer: &Answer, place: &str) {
        let path = match step.method.as_str() {
            "POST" if step.status == 201 => format!("{}/{}", step.path, answer.id()),
            _ => self.filled(step.path.split('?').next().unwrap_or_default()),
        };
        if step.method == "DELETE" {
            self.client.get(&path).await.expect(404);
        }
        if step.then.is_none() && step.members.is_none() {
            return;
        }
        let read = self.client.get(&path).await.expect(200);
        self.strict.check(&path, &read, place);
        if let Some(want) = &step.then {
            holds(&read.body, &self.filled_json(want), &format!("{place}: afterwards"));
        }
        if let Some(want) = &step.members {
            let members = read.body["members"].as_array().cloned().unwrap_or_default();
            let members: BTreeSet<&str> =
                members.iter().map(|member| member["value"].as_str().expect("an id")).collect();
            let want: Vec<String> = want.iter().map(|id| self.filled(id)).collect();
            assert_eq!(members, want.iter().map(String::as_str).collect(), "{place}: the members");
        }
    }

    /// How often each rule was used so far.
    async fn quirks(&self) -> BTreeMap<String, u64> {
        let text = self.app.anonymous().get("/metrics").await.expect(200).text;
        let counts = text.lines().filter_map(|line| {
            let counted = line.strip_prefix("muster_scim_quirks_total{quirk=\"")?;
            let (name, count) = counted.split_once("\"} ")?;
            Some((name.to_owned(), count.parse().expect("a number")))
        });
        counts.collect()
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.saved {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        assert!(!text.contains("{{"), "{}: nothing stands for a part of {text}", self.place);
        text
    }

    fn filled_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.filled(text).into(),
            Value::Array(values) => values.iter().map(|value| self.filled_json(value)).collect(),
            Value::Object(object) => object
                .iter()
                .map(|(key, value)| (key.clone(), self.filled_json(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }
}

/// The resource holds all that is wanted; an array has exactly as many elements.
fn holds(found: &Value, want: &Value, place: &str) {
    match (found, want) {
        (Value::Object(found), Value::Object(want)) => {
            for (key, want) in want {
                holds(found.get(key).unwrap_or(&Value::Null), want, &format!("{place}: {key}"));
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

/// The check of answers can fail: each change here makes a good user a bad one.
async fn a_loose_answer_is_noticed(app: TestApp) {
    let client = app.scim();
    let strict = Strict::of(&client).await;
    let user = json!({
        "userName": "ann",
        "active": true,
        "emails": [{ "value": "a@example.com", "primary": true }, { "value": "b@example.com" }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Sales" },
    });
    let good = client.post("/Users", &user).await.expect(201).body;
    assert_eq!(strict.body("/Users", 201, &good), Ok(()));
    let changes: [(&str, Value); 12] = [
        ("/active", json!("true")),
        ("/active", Value::Null),
        ("/emails", json!({ "value": "a@example.com" })),
        ("/emails/0/Value", json!("a@example.com")),
        ("/emails/1/primary", json!(true)),
        ("/UserName", json!("ann")),
        ("/password", json!("secret")),
        ("/name", json!({})),
        ("/schemas", json!(["urn:ietf:params:scim:schemas:core:2.0:User"])),
        ("/meta/version", json!("1")),
        ("/meta/created", json!(1)),
        ("/meta/location", json!("/Users/1")),
    ];
    for (pointer, value) in changes {
        let mut bad = good.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        bad.pointer_mut(parent).expect("a place")[key] = value;
        strict.body("/Users", 201, &bad).expect_err(pointer);
    }
    for key in ["id", "schemas", "meta"] {
        let mut bad = good.clone();
        bad.as_object_mut().expect("an object").remove(key);
        strict.body("/Users", 201, &bad).expect_err(key);
    }
    let error = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "404",
        "detail": "no such user",
    });
    assert_eq!(strict.body("/Users/x", 404, &error), Ok(()));
    let bad = json!({ "schemas": error["schemas"], "status": 404, "detail": "no such user" });
    strict.body("/Users/x", 404, &bad).expect_err("the status is text");
}

fn every_request_has_a_source() {
    for file in files() {
        let used: BTreeSet<&String> = file.steps().map(|step| &step.source).collect();
        let listed: BTreeSet<&String> = file.sources.keys().collect();
        assert_eq!(used, listed, "{}: the sources that steps name and those listed", file.client);
        assert!(file.sources.values().all(|source| source.place.len() > 10), "{}", file.client);
        let names: BTreeSet<&str> = file.sequences.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.len(), file.sequences.len(), "{}: a name is used twice", file.client);
        assert!(!file.about.is_empty() && file.unknown.iter().all(|line| !line.is_empty()));
    }
}

fn a_rule_names_the_clients_whose_requests_need_it() {
    let files = files();
    for quirk in Quirk::ALL {
        let needs = |file: &&File| file.steps().any(|step| step.quirks.contains(quirk.name()));
        let clients: Vec<&str> =
            files.iter().filter(needs).map(|file| file.client.as_str()).collect();
        assert!(!clients.is_empty(), "{}: no fixture shows it", quirk.name());
        assert_eq!(quirk.rule().clients, clients, "{}", quirk.name());
    }
}

fn what_keeps_to_the_rfc_needs_no_rule() {
    let files = files();
    let rfc = files.iter().find(|file| file.client == "rfc").expect("the examples of the RFC");
    // One example is no JSON, and has to be read in some way.
    let bare = BTreeSet::from(["bare-patch-operations".to_owned()]);
    let keeps =
        |step: &Step| step.quirks.is_empty() || (step.path == "/Bulk" && step.quirks == bare);
    assert!(rfc.steps().count() > 10 && rfc.steps().all(keeps));
}
