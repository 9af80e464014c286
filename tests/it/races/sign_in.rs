//! People sign in while SCIM says who they are, and whether they may.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::people::{Arriving, People, Wants, access_token, claims, code};
use super::races;
use super::stage::{Stage, at_once, patch_one};
use crate::support::{Answer, Case};

pub const CASES: &[Case] = races![
    deactivation_ends_what_sign_ins_begin,
    deletion_ends_what_sign_ins_begin,
    a_push_and_sign_ins_make_one_user,
    a_write_takes_over_a_user_who_signs_in,
    who_becomes_somebody_else_is_not_signed_in_to,
    a_code_is_exchanged_once,
    a_sign_in_is_finished_once,
];

/// Sign-ins at a time.
const SIGN_INS: usize = 4;

async fn arrivals(people: &People<'_>, round: usize, claims: &Value) -> Vec<Arriving> {
    join_all((0..SIGN_INS).map(|turn| people.arriving(turn + round, Wants::Token, claims))).await
}

/// Everybody enters while SCIM does something else, a moment later in some rounds.
async fn meanwhile(
    stage: &Stage,
    people: &People<'_>,
    round: usize,
    arrivals: &[Arriving],
    scim: impl Future<Output = Answer>,
) -> (Vec<Answer>, Answer) {
    let entries =
        arrivals.iter().enumerate().map(|(turn, arriving)| people.enter(turn + round, arriving));
    let scim = async {
        stage.pass(round, 2 * (round % 6)).await;
        scim.await
    };
    join(at_once(entries), scim).await
}

async fn deactivation_ends_what_sign_ins_begin(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let subject = format!("p{round}");
        let said = claims(&subject, &["Staff"]);
        let name = format!("{subject}@example.com");
        let body = json!({ "userName": name, "externalId": subject });
        let user = stage.scim(round).post("/Users", &body).await.expect(201).id();
        let path = format!("/Users/{user}");
        let earlier = people.sign_in(round, &said).await;
        let arrivals = arrivals(&people, round, &said).await;
        let off = if round % 2 == 0 {
            ("PATCH", patch_one("replace", "active", Some(json!(false))))
        } else {
            ("PUT", json!({ "userName": name, "externalId": subject, "active": false }))
        };
        let client = stage.scim(round / 2);
        let deactivates = client.with_body(off.0, &path, &off.1);
        let (entered, deactivated) = meanwhile(stage, &people, round, &arrivals, deactivates).await;
        stage.is_one_of(&deactivated, &[200]);
        let mut tokens = vec![earlier];
        for answer in &entered {
            stage.is_one_of(answer, &[303, 403]);
            tokens.extend(access_token(answer));
        }
        // Whoever was let in was let in before, and is out.
        for token in &tokens {
            assert_eq!(people.whose(round + 1, token).await, None, "round {round}");
        }
        // Nor does anybody come back to life.
        let on = patch_one("replace", "active", Some(json!(true)));
        stage.scim(round).patch(&path, &on).await.expect(200);
        for token in &tokens {
            assert_eq!(people.whose(round, token).await, None, "round {round}: back to life");
        }
        // What the claims said is still there: SCIM has not spoken of the team.
        let teams = stage.scim(round + 1).get(&path).await.expect(200).body["groups"].clone();
        assert_eq!(teams[0]["display"], "Staff", "round {round}: {teams}");
        let again = people.sign_in(round, &said).await;
        assert_eq!(people.whose(round, &again).await, Some(user), "round {round}");
    }
}

