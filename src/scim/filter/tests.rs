use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::super::path::AttrPath;
use super::super::quirks::{Quirk, Quirks};
use super::super::schema::Registry;
use super::*;

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::builtin().expect("the embedded schemas"));

fn ann() -> Map<String, Json> {
    let document = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "2819c223",
        "externalId": "Anna-1",
        "userName": "Ann@Example.com",
        "name": {"givenName": "Ann", "familyName": "Ångström"},
        "active": true,
        "profileUrl": "https://example.com/Ann",
        "emails": [
            {"value": "ann@example.com", "type": "work", "primary": true},
            {"value": "ann@home.example", "type": "home"},
        ],
        "meta": {"created": "2026-01-31T09:00:00Z", "resourceType": "User"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "employeeNumber": "701984",
            "manager": {"value": "26118915"},
        },
    });
    document.as_object().expect("an object").clone()
}

fn asked(text: &str) -> bool {
    let expression = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let filter = check(&expression, REGISTRY.user(), &mut Quirks::default())
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    matches(&filter, &ann())
}

fn refusal(text: &str) -> FilterError {
    match parse(text) {
        Err(error) => error,
        Ok(expression) => check(&expression, REGISTRY.user(), &mut Quirks::default())
            .err()
            .unwrap_or_else(|| panic!("{text} is accepted")),
    }
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7644 figure 2.
    for text in [
        r#"userName eq "bjensen""#,
        r#"name.familyName co "O'Malley""#,
        r#"userName sw "J""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
        "title pr",
        r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
        r#"meta.lastModified ge "2011-05-13T04:42:34Z""#,
        r#"meta.lastModified lt "2011-05-13T04:42:34Z""#,
        r#"meta.lastModified le "2011-05-13T04:42:34Z""#,
        r#"title pr and userType eq "Employee""#,
        r#"title pr or userType eq "Intern""#,
        r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
        r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#,
        r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#,
        r#"userType eq "Employee" and (emails.type eq "work")"#,
        r#"userType eq "Employee" and emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#,
    ] {
        let expression = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        check(&expression, REGISTRY.user(), &mut Quirks::default())
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parse(&expression.to_string()), Ok(expression), "{text}");
    }
}

#[test]
fn every_operator_means_what_the_rfc_says() {
    for text in [
        r#"userName eq "ANN@example.COM""#,
        r#"userName ne "bob""#,
        r#"userName co "@EXAMPLE""#,
        r#"userName sw "ann""#,
        r#"userName ew ".COM""#,
        r#"userName gt "ANM""#,
        r#"userName ge "ann@example.com""#,
        r#"userName lt "b""#,
        r#"userName le "ann@example.com""#,
        "userName pr",
        "active eq true",
        "active eq TRUE",
        r#"active eq "True""#,
        "active ne false",
        "title eq null",
        "userName ne null",
        r#"title ne "Engineer""#,
        r#"meta.created eq "2026-01-31T10:00:00+01:00""#,
        r#"meta.created lt "2026-01-31T09:00:00.001Z""#,
        r#"name.familyName eq "ångSTRÖM""#,
        r#"userName eq "\u0041nn@example.com""#,
    ] {
        assert!(asked(text), "{text}");
    }
    for text in [
        r#"userName eq "ann""#,
        r#"userName ne "ANN@EXAMPLE.COM""#,
        r#"externalId eq "anna-1""#,
        r#"profileUrl eq "https://example.com/ann""#,
        "title pr",
        r#"title eq "Engineer""#,
        r#"title gt "A""#,
        r#"meta.created gt "2026-01-31T09:00:00Z""#,
        "userName eq null",
    ] {
        assert!(!asked(text), "{text}");
    }
}

