use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scim::ScimType;
use crate::scim::schema::Registry;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn registry() -> Registry {
    Registry::builtin().expect("the schema files that come with the program")
}

fn user_type() -> Arc<ResourceType> {
    registry().user().clone()
}

fn ann() -> Document {
    document(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann",
        "title": "Engineer",
        "name": { "givenName": "Ann", "familyName": "Lee" },
        "active": true,
        "emails": [
            { "type": "work", "value": "ann@work.example", "primary": true },
            { "type": "home", "value": "ann@home.example" },
        ],
        ENTERPRISE: { "department": "R&D" },
    }))
}

fn document(body: Value) -> Document {
    Document::from_body(&user_type(), body, &mut Quirks::default()).expect("a user")
}

#[expect(clippy::needless_pass_by_value, reason = "called with json!([…]) written in place")]
fn request(operations: Value) -> Value {
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}

fn patched(operations: Value) -> ScimResult<Value> {
    let plan = PatchPlan::new(&user_type(), request(operations))?;
    Ok(plan.apply(ann(), &mut Quirks::default())?.into_map().into())
}

/// What the operations make of Ann.
fn after(operations: Value) -> Value {
    patched(operations).expect("a patch that can be applied")
}

fn refused(operations: Value) -> Option<ScimType> {
    patched(operations).expect_err("a patch that is refused").scim_type
}

fn quirks(operations: Value) -> Vec<&'static str> {
    let plan = PatchPlan::new(&user_type(), request(operations)).expect("a plan");
    plan.quirks.iter().map(Quirk::name).collect()
}

#[test]
fn a_simple_attribute_is_added_replaced_and_removed() {
    assert_eq!(after(json!([{"op": "add", "path": "nickName", "value": "A"}]))["nickName"], "A");
    assert_eq!(after(json!([{"op": "replace", "path": "title", "value": "CTO"}]))["title"], "CTO");
    assert_eq!(after(json!([{"op": "remove", "path": "title"}])).get("title"), None);
    assert_eq!(
        after(json!([{"op": "replace", "path": "title", "value": null}])).get("title"),
        None
    );
    assert_eq!(after(json!([{"op": "replace", "path": "TITLE", "value": "x"}]))["title"], "x");
}

#[test]
fn a_complex_attribute_keeps_what_is_not_named() {
    let name = |operations: Value| after(operations)["name"].clone();
    assert_eq!(
        name(json!([{"op": "replace", "path": "name", "value": {"givenName": "Anna"}}])),
        json!({"givenName": "Anna", "familyName": "Lee"})
    );
    assert_eq!(
        name(json!([{"op": "replace", "path": "name.familyName", "value": "Li"}])),
        json!({"givenName": "Ann", "familyName": "Li"})
    );
    assert_eq!(
        name(json!([{"op": "replace", "value": {"name": {"familyName": null}}}])),
        json!({"givenName": "Ann"})
    );
    assert_eq!(after(json!([{"op": "remove", "path": "name"}])).get("name"), None);
}

#[test]
fn elements_are_added_once() {
    let email = json!({"type": "other", "value": "a@other.example"});
    let twice = after(json!([
        {"op": "add", "path": "emails", "value": [email]},
        {"op": "add", "path": "emails", "value": email},
    ]));
    assert_eq!(twice["emails"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_new_primary_takes_over_from_the_old_one() {
    let emails = after(json!([
        {"op": "add", "path": "emails", "value": [{"value": "new@x.example", "primary": true}]}
    ]))["emails"]
        .clone();
    assert_eq!(emails[0]["primary"], false);
    assert_eq!(emails[2]["primary"], true);
    let by_filter = after(json!([
        {"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"}
    ]));
    assert_eq!(by_filter["emails"][0]["primary"], false);
    assert_eq!(by_filter["emails"][1]["primary"], true);
    assert_eq!(
        refused(json!([{"op": "replace", "path": "emails", "value": [
            {"value": "a", "primary": true}, {"value": "b", "primary": true}
        ]}])),
        Some(ScimType::InvalidValue)
    );
}

#[test]
fn a_value_filter_selects_elements() {
    let emails = |operations: Value| after(operations)["emails"].clone();
    assert_eq!(
        emails(json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]))
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        emails(json!([
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "new@work.example"}
        ]))[0],
        json!({"value": "new@work.example", "type": "work", "primary": true})
    );
    assert_eq!(
        emails(json!([
            {"op": "replace", "path": "emails[type eq \"home\"]", "value": {"value": "x@y.example"}}
        ]))[1],
        json!({"value": "x@y.example"})
    );
    assert_eq!(
        after(json!([{"op": "remove", "path": "emails[value ew \".example\"]"}])).get("emails"),
        None
    );
    assert_eq!(
        refused(json!([{"op": "remove", "path": "emails[type eq \"other\"]"}])),
        Some(ScimType::NoTarget)
    );
    assert_eq!(
        refused(json!([
            {"op": "replace", "path": "emails[type eq \"other\"]", "value": {"value": "x"}}
        ])),
        Some(ScimType::NoTarget)
    );
}

