use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::order::tests::reachable;
use super::*;
use crate::scim::ScimType;
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::patch::MemberStep;
use crate::scim::quirks::{Quirk, Quirks};
use crate::scim::schema::Registry;

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::builtin().expect("the schema files that come with the program"));

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[expect(clippy::needless_pass_by_value, reason = "called with json!([…]) written in place")]
fn body(operations: Value) -> Value {
    json!({ "schemas": [BULK_REQUEST_SCHEMA], "Operations": operations })
}

fn job(operations: Value) -> Job {
    Job::parse(body(operations), &mut Quirks::default()).expect("a job")
}

fn refused(body: Value) -> ScimError {
    Job::parse(body, &mut Quirks::default()).expect_err("a job that is refused")
}

fn user(bulk_id: &str, manager: Option<&str>) -> Value {
    let mut data = json!({ "userName": bulk_id });
    if let Some(manager) = manager {
        data[ENTERPRISE] = json!({ "manager": { "value": manager } });
    }
    json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data })
}

/// A store that knows what was written, in order, and refuses what it is told to.
#[derive(Default)]
struct Store {
    writes: Vec<Write>,
    refuses: BTreeSet<String>,
}

impl Store {
    /// New resources have the id `id-NAME`.
    fn write(&mut self, write: &Write) -> ScimResult<Written> {
        let (id, name) = match &write.verb {
            Verb::Create { document, .. } => {
                let key =
                    if write.endpoint == Endpoint::Users { "userName" } else { "displayName" };
                let name = document.text(key).expect("a name");
                (format!("id-{name}"), name.to_owned())
            }
            Verb::Replace { id, .. } | Verb::Patch { id, .. } | Verb::Delete { id } => {
                (id.clone(), id.clone())
            }
        };
        self.writes.push(write.clone());
        if self.refuses.contains(&name) {
            return Err(ScimError::uniqueness("taken"));
        }
        let version = (!matches!(write.verb, Verb::Delete { .. })).then(|| "W/\"1\"".to_owned());
        Ok(Written { id, version, quirks: Quirks::default() })
    }

    /// Carries a job out; a step that fails is taken back.
    fn carry_out(&mut self, job: Job) -> Value {
        let mut run = Run::new(job);
        while let Some(step) = run.next(&REGISTRY) {
            let before = self.writes.len();
            match step.carry_out(&REGISTRY, |write| self.write(write)) {
                Ok(done) => run.succeed(done),
                Err(broken) => {
                    self.writes.truncate(before);
                    run.fail(&step.places(), &broken);
                }
            }
        }
        run.answer("https://example.com")
    }
}

fn carried_out(operations: Value) -> (Value, Vec<Write>) {
    let mut store = Store::default();
    let answer = store.carry_out(job(operations));
    (answer["Operations"].clone(), store.writes)
}

fn statuses(results: &Value) -> Vec<&str> {
    let results = results.as_array().expect("results");
    results.iter().map(|result| result["status"].as_str().expect("a status")).collect()
}

/// What a write says of the manager.
fn manager(write: &Write) -> Option<&str> {
    let (Verb::Create { document, .. } | Verb::Replace { document, .. }) = &write.verb else {
        return None;
    };
    document.as_map().get(ENTERPRISE)?.get("manager")?.get("value")?.as_str()
}

#[test]
fn what_is_no_job_fails_as_a_whole() {
    let operations = json!([user("a", None)]);
    for wrong in [
        json!([]),
        json!({ "schemas": [BULK_REQUEST_SCHEMA] }),
        body(json!([])),
        body(json!({})),
        body(json!([user("a", None), "x"])),
        body(json!([user("a", None), user("a", None)])),
        json!({ "schemas": ["urn:x"], "Operations": operations }),
        json!({ "schemas": 5, "Operations": operations }),
        json!({ "failOnErrors": 0, "Operations": operations }),
        json!({ "failOnErrors": -1, "Operations": operations }),
        json!({ "failOnErrors": "1", "Operations": operations }),
        json!({ "failOnErrors": 1.5, "Operations": operations }),
    ] {
        let error = refused(wrong.clone());
        assert_eq!(
            (error.status, error.scim_type),
            (400, Some(ScimType::InvalidSyntax)),
            "{wrong}"
        );
    }
    let many = |count: usize| body((0..count).map(|n| user(&n.to_string(), None)).collect());
    let error = refused(many(MAX_BULK_OPERATIONS + 1));
    assert_eq!(error.status, 413);
    assert!(error.detail.contains("1000"), "{error}");
    assert!(Job::parse(many(MAX_BULK_OPERATIONS), &mut Quirks::default()).is_ok());
}