#[test]
fn a_value_path_is_about_one_element() {
    assert!(asked(r#"emails[type eq "home" and value co "home"]"#));
    assert!(asked(r#"emails.type eq "home" and emails.value eq "ann@example.com""#));
    assert!(!asked(r#"emails[type eq "home" and value eq "ann@example.com"]"#));
    assert!(asked(r#"emails[not (type eq "work")]"#));
    assert!(asked(r"emails[primary eq true]"));
    assert!(!asked(r#"emails[primary eq true and type eq "home"]"#));
    assert!(asked(r#"name[givenName eq "ann" and familyName pr]"#));
    assert!(asked(r#"emails[type eq "work"].value eq "ANN@example.com""#));
    assert!(!asked(r#"emails[type eq "home"].value eq "ann@example.com""#));
    assert!(asked(r#"schemas[value eq "urn:ietf:params:scim:schemas:core:2.0:User"]"#));
}

#[test]
fn names_are_found_in_any_case_and_under_their_urn() {
    assert!(asked(r#"USERNAME EQ "ann@example.com" AND Name.GivenName Pr"#));
    assert!(asked(r#"urn:IETF:params:scim:schemas:core:2.0:user:emails[TYPE eq "work"]"#));
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert!(asked(&format!(r#"{enterprise}:employeeNumber eq "701984""#)));
    assert!(asked(&format!(r#"{enterprise}:manager.value eq "26118915""#)));
    assert!(asked(&format!(r#"{enterprise}:manager eq "26118915""#)));
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    assert!(asked(r"active eq true or title pr and nickName pr"));
    assert!(!asked(r"(active eq true or title pr) and nickName pr"));
    assert!(asked(r"not (title pr) and active eq true"));
    assert!(asked(r"not(title pr)"), "white space before the parenthesis is optional");
    let nested = parse(r"a pr or b pr and c pr or d pr").map(|read| read.to_string());
    assert_eq!(nested.as_deref(), Ok("a pr or b pr and c pr or d pr"));
}

#[test]
fn what_clients_get_wrong_is_read_and_named() {
    let tolerances = |text| parse_with_quirks(text).map(|parsed| parsed.tolerances);
    assert_eq!(tolerances("externalId eq jyoung"), Ok(vec![Quirk::UnquotedValue]));
    assert_eq!(
        tolerances(r#"emails[type eq "work"].value eq "x""#),
        Ok(vec![Quirk::ComparedValuePath])
    );
    assert_eq!(tolerances(r#"externalId eq "jyoung""#), Ok(Vec::new()));
}

#[test]
fn an_extensions_attribute_may_stand_without_its_urn() {
    let used = |text: &str| {
        let mut quirks = Quirks::default();
        let expression = parse(text).expect("a filter");
        check(&expression, REGISTRY.user(), &mut quirks).map(|_| quirks.iter().collect::<Vec<_>>())
    };
    assert!(asked(r#"manager eq "26118915" and employeeNumber pr"#));
    assert!(!asked(r#"manager eq "26118916""#));
    assert_eq!(used(r#"manager eq "x""#), Ok(vec![Quirk::UnqualifiedExtension]));
    let qualified = r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "x""#;
    assert_eq!(used(qualified), Ok(vec![]));
    assert!(used("managers pr").is_err());
}

#[test]
fn a_number_of_many_digits_is_read_exactly() {
    let text = format!("a le {}", "6".repeat(39));
    let read = parse(&text).expect("a filter");
    assert_eq!(parse(&read.to_string()), Ok(read));
}

#[test]
fn a_bad_filter_says_what_is_wrong_and_where() {
    for (text, want) in [
        ("", "at byte offset 0: expected an attribute name, `not (` or `(`, found the end"),
        ("userName", "at byte offset 8: expected an operator"),
        ("userName eq", "at byte offset 11: expected a value"),
        ("userName = \"x\"", "at byte offset 9: expected an operator"),
        ("userName eq \"x", "at byte offset 12: the string that begins here has no closing quote"),
        ("userName eq \"\\x\"", "at byte offset 12: the string that begins here is no JSON string"),
        ("userName eq \"\\ud800\"", "is no JSON string"),
        ("userName eq \"\\u0000\"", "NUL"),
        ("userName eq 'x'", "expected a value"),
        ("userName eq “x”", "expected a value"),
        ("userName eq \"x\" and", "found the end"),
        ("userName eq \"x\" nickName pr", "expected `and`, `or` or the end"),
        ("(userName pr", "expected `and`, `or` or `)`, found the end"),
        ("userName pr)", "found `)`"),
        ("emails[type pr", "expected `and`, `or` or `]`"),
        ("emails[type[a pr]]", "brackets cannot stand inside brackets"),
        ("emails[]", "expected an attribute name"),
        ("userName eq 1e999", "the number is too large"),
        ("user name pr", "expected an operator"),
        ("use&r pr", "an attribute path is a name"),
        ("shoeSize pr", "User has no attribute shoeSize"),
        ("name.shoeSize pr", "User has no attribute name.shoeSize"),
        ("emails[shoeSize pr]", "emails has no attribute shoeSize"),
        ("urn:x:y:userName pr", "User has no attribute urn:x:y:userName"),
        ("password eq \"x\"", "password cannot be used in a filter"),
        ("password pr", "password cannot be used in a filter"),
        ("userName[value pr]", "userName is a single simple value"),
        ("name eq \"x\"", "name has sub-attributes; compare one of them, as in name.formatted"),
        ("active gt true", "gt cannot be used with active, which is of type boolean"),
        ("active co \"t\"", "co cannot be used with active"),
        ("active eq 1", "active is of type boolean and must be compared with true or false"),
        ("userName eq true", "userName is of type string and must be compared with a string"),
        ("userName gt null", "null can be compared with eq and ne only"),
        ("meta.created gt \"soon\"", "must be compared with a date and time"),
        ("meta.created co \"2026\"", "co cannot be used with meta.created"),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User pr",
            "is a schema; name one of its attributes",
        ),
    ] {
        let said = refusal(text).to_string();
        assert!(said.contains(want), "{text}: {said}");
    }
}

#[test]
fn a_message_never_repeats_a_value() {
    for text in ["userName eq \"secret-value\" x", "secret-value", "userName secret-value \"x\""] {
        assert!(!refusal(text).to_string().contains("secret-value \""), "{text}");
    }
    assert_eq!(
        refusal("userName eq \"a\" \"secret\"").to_string(),
        "at byte offset 16: expected `and`, `or` or the end, found a string"
    );
}

#[test]
fn the_limits_hold() {
    let nested = |levels: usize| format!("{}title pr{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(matches!(parse(&nested(MAX_DEPTH + 1)), Err(FilterError::TooDeep { .. })));
    let negated =
        |levels: usize| format!("{}title pr{}", "not(".repeat(levels), ")".repeat(levels));
    assert!(matches!(parse(&negated(MAX_DEPTH + 1)), Err(FilterError::TooDeep { .. })));
    let deep = format!("{}emails[type pr]{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    assert!(matches!(parse(&deep), Err(FilterError::TooDeep { .. })));
    let terms = |count: usize| vec!["a pr"; count].join(" or ");
    assert!(parse(&terms(MAX_TERMS)).is_ok());
    assert!(matches!(parse(&terms(MAX_TERMS + 1)), Err(FilterError::TooManyTerms { .. })));
    let long = format!("userName eq \"{}\"", "x".repeat(MAX_LENGTH));
    assert!(matches!(parse(&long), Err(FilterError::TooLong { .. })));
    assert!(matches!(parse(&"(".repeat(MAX_LENGTH)), Err(FilterError::TooDeep { .. })));
}

#[test]
fn a_patch_path_is_taken_apart() {
    let path =
        |text: &str| parse_patch_path(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(path("members").path, AttrPath::split("members"));
    assert_eq!(path("name.familyName").path.sub.as_deref(), Some("familyName"));
    assert_eq!(path(&format!("{enterprise}:manager")).path.urn.as_deref(), Some(enterprise));
    assert_eq!(path(enterprise).path.as_urn().as_deref(), Some(enterprise));
    let work = path(r#"addresses[type eq "work"].Formatted"#);
    assert_eq!(work.filter.map(|filter| filter.to_string()).as_deref(), Some(r#"type eq "work""#));
    assert_eq!(work.sub.as_deref(), Some("Formatted"));
    assert_eq!(path(r#"members[value eq "2819c223"]"#).sub, None);
    for wrong in [
        "",
        "members[",
        "members[]",
        "members[value]",
        "a b",
        "emails[type pr]x",
        "emails[type pr].",
        "a[b pr].c d",
        "[type pr]",
        "\"x\"",
    ] {
        assert!(parse_patch_path(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_no_type_has_is_an_error_and_what_one_type_lacks_has_no_value() {
    let both = [REGISTRY.user().as_ref(), REGISTRY.group().as_ref()];
    let read =
        |text: &str| check_each(&parse(text).expect("a filter"), both, &mut Quirks::default());
    let group = json!({"displayName": "Ann"}).as_object().expect("an object").clone();
    let on_group = |text: &str| {
        let [_, filter] = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        matches(&filter, &group)
    };
    assert!(!on_group(r#"userName eq "ann""#));
    assert!(on_group(r#"userName ne "ann""#));
    assert!(on_group("userName eq null"));
    assert!(!on_group("userName ne null"));
    assert!(!on_group("userName pr"));
    assert!(!on_group(r#"emails[type eq "work"]"#));
    assert!(on_group(r#"displayName eq "ann" and not (userName pr)"#));
    assert!(matches!(read("shoeSize pr"), Err(FilterError::UnknownAttribute { .. })));
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        "[^\\x00]{0,12}".prop_map(Literal::String),
        any::<i64>().prop_map(|number| Literal::Number(number.into())),
        any::<bool>().prop_map(Literal::Boolean),
        Just(Literal::Null),
    ]
}

fn attribute_path() -> impl Strategy<Value = AttrPath> {
    let urn = prop::option::of("urn:[a-z]{1,5}:[a-zA-Z0-9.]{1,8}");
    let name = "[a-zA-Z][a-zA-Z0-9_-]{0,8}";
    (urn, name, prop::option::of(name))
        .prop_map(|(urn, name, sub)| AttrPath { urn, name, sub })
        // A path of these names could not be told from a keyword by a reader either.
        .prop_filter("keywords", |path| {
            !["and", "or", "not"].contains(&path.name.to_lowercase().as_str())
        })
}

fn comparison() -> impl Strategy<Value = Expression> {
    prop_oneof![
        (attribute_path(), prop::sample::select(Operator::ALL.to_vec()), literal())
            .prop_map(|(path, op, value)| Expression::Compare { path, op, value }),
        attribute_path().prop_map(Expression::Present),
    ]
}

fn logic(leaf: impl Strategy<Value = Expression> + 'static) -> impl Strategy<Value = Expression> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn expression() -> impl Strategy<Value = Expression> {
    let value_path = (attribute_path(), logic(comparison().boxed()))
        .prop_map(|(path, filter)| Expression::ValuePath { path, filter: Box::new(filter) });
    logic(prop_oneof![4 => comparison(), 1 => value_path].boxed())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(expression in expression()) {
        prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        if let Ok(expression) = parse(&text) {
            let _ = check(&expression, REGISTRY.user(), &mut Quirks::default()).map(|filter| matches(&filter, &ann()));
        }
        let _ = parse_patch_path(&text);
    }

    #[test]
    fn text_like_a_filter_is_read_or_refused(
        words in prop::collection::vec(prop::sample::select(vec![
            "userName", "emails", "name.givenName", "eq", "pr", "and", "or", "not", "(", ")", "[",
            "]", "\"x\"", "\"", "true", "null", "1", "-", ".value", "urn:a:b",
        ]), 0..24)
    ) {
        let text = words.join(" ");
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
        }
    }

    #[test]
    fn a_negation_is_the_opposite(text in "[a-z@.]{0,6}", op in prop::sample::select(Operator::ALL.to_vec())) {
        let term = format!("userName {op} \"{text}\"");
        prop_assert_ne!(asked(&term), asked(&format!("not ({term})")));
    }
}