#[test]
fn a_missing_element_is_made_from_the_filter() {
    let made = after(json!([
        {"op": "Replace", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1"}
    ]));
    assert_eq!(made["phoneNumbers"], json!([{"type": "mobile", "value": "+1"}]));
    assert_eq!(
        refused(json!([
            {"op": "replace", "path": "emails[type co \"z\"].value", "value": "x"}
        ])),
        Some(ScimType::NoTarget)
    );
}

#[test]
fn extensions_are_reached_by_their_urn() {
    let path = format!("{ENTERPRISE}:costCenter");
    let with_path = after(json!([{"op": "add", "path": path, "value": "42"}]));
    assert_eq!(with_path[ENTERPRISE], json!({"costCenter": "42", "department": "R&D"}));
    let whole = after(json!([{"op": "add", "path": ENTERPRISE, "value": {"division": "D"}}]));
    assert_eq!(whole[ENTERPRISE], json!({"division": "D", "department": "R&D"}));
    let pathless = after(json!([{"op": "add", "value": {ENTERPRISE: {"division": "D"}}}]));
    assert_eq!(pathless, whole);
    let flat = format!("{ENTERPRISE}:division");
    assert_eq!(after(json!([{"op": "add", "value": {flat: "D"}}])), whole);
    let removed = after(json!([{"op": "remove", "path": ENTERPRISE}]));
    assert_eq!(removed.get(ENTERPRISE), None);
    assert_eq!(removed["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:User"]));
    let core = "urn:ietf:params:scim:schemas:core:2.0:User:title";
    assert_eq!(after(json!([{"op": "replace", "path": core, "value": "x"}]))["title"], "x");
}