#[test]
fn names_are_read_in_any_case_and_methods_too() {
    let mut quirks = Quirks::default();
    let job = json!({
        "SCHEMAS": [BULK_REQUEST_SCHEMA.to_uppercase()], "FAILONERRORS": null,
        "operations": [{ "Method": "post", "BULKID": "a", "Path": "/Users", "DATA": { "userName": "a" } }],
    });
    let job = Job::parse(job, &mut quirks).expect("a job");
    assert!(quirks.is_empty());
    let answer = Store::default().carry_out(job);
    assert_eq!(
        answer,
        json!({
            "schemas": [BULK_RESPONSE_SCHEMA],
            "Operations": [{
                "location": "https://example.com/Users/id-a",
                "method": "POST", "bulkId": "a", "version": "W/\"1\"", "status": "201",
            }],
        })
    );
}

#[test]
fn an_operation_that_is_wrong_fails_alone() {
    let data = json!({ "userName": "x" });
    for (operation, status, location) in [
        (json!({}), "400", None),
        (json!({ "method": 5, "path": "/Users/x" }), "400", Some("/Users/x")),
        (json!({ "method": "GET", "path": "/Users/x" }), "405", Some("/Users/x")),
        (json!({ "method": "POST", "path": "/Users", "data": data }), "400", None),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "", "data": data }), "400", None),
        (json!({ "method": "POST", "path": "/Users", "bulkId": 7, "data": data }), "400", None),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "b" }), "400", None),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "b", "data": [] }), "400", None),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "b", "data": {} }), "400", None),
        (json!({ "method": "POST", "path": "/Users/x", "bulkId": "b", "data": data }), "405", None),
        (json!({ "method": "POST", "path": "/Nope", "bulkId": "b", "data": data }), "404", None),
        (json!({ "method": "POST", "path": "/users", "bulkId": "b", "data": data }), "404", None),
        (json!({ "method": "POST", "bulkId": "b", "data": data }), "400", None),
        (json!({ "method": "DELETE", "path": "/Users" }), "405", Some("/Users")),
        (json!({ "method": "DELETE", "path": "" }), "404", Some("/")),
        (json!({ "method": "DELETE", "path": "/Users/a/b" }), "404", Some("/Users/a/b")),
        (json!({ "method": "DELETE", "path": "/Users/a\u{0}" }), "404", Some("/Users/a%00")),
        (json!({ "method": "DELETE", "path": "/Users/a?x=1" }), "400", Some("/Users/a%3Fx%3D1")),
        (json!({ "method": "DELETE", "path": "/Schemas/x" }), "405", Some("/Schemas/x")),
        (json!({ "method": "PATCH", "path": "/Me", "data": {} }), "404", Some("/Me")),
        (
            json!({ "method": "PUT", "path": "/Users/a b", "data": data, "version": 3 }),
            "400",
            Some("/Users/a%20b"),
        ),
        (json!({ "method": "PUT", "path": "/Users/x" }), "400", Some("/Users/x")),
        (json!({ "method": "PATCH", "path": "/Users/x", "data": "x" }), "400", Some("/Users/x")),
        (json!({ "method": "PATCH", "path": "/Users/x", "data": {} }), "400", Some("/Users/x")),
        (
            json!({ "method": "PATCH", "path": "/Users/x", "data": [{ "op": "x" }] }),
            "400",
            Some("/Users/x"),
        ),
    ] {
        let (results, writes) = carried_out(json!([operation, user("a", None)]));
        assert_eq!(statuses(&results), [status, "201"], "{operation}");
        assert_eq!(writes.len(), 1, "{operation}");
        let result = &results[0];
        let location = location.map(|path| format!("https://example.com{path}"));
        assert_eq!(
            result.get("location").and_then(Value::as_str),
            location.as_deref(),
            "{operation}"
        );
        assert_eq!(result["response"]["status"], status, "{operation}");
        assert!(result["response"]["detail"].is_string(), "{operation}");
        assert_eq!(result.get("method"), operation.get("method").filter(|m| m.is_string()));
    }
}

#[test]
fn paths_may_do_without_the_slash() {
    for path in ["/Users/x", "Users/x", "/Users/x/"] {
        let (results, writes) = carried_out(json!([{ "method": "delete", "path": path }]));
        assert_eq!(
            results,
            json!([{ "location": "https://example.com/Users/x", "method": "DELETE", "status": "204" }])
        );
        assert!(matches!(&writes[0].verb, Verb::Delete { id } if id == "x"));
    }
}

