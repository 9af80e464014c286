//! Tokens are taken back while requests with them are under way: none that begins afterwards
//! succeeds, at any server.

use futures_util::future::{join, join_all};
use muster::directory::apps;
use muster::directory::connections::{self, AdminError};
use muster::directory::tokens;
use serde_json::json;

use super::people::{People, Wants, access_token, claims};
use super::races;
use super::stage::{Stage, at_once};
use crate::support::{Answer, Case};

pub const CASES: &[Case] = races![
    a_token_that_is_revoked_is_refused,
    an_access_token_that_is_given_back_is_over,
    a_connection_that_is_deleted_is_gone,
    an_application_that_is_deleted_lets_nobody_in,
];

/// Adds a token to a connection, which is made if need be; gives the id and the token.
async fn token(stage: &Stage, connection: &str) -> (String, String) {
    let (name, now) = (connection.to_owned(), muster::clock::system()());
    stage
        .db
        .write("token", move |conn| {
            let connection = match connections::find(conn, &name) {
                Ok(connection) => connection,
                Err(_) => connections::create(conn, &name, connections::Settings::default(), now)?,
            };
            let (token, plain) = tokens::create(conn, &connection, "raced", None, now)?;
            Ok::<_, AdminError>((token.id, plain.expose().to_owned()))
        })
        .await
        .expect("a token")
}

/// Requests of every kind, the same moment, with the token.
async fn flood(stage: &Stage, round: usize, token: &str) -> Vec<Answer> {
    at_once((0..6).map(|turn| {
        let client = stage.scim_with(turn + round, token);
        async move {
            // Some begin later.
            stage.pass(turn, turn / 2 * (round % 4)).await;
            let name = format!("user{round}-{turn}");
            match turn % 3 {
                0 => client.post("/Users", &json!({ "userName": name })).await,
                1 => client.post("/Groups", &json!({ "displayName": name })).await,
                _ => client.get("/Users?count=2").await,
            }
        }
    }))
    .await
}

/// That no server takes the token any more, and that what was acknowledged is there, and no more.
async fn is_over(stage: &Stage, round: usize, token: &str, answers: &[Answer]) {
    for turn in 0..2 {
        let client = stage.scim_with(turn, token);
        client.get("/Users").await.expect(401);
        let body = json!({ "userName": format!("late{round}-{turn}") });
        client.post("/Users", &body).await.expect(401);
    }
    for answer in answers {
        stage.is_one_of(answer, &[200, 201, 401]);
    }
}

async fn a_token_that_is_revoked_is_refused(stage: &Stage) {
    for round in stage.rounds(16) {
        let (id, token) = token(stage, "default").await;
        let revokes = async {
            stage.pass(round, round % 7).await;
            let now = muster::clock::system()();
            let revoked = stage.db.write("revoke", move |conn| tokens::revoke(conn, &id, now));
            revoked.await.expect("a token that is revoked");
            // From here on it is over; what is under way goes on.
            stage.scim_with(round, &token).get("/Users").await.expect(401);
        };
        let (answers, ()) = join(flood(stage, round, &token), revokes).await;
        is_over(stage, round, &token, &answers).await;
        for (turn, answer) in answers.iter().enumerate().filter(|(turn, _)| turn % 3 == 0) {
            let filter = format!("userName eq \"user{round}-{turn}\"");
            let found = stage.scim(turn).find("/Users", &filter).await;
            assert_eq!(found.len(), usize::from(answer.status == 201), "round {round}");
        }
    }
}

async fn an_access_token_that_is_given_back_is_over(stage: &Stage) {
    let people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        let said = claims(&format!("p{}", round % 3), &["Staff"]);
        let token = people.sign_in(round, &said).await;
        let (people, token) = (&people, token.as_str());
        let ends = async {
            stage.pass(round, round % 5).await;
            match round % 2 {
                0 => people.revoke(round / 2, token).await.expect(200),
                _ => people.sign_out(round / 2, token).await.expect(200),
            };
            assert_eq!(people.whose(round / 2 + 1, token).await, None, "round {round}");
        };
        let asks = at_once((0..6).map(|turn| async move {
            stage.pass(turn, turn / 2).await;
            let client = stage.scim_with(turn + round, token);
            client.get("/Me").await
        }));
        let (answers, ()) = join(asks, ends).await;
        for answer in &answers {
            stage.is_one_of(answer, &[200, 401]);
        }
        for turn in 0..2 {
            stage.scim_with(turn, token).get("/Me").await.expect(401);
        }
    }
}

async fn a_connection_that_is_deleted_is_gone(stage: &Stage) {
    for round in stage.rounds(16) {
        let name = format!("customer{round}");
        let (_, token) = token(stage, &name).await;
        let deletes = async {
            stage.pass(round, round % 7).await;
            let now = muster::clock::system()();
            let deleted =
                stage.db.write("delete", move |conn| connections::delete(conn, &name, now));
            deleted.await.expect("a connection that is deleted");
            stage.scim_with(round, &token).get("/Users").await.expect(401);
        };
        let (answers, ()) = join(flood(stage, round, &token), deletes).await;
        is_over(stage, round, &token, &answers).await;
    }
}

async fn an_application_that_is_deleted_lets_nobody_in(stage: &Stage) {
    let mut people = People::of(stage, "app").await;
    for round in stage.rounds(12) {
        people.turn_to(&format!("app{round}")).await;
        let said = claims(&format!("p{}", round % 3), &["Staff"]);
        let arrivals = join_all((0..4).map(|turn| {
            let wants = if turn % 2 == 0 { Wants::Token } else { Wants::Code };
            people.arriving(turn + round, wants, &said)
        }))
        .await;
        let entries = arrivals.iter().enumerate().map(|(turn, at)| people.enter(turn + round, at));
        let app = people.app().to_owned();
        let deletes = async {
            stage.pass(round, 2 * (round % 7)).await;
            let deleted = stage.db.write("delete", move |conn| apps::delete(conn, &app, 1));
            deleted.await.expect("an application that is deleted");
        };
        let (entered, ()) = join(at_once(entries), deletes).await;
        for answer in &entered {
            stage.is_one_of(answer, &[303, 403]);
            if let Some(token) = access_token(answer) {
                assert_eq!(people.whose(round, &token).await, None, "round {round}");
            }
        }
    }
}