#[test]
fn entras_shapes_are_understood() {
    assert_eq!(
        after(json!([{"op": "Replace", "path": "active", "value": "False"}]))["active"],
        false
    );
    let dotted = after(json!([{"op": "replace", "value": {
        "name.givenName": "Anna",
        "emails[type eq \"work\"].value": "anna@work.example",
        format!("{ENTERPRISE}:employeeNumber"): "7",
    }}]));
    assert_eq!(dotted["name"]["givenName"], "Anna");
    assert_eq!(dotted["emails"][0]["value"], "anna@work.example");
    assert_eq!(dotted[ENTERPRISE]["employeeNumber"], "7");
    let manager = format!("{ENTERPRISE}:manager");
    assert_eq!(
        after(json!([{"op": "Add", "path": manager, "value": "boss"}]))[ENTERPRISE]["manager"],
        json!({"value": "boss"})
    );
    assert_eq!(
        after(
            json!([{"op": "Remove", "path": "emails", "value": [{"value": "ANN@home.example"}]}])
        )["emails"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

/// Entra ID's documentation, "Example 5": the attribute without its URN, its value in an array.
#[test]
fn an_extensions_attribute_may_stand_without_its_urn_and_its_value_in_an_array() {
    let set = json!([{"op": "add", "path": "manager", "value": [{"value": "boss"}]}]);
    assert_eq!(after(set.clone())[ENTERPRISE]["manager"], json!({"value": "boss"}));
    assert_eq!(quirks(set), ["unqualified-extension", "array-for-single"]);
    let sub = json!([{"op": "replace", "path": "manager.value", "value": "boss"}]);
    assert_eq!(after(sub.clone())[ENTERPRISE]["manager"], json!({"value": "boss"}));
    assert_eq!(quirks(sub), ["unqualified-extension"]);
    let gone = json!([{"op": "remove", "path": "department"}]);
    assert_eq!(after(gone)[ENTERPRISE], Value::Null);
    let merged = after(json!([{"op": "replace", "path": "name", "value": [{"givenName": "A"}]}]));
    assert_eq!(merged["name"], json!({"givenName": "A", "familyName": "Lee"}));
    // The core schema's `title` is what it was before: no extension is looked at.
    assert_eq!(
        quirks(json!([{"op": "add", "path": "title", "value": ["Boss"]}])),
        ["array-for-single"]
    );
    let two = json!([{"op": "add", "path": "title", "value": ["a", "b"]}]);
    assert_eq!(refused(two), Some(ScimType::InvalidValue));
    assert_eq!(
        refused(json!([{"op": "add", "path": "managers", "value": "x"}])),
        Some(ScimType::InvalidPath)
    );
}

/// OneLogin's documentation, "Patch Group API".
#[test]
fn a_patch_of_scim_1_1_adds_and_removes_members() {
    let read = |body: Value| PatchPlan::new(registry().group(), body);
    let plan = read(json!({
        "schemas": ["urn:scim:schemas:core:1.0"],
        "id": "ignored",
        "displayName": "Renamed",
        "members": [
            {"value": "a"},
            {"value": "b\"", "operation": "delete"},
            {"value": "c", "operation": "Delete"},
        ],
    }))
    .expect("a plan");
    assert_eq!(plan.members, [delta(false, &["a"], &["b\"", "c"])]);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.quirks.iter().collect::<Vec<_>>(), [Quirk::OldPatch]);
    let nobody = json!({"members": [{"operation": "delete"}]});
    assert_eq!(read(nobody).expect_err("no id").scim_type, Some(ScimType::InvalidValue));
    // A PATCH of this RFC without its operations is no older one.
    let broken = json!({"schemas": [PATCH_SCHEMA], "members": [{"value": "a"}]});
    assert_eq!(read(broken).expect_err("none").scim_type, Some(ScimType::InvalidSyntax));
    let user = json!({"schemas": ["urn:scim:schemas:core:1.0"], "members": []});
    assert!(PatchPlan::new(&user_type(), user).is_err());
}

#[test]
fn tolerated_shapes_are_named() {
    assert_eq!(
        quirks(json!([{"op": "Replace", "path": "active", "value": "False"}])),
        ["string-boolean", "capitalized-operation"]
    );
    assert_eq!(quirks(json!([{"op": "replace", "value": {"id": "x"}}])), ["read-only-in-object"]);
    assert_eq!(
        quirks(json!([{"op": "replace", "value": {"name.givenName": "x"}}])),
        ["path-as-key"]
    );
    assert_eq!(quirks(json!([{"op": "replace", "path": "title", "value": "x"}])), [""; 0]);
}

#[test]
fn what_the_schema_forbids_is_refused() {
    use ScimType::{InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget};
    for (operations, expected) in [
        (json!([{"op": "remove", "path": "userName"}]), Mutability),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), Mutability),
        (json!([{"op": "replace", "path": "groups", "value": []}]), Mutability),
        (json!([{"op": "replace", "path": "meta.created", "value": "x"}]), Mutability),
        (json!([{"op": "remove"}]), NoTarget),
        (json!([{"op": "replace", "path": "shoeSize", "value": 1}]), InvalidPath),
        (json!([{"op": "replace", "path": "name.middle", "value": "x"}]), InvalidPath),
        (json!([{"op": "replace", "path": "emails[", "value": "x"}]), InvalidPath),
        (json!([{"op": "replace", "path": "name[givenName eq \"x\"]", "value": {}}]), InvalidPath),
        (json!([{"op": "replace", "path": "active", "value": "perhaps"}]), InvalidValue),
        (json!([{"op": "replace", "path": "userName", "value": " "}]), InvalidValue),
        (json!([{"op": "replace", "path": "title", "value": {"a": 1}}]), InvalidValue),
        (json!([{"op": "replace", "path": "title"}]), InvalidValue),
        (json!([{"op": "replace", "value": "x"}]), InvalidValue),
        (json!([{"op": "move", "path": "title"}]), InvalidSyntax),
        (json!([]), InvalidSyntax),
        (json!("x"), InvalidSyntax),
    ] {
        assert_eq!(refused(operations.clone()), Some(expected), "{operations}");
    }
}

