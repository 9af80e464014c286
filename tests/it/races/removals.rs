//! Something is deleted while others still write to it.

use serde_json::json;

use super::races;
use super::stage::{Stage, at_once, member_ids, patch_one, references, version};
use crate::support::Case;

pub const CASES: &[Case] =
    races![a_user_is_deleted_for_good, a_group_is_deleted_for_good, a_deletion_is_done_once];

async fn a_user_is_deleted_for_good(stage: &Stage) {
    let stays = stage.user(0, "stays").await;
    for round in stage.rounds(20) {
        let id = stage.user(round, &format!("goes{round}")).await;
        let user = format!("/Users/{id}");
        let mut groups = Vec::new();
        for number in 0..3 {
            let name = format!("Team {round}-{number}");
            let members: &[String] = if number == 0 { std::slice::from_ref(&id) } else { &[] };
            groups.push(format!("/Groups/{}", stage.group(number, &name, members).await));
        }
        let add = patch_one("add", "members", Some(references([&id])));
        let both = json!({
            "displayName": format!("Team {round}-2"), "members": references([&id, &stays]),
        });
        let title = patch_one("replace", "title", Some(json!("Guide")));
        let nothing = json!(null);
        let mut requests = [
            ("DELETE", &user, &nothing),
            ("PATCH", &groups[1], &add),
            ("PUT", &groups[2], &both),
            ("PATCH", &user, &title),
        ];
        let turns = requests.len();
        requests.rotate_left(round % turns);
        let mut answers = at_once(requests.iter().enumerate().map(|(turn, request)| {
            let client = stage.scim(turn + round / turns);
            let (method, path, body) = *request;
            async move {
                if method == "DELETE" {
                    stage.pass(turn, round % 3).await;
                    client.delete(path).await
                } else {
                    client.with_body(method, path, body).await
                }
            }
        }))
        .await;
        answers.rotate_right(round % turns);
        stage.is_one_of(&answers[0], &[204]);
        stage.is_one_of(&answers[1], &[200, 400]);
        stage.is_one_of(&answers[2], &[200, 400]);
        stage.is_one_of(&answers[3], &[200, 404]);
        stage.scim(round).get(&user).await.expect(404);
        // A group whose member is gone has changed, whoever was faster.
        let expected = [(0, 1), (1, 0), (2, 0)];
        for (number, first) in expected {
            let group = stage.scim(round).get(&groups[number]).await.expect(200).body;
            let was_added = number > 0 && answers[number].status == 200;
            let others = if number == 2 && was_added { vec![stays.clone()] } else { vec![] };
            assert_eq!(member_ids(&group), others, "round {round}: {group}");
            let changes = 1 + u64::from(was_added) * 2 + first;
            assert_eq!(version(&group), changes, "round {round}: group {number}: {group}");
        }
    }
}

async fn a_group_is_deleted_for_good(stage: &Stage) {
    let ids = stage.users("member", 3).await;
    for round in stage.rounds(20) {
        let name = format!("Team {round}");
        let id = stage.group(round, &name, &ids[..1]).await;
        let path = format!("/Groups/{id}");
        let add = patch_one("add", "members", Some(references([&ids[1]])));
        let rename = patch_one("replace", "displayName", Some(json!(format!("{name}, new"))));
        let put = json!({ "displayName": name, "members": references([&ids[2]]) });
        let again = json!({ "displayName": name });
        let nothing = json!(null);
        let groups = "/Groups".to_owned();
        let mut requests = [
            ("DELETE", &path, &nothing),
            ("PATCH", &path, &add),
            ("PATCH", &path, &rename),
            ("PUT", &path, &put),
            // Free or not, depending on who is faster.
            ("POST", &groups, &again),
        ];
        let turns = requests.len();
        requests.rotate_left(round % turns);
        let mut answers = at_once(requests.iter().enumerate().map(|(turn, request)| {
            let client = stage.scim(turn + round / turns);
            let (method, path, body) = *request;
            async move {
                if method == "DELETE" {
                    stage.pass(turn, round % 3).await;
                    client.delete(path).await
                } else {
                    client.with_body(method, path, body).await
                }
            }
        }))
        .await;
        answers.rotate_right(round % turns);
        stage.is_one_of(&answers[0], &[204]);
        for answer in &answers[1..3] {
            stage.is_one_of(answer, &[200, 404]);
        }
        // Its own name may be another one's by now.
        stage.is_one_of(&answers[3], &[200, 404, 409]);
        let again = stage.is_one_of(&answers[4], &[201, 409]);
        stage.scim(round).get(&path).await.expect(404);
        let named = stage.scim(round).find("/Groups", &format!("displayName eq \"{name}\"")).await;
        assert_eq!(named.len(), usize::from(again == 201), "round {round}: {named:?}");
        for member in &ids {
            let user = stage.scim(round).get(&format!("/Users/{member}")).await.expect(200).body;
            assert_eq!(user["groups"], json!(null), "round {round}");
        }
    }
}

async fn a_deletion_is_done_once(stage: &Stage) {
    for round in stage.rounds(20) {
        let path = if round % 2 == 0 {
            format!("/Users/{}", stage.user(round, &format!("goes{round}")).await)
        } else {
            format!("/Groups/{}", stage.group(round, &format!("goes{round}"), &[]).await)
        };
        let path = path.as_str();
        let answers = at_once((0..4).map(|turn| {
            let client = stage.scim(turn + round);
            async move { client.delete(path).await }
        }))
        .await;
        stage.one_is(&answers, 204, 404);
    }
}
