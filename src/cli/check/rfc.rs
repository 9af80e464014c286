//! RFC 7643 and RFC 7644 to the letter: no client is played, and nothing is asked for that the
//! server does not announce in its `ServiceProviderConfig`.

use serde_json::{Value, json};

use super::bodies::{
    ENTERPRISE, add_members, eq, fresh_group_name, fresh_user_name, overlay, patch, plain_group,
    plain_user, search,
};
use super::client::Client;
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};
use super::{announced, errors, import, steps};

/// Checks discovery, resources, whatever is announced, and errors.
pub async fn run(api: &Client, report: &mut Report) {
    let config = discovery(api, report).await;
    let announces = |pointer: &str| {
        let config = config.need().unwrap_or(&Value::Null);
        config.pointer(pointer) == Some(&Value::Bool(true))
    };
    let anna = create_user(api, report, "Anna").await;
    let ben = create_user(api, report, "Ben").await;
    representation(api, report, &anna).await;
    if announces("/filter/supported") {
        filters(api, report, &anna, &ben).await;
    }
    if announces("/patch/supported") {
        patch_user(api, report, &anna).await;
        patch_group(api, report, [&anna, &ben]).await;
    }
    if announces("/etag/supported") {
        announced::conditions(api, report, &anna).await;
    }
    if announces("/sort/supported") && announces("/filter/supported") {
        announced::sorting(api, report, [&anna, &ben]).await;
    }
    if announces("/pagination/cursor") {
        announced::cursors(api, report, [&anna, &ben]).await;
    }
    if announces("/bulk/supported") {
        announced::bulk(api, report).await;
    }
    announced::posted_search(api, report, &anna).await;
    report
        .step("all users are read, by pages", async {
            import::read(api, "/Users", &[anna.need()?, ben.need()?]).await
        })
        .await;
    put_user(api, report, &anna).await;
    steps::delete(api, report, "Ben", &ben, Resource::user).await;
    errors::run(api, report).await;
}

/// Section 4: gives what the server says of itself.
async fn discovery(api: &Client, report: &mut Report) -> Outcome<Value> {
    let config = report
        .step("the server says what it can do", async {
            let mut reply = api.get("/ServiceProviderConfig").await?.status(200)?.media_type()?;
            for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
                reply = reply.present(&format!("/{feature}/supported"))?;
            }
            Ok(reply.present("/authenticationSchemes/0/type")?.without_nulls()?.body)
        })
        .await;
    for endpoint in ["/Schemas", "/ResourceTypes"] {
        report
            .step(&format!("{endpoint} is a list, and each of it can be read"), async {
                let reply = api.get(endpoint).await?.list()?.without_nulls()?;
                for found in reply.resources() {
                    let name = found.get("id").or_else(|| found.get("name"));
                    let name = name.and_then(Value::as_str).unwrap_or_default();
                    api.get(&format!("{endpoint}/{name}")).await?.status(200)?.holds(found)?;
                }
                reply.present("/Resources/0")
            })
            .await;
    }
    report
        .step("discovery takes no filter", async {
            api.get("/Schemas?filter=id%20pr").await?.error(403)
        })
        .await;
    config
}

async fn create_user(api: &Client, report: &mut Report, name: &str) -> Outcome<Resource> {
    let user_name = fresh_user_name();
    let mut body = plain_user(&user_name, name);
    overlay(&mut body, &json!({"title": "Engineer"}));
    let made = steps::make_user(api, report, &body).await;
    report
        .step(
            &format!("{name} is there: a second creation is a 409 with scimType uniqueness"),
            async {
                made.need()?;
                api.post("/Users", &body).await?.error(409)?.is("/scimType", "uniqueness")
            },
        )
        .await;
    made
}

/// Sections 3.1 and 3.9: `meta`, and what is left out.
async fn representation(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    report
        .step("meta is complete, and says where the user is", async {
            let path = anna.need()?.user();
            let reply = api.get(&path).await?.status(200)?.is("/meta/resourceType", "User")?;
            let reply = reply.text("/meta/created")?.text("/meta/lastModified")?;
            let place = reply.body.pointer("/meta/location").and_then(Value::as_str);
            let fine = place.is_some_and(|place| place.ends_with(&path));
            if fine { Ok(()) } else { Err(reply.wrong("the user's address at /meta/location")) }
        })
        .await;
    report
        .step("attributes are chosen, in whatever case", async {
            let anna = anna.need()?;
            let reply = api.get(&format!("{}?attributes=USERNAME", anna.user())).await?;
            let reply = reply.status(200)?.is("/userName", anna.name.as_str())?.text("/id")?;
            reply.lacks("/emails")?.lacks("/title")
        })
        .await;
    report
        .step("attributes are left out", async {
            let path = format!("{}?excludedAttributes=emails", anna.need()?.user());
            api.get(&path).await?.status(200)?.lacks("/emails")?.present("/title")
        })
        .await;
}

