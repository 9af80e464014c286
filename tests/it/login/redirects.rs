//! Where browsers may be sent: a row for every trick by which an address looks like one of the
//! application's and is not, for `redirect_uri` at `/authorize` and for `target_link_uri` at
//! `/login/initiate`.

use super::harness::{
    CALLBACK, Login, challenge, encoded, is_refusal_saying, location, query, under_way, written,
};
use crate::support::{Answer, Case, TestApp, cases};

/// The same tricks, for the test of one parameter.
macro_rules! tricks {
    ($test:path) => {
        crate::login::harness::rows![$test;
            another_host_is_refused => "https://evil.example/",
            another_host_with_the_same_path_is_refused => "https://evil.example/callback?tenant=1",
            a_host_that_begins_like_ours_is_refused =>
                "https://app.example.com.evil.example/callback?tenant=1",
            a_host_that_ends_like_ours_is_refused =>
                "https://evilapp.example.com/callback?tenant=1",
            a_host_below_ours_is_refused => "https://evil.app.example.com/callback?tenant=1",
            our_host_as_user_name_is_refused =>
                "https://app.example.com@evil.example/callback?tenant=1",
            our_host_as_user_name_and_password_is_refused =>
                "https://app.example.com:443@evil.example/callback?tenant=1",
            our_address_as_a_path_is_refused =>
                "https://evil.example/https://app.example.com/callback?tenant=1",
            our_address_as_a_fragment_is_refused =>
                "https://evil.example#https://app.example.com/callback?tenant=1",
            our_address_as_a_query_is_refused =>
                "https://evil.example?https://app.example.com/callback?tenant=1",
            a_backslash_before_our_host_is_refused =>
                "https://evil.example\\@app.example.com/callback?tenant=1",
            a_backslash_after_our_host_is_refused =>
                "https://app.example.com\\.evil.example/callback?tenant=1",
            backslashes_for_slashes_are_refused => "https:\\\\app.example.com\\callback?tenant=1",
            a_slash_for_two_is_refused => "https:/app.example.com/callback?tenant=1",
            no_slashes_are_refused => "https:app.example.com/callback?tenant=1",
            three_slashes_are_refused => "https:///app.example.com/callback?tenant=1",
            a_missing_query_is_refused => "https://app.example.com/callback",
            a_slash_for_the_query_is_refused => "https://app.example.com/callback/",
            another_query_is_refused => "https://app.example.com/callback?tenant=2",
            a_query_that_goes_on_is_refused => "https://app.example.com/callback?tenant=1&x=1",
            a_query_with_the_parameter_twice_is_refused =>
                "https://app.example.com/callback?tenant=1&tenant=2",
            a_fragment_is_refused => "https://app.example.com/callback?tenant=1#x",
            an_empty_fragment_is_refused => "https://app.example.com/callback?tenant=1#",
            a_slash_at_the_end_is_refused => "https://app.example.com/callback?tenant=1/",
            a_way_up_is_refused => "https://app.example.com/callback/../evil?tenant=1",
            a_way_up_and_back_is_refused =>
                "https://app.example.com/callback/../callback?tenant=1",
            an_encoded_way_up_is_refused =>
                "https://app.example.com/callback/%2e%2e/evil?tenant=1",
            a_way_nowhere_is_refused => "https://app.example.com/./callback?tenant=1",
            a_slash_twice_is_refused => "https://app.example.com//callback?tenant=1",
            a_path_parameter_is_refused => "https://app.example.com/callback;x?tenant=1",
            the_usual_port_is_refused => "https://app.example.com:443/callback?tenant=1",
            another_port_is_refused => "https://app.example.com:8443/callback?tenant=1",
            a_host_in_capitals_is_refused => "https://APP.example.com/callback?tenant=1",
            a_dot_after_the_host_is_refused => "https://app.example.com./callback?tenant=1",
            a_path_in_capitals_is_refused => "https://app.example.com/Callback?tenant=1",
            an_encoded_letter_is_refused => "https://app.example.com/%63allback?tenant=1",
            a_user_name_is_refused => "https://user@app.example.com/callback?tenant=1",
            an_empty_user_name_is_refused => "https://@app.example.com/callback?tenant=1",
            plain_http_is_refused => "http://app.example.com/callback?tenant=1",
            a_scheme_in_capitals_is_refused => "HTTPS://app.example.com/callback?tenant=1",
            a_scheme_of_its_own_is_refused => "myapp://app.example.com/callback?tenant=1",
            no_scheme_is_refused => "//app.example.com/callback?tenant=1",
            no_scheme_and_another_host_is_refused => "//evil.example",
            three_slashes_and_another_host_is_refused => "///evil.example",
            a_slash_and_a_backslash_is_refused => "/\\evil.example",
            two_backslashes_are_refused => "\\\\evil.example",
            a_tab_between_slashes_is_refused => "/\t/evil.example",
            a_path_alone_is_refused => "/callback?tenant=1",
            a_script_is_refused => "javascript:alert(1)",
            a_script_in_mixed_case_is_refused => "JaVaScRiPt:alert(1)//https://app.example.com",
            data_is_refused => "data:text/html,x",
            a_file_is_refused => "file:///etc/passwd",
            a_space_before_is_refused => " https://app.example.com/callback?tenant=1",
            a_space_after_is_refused => "https://app.example.com/callback?tenant=1 ",
            a_line_break_after_is_refused => "https://app.example.com/callback?tenant=1\n",
            a_line_break_and_a_header_is_refused =>
                "https://app.example.com/callback?tenant=1\r\nset-cookie: x=y",
            a_tab_inside_is_refused => "https://app.exa\tmple.com/callback?tenant=1",
            an_encoded_nul_is_refused => "https://app.example.com/callback?tenant=1%00",
            a_nul_is_refused => "https://app.example.com/callback?tenant=1\0",
            an_encoded_slash_in_the_user_name_is_refused =>
                "https://app.example.com%2f@evil.example/callback?tenant=1",
            a_full_stop_of_another_script_is_refused =>
                "https://app.example.com\u{3002}evil.example/callback?tenant=1",
            a_letter_that_looks_the_same_is_refused =>
                "https://\u{430}pp.example.com/callback?tenant=1",
            a_letter_of_no_width_is_refused =>
                "https://app.example.com/callback\u{200b}?tenant=1",
            this_machine_is_refused => "http://127.0.0.1/callback?tenant=1",
            an_address_that_is_very_long_is_refused => LONG,
        ]
    };
}

