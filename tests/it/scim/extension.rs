//! Extensions of users and groups: the schemas of `tests/fixtures/schemas`, which have an attribute
//! of every type and of every characteristic.

mod changes;
mod orders;
mod unique;

use serde_json::{Value, json};

use super::events;
use crate::support::{Case, ScimClient, TestApp, patch_body, schema_cases};

pub fn cases() -> Vec<Case> {
    let own: &[Case] = schema_cases![
        every_attribute_comes_back,
        the_life_of_an_extended_user,
        the_life_of_an_extended_group,
        what_is_read_can_be_put_back,
        the_schemas_are_served,
        the_resource_types_are_served,
        every_operator_means_what_it_should,
        what_has_no_meaning_is_refused,
        a_single_value_can_be_patched,
        several_simple_values_can_be_patched,
        several_complex_values_can_be_patched,
        an_extension_can_be_patched_whole,
        a_path_that_fits_nothing_is_refused,
        projections_know_the_extension,
        what_is_returned_on_request_is_in_the_answer_that_sets_it,
        what_is_never_returned_is_nowhere,
        a_required_attribute_is_required_where_the_extension_is,
        an_immutable_value_stays,
        what_only_the_server_may_write_is_left_alone,
        a_value_of_the_wrong_type_is_refused,
        the_empty_text_is_no_value,
        a_canonical_value_is_a_suggestion,
    ];
    [own, unique::CASES, changes::CASES, orders::CASES].concat()
}

const ACME: &str = "urn:example:params:scim:schemas:extension:acme:2.0:User";
const ACME_GROUP: &str = "urn:example:params:scim:schemas:extension:acme:2.0:Group";
const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// A value for every attribute of the user's extension that a client can read back.
fn acme() -> Value {
    json!({
        "badge": "B-1",
        "unit": "Ops",
        "contractor": false,
        "workload": 0.8,
        "level": 3,
        "hiredAt": "2024-01-31T09:00:00.5+01:00",
        "handbook": "https://acme.example/Handbook",
        "imprint": "QUJD",
        "origin": "Kiel",
        "status": "present",
        "band": "E5",
        "desk": {
            "building": "Main", "room": "a1", "floor": -1, "width": 1.6, "quiet": true,
            "since": "2025-06-01T00:00:00Z", "map": "urn:acme:map", "lock": "-_-_",
            "tags": ["window", "Corner"], "series": "S1", "note": "oak", "name": "Desk 7",
        },
        "skills": ["Rust", "SQL"],
        "codes": ["x", "X"],
        "shifts": [1, 2],
        "ratios": [0.5, 2.0],
        "reviews": ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00"],
        "links": ["../Users/1", "https://acme.example/A"],
        "answers": [true, false],
        "seals": ["QUI"],
        "parking": ["P1", "P2"],
        "devices": [
            {
                "value": "D-1", "type": "laptop", "display": "Laptop", "primary": true,
                "price": 1999.5, "weight": 1500, "bought": "2025-03-01T12:00:00-05:00",
                "manual": "https://acme.example/D-1", "key": "QUJD", "labels": ["a", "B"],
                "maker": "M1", "remark": "new",
            },
            { "value": "D-2", "type": "phone", "price": 500.0, "weight": 170, "maker": "M2" },
        ],
    })
}

fn ann() -> Value {
    json!({
        "schemas": [CORE, ACME],
        "userName": "ann",
        "pronouns": "she",
        "staffNumber": 7,
        ACME: acme(),
    })
}

/// The extension without what is returned on request alone.
fn shown() -> Value {
    let mut shown = acme();
    let members = shown.as_object_mut().expect("an object");
    members.shift_remove("band");
    members["desk"].as_object_mut().expect("a desk").shift_remove("note");
    members["devices"][0].as_object_mut().expect("a device").shift_remove("remark");
    shown
}

async fn every_attribute_comes_back(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    assert_eq!(made.body["schemas"], json!([CORE, ACME]));
    assert_eq!(made.body[ACME], acme());
    assert_eq!(made.body["pronouns"], "she");
    assert_eq!(made.body["staffNumber"], 7);
    let read = client.get(&format!("/Users/{}", made.id())).await.expect(200).body;
    assert_eq!(read[ACME], shown());
    // Names and URNs are found in any case.
    let shouted = json!({
        "userName": "bob",
        ACME.to_uppercase(): { "UNIT": "Ops", "Desk": { "FLOOR": 2 } },
    });
    let made = client.post("/Users", &shouted).await.expect(201);
    assert_eq!(made.body[ACME], json!({ "unit": "Ops", "desk": { "floor": 2 } }));
}

async fn the_life_of_an_extended_user(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    let path = format!("/Users/{}", made.id());
    // A PUT clears what it leaves out, unless that is immutable.
    let put = json!({ "userName": "ann", ACME: { "unit": "Dev", "level": 4, "origin": "Kiel" } });
    let after = client.put(&path, &put).await.expect(200).body;
    let desk = json!({ "series": "S1" });
    assert_eq!(after[ACME], json!({ "unit": "Dev", "level": 4, "origin": "Kiel", "desk": desk }));
    assert_eq!(after.get("pronouns"), None);
    let patch = patch_body(json!([
        { "op": "add", "path": format!("{ACME}:skills"), "value": ["Go"] },
        { "op": "replace", "value": { "pronouns": "they", ACME: { "level": 5 } } },
        { "op": "remove", "path": format!("{ACME}:status") },
    ]));
    let after = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!(
        after[ACME],
        json!({
            "unit": "Dev", "level": 5, "origin": "Kiel", "desk": desk, "skills": ["Go"],
        })
    );
    assert_eq!(after["pronouns"], "they");
    // Doing it again changes nothing.
    let again = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!(again["meta"], after["meta"]);
    let changes: Vec<Value> =
        events::of(&app, &made.id()).into_iter().map(|(_, data)| data["after"].clone()).collect();
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[0][ACME], acme());
    assert_eq!(changes[2][ACME]["level"], 5);
    client.delete(&path).await.expect(204);
    client.get(&path).await.expect_error(404, None);
    // What was unique is free again.
    client.post("/Users", &ann()).await.expect(201);
}

