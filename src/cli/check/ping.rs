//! Ping Identity's SCIM provisioner: which calls it makes is documented, their bodies are not, so the
//! bodies are plain ones.

use serde_json::{Value, json};

use super::bodies::{
    eq, fresh_group_name, fresh_user_name, overlay, plain_group, plain_user, search,
};
use super::client::Client;
use super::expect::{Checked, Resource};
use super::report::{Outcome, Report};
use super::{errors, steps};

/// Replays the provisioner: users by PUT, groups found among all and written whole, errors.
pub async fn run(api: &Client, report: &mut Report) {
    let anna = user(api, report).await;
    groups(api, report, &anna).await;
    steps::delete(api, report, "Anna", &anna, Resource::user).await;
    errors::run(api, report).await;
}

async fn user(api: &Client, report: &mut Report) -> Outcome<Resource> {
    let user_name = fresh_user_name();
    let mut body = plain_user(&user_name, "Anna");
    let lookup = search("/Users", &eq("username", &user_name));
    let anna = steps::create_user(api, report, &body, &lookup).await;
    report
        .should("Anna is found without quotes, as the filter is documented", async {
            let path = search("/Users", &format!("userName eq {user_name}"));
            api.get(&path).await?.only(anna.need()?)
        })
        .await;
    report
        .step("Anna is found by the address of work", async {
            api.get(&search("/Users", &eq("emails", &user_name))).await?.only(anna.need()?)
        })
        .await;
    for active in [false, true] {
        overlay(&mut body, &json!({"active": active, "title": "Engineer"}));
        let what = format!("Anna is written by PUT, active {active}");
        steps::put_user(api, report, &what, &anna, &body).await;
    }
    anna
}

async fn groups(api: &Client, report: &mut Report, anna: &Outcome<Resource>) {
    let body = plain_group(&fresh_group_name());
    let group = report
        .step("a group is created", async {
            api.post("/Groups", &body).await?.created()?.resource()
        })
        .await;
    report
        .step("the group is found among all, a thousand a page", async {
            among_all(api, group.need()?).await
        })
        .await;
    for (what, is_member) in [("Anna is a member", true), ("nobody is left", false)] {
        report
            .step(&format!("the group is written by PUT: {what}"), async {
                let (group, anna) = (group.need()?, anna.need()?);
                let people = if is_member { vec![anna] } else { Vec::new() };
                let members: Vec<Value> =
                    people.iter().map(|person| json!({"value": person.id})).collect();
                let mut body = body.clone();
                overlay(&mut body, &json!({"id": group.id, "members": members}));
                api.put_then_get(&group.group(), &body).await?.members(&people)
            })
            .await;
    }
    steps::delete(api, report, "the group", &group, Resource::group).await;
}

/// Reads groups, as many a page as the server gives, until this one is among them.
async fn among_all(api: &Client, group: &Resource) -> Checked<()> {
    let mut start = 1;
    loop {
        let reply = api.get(&format!("/Groups?startIndex={start}&count=1000")).await?.list()?;
        let mut ids = reply.resources().iter().map(|found| found.get("id").and_then(Value::as_str));
        if ids.any(|id| id == Some(group.id.as_str())) {
            return Ok(());
        }
        if reply.resources().is_empty() {
            return Err(reply.wrong(format!("the group {} on some page", group.id)));
        }
        start += reply.resources().len();
    }
}