/// Longer than any address of an application.
const LONG: &str = match std::str::from_utf8(&[b'x'; 9000]) {
    Ok(text) => text,
    Err(_) => "",
};

mod redirect_uri {
    use super::{Case, LONG, redirect_uri_is_refused};
    pub const CASES: &[Case] = tricks![redirect_uri_is_refused];
}

mod target_link_uri {
    use super::{Case, LONG, target_link_uri_is_refused};
    pub const CASES: &[Case] = tricks![target_link_uri_is_refused];
}

pub fn cases() -> Vec<Case> {
    let others: &[Case] = cases![
        the_only_address_may_be_left_out,
        one_of_several_addresses_has_to_be_named,
        a_redirect_uri_that_comes_twice_is_refused,
        the_address_of_another_application_is_refused,
        the_address_of_any_application_can_be_a_target,
    ];
    [redirect_uri::CASES, target_link_uri::CASES, others].concat()
}

async fn is_refused(login: &Login, path: &str, reason: &str) {
    is_refusal_saying(&login.get(path, None).await, 400, reason);
}

async fn redirect_uri_is_refused(app: TestApp, trick: &'static str) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    let challenge = challenge();
    let code = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    for response_type in ["code", "token", "", "nonsense"] {
        let mut pairs = vec![
            ("client_id", login.client_id.as_str()),
            ("connection", "default"),
            ("redirect_uri", trick),
            ("response_type", response_type),
        ];
        pairs.extend(code);
        let path = format!("/authorize?{}", encoded(&pairs));
        is_refused(&login, &path, "This sign-in cannot go on").await;
    }
    assert_eq!(under_way(&app).await, 0);
    // At the end of the flow, another address than at its beginning is refused as well.
    let given = login.code(&app).await;
    let answer = login.exchange(&given, super::harness::VERIFIER, trick).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_ne!(written(&app).await, before, "the application's own address works");
}