async fn the_life_of_an_extended_group(app: TestApp) {
    let client = app.scim();
    let member = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({
        "displayName": "Team",
        "members": [{ "value": member }],
        ACME_GROUP: {
            "cost": 4711, "budget": 10.5, "room": "R1",
            "founded": "2020-01-01T00:00:00Z", "aims": ["fun"],
        },
    });
    let made = client.post("/Groups", &group).await.expect(201);
    assert_eq!(made.body[ACME_GROUP], group[ACME_GROUP]);
    let path = format!("/Groups/{}", made.id());
    let patch = patch_body(json!([
        { "op": "add", "path": format!("{ACME_GROUP}:aims"), "value": "profit" },
        { "op": "replace", "path": format!("{ACME_GROUP}:room"), "value": "R2" },
    ]));
    let after = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!(after[ACME_GROUP]["aims"], json!(["fun", "profit"]));
    assert_eq!(after["members"].as_array().map(Vec::len), Some(1), "nobody is lost");
    let found = client.find("/Groups", &format!("{ACME_GROUP}:cost eq 4711")).await;
    assert_eq!(found.len(), 1);
    // The founding is immutable: it stays where a PUT leaves it out, and cannot be another.
    let put = json!({ "displayName": "Team", ACME_GROUP: { "cost": 1 } });
    let after = client.put(&path, &put).await.expect(200).body;
    assert_eq!(after[ACME_GROUP], json!({ "cost": 1, "founded": "2020-01-01T00:00:00Z" }));
    let moved = json!({
        "displayName": "Team",
        ACME_GROUP: { "cost": 1, "founded": "2021-01-01T00:00:00Z" },
    });
    let detail = client.put(&path, &moved).await.expect_error(400, Some("mutability"));
    assert!(detail.contains(&format!("'{ACME_GROUP}:founded'")), "{detail}");
    client.delete(&path).await.expect(204);
}

async fn what_is_read_can_be_put_back(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    let path = format!("/Users/{}", made.id());
    let read = client.get(&path).await.expect(200).body;
    let put = client.put(&path, &read).await.expect(200).body;
    assert_eq!(put, read, "not even the version moves");
    // Also what is returned on request alone is still there, until it is set to nothing.
    let unseen = format!("{path}?attributes={ACME}:band,{ACME}:desk.note,{ACME}:devices.remark");
    let there = client.get(&unseen).await.expect(200).body;
    assert_eq!(there[ACME]["band"], "E5");
    assert_eq!(there[ACME]["desk"]["note"], "oak");
    assert_eq!(there[ACME]["devices"][0]["remark"], "new");
    let mut cleared = read.clone();
    cleared[ACME]["band"] = Value::Null;
    cleared[ACME]["desk"]["note"] = Value::Null;
    client.put(&path, &cleared).await.expect(200);
    let there = client.get(&unseen).await.expect(200).body;
    assert_eq!(there[ACME].get("band"), None);
    assert_eq!(there[ACME]["desk"].get("note"), None);
    // A client that leaves the extension out wants it gone.
    let mut without = read;
    without.as_object_mut().expect("an object").shift_remove(ACME);
    let refused = client.put(&path, &without).await.expect_error(400, Some("invalidValue"));
    assert!(refused.contains(&format!("'{ACME}:unit' is required")), "origin stays: {refused}");
}

async fn the_schemas_are_served(app: TestApp) {
    let client = app.scim();
    let list = client.get("/Schemas").await.expect(200).body;
    assert_eq!(list["totalResults"], 9);
    let schema = client.get(&format!("/Schemas/{ACME}")).await.expect(200).body;
    assert!(list["Resources"].as_array().expect("schemas").contains(&schema));
    let file = include_str!("../../fixtures/schemas/acme-user.json");
    let file: Value = serde_json::from_str(file).expect("JSON");
    assert_eq!(schema["attributes"], file["attributes"]);
    assert_eq!(schema["name"], "AcmeUser");
    let core = client.get(&format!("/Schemas/{CORE}")).await.expect(200).body;
    let names: Vec<&Value> =
        core["attributes"].as_array().expect("attributes").iter().map(|a| &a["name"]).collect();
    assert!(names.contains(&&json!("userName")) && names.contains(&&json!("pronouns")));
}

async fn the_resource_types_are_served(app: TestApp) {
    let client = app.scim();
    let user = client.get("/ResourceTypes/User").await.expect(200).body;
    assert_eq!(
        user["schemaExtensions"],
        json!([
            {
                "schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
                "required": false,
            },
            { "schema": "urn:example:tenure", "required": false },
            { "schema": ACME, "required": false },
        ])
    );
    let group = client.get("/ResourceTypes/Group").await.expect(200).body;
    assert_eq!(group["schemaExtensions"], json!([{ "schema": ACME_GROUP, "required": false }]));
}

