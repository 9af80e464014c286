//! Two connections with a provider each, one of them an attacker's: nothing of one is good for the
//! other (RFC 9700 section 4.4, RFC 9207).

use muster::directory::connections;
use serde_json::json;

use super::harness::{
    Begun, CALLBACK, CLIENT_ID, Login, STALE, VERIFIER, encoded, is_oauth_error, is_refusal,
    is_refusal_saying, location, query, users, written,
};
use crate::support::provider::{Provider, Signed};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    the_answer_of_another_issuer_is_refused,
    an_answer_that_names_its_issuer_is_accepted,
    an_answer_that_does_not_name_its_issuer_though_the_provider_says_so_is_refused,
    an_answer_that_names_two_issuers_is_refused,
    a_code_goes_to_the_provider_of_its_flow_alone,
    an_address_of_its_own_keeps_a_connection_apart,
    an_answer_at_another_connections_address_is_refused,
    a_token_of_another_provider_is_refused,
    a_token_that_another_provider_signed_in_ours_name_is_refused,
    a_state_of_another_connection_keeps_its_own_provider,
    the_same_subject_at_two_issuers_is_two_people,
    the_same_subject_at_another_issuer_of_the_connection_is_somebody_else,
    an_issuer_of_several_connections_is_not_guessed,
    a_code_of_one_application_is_nothing_to_another,
];

const STALLED: &str = "did not stand the checks";

/// The connection `default` at an honest provider, and `evil` at an attacker's.
async fn both(app: &TestApp) -> (Login, Login) {
    app.other("evil").await;
    let evil = Login::at(app, "evil", Provider::start_another()).await;
    (Login::new(app).await, evil)
}

async fn the_answer_of_another_issuer_is_refused(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let before = written(&app).await;
    let slash = format!("{}/", honest.provider.issuer);
    for issuer in [evil.provider.issuer.as_str(), "https://evil.example", slash.as_str(), "x"] {
        let begun = honest.begin(&honest.code_request()).await;
        honest.provider.gives(honest.token(&app, &begun));
        let answer = honest.come_back_with(&begun, &[("iss", issuer)]).await;
        is_refusal_saying(&answer, 403, "names another issuer than the one that was asked");
    }
    assert_eq!(honest.provider.last_request(), "", "the code goes to nobody");
    assert_eq!(evil.provider.last_request(), "", "the code goes to nobody");
    assert_eq!(written(&app).await, before);
    honest.does_sign_in(&app).await;
}

/// A provider that says that it names itself in answers.
fn names_itself(login: &Login) {
    login
        .provider
        .describes_itself(json!({ "authorization_response_iss_parameter_supported": true }));
}

async fn an_answer_that_names_its_issuer_is_accepted(app: TestApp) {
    let login = Login::new(&app).await;
    for says_so in [false, true] {
        if says_so {
            names_itself(&login);
            app.clock.advance(3601);
        }
        let begun = login.begin(&login.code_request()).await;
        login.provider.gives(login.token(&app, &begun));
        let issuer = login.provider.issuer.clone();
        login.come_back_with(&begun, &[("iss", &issuer)]).await.expect(303);
    }
}

async fn an_answer_that_does_not_name_its_issuer_though_the_provider_says_so_is_refused(
    app: TestApp,
) {
    let login = Login::new(&app).await;
    names_itself(&login);
    let before = written(&app).await;
    for more in [&[][..], &[("iss", "")][..]] {
        let begun = login.begin(&login.code_request()).await;
        login.provider.gives(login.token(&app, &begun));
        let answer = login.come_back_with(&begun, more).await;
        is_refusal_saying(&answer, 403, "does not name its issuer");
    }
    assert_eq!(login.provider.last_request(), "", "the code goes to nobody");
    assert_eq!(written(&app).await, before);
}

async fn an_answer_that_names_two_issuers_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    let issuer = login.provider.issuer.clone();
    let two = [("iss", issuer.as_str()), ("iss", "https://evil.example")];
    is_refusal(&login.come_back_with(&begun, &two).await, 400, "two issuers");
    assert_eq!(login.provider.last_request(), "");
    assert_eq!(users(&app).await, 0);
}