#[test]
fn one_bad_operation_undoes_the_whole_request() {
    assert!(
        patched(json!([
            {"op": "replace", "path": "title", "value": "x"},
            {"op": "remove", "path": "emails[type eq \"nowhere\"]"},
        ]))
        .is_err()
    );
}

#[test]
fn a_password_is_checked_and_dropped() {
    assert_eq!(after(json!([{"op": "replace", "path": "password", "value": "s3cret"}])), {
        Value::from(ann().into_map())
    });
    assert_eq!(
        refused(json!([{"op": "replace", "path": "password", "value": 1}])),
        Some(ScimType::InvalidValue)
    );
}

fn members(operations: Value) -> Vec<MemberStep> {
    let plan = PatchPlan::new(registry().group(), request(operations)).expect("a plan");
    plan.members
}

fn delta(replace: bool, add: &[&str], remove: &[&str]) -> MemberStep {
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    MemberStep::Delta { replace, add: set(add), remove: set(remove) }
}

#[test]
fn members_become_one_delta() {
    assert_eq!(
        members(json!([
            {"op": "remove", "path": "members[value eq \"a\"]"},
            {"op": "add", "path": "members", "value": [{"value": "b", "display": "B"}]},
            {"op": "remove", "path": "members[value eq \"c\" or value eq \"d\"]"},
        ])),
        [delta(false, &["b"], &["a", "c", "d"])]
    );
    assert_eq!(
        members(
            json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "a"}]}])
        ),
        [delta(false, &[], &["a"])]
    );
    assert_eq!(
        members(json!([{"op": "replace", "path": "members", "value": []}])),
        [delta(true, &[], &[])]
    );
    assert_eq!(members(json!([{"op": "remove", "path": "members"}])), [delta(true, &[], &[])]);
    assert_eq!(members(json!([{"op": "remove", "path": "members", "value": []}])), []);
    assert_eq!(members(json!([{"op": "add", "path": "members", "value": []}])), []);
    assert_eq!(
        members(
            json!([{"op": "replace", "value": {"displayName": "x", "members": [{"value": "a"}]}}])
        ),
        [delta(true, &["a"], &[])]
    );
    assert_eq!(
        members(json!([
            {"op": "add", "path": "members", "value": {"value": "a"}},
            {"op": "remove", "path": "members[value eq \"a\"]"},
        ])),
        [delta(false, &[], &["a"])]
    );
}

#[test]
fn any_other_filter_on_members_is_kept_for_the_store() {
    let steps = members(json!([
        {"op": "add", "path": "members", "value": [{"value": "a"}]},
        {"op": "remove", "path": "members[display sw \"x\"]"},
        {"op": "add", "path": "members", "value": [{"value": "b"}]},
    ]));
    assert!(matches!(
        steps.as_slice(),
        [MemberStep::Delta { .. }, MemberStep::RemoveWhere(_), MemberStep::Delta { .. }]
    ));
}