/// Filters on the extension that Ann meets, without its URN.
const MATCHING: &[&str] = &[
    // text, exact and not
    "badge eq \"B-1\"",
    "badge sw \"B\"",
    "badge gt \"B-0\"",
    "unit eq \"OPS\"",
    "unit co \"p\"",
    "unit ew \"S\"",
    "unit ne \"Dev\"",
    "unit le \"ops\"",
    "unit pr",
    // boolean
    "contractor eq false",
    "contractor ne true",
    "contractor pr",
    // numbers
    "workload eq 0.8",
    "workload gt 0.79",
    "workload lt 1",
    "workload ne 8e-2",
    "level eq 3",
    "level eq 3.0",
    "level ge 3",
    "level le 3",
    "level gt 2.5",
    "level ne 4",
    // times: the same instant, however it is written
    "hiredAt eq \"2024-01-31T08:00:00.5Z\"",
    "hiredAt eq \"2024-01-31T03:00:00.500-05:00\"",
    "hiredAt gt \"2024-01-31T08:00:00.499999Z\"",
    "hiredAt lt \"2024-01-31T09:00:00Z\"",
    "hiredAt ne \"2024-01-31T09:00:00.5Z\"",
    "hiredAt pr",
    // references and binaries, case exact
    "handbook eq \"https://acme.example/Handbook\"",
    "handbook sw \"https:\"",
    "imprint eq \"QUJD\"",
    "imprint ne \"qujd\"",
    "imprint pr",
    // a complex attribute
    "desk pr",
    "desk.building eq \"main\"",
    "desk.room eq \"a1\"",
    "desk.floor lt 0",
    "desk.width gt 1.5",
    "desk.quiet eq true",
    "desk.since gt \"2025-05-31T23:59:59Z\"",
    "desk.map eq \"urn:acme:map\"",
    "desk.lock eq \"-_-_\"",
    "desk.tags eq \"CORNER\"",
    "desk[building eq \"Main\" and floor eq -1]",
    "desk.note eq \"oak\"",
    // several values
    "skills eq \"rust\"",
    "skills co \"ql\"",
    "skills[value sw \"S\"]",
    "skills pr",
    "codes eq \"X\"",
    "shifts eq 2",
    "shifts gt 1",
    "ratios eq 0.5",
    "ratios lt 1",
    "reviews eq \"2025-12-31T23:00:00Z\"",
    "reviews[value lt \"2025-06-01T00:00:00Z\"]",
    "links eq \"../Users/1\"",
    "answers eq true",
    "seals eq \"QUI\"",
    "parking eq \"p1\"",
    // several complex values
    "devices eq \"d-1\"",
    "devices.value sw \"D\"",
    "devices.price gt 1000",
    "devices.weight le 170",
    "devices.bought eq \"2025-03-01T17:00:00Z\"",
    "devices.key eq \"QUJD\"",
    "devices.labels eq \"B\"",
    "devices.primary eq true",
    "devices[type eq \"laptop\" and weight gt 1000]",
    "devices[labels eq \"a\" and manual pr]",
    "devices[not (key pr)]",
    "devices[remark eq \"NEW\"]",
    "band eq \"e5\"",
    // absent
    "clearance eq null",
    "band ne null",
];

/// Filters that she does not meet.
const OTHERS: &[&str] = &[
    "badge eq \"b-1\"",
    "contractor eq true",
    "workload gt 0.8",
    "level lt 3",
    "hiredAt eq \"2024-01-31T09:00:00.5Z\"",
    "handbook eq \"https://acme.example/handbook\"",
    "imprint eq \"qujd\"",
    "imprint eq \"QUI\"",
    "desk.room eq \"A1\"",
    "codes eq \"rust\"",
    "devices[type eq \"phone\" and weight gt 1000]",
    "devices.labels eq \"b\"",
    "devices.key eq \"qujd\"",
    "skills ne \"rust\"",
];

async fn every_operator_means_what_it_should(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &ann()).await.expect(201);
    client.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    for filter in MATCHING {
        let filter = format!("{ACME}:{filter} and userName eq \"ann\"");
        assert_eq!(client.find("/Users", &filter).await.len(), 1, "{filter}");
    }
    for filter in OTHERS {
        let filter = format!("{ACME}:{filter} and userName eq \"ann\"");
        assert_eq!(client.find("/Users", &filter).await.len(), 0, "{filter}");
    }
    assert_eq!(client.find("/Users", "staffNumber ge 7 and pronouns eq \"SHE\"").await.len(), 1);
    assert_eq!(client.find("/Users", &format!("schemas eq \"{ACME}\"")).await.len(), 1);
    let query = format!("?filter={ACME}:level%20eq%203");
    let everywhere = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
                "filter": format!("{ACME}:level eq 3") });
    let found = client.post("/.search", &everywhere).await.expect(200).body;
    assert_eq!(found["totalResults"], 1);
    assert_eq!(client.get(&format!("/Users{query}")).await.expect(200).body["totalResults"], 1);
}