#[test]
fn a_patch_may_be_the_bare_operations() {
    let operations = json!([{ "op": "replace", "path": "title", "value": "x" }]);
    let patch = |data: &Value| json!([{ "method": "PATCH", "path": "/Users/x", "data": data }]);
    let mut quirks = Quirks::default();
    Job::parse(body(patch(&operations)), &mut quirks).expect("a job");
    assert_eq!(quirks.iter().map(Quirk::name).collect::<Vec<_>>(), ["bare-patch-operations"]);
    assert_eq!(statuses(&carried_out(patch(&operations)).0), ["200"]);
}

#[test]
fn references_are_replaced_wherever_they_point() {
    let group = json!({
        "method": "POST", "path": "/Groups", "bulkId": "g",
        "data": { "displayName": "g", "members": [{ "value": "bulkId:b" }, "bulkId:a"] },
    });
    let patch = json!({
        "method": "PATCH", "path": "/Groups/bulkId:g",
        "data": { "Operations": [{ "op": "remove", "path": "members[value eq \"bulkId:a\"]" }] },
    });
    let delete = json!({ "method": "DELETE", "path": "/Users/bulkId:b" });
    // The user `a` is created before `b`, whose manager it is, and both before the group.
    let operations = json!([group, patch, user("b", Some("bulkId:a")), delete, user("a", None)]);
    let (results, writes) = carried_out(operations);
    assert_eq!(statuses(&results), ["201", "200", "201", "204", "201"]);
    let order: Vec<String> = writes
        .iter()
        .map(|write| match &write.verb {
            Verb::Create { document, members } => {
                let name = document.text("userName").or(document.text("displayName"));
                format!("{} {members:?}", name.expect("a name"))
            }
            Verb::Patch { id, plan } => format!("{id} {:?}", plan.members),
            Verb::Replace { id, .. } | Verb::Delete { id } => id.clone(),
        })
        .collect();
    let removed = MemberStep::Delta {
        replace: false,
        add: BTreeSet::new(),
        remove: ["id-a".to_owned()].into(),
    };
    assert_eq!(
        order,
        ["a {}", "b {}", "g {\"id-a\", \"id-b\"}", &format!("id-g [{removed:?}]"), "id-b"]
    );
    assert_eq!(manager(&writes[1]), Some("id-a"));
    assert_eq!(results[1]["location"], "https://example.com/Groups/id-g");
}

#[test]
fn a_reference_to_nothing_fails_its_operation() {
    let delete = json!({ "method": "DELETE", "path": "/Users/x", "bulkId": "d" });
    let patch = json!({
        "method": "PATCH", "path": "/Users/y", "bulkId": "p",
        "data": { "Operations": [{ "op": "replace", "path": "title", "value": "x" }] },
    });
    for (operation, word) in [
        (user("a", Some("bulkId:none")), "none"),
        (user("a", Some("bulkId:d")), "DELETE"),
        (json!({ "method": "DELETE", "path": "/Users/bulkId:none" }), "none"),
        (json!({ "method": "DELETE", "path": "/Users/bulkId:p" }), "POST"),
    ] {
        let (results, _) = carried_out(json!([operation, delete, patch]));
        assert_eq!(statuses(&results), ["400", "204", "200"], "{operation}");
        let error = &results[0]["response"];
        assert_eq!(error["scimType"], "invalidValue");
        assert!(error["detail"].as_str().expect("a detail").contains(word), "{error}");
    }
    let long = "x".repeat(100_000);
    let (results, _) = carried_out(json!([user("a", Some(&format!("bulkId:{long}")))]));
    assert!(results[0].to_string().len() < 1000);
}

#[test]
fn what_refers_to_a_failed_operation_fails_with_it() {
    let operations = json!([
        user("c", Some("bulkId:b")),
        user("b", Some("bulkId:a")),
        user("a", None),
        user("d", None),
    ]);
    let mut store = Store { refuses: ["a".to_owned()].into(), ..Store::default() };
    let answer = store.carry_out(job(operations));
    let results = &answer["Operations"];
    assert_eq!(statuses(results), ["409", "409", "409", "201"]);
    for (place, name) in [(0, "'b'"), (1, "'a'")] {
        let detail = results[place]["response"]["detail"].as_str().expect("a detail");
        assert!(detail.contains(name), "{detail}");
        assert_eq!(results[place]["response"].get("scimType"), None);
    }
    assert_eq!(results[2]["response"]["scimType"], "uniqueness");
}

