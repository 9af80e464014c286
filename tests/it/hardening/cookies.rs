//! Cookies: what they are locked to, and what somebody gains who can set one in another's browser.

use crate::login::harness::{
    Begun, Login, STALE, cookie, encoded, is_refusal_saying, location, query, written,
};
use crate::support::{Answer, Case, TestApp, TestDatabase, cases, database_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        a_session_cookie_that_comes_twice_is_not_believed,
        a_flow_cookie_that_comes_twice_is_not_believed,
        a_session_that_is_known_beforehand_is_not_taken_up,
        on_this_machine_cookies_are_as_locked_as_can_be,
    ];
    let databases: &[Case] = database_cases![
        over_https_every_cookie_is_locked_to_the_host,
        a_name_that_is_written_in_another_way_is_another_name,
    ];
    [apps, databases].concat()
}

/// A neighbour of the host can set a cookie for all of the domain; a browser then sends both.
async fn a_session_cookie_that_comes_twice_is_not_believed(app: TestApp) {
    let login = Login::new(&app).await;
    let mine = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let theirs = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    assert_ne!(mine, theirs);
    for both in [
        format!("{mine}; {theirs}"),
        format!("{theirs}; {mine}"),
        format!("{mine}; {mine}"),
        format!("{mine}; muster_session="),
        format!("muster_session=x; other=1; {mine}"),
    ] {
        login.get("/userinfo", Some(&both)).await.expect(401);
    }
    let apart = login.http.get(format!("{}/userinfo", login.base));
    login.send(apart.header("cookie", &mine).header("cookie", &theirs)).await.expect(401);
    // Cookies of other names do not matter.
    let beside = format!("a=1; {mine}; xmuster_session=x; muster_sessions=y");
    login.get("/userinfo", Some(&beside)).await.expect(200);
}

async fn a_flow_cookie_that_comes_twice_is_not_believed(app: TestApp) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    for planted_first in [true, false] {
        let attacker = login.begin(&login.code_request()).await;
        let victim = login.begin(&login.code_request()).await;
        // The attacker has planted his own cookie beside the victim's, and brings his own answer.
        let both = if planted_first {
            format!("{}; {}", attacker.cookie, victim.cookie)
        } else {
            format!("{}; {}", victim.cookie, attacker.cookie)
        };
        login.provider.gives(login.token(&app, &attacker));
        let answer = encoded(&[("code", "c"), ("state", &attacker.state)]);
        let answer = login.get(&format!("/login/callback?{answer}"), Some(&both)).await;
        is_refusal_saying(&answer, 400, STALE);
        // Whoever begins again is given another one.
        let again = login.begin_in(&login.code_request(), Some(&both)).await;
        assert!(again.cookie != attacker.cookie && again.cookie != victim.cookie);
    }
    assert_eq!(written(&app).await, before);
}

/// Session fixation: a live session of the attacker's, planted before the victim signs in, is not
/// what the victim ends up with, and says nothing of the victim.
async fn a_session_that_is_known_beforehand_is_not_taken_up(app: TestApp) {
    let login = Login::new(&app).await;
    let planted = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let attacker = login.get("/userinfo", Some(&planted)).await.expect(200).body;
    let begun = login.begin_in(&login.code_request(), Some(&planted)).await;
    let mut token = login.token(&app, &begun);
    token.claims["sub"] = "00uvictim".into();
    token.claims["preferred_username"] = "victim@example.com".into();
    token.claims["email"] = "victim@example.com".into();
    login.provider.gives(token);
    let path = format!("/login/callback?{}", encoded(&[("code", "c"), ("state", &begun.state)]));
    let cookies = format!("{planted}; {}", begun.cookie);
    let own = cookie(&login.get(&path, Some(&cookies)).await.expect(303));
    assert_ne!(own, planted);
    let victim = login.get("/userinfo", Some(&own)).await.expect(200).body;
    assert_eq!(victim["preferred_username"], "victim@example.com");
    assert_eq!(login.get("/userinfo", Some(&planted)).await.expect(200).body, attacker);
}

/// The attributes of the cookie that an answer sets, sorted, without its value.
fn attributes(answer: &Answer) -> Vec<String> {
    let set = answer.header("set-cookie").expect("a cookie");
    let mut parts = set.split("; ");
    let name = parts.next().and_then(|first| first.split('=').next()).expect("a name");
    let mut rest: Vec<String> =
        parts.filter(|part| !part.starts_with("Expires=")).map(str::to_owned).collect();
    rest.sort();
    rest.insert(0, name.to_owned());
    rest
}