async fn target_link_uri_is_refused(app: TestApp, trick: &'static str) {
    let login = Login::new(&app).await;
    let pairs = [("iss", login.provider.issuer.as_str()), ("target_link_uri", trick)];
    let path = format!("/login/initiate?{}", encoded(&pairs));
    is_refused(&login, &path, "This sign-in cannot go on").await;
    let posted = login.post("/login/initiate", &pairs, &[]).await;
    is_refusal_saying(&posted, 400, "This sign-in cannot go on");
    assert_eq!(under_way(&app).await, 0);
    let pairs = [pairs[0], ("target_link_uri", CALLBACK)];
    let path = format!("/login/initiate?{}", encoded(&pairs));
    login.get(&path, None).await.expect(303);
}

/// That the browser was sent to the provider.
fn goes_on(login: &Login, answer: Answer) {
    let there = location(&answer.expect(303));
    assert!(there.as_str().starts_with(&login.provider.issuer), "{there}");
}

async fn the_only_address_may_be_left_out(app: TestApp) {
    let login = Login::new(&app).await;
    // A parameter without a value counts as left out (RFC 6749 section 3.1).
    for more in ["", "&redirect_uri="] {
        let pairs = [("client_id", login.client_id.as_str()), ("connection", "default")];
        let path = format!("/authorize?{}{more}", encoded(&pairs));
        let answer = login.sign_in(&app, &path).await.expect(303);
        assert_eq!(answer.header("location"), Some(CALLBACK));
    }
}

/// Adds an application with these addresses; gives its client id.
async fn application(app: &TestApp, name: &str, uris: &[&str]) -> String {
    let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
    let (name, now) = (name.to_owned(), app.clock.now());
    let made = app.db.write("create_app", move |conn| {
        muster::directory::apps::create(conn, &name, &uris, false, false, now)
    });
    made.await.expect("an application").0.id
}

async fn one_of_several_addresses_has_to_be_named(app: TestApp) {
    let login = Login::new(&app).await;
    let client_id =
        application(&app, "another", &["https://a.example/cb", "https://b.example/cb"]).await;
    let path = |more: &[(&str, &str)]| {
        let mut pairs = vec![("client_id", client_id.as_str()), ("connection", "default")];
        pairs.extend(more);
        format!("/authorize?{}", encoded(&pairs))
    };
    is_refused(&login, &path(&[]), "The redirect_uri is not one").await;
    is_refused(&login, &path(&[("redirect_uri", "")]), "The redirect_uri is not one").await;
    for uri in ["https://a.example/cb", "https://b.example/cb"] {
        goes_on(&login, login.get(&path(&[("redirect_uri", uri)]), None).await);
    }
}

async fn a_redirect_uri_that_comes_twice_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    for second in [CALLBACK, "https://evil.example/"] {
        let path = login.authorize(&[("redirect_uri", second)]);
        is_refused(&login, &path, "This sign-in cannot go on").await;
    }
    assert_eq!(under_way(&app).await, 0);
}

async fn the_address_of_another_application_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    application(&app, "another", &["https://another.example/cb"]).await;
    let pairs = [
        ("client_id", login.client_id.as_str()),
        ("connection", "default"),
        ("redirect_uri", "https://another.example/cb"),
    ];
    let path = format!("/authorize?{}", encoded(&pairs));
    is_refused(&login, &path, "The redirect_uri is not one").await;
}

async fn the_address_of_any_application_can_be_a_target(app: TestApp) {
    let login = Login::new(&app).await;
    application(&app, "another", &["https://another.example/cb"]).await;
    for target in [CALLBACK, "https://another.example/cb"] {
        let pairs = [("iss", login.provider.issuer.as_str()), ("target_link_uri", target)];
        let path = format!("/login/initiate?{}", encoded(&pairs));
        let answer = login.sign_in(&app, &path).await.expect(303);
        assert_eq!(answer.header("location"), Some(target));
        assert!(
            query(&location(&answer), "code").is_none(),
            "a session, and nothing in the address"
        );
    }
}