async fn a_code_goes_to_the_provider_of_its_flow_alone(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let begun = honest.begin(&honest.code_request()).await;
    honest.provider.gives(honest.token(&app, &begun));
    honest.come_back(&begun).await.expect(303);
    assert!(honest.provider.last_request().contains("code=c"));
    assert_eq!(evil.provider.last_request(), "");
}

async fn a_token_of_another_provider_is_refused(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let before = written(&app).await;
    // Each gives a token that the other would be right to give, nonce and all.
    for (here, there) in [(&honest, &evil), (&evil, &honest)] {
        let begun = here.begin(&here.code_request()).await;
        here.provider.gives(there.token(&app, &begun));
        is_refusal_saying(&here.come_back(&begun).await, 403, "from another issuer (iss)");
    }
    assert_eq!(written(&app).await, before);
    honest.does_sign_in(&app).await;
}

async fn a_token_that_another_provider_signed_in_ours_name_is_refused(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let before = written(&app).await;
    let begun = evil.begin(&evil.code_request()).await;
    let mut token = honest.token(&app, &begun);
    token.signed = Signed::Well;
    evil.provider.gives(token);
    is_refusal_saying(&evil.come_back(&begun).await, 403, "from another issuer (iss)");
    // The two have keys of the same name, and they are not the same keys.
    evil.provider.publishes(honest.provider.keys().public());
    app.clock.advance(3601);
    let begun = evil.begin(&evil.code_request()).await;
    evil.provider.gives(evil.token(&app, &begun));
    is_refusal_saying(&evil.come_back(&begun).await, 403, "its signature is wrong");
    assert_eq!(written(&app).await, before);
    honest.does_sign_in(&app).await;
}

async fn a_state_of_another_connection_keeps_its_own_provider(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let theirs = evil.begin(&evil.code_request()).await;
    let ours = honest.begin_in(&honest.code_request(), Some(&theirs.cookie)).await;
    assert_eq!(theirs.cookie, ours.cookie, "one browser");
    // The answer to one is given to the other: nonce and issuer are not those of the flow.
    honest.provider.gives(honest.token(&app, &ours));
    evil.provider.gives(evil.token(&app, &ours));
    is_refusal_saying(&evil.come_back(&theirs).await, 403, STALLED);
    assert_eq!(users(&app).await, 0);
    honest.come_back(&ours).await.expect(303);
    let lured = Begun { state: theirs.state.clone(), ..ours };
    is_refusal_saying(&honest.come_back(&lured).await, 400, STALE);
}

async fn the_same_subject_at_two_issuers_is_two_people(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let mut people = Vec::new();
    for login in [&honest, &evil, &honest, &evil] {
        let token = login.access_token(&app).await;
        let person = login.userinfo(&token).await.expect(200).body;
        assert_eq!(person["connection"], login.connection.as_str());
        people.push(person["sub"].clone());
    }
    assert_ne!(people[0], people[1]);
    assert_eq!(people[..2], people[2..]);
    assert_eq!(users(&app).await, 1, "the other is nobody here");
}

async fn the_same_subject_at_another_issuer_of_the_connection_is_somebody_else(app: TestApp) {
    let login = Login::new(&app).await;
    // Where the subject is the external id as well, as with Okta, it is a key of the connection and
    // not of the issuer; here it is none.
    app.set(|settings| settings.sign_in.external_id_claim = None).await;
    login.does_sign_in(&app).await;
    let before = written(&app).await;
    let provider = Provider::start_another();
    let (issuer, now) = (provider.issuer.clone(), app.clock.now());
    app.db
        .write("update", move |conn| {
            let change = |settings: &mut muster::directory::connections::Settings| {
                settings.sign_in.issuer = Some(issuer.clone());
            };
            muster::directory::connections::update(conn, "default", change, now)
        })
        .await
        .expect("a connection");
    let moved = Login { provider, ..login };
    let answer = moved.sign_in(&app, &moved.code_request()).await;
    is_refusal_saying(&answer, 403, "belongs to another account");
    assert_eq!(written(&app).await, before);
}