/// Begins a sign-in over https, where the cookie of it is not `SameSite=Lax`.
async fn begin(login: &Login) -> (Answer, Begun) {
    let began = login.get(&login.code_request(), None).await.expect(303);
    let flow = began.header("set-cookie").expect("a cookie");
    let flow = flow.split(';').next().expect("a value").to_owned();
    let url = location(&began);
    let begun = Begun {
        state: query(&url, "state").expect("a state"),
        nonce: query(&url, "nonce").expect("a nonce"),
        cookie: flow,
        url,
    };
    (began, begun)
}

/// The cookies of a whole sign-in: of the sign-in under way, of the session, and of its end.
async fn all(app: &TestApp, own: &str) -> [Vec<String>; 3] {
    let login = Login::new(app).await;
    let (began, begun) = begin(&login).await;
    login.provider.gives(login.token(app, &begun));
    let back = login.come_back(&begun).await.expect(303);
    let session = back.header("set-cookie").expect("a cookie");
    let session = session.split(';').next().expect("a value").to_owned();
    let ended = login.post("/logout", &[], &[("cookie", &session), ("origin", own)]).await;
    [attributes(&began), attributes(&back), attributes(&ended.expect(200))]
}

async fn over_https_every_cookie_is_locked_to_the_host(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        "https://muster.example.com".clone_into(&mut settings.public_url);
    })
    .await;
    assert_eq!(
        all(&app, "https://muster.example.com").await,
        [
            // The provider may answer by a form on its own page, which is another site.
            vec![
                "__Host-muster_flow",
                "HttpOnly",
                "Max-Age=600",
                "Path=/",
                "SameSite=None",
                "Secure"
            ],
            vec!["__Host-muster_session", "HttpOnly", "Path=/", "SameSite=Lax", "Secure"],
            vec![
                "__Host-muster_session",
                "HttpOnly",
                "Max-Age=0",
                "Path=/",
                "SameSite=Lax",
                "Secure"
            ],
        ]
    );
}

/// `__Host-` keeps a neighbour of the host from setting our cookies only as far as browsers see it: to
/// them `%5F_Host-muster_session` is a name like any other, and so it has to be to us.
async fn a_name_that_is_written_in_another_way_is_another_name(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        "https://muster.example.com".clone_into(&mut settings.public_url);
    })
    .await;
    let login = Login::new(&app).await;
    let (_, begun) = begin(&login).await;
    login.provider.gives(login.token(&app, &begun));
    let mine = cookie(&login.come_back(&begun).await.expect(303));
    let (name, value) = mine.split_once('=').expect("a pair");
    assert_eq!(name, "__Host-muster_session");
    login.get("/userinfo", Some(&mine)).await.expect(200);
    let others = [
        "%5F%5FHost-muster_session",
        "__Host-muster%5Fsession",
        "__Host%2Dmuster_session",
        "__host-muster_session",
        "__HOST-MUSTER_SESSION",
        "\u{2000}__Host-muster_session",
        "\u{a0}__Host-muster_session",
        "\u{85}__Host-muster_session",
        "__Host-muster_session ",
        "\"__Host-muster_session\"",
        "=__Host-muster_session",
        "$__Host-muster_session",
        "muster_session",
    ];
    for other in others {
        login.get("/userinfo", Some(&format!("{other}={value}"))).await.expect(401);
        // Nor does one that a neighbour has planted so count as ours come twice.
        let both = format!("{other}=x; {mine}");
        login.get("/userinfo", Some(&both)).await.expect(200);
    }
    for value in [format!("\"{value}\""), value.replacen('_', "%5F", 1), format!("{value}=")] {
        login.get("/userinfo", Some(&format!("{name}={value}"))).await.expect(401);
    }
    // What is no cookie at all takes ours away from nobody.
    for beside in ["x", "=", "%ff=%ff", "a=\u{2000}", ";;"] {
        login.get("/userinfo", Some(&format!("{beside}; {mine}; {beside}"))).await.expect(200);
    }
    // A sign-in under way is bound to the browser in the same way.
    let (_, attacker) = begin(&login).await;
    login.provider.gives(login.token(&app, &attacker));
    let planted = attacker.cookie.replacen("__", "%5F%5F", 1);
    assert_ne!(planted, attacker.cookie);
    let answer = encoded(&[("code", "c"), ("state", &attacker.state)]);
    let answer = login.get(&format!("/login/callback?{answer}"), Some(&planted)).await;
    is_refusal_saying(&answer, 400, STALE);
}

async fn on_this_machine_cookies_are_as_locked_as_can_be(app: TestApp) {
    let own = app.base_url.clone();
    assert_eq!(
        all(&app, &own).await,
        [
            vec!["muster_flow", "HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax"],
            vec!["muster_session", "HttpOnly", "Path=/", "SameSite=Lax"],
            vec!["muster_session", "HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax"],
        ]
    );
}
