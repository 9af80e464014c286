//! Outside SCIM: health, and what an operator or a gateway meets.

use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    the_process_says_that_it_lives,
    the_process_says_that_it_can_serve,
    a_path_that_is_nobodys_is_json_too,
    every_answer_has_a_request_id,
];

async fn the_process_says_that_it_lives(app: TestApp) {
    let answer = app.anonymous().get("/healthz").await.expect(200);
    assert_eq!(answer.body["status"], "ok");
}

async fn the_process_says_that_it_can_serve(app: TestApp) {
    let answer = app.anonymous().get("/readyz").await.expect(200);
    assert_eq!(answer.body["status"], "ready");
}

async fn a_path_that_is_nobodys_is_json_too(app: TestApp) {
    for path in ["/", "/scim", "/scim/v1/Users", "/favicon.ico", "/Users"] {
        let detail = app.anonymous().get(path).await.expect_error(404, None);
        assert!(detail.contains("/scim/v2"), "{detail}");
    }
}

async fn every_answer_has_a_request_id(app: TestApp) {
    let client = app.scim();
    let (first, second) = (client.get("/Users").await, client.get("/Users/unknown").await);
    let id = |answer: &crate::support::Answer| answer.header("x-request-id").map(str::to_owned);
    assert!(id(&first).is_some_and(|id| !id.is_empty()));
    assert_ne!(id(&first), id(&second));
}