#[test]
fn a_circle_is_created_first_and_completed_then() {
    let operations = json!([user("a", Some("bulkId:b")), user("b", Some("bulkId:a"))]);
    let (results, writes) = carried_out(operations);
    assert_eq!(statuses(&results), ["201", "201"]);
    let managers: Vec<Option<&str>> = writes.iter().map(manager).collect();
    assert_eq!(managers, [None, None, Some("id-b"), Some("id-a")]);
    assert!(matches!(&writes[2].verb, Verb::Replace { id, .. } if id == "id-a"));
}

#[test]
fn whoever_refers_to_oneself_is_a_circle_too() {
    let (results, writes) = carried_out(json!([user("a", Some("bulkId:a"))]));
    assert_eq!(statuses(&results), ["201"]);
    assert_eq!(writes.iter().map(manager).collect::<Vec<_>>(), [None, Some("id-a")]);
}

#[test]
fn a_change_may_be_part_of_a_circle() {
    let put = json!({
        "method": "PUT", "path": "/Users/id-p", "bulkId": "p",
        "data": { "userName": "p", ENTERPRISE: { "manager": { "value": "bulkId:a" } } },
    });
    let patch = json!({
        "method": "PATCH", "path": "/Users/bulkId:a", "bulkId": "q",
        "data": { "Operations": [{ "op": "replace", "path": "title", "value": "x" }] },
    });
    let operations = json!([
        put,
        patch,
        user("a", Some("bulkId:p")),
        user("b", Some("bulkId:q")),
        user("c", Some("bulkId:p"))
    ]);
    let (results, writes) = carried_out(operations);
    assert_eq!(statuses(&results), ["200", "200", "201", "201", "201"]);
    // The id of what is there already is known from the start, and the PUT comes last.
    let managers: Vec<Option<&str>> = writes.iter().map(manager).collect();
    assert_eq!(
        managers,
        [Some("id-p"), Some("id-p"), Some("id-a"), None, Some("id-a"), Some("id-p")]
    );
}

#[test]
fn a_circle_is_done_whole_or_not_at_all() {
    let operations = json!([
        user("a", Some("bulkId:b")),
        user("b", Some("bulkId:c")),
        user("c", Some("bulkId:a")),
        user("d", Some("bulkId:c")),
        user("e", None),
    ]);
    let mut store = Store { refuses: ["b".to_owned()].into(), ..Store::default() };
    let answer = store.carry_out(job(operations));
    let results = &answer["Operations"];
    assert_eq!(statuses(results), ["409", "409", "409", "409", "201"]);
    assert_eq!(results[1]["response"]["scimType"], "uniqueness");
    for (place, name) in [(0, "'b'"), (2, "'b'"), (3, "'c'")] {
        let detail = results[place]["response"]["detail"].as_str().expect("a detail");
        assert!(detail.contains(name), "{detail}");
    }
    assert_eq!(store.writes.len(), 1);
}

#[test]
fn what_an_earlier_operation_makes_room_for_stays_behind_it() {
    let put = |id: &str, manager: &str| {
        json!({
            "method": "PUT", "path": format!("/Users/{id}"),
            "data": { "userName": id, ENTERPRISE: { "manager": { "value": manager } } },
        })
    };
    let delete = |id: &str| json!({ "method": "DELETE", "path": format!("/Users/{id}") });
    let ids = |operations: Value| -> Vec<String> {
        let (_, writes) = carried_out(operations);
        let id = |write: Write| match write.verb {
            Verb::Create { document, .. } => document.text("userName").expect("a name").to_owned(),
            Verb::Replace { id, .. } | Verb::Patch { id, .. } => id,
            Verb::Delete { id } => format!("-{id}"),
        };
        writes.into_iter().map(id).collect()
    };
    // The reference waits for the creation, and the creation for what it may need.
    let operations = json!([put("x", "bulkId:n"), delete("old"), user("n", None), delete("y")]);
    assert_eq!(ids(operations), ["-old", "n", "x", "-y"]);
    // What is on the same resource waits along.
    let operations = json!([put("x", "bulkId:n"), delete("x"), delete("y"), user("n", None)]);
    assert_eq!(ids(operations), ["-y", "n", "x", "-x"]);
    // So does the deletion of what the waiting one mentions.
    let patch = json!({
        "method": "PATCH", "path": "/Groups/g", "data": { "Operations": [
            { "op": "add", "path": "members", "value": [{ "value": "bulkId:n" }] },
            { "op": "remove", "path": "members[value eq \"x\"]" },
        ] },
    });
    let operations = json!([patch, delete("x"), user("n", None)]);
    assert_eq!(ids(operations), ["n", "g", "-x"]);
    // A circle waits for the last of it.
    let operations = json!([
        user("a", Some("bulkId:b")),
        delete("old"),
        user("b", Some("bulkId:a")),
        delete("y")
    ]);
    assert_eq!(ids(operations), ["-old", "a", "b", "id-a", "id-b", "-y"]);
}