#[test]
fn members_cannot_be_changed_in_place() {
    for operation in [
        json!({"op": "replace", "path": "members[value eq \"a\"].value", "value": "b"}),
        json!({"op": "replace", "path": "members[value eq \"a\"].display", "value": "b"}),
        json!({"op": "replace", "path": "members[value eq \"a\"]", "value": {"value": "b"}}),
    ] {
        let error = PatchPlan::new(registry().group(), request(json!([operation])))
            .expect_err("members are immutable");
        assert_eq!(error.scim_type, Some(ScimType::Mutability));
    }
    let nested = request(json!([
        {"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}]}
    ]));
    let error = PatchPlan::new(registry().group(), nested).expect_err("groups are flat");
    assert_eq!(error.scim_type, Some(ScimType::InvalidValue));
}

/// A model of a group: the members after the operations, one by one on a set.
fn modelled(before: &BTreeSet<String>, operations: &[(u8, Vec<u8>)]) -> BTreeSet<String> {
    let mut members = before.clone();
    for (kind, ids) in operations {
        let ids = ids.iter().map(u8::to_string);
        match kind {
            0 => members.extend(ids),
            1 => members = ids.collect(),
            2 => members.clear(),
            _ => ids.for_each(|id| {
                members.remove(&id);
            }),
        }
    }
    members
}

fn carried_out(before: &BTreeSet<String>, steps: &[MemberStep]) -> BTreeSet<String> {
    let mut members = before.clone();
    for step in steps {
        let MemberStep::Delta { replace, add, remove } = step else { continue };
        if *replace {
            members.clear();
        }
        members.retain(|id| !remove.contains(id));
        members.extend(add.iter().cloned());
    }
    members
}

fn operation((kind, ids): &(u8, Vec<u8>)) -> Value {
    let listed: Vec<Value> = ids.iter().map(|id| json!({"value": id.to_string()})).collect();
    match kind {
        0 => json!({"op": "add", "path": "members", "value": listed}),
        1 => json!({"op": "replace", "path": "members", "value": listed}),
        2 => json!({"op": "remove", "path": "members"}),
        3 => json!({"op": "remove", "path": "members", "value": listed}),
        _ => {
            let terms: Vec<String> = ids.iter().map(|id| format!("value eq \"{id}\"")).collect();
            json!({"op": "remove", "path": format!("members[{}]", terms.join(" or "))})
        }
    }
}

proptest! {
    #[test]
    fn folded_deltas_do_what_the_operations_do_one_by_one(
        before in prop::collection::btree_set(0..12_u8, 0..8),
        operations in prop::collection::vec(
            (0..5_u8, prop::collection::vec(0..12_u8, 1..5)), 1..8
        ),
    ) {
        let before: BTreeSet<String> = before.iter().map(u8::to_string).collect();
        let body = request(operations.iter().map(operation).collect());
        let plan = PatchPlan::new(registry().group(), body).expect("a plan");
        prop_assert_eq!(carried_out(&before, &plan.members), modelled(&before, &operations));
    }

    #[test]
    fn any_json_is_planned_or_refused_but_never_a_panic(
        op in "(add|replace|remove|Add|x)",
        path in prop::option::of("(emails|name|members|title|urn:[a-z:.0-9]{0,20}|[a-zA-Z.\\[\\]\" ]{0,20})"),
        text in ".{0,10}",
    ) {
        for value in [json!(text), json!([text]), json!({"value": text}), json!({"name": {"givenName": text}}), Value::Null] {
            let body = request(json!([{"op": op, "path": path, "value": value}]));
            if let Ok(plan) = PatchPlan::new(&user_type(), body.clone()) {
                let _ = plan.apply(ann(), &mut Quirks::default());
            }
            let _ = PatchPlan::new(registry().group(), body);
        }
    }

    #[test]
    fn a_patch_applied_twice_is_a_patch_applied_once(
        path in "(title|nickName|name\\.givenName|emails\\[type eq \"work\"\\]\\.value|displayName)",
        text in "[a-z]{1,8}",
    ) {
        let plan = PatchPlan::new(&user_type(), request(json!([
            {"op": "replace", "path": path, "value": text}
        ]))).expect("a plan");
        let once = plan.apply(ann(), &mut Quirks::default()).expect("applies");
        let twice = plan.apply(once.clone(), &mut Quirks::default()).expect("applies again");
        prop_assert_eq!(once, twice);
    }
}
