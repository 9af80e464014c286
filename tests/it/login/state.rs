//! The `state`: it comes back once, within ten minutes, in the browser that it was given to.

use futures_util::future::join_all;

use super::harness::{
    Begun, CALLBACK, Login, STALE, encoded, is_refusal_saying, location, query, rows, under_way,
    users, written,
};
use crate::support::{Case, TestApp, cases};

/// What a callback is made of, in place of what should come.
type Callback = fn(&Begun) -> Vec<(&'static str, String)>;

fn with(callback: Callback) -> Callback {
    callback
}

pub fn cases() -> Vec<Case> {
    let rows: &[Case] = rows![is_refused_and_the_right_one_is_not;
        a_missing_state_is_refused => with(|_| vec![("code", "c".to_owned())]),
        an_empty_state_is_refused =>
            with(|_| vec![("code", "c".to_owned()), ("state", String::new())]),
        a_wrong_state_is_refused =>
            with(|_| vec![("code", "c".to_owned()), ("state", "wrong".to_owned())]),
        a_state_that_goes_on_is_refused =>
            with(|begun| vec![("code", "c".to_owned()), ("state", format!("{}x", begun.state))]),
        a_state_that_is_cut_short_is_refused =>
            with(|begun| {
                vec![("code", "c".to_owned()), ("state", begun.state[1..].to_owned())]
            }),
        a_state_in_other_letters_is_refused =>
            with(|begun| {
                let mut other = begun.state.to_uppercase();
                other.push('-');
                vec![("code", "c".to_owned()), ("state", other)]
            }),
        a_state_of_spaces_is_refused =>
            with(|_| vec![("code", "c".to_owned()), ("state", "   ".to_owned())]),
        a_state_that_is_very_long_is_refused =>
            with(|_| vec![("code", "c".to_owned()), ("state", "x".repeat(20_000))]),
        a_state_with_nul_is_refused =>
            with(|_| vec![("code", "c".to_owned()), ("state", "a\0b".to_owned())]),
        a_state_that_comes_twice_is_refused =>
            with(|begun| {
                vec![
                    ("code", "c".to_owned()),
                    ("state", begun.state.clone()),
                    ("state", begun.state.clone()),
                ]
            }),
        a_callback_with_two_codes_is_refused =>
            with(|begun| {
                vec![
                    ("code", "c".to_owned()),
                    ("code", "d".to_owned()),
                    ("state", begun.state.clone()),
                ]
            }),
        a_nonce_in_place_of_the_state_is_refused =>
            with(|begun| vec![("code", "c".to_owned()), ("state", begun.nonce.clone())]),
        a_callback_with_nothing_is_refused => with(|_| Vec::new()),
        an_error_without_a_state_is_refused =>
            with(|_| vec![("error", "access_denied".to_owned())]),
    ];
    let others: &[Case] = cases![
        a_state_without_a_code_is_refused,
        a_replayed_state_is_refused,
        another_browsers_state_is_refused,
        a_state_without_a_cookie_is_refused,
        an_old_state_is_refused,
        a_state_is_taken_at_its_last_moment,
        several_sign_ins_in_one_browser_all_come_back,
        two_clicks_at_once_sign_in_once,
        sign_ins_that_nobody_finished_are_forgotten,
    ];
    [rows, others].concat()
}

async fn is_refused_and_the_right_one_is_not(app: TestApp, callback: Callback) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    let pairs = callback(&begun);
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = format!("/login/callback?{}", encoded(&pairs));
    let refused = login.get(&path, Some(&begun.cookie)).await;
    is_refusal_saying(&refused, 400, "This sign-in cannot go on");
    // A form says nothing else than an address.
    let headers = [("cookie", begun.cookie.as_str())];
    let refused = login.post("/login/callback", &pairs, &headers).await;
    is_refusal_saying(&refused, 400, "This sign-in cannot go on");
    assert_eq!(login.provider.last_request(), "", "no code is exchanged");
    assert_eq!(written(&app).await, before);
    login.come_back(&begun).await.expect(303);
}

async fn a_state_without_a_code_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let path = format!("/login/callback?{}", encoded(&[("state", &begun.state)]));
    is_refusal_saying(&login.get(&path, Some(&begun.cookie)).await, 400, STALE);
    assert_eq!(login.provider.last_request(), "");
    login.does_sign_in(&app).await;
}

async fn a_replayed_state_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    let before = written(&app).await;
    login.provider.gives(login.token(&app, &begun));
    is_refusal_saying(&login.come_back(&begun).await, 400, STALE);
    assert_eq!(written(&app).await, before);
}

async fn another_browsers_state_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    let victim = login.begin(&login.code_request()).await;
    let attacker = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &attacker));
    let lured = Begun { cookie: victim.cookie.clone(), ..attacker };
    is_refusal_saying(&login.come_back(&lured).await, 400, STALE);
    assert_eq!(login.provider.last_request(), "", "the code goes to nobody");
    assert_eq!(written(&app).await, before);
    login.provider.gives(login.token(&app, &victim));
    login.come_back(&victim).await.expect(303);
}

async fn a_state_without_a_cookie_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    let path = format!("/login/callback?code=c&{}", encoded(&[("state", &begun.state)]));
    is_refusal_saying(&login.get(&path, None).await, 400, STALE);
    assert_eq!(users(&app).await, 0);
    login.does_sign_in(&app).await;
}

async fn an_old_state_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    app.clock.advance(601);
    login.provider.gives(login.token(&app, &begun));
    is_refusal_saying(&login.come_back(&begun).await, 400, STALE);
    assert_eq!(users(&app).await, 0);
    login.does_sign_in(&app).await;
}

async fn a_state_is_taken_at_its_last_moment(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    app.clock.advance(590);
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
}

async fn several_sign_ins_in_one_browser_all_come_back(app: TestApp) {
    let login = Login::new(&app).await;
    let first = login.begin(&login.code_request()).await;
    let mut all = vec![first];
    for _ in 0..3 {
        let cookie = all[0].cookie.clone();
        all.push(login.begin_in(&login.code_request(), Some(&cookie)).await);
    }
    // The last begun is the first back, as tabs are.
    for begun in all.iter().rev() {
        assert_eq!(begun.cookie, all[0].cookie, "a browser has one cookie for all");
        login.provider.gives(login.token(&app, begun));
        login.come_back(begun).await.expect(303);
    }
    assert_eq!(users(&app).await, 1);
}

async fn two_clicks_at_once_sign_in_once(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.always_gives(login.token(&app, &begun));
    let answers = join_all((0..8).map(|_| login.come_back(&begun))).await;
    let (went, stayed): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 303);
    assert_eq!(went.len(), 1);
    assert!(location(&went[0]).as_str().starts_with(CALLBACK));
    assert!(query(&location(&went[0]), "code").is_some());
    for answer in stayed {
        is_refusal_saying(&answer, 400, STALE);
    }
    let sessions = written(&app).await;
    assert!(sessions.contains(&("sessions", 1)), "{sessions:?}");
}

async fn sign_ins_that_nobody_finished_are_forgotten(app: TestApp) {
    let login = Login::new(&app).await;
    for _ in 0..5 {
        login.begin(&login.code_request()).await;
    }
    assert_eq!(under_way(&app).await, 5);
    app.clock.advance(601);
    login.begin(&login.code_request()).await;
    assert_eq!(under_way(&app).await, 1);
}