async fn an_issuer_of_several_connections_is_not_guessed(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let (issuer, now) = (honest.provider.issuer.clone(), app.clock.now());
    let shared = issuer.clone();
    app.db
        .write("update", move |conn| {
            let change = |settings: &mut muster::directory::connections::Settings| {
                settings.sign_in.issuer = Some(shared.clone());
            };
            muster::directory::connections::update(conn, "evil", change, now)
        })
        .await
        .expect("a connection");
    let path = |more: &[(&str, &str)]| {
        let mut pairs = vec![("iss", issuer.as_str())];
        pairs.extend(more);
        format!("/login/initiate?{}", encoded(&pairs))
    };
    let answer = honest.get(&path(&[]), None).await;
    is_refusal_saying(&answer, 400, "name one (connection=NAME)");
    // Whose issuer it is besides is nobody's business.
    assert!(!answer.text.contains("evil") && !answer.text.contains("default"));
    let unknown = honest.get(&path(&[("connection", "nobody")]), None).await;
    is_refusal(&unknown, 400, "another name");
    for (name, other) in [("default", "evil"), ("EVIL", "default")] {
        let answer = honest.sign_in(&app, &path(&[("connection", name)])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let session = super::harness::cookie(&answer);
        let person = honest.get("/userinfo", Some(&session)).await.expect(200).body;
        assert_eq!(person["connection"], name.to_lowercase());
        assert_ne!(person["connection"], other);
    }
    let mine = honest.get(&path(&[("connection", "default")]), None).await.expect(303);
    assert_eq!(query(&location(&mine), "client_id").as_deref(), Some(CLIENT_ID));
    drop(evil);
}

async fn a_code_of_one_application_is_nothing_to_another(app: TestApp) {
    let (honest, evil) = both(&app).await;
    let code = honest.code(&app).await;
    let before = written(&app).await;
    // The other application has the code, the verifier and the address, and is not the one.
    is_oauth_error(&evil.exchange(&code, VERIFIER, CALLBACK).await, 400, "invalid_grant");
    assert_eq!(written(&app).await, before);
    // The code is still good for its own.
    honest.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
}

/// The connection `evil` has an address of its own for its provider's answers.
async fn set_apart(app: &TestApp) {
    let now = app.clock.now();
    let change = |settings: &mut connections::Settings| settings.sign_in.own_callback = true;
    app.db
        .write("update", move |conn| connections::update(conn, "evil", change, now))
        .await
        .expect("a connection that can be changed");
}

async fn an_address_of_its_own_keeps_a_connection_apart(app: TestApp) {
    let (_, evil) = both(&app).await;
    set_apart(&app).await;
    let begun = evil.begin(&evil.code_request()).await;
    let own = format!("{}/login/callback/evil", app.base_url);
    assert_eq!(query(&begun.url, "redirect_uri"), Some(own));
    evil.provider.gives(evil.token(&app, &begun));
    let path = format!("/login/callback/evil?code=c&state={}", begun.state);
    evil.get(&path, Some(&begun.cookie)).await.expect(303);
    let sent = evil.provider.last_request();
    assert!(sent.contains("login%2Fcallback%2Fevil"), "the exchange names it too: {sent}");
}

async fn an_answer_at_another_connections_address_is_refused(app: TestApp) {
    let (honest, evil) = both(&app).await;
    set_apart(&app).await;
    let before = written(&app).await;
    // The attacker's provider sends people on to the honest one, whose code comes back for the
    // attacker's flow. It must not be handed to the attacker.
    let why = "came to another address than";
    for path in ["/login/callback", "/login/callback/default", "/login/callback/evil/x"] {
        let begun = evil.begin(&evil.code_request()).await;
        let path = format!("{path}?code=of-the-honest-one&state={}", begun.state);
        let answer = evil.get(&path, Some(&begun.cookie)).await;
        if answer.status == 404 {
            continue;
        }
        is_refusal_saying(&answer, 400, why);
    }
    assert_eq!(evil.provider.last_request(), "", "the code goes to nobody");
    let begun = honest.begin(&honest.code_request()).await;
    let path = format!("/login/callback/default?code=c&state={}", begun.state);
    is_refusal_saying(&honest.get(&path, Some(&begun.cookie)).await, 400, why);
    assert_eq!(written(&app).await, before);
    honest.does_sign_in(&app).await;
}
