//! Names and other keys that only one can have, and many who want them.

use serde_json::{Value, json};

use super::races;
use super::stage::{Stage, at_once, patch_one};
use crate::support::Case;

pub const CASES: &[Case] = races![
    one_key_is_one_resource,
    a_key_that_many_take_goes_to_one,
    whoever_wants_anothers_name_is_refused,
    a_name_is_given_up_or_brought_back,
];

/// Who want a key at a time.
const MANY: usize = 6;
const ACME: &str = "urn:example:params:scim:schemas:extension:acme:2.0:User";

/// The keys there are: where, what they are called, and a resource that has one. The number keeps
/// apart what may not be the same besides.
fn resource(kind: usize, key: &str, number: usize) -> (&'static str, Value) {
    // Upper and lower case are one name.
    let name = if number.is_multiple_of(2) { key.to_owned() } else { key.to_uppercase() };
    let other = format!("{key}-{number}");
    match kind {
        0 => ("/Users", json!({ "userName": name })),
        1 => ("/Users", json!({ "userName": other, "externalId": key })),
        2 => ("/Groups", json!({ "displayName": name })),
        3 => ("/Groups", json!({ "displayName": other, "externalId": key })),
        _ => ("/Users", json!({ "userName": other, ACME: { "unit": "x", "badge": key } })),
    }
}

/// How many kinds of keys there are.
const KINDS: usize = 5;

/// The resources that have the key.
async fn holders(stage: &Stage, kind: usize, key: &str, turn: usize) -> Vec<Value> {
    let attribute = ["userName", "externalId", "displayName", "externalId"];
    let acme = format!("{ACME}:badge");
    let attribute = attribute.get(kind).copied().unwrap_or(acme.as_str());
    let (endpoint, _) = resource(kind, key, 0);
    stage.scim(turn).find(endpoint, &format!("{attribute} eq \"{key}\"")).await
}

async fn one_key_is_one_resource(stage: &Stage) {
    for round in stage.rounds(30) {
        let (kind, key) = (round % KINDS, format!("key{round}"));
        let answers = at_once((0..MANY).map(|turn| {
            let (endpoint, body) = resource(kind, &key, turn);
            let client = stage.scim(turn + round);
            async move { client.post(endpoint, &body).await }
        }))
        .await;
        let winner = stage.one_is(&answers, 201, 409);
        let loser = &answers[(winner + 1) % MANY];
        assert_eq!(loser.body["scimType"], "uniqueness", "{}", loser.text);
        let found = holders(stage, kind, &key, round).await;
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        assert_eq!(found[0]["id"], answers[winner].body["id"], "round {round}");
    }
}

async fn a_key_that_many_take_goes_to_one(stage: &Stage) {
    let mut paths: Vec<Vec<String>> = Vec::new();
    for kind in 0..KINDS {
        let mut made = Vec::new();
        for number in 0..MANY {
            let (endpoint, body) = resource(kind, &format!("first{kind}-{number}"), number);
            let id = stage.scim(number).post(endpoint, &body).await.expect(201).id();
            made.push(format!("{endpoint}/{id}"));
        }
        paths.push(made);
    }
    for round in stage.rounds(30) {
        let (kind, key) = (round % KINDS, format!("key{round}"));
        let answers = at_once(paths[kind].iter().enumerate().map(|(turn, path)| {
            let (_, body) = resource(kind, &key, turn);
            let client = stage.scim(turn + round);
            async move {
                if turn % 2 == 0 {
                    client.put(path, &body).await
                } else {
                    let value = body.as_object().expect("an object").iter().next_back();
                    let (name, value) = value.expect("an attribute");
                    client.patch(path, &patch_one("replace", name, Some(value.clone()))).await
                }
            }
        }))
        .await;
        let winner = stage.one_is(&answers, 200, 409);
        let found = holders(stage, kind, &key, round).await;
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        assert!(paths[kind][winner].ends_with(found[0]["id"].as_str().expect("an id")));
    }
}

/// Each wants the name that the other has: locks are taken crosswise, and nobody gets anything.
async fn whoever_wants_anothers_name_is_refused(stage: &Stage) {
    let mut paths = Vec::new();
    for (endpoint, key) in [("/Users", "userName"), ("/Groups", "displayName")] {
        for name in ["a", "b", "c"] {
            let body = json!({ key: name });
            let id = stage.scim(0).post(endpoint, &body).await.expect(201).id();
            paths.push((format!("{endpoint}/{id}"), key, name));
        }
    }
    for round in stage.rounds(20) {
        let (mut wanted, some) = (Vec::new(), if round % 2 == 0 { 0 } else { 3 });
        for number in 0..3 {
            let (path, key, own) = &paths[some + number];
            let (_, _, others) = &paths[some + (number + 1) % 3];
            let name = if round % 4 < 2 { others.to_uppercase() } else { (*others).to_owned() };
            wanted.push((path, patch_one("replace", key, Some(json!(name))), key, own));
        }
        let answers = at_once(wanted.iter().enumerate().map(|(turn, (path, body, _, _))| {
            let client = stage.scim(turn + round);
            async move { client.patch(path, body).await }
        }))
        .await;
        for answer in &answers {
            stage.is_one_of(answer, &[409]);
        }
        for (path, _, key, own) in wanted {
            assert_eq!(stage.scim(round).get(path).await.expect(200).body[*key], **own);
        }
    }
}

/// An inactive user gives its name up to whoever takes it, unless it is brought back before.
async fn a_name_is_given_up_or_brought_back(stage: &Stage) {
    for round in stage.rounds(16) {
        let name = format!("name{round}");
        let left = format!("/Users/{}", stage.user(0, &name).await);
        let taker = format!("/Users/{}", stage.user(1, &format!("taker{round}")).await);
        let off = patch_one("replace", "active", Some(json!(false)));
        stage.scim(round).patch(&left, &off).await.expect(200);
        let takes = patch_one("replace", "userName", Some(json!(name)));
        let on = patch_one("replace", "active", Some(json!(true)));
        let mut requests = [(&taker, &takes), (&left, &on)];
        requests.rotate_left(round % 2);
        let mut answers = at_once(requests.iter().enumerate().map(|(turn, (path, body))| {
            let client = stage.scim(turn + round / 2);
            async move { client.patch(path, body).await }
        }))
        .await;
        answers.rotate_left(round % 2);
        let taken = stage.is_one_of(&answers[0], &[200, 409]);
        stage.is_one_of(&answers[1], &[200]);
        let left = stage.scim(round).get(&left).await.expect(200).body;
        let taker = stage.scim(round).get(&taker).await.expect(200).body;
        assert_eq!(left["active"], true, "round {round}");
        let is_former = left["userName"].as_str().is_some_and(|name| name.contains("(former, "));
        assert_eq!(is_former, taken == 200, "round {round}: {left}");
        assert_eq!(taker["userName"] == name.as_str(), taken == 200, "round {round}: {taker}");
    }
}