/// Section 3.4.2.2: each operator, on what is known of Anna.
async fn filters(
    api: &Client,
    report: &mut Report,
    anna: &Outcome<Resource>,
    ben: &Outcome<Resource>,
) {
    for (filter, finds) in [
        ("userName ne \"nobody\"", true),
        ("title pr and not (title co \"xyz\")", true),
        ("title sw \"Eng\" and title ew \"eer\"", true),
        ("nickName pr or title eq \"Engineer\"", true),
        ("emails[type eq \"work\" and value co \"@\"]", true),
        ("meta.lastModified gt \"2011-05-13T04:42:34Z\"", true),
        ("active eq false", false),
    ] {
        report
            .step(&format!("the filter: {filter}"), async {
                let anna = anna.need()?;
                let filter = format!("{} and ({filter})", eq("userName", &anna.name));
                let reply = api.get(&search("/Users", &filter)).await?;
                if finds { reply.only(anna).map(drop) } else { reply.list()?.total(0).map(drop) }
            })
            .await;
    }
    report
        .step("userName is found in capitals, by a name in capitals", async {
            let ben = ben.need()?;
            api.get(&search("/Users", &eq("USERNAME", &ben.name.to_uppercase()))).await?.only(ben)
        })
        .await;
}

/// Section 3.5.2, on a user.
async fn patch_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    let home = json!({"value": "anna@home.example", "type": "home"});
    for (name, operation, want) in [
        (
            "add without a path",
            json!({"op": "add", "value": {"nickName": "Annie", "emails": [home]}}),
            json!({"nickName": "Annie", "emails": [{"type": "home"}, {"type": "work"}]}),
        ),
        (
            "replace a sub-attribute of the element that a filter selects",
            json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "a@h.example"}),
            json!({"emails": [{"type": "home", "value": "a@h.example"}, {"type": "work"}]}),
        ),
        (
            "add to an extension",
            json!({"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"}),
            json!({ENTERPRISE: {"department": "Sales"}}),
        ),
        (
            "remove an attribute",
            json!({"op": "remove", "path": "nickName"}),
            json!({"nickName": null}),
        ),
    ] {
        report
            .step(&format!("PATCH: {name}"), async {
                let body = patch(json!([operation]));
                api.patch_then_get(&anna.need()?.user(), &body).await?.holds(&want)
            })
            .await;
    }
    report
        .step("PATCH: a failing operation undoes the one before", async {
            let path = &anna.need()?.user();
            let body = patch(json!([
                {"op": "replace", "path": "title", "value": "Director"},
                {"op": "remove"},
            ]));
            api.patch(path, &body).await?.error(400)?.is("/scimType", "noTarget")?;
            api.get(path).await?.status(200)?.is("/title", "Engineer")
        })
        .await;
}

/// Section 3.5.2, on a group.
async fn patch_group(api: &Client, report: &mut Report, people: [&Outcome<Resource>; 2]) {
    let name = fresh_group_name();
    let lookup = search("/Groups", &eq("displayName", &name));
    let group = &steps::create_group(api, report, &plain_group(&name), &lookup).await;
    report
        .step("PATCH: members are added, and one is removed by a filter", async {
            let (group, [anna, ben]) = (group.need()?, both(people)?);
            let body = patch(json!([add_members(&[anna, ben])]));
            api.patch_then_get(&group.group(), &body).await?.members(&[anna, ben])?;
            let path = format!("members[value eq \"{}\"]", anna.id);
            let body = patch(json!([{"op": "remove", "path": path}]));
            api.patch_then_get(&group.group(), &body).await?.members(&[ben])
        })
        .await;
    steps::delete(api, report, "the group", group, Resource::group).await;
}

/// Section 3.5.1: what only the server may write is ignored, all else is replaced.
async fn put_user(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    report
        .step("PUT replaces all but what is the server's", async {
            let anna = anna.need()?;
            let mut body = plain_user(&anna.name, "Anna");
            let ours = json!({"id": "other", "meta": {"resourceType": "Other"}, "groups": []});
            overlay(&mut body, &ours);
            let reply = api.put_then_get(&anna.user(), &body).await?;
            let reply = reply.is("/id", anna.id.as_str())?.is("/meta/resourceType", "User")?;
            reply.is("/name/givenName", "Anna")
        })
        .await;
    report
        .step("PUT of what is not there is a 404", async {
            api.put("/Users/00u0000000000000000", &plain_user(&fresh_user_name(), "Nobody"))
                .await?
                .error(404)
        })
        .await;
}

/// Both of two people.
pub fn both(people: [&Outcome<Resource>; 2]) -> Checked<[&Resource; 2]> {
    let [first, second] = people;
    Ok([first.need()?, second.need()?])
}