async fn deletion_ends_what_sign_ins_begin(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let subject = format!("p{round}");
        let said = claims(&subject, &["Staff"]);
        let name = format!("{subject}@example.com");
        let body = json!({ "userName": name, "externalId": subject });
        let deleted = stage.scim(round).post("/Users", &body).await.expect(201).id();
        let path = format!("/Users/{deleted}");
        let earlier = people.sign_in(round, &said).await;
        let arrivals = arrivals(&people, round, &said).await;
        let client = stage.scim(round / 2);
        let (entered, answer) =
            meanwhile(stage, &people, round, &arrivals, client.delete(&path)).await;
        stage.is_one_of(&answer, &[204]);
        assert_eq!(people.whose(round, &earlier).await, None, "round {round}");
        // Later ones are sign-ins of somebody whom SCIM does not know, and who is one user.
        let found = stage.scim(round + 1).find("/Users", &format!("userName eq \"{name}\"")).await;
        assert!(found.len() < 2, "round {round}: {found:?}");
        for answer in &entered {
            stage.is_one_of(answer, &[303]);
            let token = access_token(answer).expect("a token");
            if let Some(user) = people.whose(round, &token).await {
                assert_ne!(user, deleted, "round {round}");
                assert_eq!(found[0]["id"], user, "round {round}");
            }
        }
    }
}

/// That the user is SCIM's and the identity's, with what the claims said.
async fn is_one_of_both(stage: &Stage, people: &People<'_>, turn: usize, subject: &str) -> String {
    let api = stage.api(turn);
    let path = format!("/users?connection=default&userName={subject}@example.com");
    let users = api.get(&path).await.expect(200).body["users"].clone();
    assert_eq!(users.as_array().map(Vec::len), Some(1), "{users}");
    assert_eq!(users[0]["owner"], "scim", "{users}");
    let id = users[0]["id"].as_str().expect("an id").to_owned();
    let body = api.get(&format!("/users/{id}/explain")).await.expect(200).body;
    let identity = json!({ "issuer": people.issuer(), "subject": subject });
    assert_eq!(body["user"]["identity"], identity, "{body}");
    let memberships = body["memberships"].as_array().expect("memberships");
    assert!(
        memberships.iter().any(|membership| {
            membership["team"]["displayName"] == "Staff" && membership["claim"]["member"] == true
        }),
        "{body}"
    );
    id
}

async fn a_push_and_sign_ins_make_one_user(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let subject = format!("p{round}");
        let said = claims(&subject, &["Staff"]);
        // Okta pushes the external id; where none is pushed, the name is what they have in common.
        let mut body = json!({
            "userName": format!("{subject}@example.com"), "displayName": "by SCIM",
        });
        if round % 2 == 0 {
            body["externalId"] = subject.as_str().into();
        }
        let arrivals = arrivals(&people, round, &said).await;
        let (first, second) = (stage.scim(round), stage.scim(round + 1));
        let other = async {
            let answer = second.post("/Users", &body).await;
            stage.is_one_of(&answer, &[201, 409]);
            answer
        };
        let posts = join(first.post("/Users", &body), other);
        let both = async {
            let (one, other) = posts.await;
            stage.is_one_of(&one, &[201, 409]);
            // Of two pushes one makes the user, or takes it over.
            assert_eq!(one.status + other.status, 201 + 409, "round {round}");
            if one.status == 201 { one } else { other }
        };
        let (entered, made) = Box::pin(meanwhile(stage, &people, round, &arrivals, both)).await;
        let id = is_one_of_both(stage, &people, round, &subject).await;
        assert_eq!(made.id(), id, "round {round}");
        let user = stage.scim(round).get(&format!("/Users/{id}")).await.expect(200).body;
        assert_eq!(user["displayName"], "by SCIM", "round {round}: {user}");
        assert_eq!(user["externalId"], body["externalId"], "round {round}: {user}");
        for answer in &entered {
            stage.is_one_of(answer, &[303]);
            let token = access_token(answer).expect("a token");
            assert_eq!(people.whose(round + 1, &token).await.as_ref(), Some(&id), "round {round}");
        }
    }
}