async fn what_has_no_meaning_is_refused(app: TestApp) {
    let client = app.scim();
    for filter in [
        "contractor gt true",
        "contractor co \"t\"",
        "imprint sw \"Q\"",
        "imprint gt \"Q\"",
        "level co 3",
        "level eq \"3\"",
        "hiredAt sw \"2024\"",
        "hiredAt eq \"yesterday\"",
        "desk eq \"x\"",
        "skills.value eq \"x\"",
        "skills[type eq \"x\"]",
        "level[value eq 3]",
        "nothing pr",
        "hint pr",
        "hint eq \"x\"",
        "pin eq 1",
        "desk.code eq \"x\"",
        "devices[secret eq \"x\"]",
        "level gt null",
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &format!("{ACME}:{filter}"))
            .finish();
        let answer = client.get(&format!("/Users?{query}")).await;
        assert_eq!(answer.status, 400, "{filter}: {}", answer.text);
        answer.expect_error(400, Some("invalidFilter"));
    }
}

/// An operation, the place it is about, its value, and what is then at the pointer.
type Step = (&'static str, &'static str, Value, &'static str, Value);

/// Carries the operations out on Ann, one by one.
async fn patch_step_by_step(client: &ScimClient, steps: Vec<Step>) -> String {
    let path = format!("/Users/{}", client.post("/Users", &ann()).await.expect(201).id());
    for (op, at, value, pointer, expected) in steps {
        let mut operation = json!({ "op": op, "path": format!("{ACME}:{at}") });
        if !value.is_null() || op == "replace" {
            operation["value"] = value;
        }
        let after = client.patch(&path, &patch_body(json!([operation]))).await.expect(200).body;
        let found = after[ACME].pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{op} {at}");
    }
    path
}

async fn a_single_value_can_be_patched(app: TestApp) {
    let steps = vec![
        // simple
        ("replace", "level", json!(9), "/level", json!(9)),
        ("add", "workload", json!(1), "/workload", json!(1.0)),
        ("replace", "contractor", json!("True"), "/contractor", json!(true)),
        ("remove", "handbook", Value::Null, "/handbook", Value::Null),
        ("replace", "imprint", Value::Null, "/imprint", Value::Null),
        // parts of a complex attribute
        ("replace", "desk.room", json!("b2"), "/desk/room", json!("b2")),
        ("add", "desk", json!({ "floor": 3 }), "/desk/floor", json!(3)),
        ("remove", "desk.width", Value::Null, "/desk/width", Value::Null),
        ("add", "desk.tags", json!(["Sunny"]), "/desk/tags/2", json!("Sunny")),
        ("add", "desk.tags", json!("WINDOW"), "/desk/tags", json!(["window", "Corner", "Sunny"])),
        ("replace", "desk.tags", json!(["dark"]), "/desk/tags", json!(["dark"])),
    ];
    patch_step_by_step(&app.scim(), steps).await;
}

async fn several_simple_values_can_be_patched(app: TestApp) {
    let steps = vec![
        ("add", "skills", json!(["Go"]), "/skills", json!(["Rust", "SQL", "Go"])),
        ("add", "skills", json!("RUST"), "/skills", json!(["Rust", "SQL", "Go"])),
        ("add", "codes", json!(["x", "y"]), "/codes", json!(["x", "X", "y"])),
        (
            "replace",
            "skills[value eq \"sql\"]",
            json!("SQLite"),
            "/skills",
            json!(["Rust", "SQLite", "Go"]),
        ),
        ("remove", "skills[value sw \"g\"]", Value::Null, "/skills", json!(["Rust", "SQLite"])),
        ("remove", "skills", json!(["RUST"]), "/skills", json!(["SQLite"])),
        ("remove", "shifts[value gt 1]", Value::Null, "/shifts", json!([1])),
        ("replace", "shifts", json!([5, 5, 6]), "/shifts", json!([5, 6])),
        ("add", "shifts", json!(7), "/shifts", json!([5, 6, 7])),
        (
            "remove",
            "reviews[value eq \"2025-12-31T23:00:00Z\"]",
            Value::Null,
            "/reviews",
            json!(["2025-01-01T00:00:00Z"]),
        ),
        ("remove", "ratios", Value::Null, "/ratios", Value::Null),
        ("replace", "answers", json!([]), "/answers", Value::Null),
    ];
    patch_step_by_step(&app.scim(), steps).await;
}

async fn several_complex_values_can_be_patched(app: TestApp) {
    let steps = vec![
        (
            "add",
            "devices",
            json!([{ "value": "D-3", "primary": "true" }]),
            "/devices/2",
            json!({ "value": "D-3", "primary": true }),
        ),
        (
            "replace",
            "devices[value eq \"d-2\"].weight",
            json!(171),
            "/devices/1/weight",
            json!(171),
        ),
        (
            "add",
            "devices[type eq \"laptop\"]",
            json!({ "display": "Old" }),
            "/devices/0/display",
            json!("Old"),
        ),
        (
            "add",
            "devices[value eq \"D-1\"].labels",
            json!(["c"]),
            "/devices/0/labels",
            json!(["a", "B", "c"]),
        ),
        ("remove", "devices[value eq \"D-1\"].key", Value::Null, "/devices/0/key", Value::Null),
        ("replace", "devices.price", json!(1), "/devices/2/price", json!(1.0)),
        ("remove", "devices[primary eq true]", Value::Null, "/devices/2", Value::Null),
        ("remove", "devices", json!([{ "value": "d-1" }]), "/devices/0/value", json!("D-2")),
    ];
    let client = app.scim();
    let path = patch_step_by_step(&client, steps).await;
    let left = client.get(&path).await.expect(200).body[ACME]["devices"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
}

async fn an_extension_can_be_patched_whole(app: TestApp) {
    let client = app.scim();
    let path = format!("/Users/{}", client.post("/Users", &ann()).await.expect(201).id());
    // By the URN alone, without a path, and with keys that are paths.
    let whole = patch_body(json!([
        { "op": "add", "path": ACME, "value": { "level": 1, "skills": ["A"] } },
        { "op": "replace", "value": { ACME: { "status": "away" } } },
        { "op": "add", "value": { format!("{ACME}:desk.floor"): 8, format!("{CORE}:pronouns"): "xe" } },
    ]));
    let after = client.patch(&path, &whole).await.expect(200).body;
    assert_eq!(after[ACME]["level"], 1);
    assert_eq!(after[ACME]["skills"], json!(["Rust", "SQL", "A"]));
    assert_eq!(after[ACME]["status"], "away");
    assert_eq!(after[ACME]["desk"]["floor"], 8);
    assert_eq!(after["pronouns"], "xe");
}

async fn a_path_that_fits_nothing_is_refused(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    let path = format!("/Users/{}", made.id());
    for (operation, scim_type) in [
        (json!({ "op": "replace", "path": format!("{ACME}:nothing"), "value": 1 }), "invalidPath"),
        (
            json!({ "op": "replace", "path": format!("{ACME}:level[value eq 1]"), "value": 1 }),
            "invalidPath",
        ),
        (
            json!({ "op": "remove", "path": format!("{ACME}:skills[value eq \"none\"]") }),
            "noTarget",
        ),
        (json!({ "op": "remove", "path": format!("{ACME}:skills[type eq \"x\"]") }), "invalidPath"),
        (json!({ "op": "remove", "path": format!("{ACME}:unit") }), "mutability"),
        (json!({ "op": "add", "path": format!("{ACME}:level"), "value": "9" }), "invalidValue"),
        (json!({ "op": "add", "path": format!("{ACME}:clearance"), "value": "9" }), "mutability"),
        (
            json!({ "op": "add", "path": format!("{ACME}:desk.cleaned"), "value": "2026-01-01T00:00:00Z" }),
            "mutability",
        ),
    ] {
        let answer = client.patch(&path, &patch_body(json!([operation]))).await;
        answer.expect_error(400, Some(scim_type));
    }
    assert_eq!(client.get(&path).await.expect(200).body["meta"], made.body["meta"]);
}

async fn projections_know_the_extension(app: TestApp) {
    let client = app.scim();
    let path = format!("/Users/{}", client.post("/Users", &ann()).await.expect(201).id());
    let get = |query: String| {
        let (client, path) = (client.clone(), path.clone());
        async move { client.get(&format!("{path}?{query}")).await.expect(200).body }
    };
    // `status` is always returned, and so is the name of the desk, where the desk is.
    let one = get(format!("attributes={ACME}:level")).await;
    assert_eq!(one[ACME], json!({ "level": 3, "status": "present" }));
    assert_eq!(one.get("userName"), None);
    let parts = get(format!("attributes={ACME}:desk.floor,{ACME}:devices.value")).await;
    assert_eq!(
        parts[ACME],
        json!({
            "status": "present",
            "desk": { "floor": -1, "name": "Desk 7" },
            "devices": [{ "value": "D-1" }, { "value": "D-2" }],
        })
    );
    // An element of which nothing is asked for is not shown.
    let keys = get(format!("attributes={ACME}:devices.key")).await;
    assert_eq!(keys[ACME]["devices"], json!([{ "key": "QUJD" }]));
    assert_eq!(get(format!("attributes={ACME}")).await[ACME], shown());
    assert_eq!(get(format!("attributes={ACME}:band")).await[ACME]["band"], "E5");
    let note = get(format!("attributes={ACME}:desk.note")).await;
    assert_eq!(note[ACME]["desk"], json!({ "note": "oak", "name": "Desk 7" }));
    assert_eq!(
        get(format!("attributes={ACME}:hint,{ACME}:pin")).await[ACME],
        json!({ "status": "present" })
    );

    let less =
        get(format!("excludedAttributes={ACME}:status,{ACME}:desk.floor,{ACME}:skills")).await;
    assert_eq!(less[ACME]["status"], "present", "always is always");
    assert_eq!(less[ACME]["desk"].get("floor"), None);
    assert_eq!(less[ACME]["desk"]["room"], "a1");
    assert_eq!(less[ACME].get("skills"), None);
    let none = get(format!("excludedAttributes={ACME}")).await;
    assert_eq!(none[ACME], json!({ "status": "present" }));
    let list = client.get(&format!("/Users?attributes={ACME}:level")).await.expect(200).body;
    assert_eq!(list["Resources"][0][ACME], json!({ "level": 3, "status": "present" }));
}

async fn what_is_returned_on_request_is_in_the_answer_that_sets_it(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    assert_eq!(made.body[ACME]["band"], "E5");
    assert_eq!(made.body[ACME]["desk"]["note"], "oak");
    let path = format!("/Users/{}", made.id());
    let set = |value: Value| patch_body(json!([{ "op": "replace", "value": { ACME: value } }]));
    let after = client.patch(&path, &set(json!({ "band": "E6" }))).await.expect(200).body;
    assert_eq!(after[ACME]["band"], "E6");
    assert_eq!(after[ACME]["desk"].get("note"), None, "it was not set");
    let after = client.patch(&path, &set(json!({ "level": 1 }))).await.expect(200).body;
    assert_eq!(after[ACME].get("band"), None);
    let at = json!([{ "op": "add", "path": format!("{ACME}:desk.note"), "value": "elm" }]);
    let after = client.patch(&path, &patch_body(at)).await.expect(200).body;
    assert_eq!(after[ACME]["desk"]["note"], "elm");
    // The parameters of the request have the last word.
    let quiet = format!("{path}?excludedAttributes={ACME}:band");
    let after = client.patch(&quiet, &set(json!({ "band": "E7" }))).await.expect(200).body;
    assert_eq!(after[ACME].get("band"), None);
    let narrow = format!("{path}?attributes=userName");
    let after = client.patch(&narrow, &set(json!({ "band": "E8" }))).await.expect(200).body;
    assert_eq!(after[ACME], json!({ "status": "present" }));
    let put = json!({ "userName": "ann", ACME: { "unit": "Ops", "origin": "Kiel", "band": "E9",
                                                 "desk": { "series": "S1" } } });
    let after = client.put(&path, &put).await.expect(200).body;
    assert_eq!(after[ACME]["band"], "E9");
}

async fn what_is_never_returned_is_nowhere(app: TestApp) {
    let client = app.scim();
    let mut user = ann();
    user[ACME]["hint"] = "s3cr3t-hint".into();
    user[ACME]["pin"] = 31_337.into();
    user[ACME]["desk"]["code"] = "s3cr3t-code".into();
    user[ACME]["devices"][0]["secret"] = "s3cr3t-device".into();
    let is_clean = |text: &str| {
        assert!(!text.contains("s3cr3t") && !text.contains("31337"), "{text}");
    };
    let made = client.post("/Users", &user).await.expect(201);
    is_clean(&made.text);
    let path = format!("/Users/{}", made.id());
    is_clean(&client.put(&path, &user).await.expect(200).text);
    let names = ["hint", "pin", "desk.code", "devices.secret"];
    let all = names.map(|name| format!("{ACME}:{name}")).join(",");
    is_clean(&client.get(&format!("{path}?attributes={all}")).await.expect(200).text);
    for operation in [
        json!({ "op": "add", "path": format!("{ACME}:hint"), "value": "s3cr3t" }),
        json!({ "op": "replace", "path": format!("{ACME}:pin"), "value": 31_337 }),
        json!({ "op": "add", "path": format!("{ACME}:desk.code"), "value": "s3cr3t" }),
        json!({ "op": "add", "path": format!("{ACME}:desk"), "value": { "code": "s3cr3t" } }),
        json!({ "op": "add", "path": format!("{ACME}:devices[value eq \"D-1\"].secret"), "value": "s3cr3t" }),
        json!({ "op": "add", "path": format!("{ACME}:devices"), "value": [{ "value": "D-1", "type": "laptop", "secret": "s3cr3t" }] }),
        json!({ "op": "add", "value": { ACME: { "hint": "s3cr3t" } } }),
        json!({ "op": "remove", "path": format!("{ACME}:hint") }),
    ] {
        is_clean(&client.patch(&path, &patch_body(json!([operation]))).await.expect(200).text);
    }
    for (_, data) in events::of(&app, &made.id()) {
        is_clean(&data.to_string());
    }
    // They are checked all the same.
    user[ACME]["pin"] = "s3cr3t".into();
    let detail = client.put(&path, &user).await.expect_error(400, Some("invalidValue"));
    assert!(detail.contains(&format!("'{ACME}:pin' must be an integer")), "{detail}");
    let bad = json!([{ "op": "add", "path": format!("{ACME}:desk.code"), "value": 1 }]);
    client.patch(&path, &patch_body(bad)).await.expect_error(400, Some("invalidValue"));
    user[ACME]["pin"] = 1.into();
    user[ACME]["desk"]["code"] = 1.into();
    client.put(&path, &user).await.expect_error(400, Some("invalidValue"));
}

async fn a_required_attribute_is_required_where_the_extension_is(app: TestApp) {
    let client = app.scim();
    let unit = format!("'{ACME}:unit' is required and must not be empty");
    // Without the extension nothing of it is required.
    let path = format!(
        "/Users/{}",
        client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id()
    );
    let empty = json!({ "userName": "ann", ACME: { "level": null, "skills": [], "desk": {} } });
    client.put(&path, &empty).await.expect(200);
    for extension in [
        json!({ "level": 1 }),
        json!({ "level": 1, "unit": null }),
        json!({ "unit": " " }),
        json!({ "hint": "x" }),
    ] {
        let user = json!({ "userName": "bob", ACME: extension });
        let detail = client.post("/Users", &user).await.expect_error(400, Some("invalidValue"));
        assert_eq!(detail, unit, "{user}");
        let detail = client.put(&path, &user).await.expect_error(400, Some("invalidValue"));
        assert_eq!(detail, unit);
    }
    let set = |value: Value| patch_body(json!([{ "op": "add", "path": ACME, "value": value }]));
    let answer = client.patch(&path, &set(json!({ "level": 1 }))).await;
    assert_eq!(answer.expect_error(400, Some("invalidValue")), unit);
    let answer = client.patch(&path, &set(json!({ "hint": "x" }))).await;
    answer.expect(200);
    client.patch(&path, &set(json!({ "level": 1, "unit": "Ops" }))).await.expect(200);
    for operation in [
        json!({ "op": "remove", "path": format!("{ACME}:unit") }),
        json!({ "op": "replace", "path": format!("{ACME}:unit"), "value": null }),
    ] {
        let answer = client.patch(&path, &patch_body(json!([operation]))).await;
        answer.expect_error(400, Some("mutability"));
    }
    let blank = json!([{ "op": "replace", "path": format!("{ACME}:unit"), "value": "" }]);
    let answer = client.patch(&path, &patch_body(blank)).await;
    assert_eq!(answer.expect_error(400, Some("invalidValue")), unit);
    // The whole extension may go.
    let gone = patch_body(json!([{ "op": "remove", "path": ACME }]));
    assert_eq!(client.patch(&path, &gone).await.expect(200).body.get(ACME), None);
    // A sub-attribute is required where its element is.
    let device = json!({ "unit": "x", "devices": [{ "value": "d" }, { "type": "phone" }] });
    let answer = client.patch(&path, &set(device)).await;
    let detail = answer.expect_error(400, Some("invalidValue"));
    assert_eq!(detail, format!("'{ACME}:devices.value' is required and must not be empty"));
}

async fn an_immutable_value_stays(app: TestApp) {
    let client = app.scim();
    let bare = json!({ "userName": "ann", ACME: { "unit": "Ops" } });
    let path = format!("/Users/{}", client.post("/Users", &bare).await.expect(201).id());
    let at = |name: &str, op: &str, value: Value| {
        patch_body(json!([{ "op": op, "path": format!("{ACME}:{name}"), "value": value }]))
    };
    // It may be set where there is none yet, by PATCH or by PUT.
    client.patch(&path, &at("origin", "add", json!("Kiel"))).await.expect(200);
    let desk = json!({ "series": "S1", "floor": 1 });
    let put = json!({ "userName": "ann", ACME: { "unit": "Ops", "desk": desk } });
    let after = client.put(&path, &put).await.expect(200).body;
    assert_eq!(after[ACME]["origin"], "Kiel", "a PUT that leaves it out keeps it");
    assert_eq!(after[ACME]["desk"], desk);
    // The same value is no change, however it is spelled.
    let same = at("origin", "replace", json!("KIEL"));
    let again = client.patch(&path, &same).await.expect(200).body;
    assert_eq!(again[ACME]["origin"], "Kiel");
    assert_eq!(again["meta"], after["meta"]);
    for (patch, name) in [
        (at("origin", "replace", json!("Bonn")), "origin"),
        (at("origin", "add", json!("Bonn")), "origin"),
        (at("origin", "remove", Value::Null), "origin"),
        (at("origin", "replace", Value::Null), "origin"),
        (at("desk.series", "replace", json!("S2")), "desk.series"),
        (at("desk", "replace", json!({ "series": "S2" })), "desk.series"),
        (at("desk.series", "remove", Value::Null), "desk.series"),
        (at("desk", "remove", Value::Null), "desk.series"),
        (patch_body(json!([{ "op": "remove", "path": ACME }])), "origin"),
    ] {
        let detail = client.patch(&path, &patch).await.expect_error(400, Some("mutability"));
        assert!(detail.starts_with(&format!("'{ACME}:{name}' is immutable")), "{patch}: {detail}");
    }
    let other = json!({ "userName": "ann", ACME: { "unit": "Ops", "origin": "Bonn" } });
    client.put(&path, &other).await.expect_error(400, Some("mutability"));
    let other = json!({ "userName": "ann", ACME: { "unit": "Ops", "desk": { "series": "S2" } } });
    client.put(&path, &other).await.expect_error(400, Some("mutability"));
    // Of several values each may come and go, but not change.
    let devices = json!([{ "value": "d1", "maker": "M1" }, { "value": "d2" }]);
    client.patch(&path, &at("devices", "add", devices)).await.expect(200);
    let first = "devices[value eq \"d1\"]";
    let maker = format!("{first}.maker");
    for patch in [
        at(&maker, "replace", json!("M2")),
        at(&maker, "remove", Value::Null),
        at(first, "add", json!({ "maker": "M2" })),
        at(first, "replace", json!({ "value": "d1" })),
        at("devices.maker", "replace", json!("M2")),
    ] {
        let detail = client.patch(&path, &patch).await.expect_error(400, Some("mutability"));
        assert!(detail.contains("devices.maker' is immutable"), "{patch}: {detail}");
    }
    let second = at("devices[value eq \"d2\"].maker", "add", json!("M2"));
    client.patch(&path, &second).await.expect(200);
    client.patch(&path, &at(&maker, "replace", json!("m1"))).await.expect(200);
    client.patch(&path, &at(first, "remove", Value::Null)).await.expect(200);
    let after = client.get(&path).await.expect(200).body;
    assert_eq!(after[ACME]["devices"], json!([{ "value": "d2", "maker": "M2" }]));
    // Whoever is created anew is another one.
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    client.patch(&path, &off).await.expect(200);
    let back = client.post("/Users", &other).await.expect(201).body;
    assert_eq!(back[ACME], json!({ "unit": "Ops", "desk": { "series": "S2" } }));
}

async fn what_only_the_server_may_write_is_left_alone(app: TestApp) {
    let client = app.scim();
    let mut user = ann();
    user[ACME]["clearance"] = "top".into();
    user[ACME]["desk"]["cleaned"] = "no time at all".into();
    let made = client.post("/Users", &user).await.expect(201);
    assert_eq!(made.body[ACME], acme());
    let path = format!("/Users/{}", made.id());
    assert_eq!(client.put(&path, &user).await.expect(200).body["meta"], made.body["meta"]);
    let within = json!([{ "op": "add", "value": { ACME: { "clearance": "top", "level": 4 } } }]);
    let after = client.patch(&path, &patch_body(within)).await.expect(200).body;
    assert_eq!((&after[ACME]["level"], after[ACME].get("clearance")), (&json!(4), None));
    let named = json!([{ "op": "add", "path": format!("{ACME}:clearance"), "value": "top" }]);
    let answer = client.patch(&path, &patch_body(named)).await;
    answer.expect_error(400, Some("mutability"));
}

async fn a_value_of_the_wrong_type_is_refused(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let path = format!("/Users/{id}");
    for (name, value) in [
        ("badge", json!(1)),
        ("badge", json!(["B", "C"])),
        ("contractor", json!("maybe")),
        ("contractor", json!(1)),
        ("workload", json!("0.8")),
        ("level", json!("3")),
        ("level", json!(1.5)),
        ("level", json!(3.0)),
        ("level", json!(1e3)),
        ("level", json!(18_446_744_073_709_551_615_u64)),
        ("hiredAt", json!("2024-01-31")),
        ("hiredAt", json!("2024-02-30T00:00:00Z")),
        ("hiredAt", json!("2024-01-31 09:00:00Z")),
        ("hiredAt", json!(1)),
        ("imprint", json!("QUJ$")),
        ("imprint", json!("+_")),
        ("desk", json!("Main")),
        ("desk", json!([{ "floor": 1 }, { "floor": 2 }])),
        ("desk", json!({ "floor": "1" })),
        ("desk", json!({ "tags": [1] })),
        ("skills", json!([1])),
        ("skills", json!([["Rust"]])),
        ("shifts", json!(["1"])),
        ("devices", json!([{ "value": "D-1", "weight": 1.5 }])),
        ("devices", json!([1])),
        ("badge", json!("x".repeat(1025))),
        ("parking", json!(["x".repeat(1025)])),
        ("unit", json!("a\u{0}b")),
        ("unit", json!("x".repeat(65 * 1024))),
    ] {
        let user = json!({ "userName": "bob", ACME: { "unit": "Ops", name: value } });
        let detail = client.post("/Users", &user).await.expect_error(400, Some("invalidValue"));
        assert!(detail.contains(&format!("'{ACME}:{name}")), "{name}: {detail}");
        let patch = json!([{ "op": "replace", "path": format!("{ACME}:{name}"), "value": value }]);
        let answer = client.patch(&path, &patch_body(patch)).await;
        let detail = answer.expect_error(400, Some("invalidValue"));
        assert!(detail.contains(name), "{name}: {detail}");
    }
    assert_eq!(client.get(&path).await.expect(200).body[ACME], shown());
    let answer = client.post("/Users", &json!({ "userName": "bob", ACME: "x" })).await;
    assert!(answer.expect_error(400, Some("invalidValue")).contains(ACME));
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 1);
}

async fn the_empty_text_is_no_value(app: TestApp) {
    let client = app.scim();
    for name in ["hiredAt", "level", "workload", "contractor", "imprint"] {
        let user = json!({ "userName": name, ACME: { "unit": "Ops", name: "" } });
        let made = client.post("/Users", &user).await.expect(201);
        assert_eq!(made.body[ACME], json!({ "unit": "Ops" }), "POST {name}");
        let path = format!("/Users/{}", made.id());
        let mut full = ann();
        full["userName"] = name.into();
        for key in ["externalId", "emails"] {
            full.as_object_mut().expect("an object").remove(key);
        }
        full[ACME]
            .as_object_mut()
            .expect("an object")
            .retain(|key, _| key == "unit" || key == name);
        let asked = format!("{path}?attributes={ACME}:{name}");
        for turn in 0..3 {
            client.put(&path, &full).await.expect(200);
            assert!(!client.get(&asked).await.expect(200).body[ACME][name].is_null(), "{name}");
            let at = json!({ "op": "replace", "path": format!("{ACME}:{name}"), "value": "" });
            let within = json!({ "op": "replace", "value": { ACME: { name: "" } } });
            let answer = match turn {
                0 => client.put(&path, &user).await,
                1 => client.patch(&path, &patch_body(json!([at]))).await,
                _ => client.patch(&path, &patch_body(json!([within]))).await,
            };
            answer.expect(200);
            assert_eq!(client.get(&asked).await.expect(200).body.get(ACME), None, "{name} {turn}");
        }
        client.delete(&path).await.expect(204);
    }
    let made = client.post("/Users", &json!({ "userName": "bob", ACME: "" })).await.expect(201);
    assert_eq!(made.body.get(ACME), None);
}

async fn a_canonical_value_is_a_suggestion(app: TestApp) {
    let client = app.scim();
    let user = json!({
        "userName": "ann",
        "emails": [{ "value": "a@b.example", "type": "holiday" }],
        ACME: { "unit": "Ops", "status": "asleep", "devices": [{ "value": "D", "type": "watch" }] },
    });
    let made = client.post("/Users", &user).await.expect(201).body;
    assert_eq!(made["emails"][0]["type"], "holiday");
    assert_eq!(made[ACME]["status"], "asleep");
    assert_eq!(made[ACME]["devices"][0]["type"], "watch");
}
