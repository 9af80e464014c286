//! Bulk jobs beside requests that write the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::races;
use super::stage::{Stage, at_once, member_ids, patch_one, references};
use crate::support::Case;

pub const CASES: &[Case] = races![a_bulk_job_takes_turns_with_single_requests];

/// How many users a job makes, and how many members it adds.
const EACH: usize = 4;

fn job(operations: impl Iterator<Item = Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations.collect::<Value>(),
    })
}

/// The statuses of a job's operations.
fn statuses(answer: &Value) -> Vec<u16> {
    let results = answer["Operations"].as_array().expect("results");
    let status = |result: &Value| result["status"].as_str().and_then(|text| text.parse().ok());
    results.iter().map(|result| status(result).expect("a status")).collect()
}

async fn a_bulk_job_takes_turns_with_single_requests(stage: &Stage) {
    let ids = stage.users("member", EACH * 3).await;
    for round in stage.rounds(12) {
        let group = format!("/Groups/{}", stage.group(round, &format!("Team {round}"), &[]).await);
        let name = |number: usize| format!("new{round}-{number}");
        let add = |id: &String| patch_one("add", "members", Some(references([id])));
        let operations = |members: &[String]| {
            let users = (0..EACH).map(|number| {
                json!({
                    "method": "POST", "path": "/Users", "bulkId": format!("{number}"),
                    "data": { "userName": name(number) },
                })
            });
            let adds = members
                .iter()
                .map(|id| json!({ "method": "PATCH", "path": group, "data": add(id) }));
            job(users.zip(adds).flat_map(|(user, add)| [user, add]))
        };
        let jobs = [operations(&ids[..EACH]), operations(&ids[EACH..EACH * 2])];
        // What the jobs make, single requests want to make too, from the other end.
        let mut requests: Vec<(&str, &str, Value)> =
            jobs.iter().map(|job| ("POST", "/Bulk", job.clone())).collect();
        for (number, id) in ids[EACH * 2..].iter().enumerate() {
            requests.push(("PATCH", &group, add(id)));
            requests.push(("POST", "/Users", json!({ "userName": name(EACH - 1 - number) })));
        }
        let answers = at_once(requests.iter().enumerate().map(|(turn, (method, path, body))| {
            let client = stage.scim(turn + round);
            async move { client.with_body(method, path, body).await }
        }))
        .await;
        let (mut made, mut added) = (0, BTreeSet::new());
        for ((_, path, body), answer) in requests.iter().zip(&answers) {
            match *path {
                "/Bulk" => {
                    stage.is_one_of(answer, &[200]);
                    let found = statuses(&answer.body);
                    let operations = body["Operations"].as_array().expect("operations");
                    assert_eq!(found.len(), operations.len());
                    for (operation, status) in operations.iter().zip(found) {
                        if operation["method"] == "POST" {
                            assert!([201, 409].contains(&status), "{}", answer.text);
                            made += usize::from(status == 201);
                        } else {
                            assert_eq!(status, 200, "{}", answer.text);
                        }
                    }
                }
                "/Users" => made += usize::from(stage.is_one_of(answer, &[201, 409]) == 201),
                _ => {
                    stage.is_one_of(answer, &[200]);
                }
            }
        }
        assert_eq!(made, EACH, "round {round}: each name is made once");
        added.extend(ids.iter().cloned());
        let found = stage.scim(round).get(&group).await.expect(200).body;
        assert_eq!(member_ids(&found), Vec::from_iter(added), "round {round}");
    }
}
