//! Claims name teams while SCIM makes, renames and deletes them.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::people::{People, Wants, access_token, claims};
use super::races;
use super::stage::{Stage, at_once, patch_one};
use crate::support::{Answer, Case};

pub const CASES: &[Case] = races![
    one_name_is_one_team,
    a_team_that_is_renamed_takes_in_what_claims_say,
    a_team_that_is_deleted_is_gone_or_new,
];

/// People who sign in at a time.
const PEOPLE: usize = 4;

/// Everybody signs in, each with these groups, while SCIM does something.
async fn sign_in_during(
    stage: &Stage,
    people: &People<'_>,
    round: usize,
    groups: impl Fn(usize) -> Vec<String>,
    scim: impl Future<Output = Answer>,
) -> (Vec<String>, Answer) {
    let arrivals = join_all((0..PEOPLE).map(|turn| {
        let groups = groups(turn);
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let said = claims(&format!("p{turn}"), &groups);
        async move { people.arriving(turn + round, Wants::Token, &said).await }
    }))
    .await;
    let entries =
        arrivals.iter().enumerate().map(|(turn, arriving)| people.enter(turn + round, arriving));
    let scim = async {
        stage.pass(round, 2 * (round % 6)).await;
        scim.await
    };
    let (entered, answer) = join(at_once(entries), scim).await;
    let tokens = entered.iter().map(|answer| {
        stage.is_one_of(answer, &[303]);
        access_token(answer).expect("a token")
    });
    (tokens.collect(), answer)
}

/// The teams of that name.
async fn named(stage: &Stage, turn: usize, name: &str) -> Vec<Value> {
    stage.scim(turn).find("/Groups", &format!("displayName eq \"{name}\"")).await
}

/// That everybody's claims name the team, and no other of these.
async fn is_claimed_by_all(stage: &Stage, people: &People<'_>, tokens: &[String], team: &str) {
    for (turn, token) in tokens.iter().enumerate() {
        let user = people.whose(turn, token).await.expect("somebody");
        let body = stage.api(turn).get(&format!("/users/{user}/explain")).await.expect(200).body;
        let memberships = body["memberships"].as_array().expect("memberships");
        let claimed: Vec<&Value> = memberships
            .iter()
            .filter(|membership| membership["claim"]["member"] == true)
            .map(|membership| &membership["team"]["id"])
            .collect();
        assert!(claimed.iter().any(|id| **id == team), "{team}: {body}");
    }
}

async fn one_name_is_one_team(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(10) {
        let name = |number: usize| format!("Team {round}-{}", number % 3);
        // Each names them in another order, and SCIM pushes one of them.
        let groups = |turn: usize| (0..3).map(|n| name(n + turn)).collect();
        let client = stage.scim(round);
        let body = json!({ "displayName": name(0) });
        let push = client.post("/Groups", &body);
        let (tokens, answer) = sign_in_during(stage, &people, round, groups, push).await;
        stage.is_one_of(&answer, &[201]);
        for number in 0..3 {
            let found = named(stage, round + number, &name(number)).await;
            assert_eq!(found.len(), 1, "round {round}: {found:?}");
            let id = found[0]["id"].as_str().expect("an id");
            assert!(number > 0 || answer.body["id"] == id, "round {round}: {found:?}");
            is_claimed_by_all(stage, &people, &tokens, id).await;
        }
    }
}

async fn a_team_that_is_renamed_takes_in_what_claims_say(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(10) {
        let id = stage.group(round, &format!("Team {round}, old"), &[]).await;
        let name = format!("Team {round}");
        if round % 4 > 1 {
            // A claim has made the team already.
            people.sign_in(round, &claims("first", &[name.as_str()])).await;
        }
        let rename = patch_one("replace", "displayName", Some(json!(name)));
        let put = json!({ "displayName": name });
        let path = format!("/Groups/{id}");
        let client = stage.scim(round / 2);
        let renames = async {
            match round % 2 {
                0 => client.patch(&path, &rename).await,
                _ => client.put(&path, &put).await,
            }
        };
        let groups = |_| vec![name.clone()];
        let (tokens, answer) = sign_in_during(stage, &people, round, groups, renames).await;
        stage.is_one_of(&answer, &[200]);
        let found = named(stage, round, &name).await;
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        assert_eq!(found[0]["id"], id, "round {round}: {found:?}");
        is_claimed_by_all(stage, &people, &tokens, &id).await;
    }
}

async fn a_team_that_is_deleted_is_gone_or_new(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(10) {
        let name = format!("Team {round}");
        let deleted = stage.group(round, &name, &[]).await;
        let client = stage.scim(round / 2);
        let path = format!("/Groups/{deleted}");
        let groups = |_| vec![name.clone()];
        let (tokens, answer) =
            sign_in_during(stage, &people, round, groups, client.delete(&path)).await;
        stage.is_one_of(&answer, &[204]);
        stage.scim(round).get(&path).await.expect(404);
        // Claims from before are gone with it; later ones name one new team.
        let found = named(stage, round + 1, &name).await;
        assert!(found.len() < 2, "round {round}: {found:?}");
        let new = found.first().map(|team| team["id"].clone());
        for (turn, token) in tokens.iter().enumerate() {
            let user = people.whose(turn, token).await.expect("somebody");
            let body = stage.scim(turn).get(&format!("/Users/{user}")).await.expect(200).body;
            let teams = body["groups"].as_array().into_iter().flatten();
            for team in teams.filter(|team| team["display"] == name) {
                assert_eq!(Some(&team["value"]), new.as_ref(), "round {round}");
            }
        }
    }
}
