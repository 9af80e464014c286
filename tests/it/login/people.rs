//! People whom the provider vouches for and who are not let in: each sees why, and nothing is
//! written but the log.

use serde_json::json;

use super::harness::{Login, is_refusal_saying, rows, written};
use crate::support::provider::Token;
use crate::support::{Case, TestApp, patch_body};

/// Who is there before, what the token says, and what the person is told.
struct Row {
    pushed: Option<(&'static str, &'static str)>,
    just_in_time: bool,
    active: bool,
    change: fn(&mut Token),
    told: &'static str,
    /// The reason in the event log.
    reason: &'static str,
}

fn nobody() -> Row {
    Row { pushed: None, just_in_time: true, active: true, change: |_| {}, told: "", reason: "" }
}

const RECYCLED: &str = "belongs to another account";

pub const CASES: &[Case] = rows![is_refused;
    an_inactive_user_is_refused =>
        Row {
            pushed: Some(("ann@example.com", "00uann")),
            active: false,
            told: "deactivated",
            reason: "inactive",
            ..nobody()
        },
    an_inactive_user_who_was_never_linked_is_refused_by_name =>
        Row {
            pushed: Some(("ANN@example.com", "")),
            active: false,
            told: "deactivated",
            reason: "inactive",
            ..nobody()
        },
    a_stranger_is_refused_where_just_in_time_is_off =>
        Row {
            just_in_time: false,
            told: "no account yet",
            reason: "not-provisioned",
            ..nobody()
        },
    a_recycled_user_name_is_refused =>
        Row {
            pushed: Some(("ann@example.com", "00uold")),
            told: RECYCLED,
            reason: "user-name-taken",
            ..nobody()
        },
    a_recycled_user_name_in_capitals_is_refused =>
        Row {
            pushed: Some(("ANN@EXAMPLE.COM", "00uold")),
            told: RECYCLED,
            reason: "user-name-taken",
            ..nobody()
        },
    a_recycled_user_name_is_refused_where_just_in_time_is_off =>
        Row {
            pushed: Some(("ann@example.com", "00uold")),
            just_in_time: false,
            told: RECYCLED,
            reason: "user-name-taken",
            ..nobody()
        },
    somebody_with_the_same_email_address_is_a_stranger =>
        Row {
            pushed: Some(("somebody", "00uold")),
            just_in_time: false,
            told: "no account yet",
            reason: "not-provisioned",
            ..nobody()
        },
    somebody_without_a_user_name_is_refused =>
        Row {
            change: |token| {
                token.claims.as_object_mut().expect("claims").remove("preferred_username");
            },
            told: "sent no user name",
            reason: "no-user-name",
            ..nobody()
        },
    somebody_whose_user_name_is_blank_is_refused =>
        Row {
            change: |token| token.claims["preferred_username"] = "   ".into(),
            told: "sent no user name",
            reason: "no-user-name",
            ..nobody()
        },
    somebody_whose_user_name_is_too_long_is_refused =>
        Row {
            change: |token| token.claims["preferred_username"] = "x".repeat(1025).into(),
            told: "sent no user name",
            reason: "no-user-name",
            ..nobody()
        },
];

async fn is_refused(app: TestApp, row: Row) {
    let login = Login::new(&app).await;
    if !row.just_in_time {
        app.set(|settings| settings.sign_in.jit = false).await;
    }
    let mut path = None;
    if let Some((user_name, external_id)) = row.pushed {
        let mut user = json!({
            "userName": user_name,
            "active": row.active,
            "emails": [{ "value": "ann@example.com" }],
        });
        if !external_id.is_empty() {
            user["externalId"] = external_id.into();
        }
        path = Some(format!("/Users/{}", app.scim().post("/Users", &user).await.expect(201).id()));
    }
    let before = written(&app).await;
    for _ in 0..2 {
        let begun = login.begin(&login.code_request()).await;
        let mut token = login.token(&app, &begun);
        (row.change)(&mut token);
        login.provider.gives(token);
        is_refusal_saying(&login.come_back(&begun).await, 403, row.told);
    }
    assert_eq!(written(&app).await, before);
    assert_eq!(refusals(&app).await, [row.reason, row.reason]);
    // What stood in the way is put out of it, and the same person signs in.
    app.set(|settings| settings.sign_in.jit = true).await;
    match (path, row.active) {
        (Some(path), false) => {
            let on = patch_body(json!([{ "op": "replace", "value": { "active": true } }]));
            app.scim().patch(&path, &on).await.expect(200);
        }
        (Some(path), true) => {
            app.scim().delete(&path).await.expect(204);
        }
        (None, _) => {}
    }
    login.does_sign_in(&app).await;
}

/// The reasons of refusals in the event log.
async fn refusals(app: &TestApp) -> Vec<String> {
    use diesel::prelude::*;
    use muster::db::StoreError;
    use muster::db::schema::events;

    let found = app.db.read(|conn| {
        let data: Vec<String> = events::table
            .filter(events::action.eq("sign-in-refused"))
            .order(events::sequence)
            .select(events::data)
            .load(conn)?;
        Ok::<_, StoreError>(data)
    });
    let reason = |data: &String| {
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        data["reason"].as_str().expect("a reason").to_owned()
    };
    found.await.expect("events").iter().map(reason).collect()
}