#[test]
fn errors_end_the_job_when_there_are_enough() {
    let operations = json!([
        user("a", None),
        { "method": "DELETE", "path": "/Nope" },
        user("b", None),
        user("c", Some("bulkId:none")),
        user("d", None),
    ]);
    for (limit, processed) in [(1, 2), (2, 4), (3, 5)] {
        let mut body = body(operations.clone());
        body["failOnErrors"] = json!(limit);
        let job = Job::parse(body, &mut Quirks::default()).expect("a job");
        let answer = Store::default().carry_out(job);
        assert_eq!(answer["Operations"].as_array().map(Vec::len), Some(processed), "{limit}");
    }
}

#[test]
fn what_is_abandoned_is_answered() {
    let error = ScimError::new(503, "gone");
    let operations = json!([user("a", None), user("b", Some("bulkId:a")), user("c", None)]);
    let mut run = Run::new(job(operations.clone()));
    run.abandon(&error);
    assert_eq!(statuses(&run.answer("")["Operations"]), ["503", "503", "503"]);
    let mut body = body(operations);
    body["failOnErrors"] = json!(2);
    let mut run = Run::new(Job::parse(body, &mut Quirks::default()).expect("a job"));
    run.abandon(&error);
    assert_eq!(statuses(&run.answer("")["Operations"]), ["503", "503"]);
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_reference_stays(
        managers in prop::collection::vec(prop::option::of(0..12_usize), 1..12),
        refuses in prop::collection::btree_set(0..12_usize, 0..3),
    ) {
        let count = managers.len();
        let managers: Vec<Option<usize>> =
            managers.into_iter().map(|manager| manager.map(|number| number % count)).collect();
        let operations = managers.iter().enumerate().map(|(number, manager)| {
            let manager = manager.map(|number| format!("bulkId:{number}"));
            user(&number.to_string(), manager.as_deref())
        });
        let refuses: BTreeSet<usize> = refuses.into_iter().filter(|it| *it < count).collect();
        let names = refuses.iter().map(usize::to_string).collect();
        let mut store = Store { refuses: names, ..Store::default() };
        let answer = store.carry_out(job(operations.collect()));
        let results = answer["Operations"].as_array().expect("results");
        prop_assert_eq!(results.len(), count);
        // Whoever leads to nobody that is refused is there, with the manager who was asked for.
        let needs: Vec<BTreeSet<usize>> =
            managers.iter().map(|manager| manager.iter().copied().collect()).collect();
        let reached = reachable(&needs);
        let mut last = BTreeMap::new();
        for write in &store.writes {
            let (Verb::Create { document, .. } | Verb::Replace { document, .. }) = &write.verb else {
                continue;
            };
            last.insert(document.text("userName").expect("a name").to_owned(), manager(write));
        }
        for (number, result) in results.iter().enumerate() {
            let fails = refuses.iter().any(|it| *it == number || reached[number][*it]);
            prop_assert_eq!(&result["status"], if fails { "409" } else { "201" });
            prop_assert_eq!(&result["bulkId"], &number.to_string());
            let manager = managers[number].map(|number| format!("id-{number}"));
            let expected = (!fails).then_some(manager.as_deref());
            prop_assert_eq!(last.get(&number.to_string()).copied(), expected);
        }
    }

    #[test]
    fn any_json_is_read_or_refused_but_never_a_panic(
        method in "(POST|PUT|PATCH|DELETE|x)",
        path in "(/Users|/Groups|/Users/x|/Groups/bulkId:a|bulkId:|/Users/bulkId:|.{0,8})",
        bulk_id in prop::option::of("[ab]?"),
        text in "(bulkId:[ab]?|members\\[value eq \"bulkId:a\"?\\]?|[\\\\\"bulkId:]{0,6})",
    ) {
        for data in [
            json!(text), json!([text]), json!({ "userName": "x", "title": text }),
            json!({ "Operations": [{ "op": "remove", "path": text }] }), Value::Null,
        ] {
            let operation = json!({ "method": method, "path": path, "bulkId": bulk_id, "data": data });
            let body = body(json!([operation, user("b", Some(&text))]));
            if let Ok(job) = Job::parse(body, &mut Quirks::default()) {
                let answer = Store::default().carry_out(job);
                prop_assert_eq!(answer["Operations"].as_array().map(Vec::len), Some(2));
            }
        }
    }
}