async fn a_write_takes_over_a_user_who_signs_in(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let subject = format!("p{round}");
        let said = claims(&subject, &["Staff"]);
        let name = format!("{subject}@example.com");
        let first = people.sign_in(round, &said).await;
        let id = people.whose(round, &first).await.expect("somebody");
        let path = format!("/Users/{id}");
        let mut later = said.clone();
        later["name"] = "later, by sign-in".into();
        let arrivals = arrivals(&people, round, &later).await;
        let put = json!({ "userName": name, "externalId": subject, "displayName": "by SCIM" });
        let patch = patch_one("replace", "displayName", Some(json!("by SCIM")));
        let client = stage.scim(round / 2);
        let writes = async {
            match round % 2 {
                0 => client.put(&path, &put).await,
                _ => client.patch(&path, &patch).await,
            }
        };
        let (entered, answer) = meanwhile(stage, &people, round, &arrivals, writes).await;
        stage.is_one_of(&answer, &[200]);
        assert_eq!(is_one_of_both(stage, &people, round, &subject).await, id, "round {round}");
        let user = stage.scim(round).get(&path).await.expect(200).body;
        assert_eq!(user["displayName"], "by SCIM", "round {round}: {user}");
        for token in entered.iter().map(|answer| {
            stage.is_one_of(answer, &[303]);
            access_token(answer).expect("a token")
        }) {
            assert_eq!(people.whose(round, &token).await.as_ref(), Some(&id), "round {round}");
        }
        // Nobody who was in is out.
        assert_eq!(people.whose(round, &first).await.as_ref(), Some(&id), "round {round}");
    }
}

/// SCIM says that a user is another person while the first one signs in, for the first time or again.
async fn who_becomes_somebody_else_is_not_signed_in_to(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let subject = format!("p{round}");
        let said = claims(&subject, &["Staff"]);
        let body = json!({ "userName": format!("user{round}"), "externalId": subject });
        let user = stage.scim(round).post("/Users", &body).await.expect(201).id();
        let path = format!("/Users/{user}");
        if round % 4 > 1 {
            people.sign_in(round, &said).await;
        }
        let arrivals = arrivals(&people, round, &said).await;
        let other = patch_one("replace", "externalId", Some(json!(format!("{subject}, another"))));
        let client = stage.scim(round / 2);
        let (entered, answer) =
            meanwhile(stage, &people, round, &arrivals, client.patch(&path, &other)).await;
        stage.is_one_of(&answer, &[200]);
        for answer in &entered {
            // Whoever comes later is somebody whom SCIM does not know.
            stage.is_one_of(answer, &[303]);
            let token = access_token(answer).expect("a token");
            assert_ne!(people.whose(round, &token).await.as_ref(), Some(&user), "round {round}");
        }
        let body = stage.api(round).get(&format!("/users/{user}/explain")).await.expect(200).body;
        assert_eq!(body["user"]["identity"], json!(null), "round {round}: {body}");
        assert_eq!(body["memberships"], json!([]), "round {round}: {body}");
    }
}

async fn a_code_is_exchanged_once(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let said = claims("ann", &["Staff"]);
        let arriving = people.arriving(round, Wants::Code, &said).await;
        let code = code(&people.enter(round + 1, &arriving).await).expect("a code");
        let (people, code) = (&people, code.as_str());
        let answers = at_once((0..4).map(|turn| people.exchange(turn + round, code))).await;
        let winner = stage.one_is(&answers, 200, 400);
        // A code that comes twice ends what its first use began.
        let token = answers[winner].body["access_token"].as_str().expect("a token");
        assert_eq!(people.whose(round, token).await, None, "round {round}");
    }
}

async fn a_sign_in_is_finished_once(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let said = claims(&format!("p{}", round % 3), &["Staff"]);
        let arriving = people.arriving(round, Wants::Token, &said).await;
        let (people, arriving) = (&people, &arriving);
        let answers = at_once((0..4).map(|turn| people.enter(turn + round, arriving))).await;
        stage.one_is(&answers, 303, 400);
    }
}
