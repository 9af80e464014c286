//! One user, and many who write it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::order::{self, Done};
use super::races;
use super::stage::{Stage, at_once, patch_one, version};
use crate::support::{Answer, Case, ScimClient};

pub const CASES: &[Case] = races![
    writes_of_one_user_are_in_an_order,
    of_many_writes_of_one_version_one_is_done,
    readers_who_write_back_lose_nothing,
];

/// What the race is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    title: Option<String>,
    nick_name: Option<String>,
    emails: BTreeSet<String>,
    active: bool,
}

fn shape(user: &Value) -> Shape {
    let text = |name: &str| user[name].as_str().map(str::to_owned);
    let emails = user["emails"].as_array().into_iter().flatten();
    Shape {
        title: text("title"),
        nick_name: text("nickName"),
        emails: emails
            .map(|email| email["value"].as_str().expect("an address").to_owned())
            .collect(),
        active: user["active"] == true,
    }
}

/// What a request does.
type Change = Box<dyn Fn(&Shape) -> Shape>;

fn changes(change: impl Fn(&mut Shape) + 'static) -> Change {
    Box::new(move |before| {
        let mut after = before.clone();
        change(&mut after);
        after
    })
}

/// A request of each kind: method, body, and what it does.
fn requests(round: usize) -> Vec<(&'static str, Value, Change)> {
    let (title, nick) = (format!("title {round}"), format!("nick {round}"));
    let (put_nick, address) = (format!("nick {round}, put"), format!("put{round}@example.com"));
    let added = |n: usize| format!("ann{round}-{n}@example.com");
    let put = json!({ "userName": "ann", "nickName": put_nick, "emails": [{ "value": address }] });
    let mut requests = vec![
        (
            "PATCH",
            patch_one("replace", "title", Some(json!(title))),
            changes(move |user| user.title = Some(title.clone())),
        ),
        (
            "PATCH",
            patch_one("add", "nickName", Some(json!(nick))),
            changes(move |user| user.nick_name = Some(nick.clone())),
        ),
        // A PUT says nothing of the title, which goes, nor of activity, which stays.
        (
            "PUT",
            put,
            changes(move |user| {
                user.title = None;
                user.nick_name = Some(put_nick.clone());
                user.emails = BTreeSet::from([address.clone()]);
            }),
        ),
        ("PATCH", patch_one("remove", "title", None), changes(|user| user.title = None)),
        (
            "PATCH",
            patch_one("replace", "active", Some(json!(round.is_multiple_of(2)))),
            changes(move |user| user.active = round.is_multiple_of(2)),
        ),
    ];
    for number in 0..3 {
        let address = added(number);
        requests.push((
            "PATCH",
            patch_one("add", "emails", Some(json!([{ "value": address }]))),
            changes(move |user| {
                user.emails.insert(address.clone());
            }),
        ));
    }
    requests
}

async fn writes_of_one_user_are_in_an_order(stage: &Stage) {
    let path = format!("/Users/{}", stage.user(0, "ann").await);
    let mut before = stage.scim(0).get(&path).await.expect(200).body;
    for round in stage.rounds(20) {
        let mut requests = requests(round);
        let turns = requests.len();
        requests.rotate_left(round % turns);
        let answers: Vec<Answer> = at_once(requests.iter().enumerate().map(|(turn, request)| {
            let (method, body, _) = request;
            let (client, path) = (stage.scim(turn + round), &path);
            async move { client.with_body(method, path, body).await }
        }))
        .await;
        let after = stage.scim(round).get(&path).await.expect(200).body;
        let done = requests.into_iter().zip(&answers).map(|((method, body, does), answer)| {
            stage.is_one_of(answer, &[200]);
            Done {
                name: format!("{method} {body}"),
                version: version(&answer.body),
                shown: shape(&answer.body),
                does,
            }
        });
        let start = (version(&before), shape(&before));
        let found = order::check(start, done.collect(), (version(&after), &shape(&after)));
        assert_eq!(found, Ok(()), "round {round}");
        // What filters look at is what the document says.
        let active = after["active"].clone();
        let found = stage.scim(round).find("/Users", &format!("active eq {active}")).await;
        assert_eq!(found.len(), 1, "round {round}");
        before = after;
    }
}

async fn conditionally(
    client: &ScimClient,
    method: &str,
    path: &str,
    tag: &str,
    body: &Value,
) -> Answer {
    let request = client
        .request(method, path)
        .header("if-match", tag)
        .header("content-type", "application/scim+json")
        .body(body.to_string());
    client.send(request).await
}

async fn of_many_writes_of_one_version_one_is_done(stage: &Stage) {
    let user = format!("/Users/{}", stage.user(0, "ann").await);
    let group = format!("/Groups/{}", stage.group(0, "Team", &[]).await);
    for round in stage.rounds(20) {
        let (path, name, key, attribute) = if round.is_multiple_of(2) {
            (&user, "ann", "userName", "title")
        } else {
            (&group, "Team", "displayName", "externalId")
        };
        let before = stage.scim(round).get(path).await.expect(200).body;
        let tag = before["meta"]["version"].as_str().expect("a version");
        let answers = at_once((0..6).map(|turn| {
            let client = stage.scim(turn + round);
            let value = format!("{round}-{turn}");
            async move {
                if turn % 3 == 2 {
                    let patch = patch_one("replace", attribute, Some(json!(value)));
                    conditionally(&client, "PATCH", path, tag, &patch).await
                } else {
                    let put = json!({ key: name, attribute: value });
                    conditionally(&client, "PUT", path, tag, &put).await
                }
            }
        }))
        .await;
        let winner = stage.one_is(&answers, 200, 412);
        let after = stage.scim(round + 1).get(path).await.expect(200).body;
        assert_eq!(after[attribute], format!("{round}-{winner}"), "round {round}");
        assert_eq!(version(&after), version(&before) + 1, "round {round}");
    }
}

/// Clients that read, add something of their own, and write all of it back if nobody else did.
async fn readers_who_write_back_lose_nothing(stage: &Stage) {
    const CLIENTS: usize = 4;
    let path = format!("/Users/{}", stage.user(0, "ann").await);
    let path = path.as_str();
    for round in stage.rounds(12) {
        let writers = (0..CLIENTS).map(|turn| async move {
            let own =
                json!({ "value": format!("own{turn}@example.com"), "type": format!("{round}") });
            let mut attempt = 0;
            loop {
                let client = stage.scim(turn + attempt);
                let mut user = client.get(path).await.expect(200).body;
                let tag = user["meta"]["version"].as_str().expect("a version").to_owned();
                let mut emails = user["emails"].as_array().cloned().unwrap_or_default();
                emails.retain(|email| email["type"] == own["type"]);
                emails.push(own.clone());
                user["emails"] = emails.into();
                let answer = conditionally(&client, "PUT", path, &tag, &user).await;
                if stage.is_one_of(&answer, &[200, 412]) == 200 {
                    return answer;
                }
                attempt += 1;
            }
        });
        at_once(writers).await;
        let user = stage.scim(round).get(path).await.expect(200).body;
        assert_eq!(shape(&user).emails.len(), CLIENTS, "round {round}: {user}");
    }
}
