//! One group, and many who write it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::order::{self, Done};
use super::races;
use super::stage::{Stage, at_once, member_ids, patch_one, references, version};
use crate::support::{Answer, Case};

pub const CASES: &[Case] =
    races![members_are_added_and_removed_one_by_one, writes_of_one_group_are_in_an_order];

/// Who are added and removed at a time.
const MEMBERS: usize = 12;

fn add(id: &str) -> Value {
    patch_one("add", "members", Some(json!([{ "value": id }])))
}

fn remove(id: &str) -> Value {
    patch_one("remove", &format!("members[value eq \"{id}\"]"), None)
}

async fn members_are_added_and_removed_one_by_one(stage: &Stage) {
    let ids = stage.users("member", MEMBERS).await;
    let id = stage.group(0, "Team", &[]).await;
    let path = format!("/Groups/{id}");
    let mut before = stage.scim(0).get(&path).await.expect(200).body;
    for round in stage.rounds(20) {
        // Whoever is in leaves, and whoever is not comes; a few more each time.
        let inside: BTreeSet<String> = member_ids(&before).into_iter().collect();
        let changing: Vec<&String> =
            ids.iter().cycle().skip(round % MEMBERS).take(2 + round % (MEMBERS - 1)).collect();
        let answers = at_once(changing.iter().enumerate().map(|(turn, member)| {
            let client = stage.scim(turn + round);
            let body = if inside.contains(*member) { remove(member) } else { add(member) };
            let path = &path;
            async move { client.patch(path, &body).await }
        }))
        .await;
        for answer in &answers {
            stage.is_one_of(answer, &[200]);
        }
        let wanted: BTreeSet<String> = inside
            .symmetric_difference(&changing.iter().copied().cloned().collect())
            .cloned()
            .collect();
        let after = stage.scim(round + 1).get(&path).await.expect(200).body;
        assert_eq!(member_ids(&after), Vec::from_iter(wanted), "round {round}");
        assert_eq!(version(&after), version(&before) + changing.len() as u64, "round {round}");
        before = after;
    }
}

/// What the race is about: the name, the external id, and the members.
type Shape = (String, Option<String>, BTreeSet<String>);

fn shape(group: &Value) -> Shape {
    let text = |name: &str| group[name].as_str().map(str::to_owned);
    (
        text("displayName").unwrap_or_default(),
        text("externalId"),
        member_ids(group).into_iter().collect(),
    )
}

/// What a request does.
type Change = Box<dyn Fn(&Shape) -> Shape>;

/// A request of each kind: method, body, and what it does.
fn requests(round: usize, ids: &[String]) -> Vec<(&'static str, Value, Change)> {
    let id = |n: usize| ids[(round + n) % ids.len()].clone();
    let set = |numbers: &[usize]| numbers.iter().map(|n| id(*n)).collect::<BTreeSet<String>>();
    let (first, second, several) = (id(0), id(1), set(&[2, 3]));
    let (few, others) = (set(&[0, 2, 4]), set(&[1, 3]));
    let (name, external_id) = (format!("Team {round}"), format!("x{round}"));
    let put = json!({
        "displayName": format!("{name}, put"), "members": references(&few),
    });
    let put_name = format!("{name}, put");
    vec![
        ("PATCH", add(&first), {
            let first = first.clone();
            Box::new(move |(name, external_id, members): &Shape| {
                let mut members = members.clone();
                members.insert(first.clone());
                (name.clone(), external_id.clone(), members)
            })
        }),
        ("PATCH", remove(&second), {
            Box::new(move |(name, external_id, members): &Shape| {
                let mut members = members.clone();
                members.remove(&second);
                (name.clone(), external_id.clone(), members)
            })
        }),
        ("PATCH", patch_one("add", "members", Some(references(&several))), {
            Box::new(move |(name, external_id, members): &Shape| {
                (name.clone(), external_id.clone(), members.union(&several).cloned().collect())
            })
        }),
        ("PUT", put, Box::new(move |_| (put_name.clone(), None, few.clone()))),
        ("PATCH", patch_one("replace", "members", Some(references(&others))), {
            Box::new(move |(name, external_id, _): &Shape| {
                (name.clone(), external_id.clone(), others.clone())
            })
        }),
        ("PATCH", patch_one("replace", "displayName", Some(json!(name))), {
            Box::new(move |(_, external_id, members): &Shape| {
                (name.clone(), external_id.clone(), members.clone())
            })
        }),
        ("PATCH", patch_one("replace", "externalId", Some(json!(external_id))), {
            Box::new(move |(name, _, members): &Shape| {
                (name.clone(), Some(external_id.clone()), members.clone())
            })
        }),
        ("PATCH", remove(&first), {
            Box::new(move |(name, external_id, members): &Shape| {
                let mut members = members.clone();
                members.remove(&first);
                (name.clone(), external_id.clone(), members)
            })
        }),
    ]
}

async fn writes_of_one_group_are_in_an_order(stage: &Stage) {
    let ids = stage.users("member", 7).await;
    let id = stage.group(0, "Team", &[]).await;
    let path = format!("/Groups/{id}");
    let mut before = stage.scim(0).get(&path).await.expect(200).body;
    for round in stage.rounds(20) {
        let mut requests = requests(round, &ids);
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
        before = after;
    }
}
