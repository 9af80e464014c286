//! `muster explain`

use clap::Args;

use super::{output, store};
use crate::clock::rfc3339;
use crate::db::DatabaseUrl;
use crate::directory::explain::{self, Explanation, Membership, Statement};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The connection of the user [default: the only one that has such a user]
    #[arg(long, env = "MUSTER_EXPLAIN_CONNECTION")]
    connection: Option<String>,
    /// The user: an id, a userName or an externalId
    user: String,
    /// Only this team: an id, a displayName or an externalId
    team: Option<String>,
}

/// Says why a user is in the teams that the user is in, and what would change it.
///
/// # Errors
/// There is no such user or team, or more than one.
pub async fn run(args: ExplainArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let db = store::existing(url).await?;
    let ExplainArgs { connection, user, team } = args;
    let found = db
        .snapshot(move |conn| explain::of_name(conn, connection.as_deref(), &user, team.as_deref()))
        .await?;
    if as_json {
        output::json(&found.to_json());
    } else {
        show(&found);
    }
    Ok(())
}

fn show(found: &Explanation) {
    let (user, settings) = (&found.user, &found.connection.settings);
    let time = |at: Option<i64>| at.map_or_else(|| "never".to_owned(), rfc3339);
    let identity = match (&user.issuer, &user.subject) {
        (Some(issuer), Some(subject)) => format!("{subject} at {issuer}"),
        _ => "-".to_owned(),
    };
    let at = time(user.signed_in_at);
    let signed_in = match found.last_claim.as_ref().and_then(|claim| claim.flaw.as_ref()) {
        Some(flaw) => format!("{at}, with a groups claim that was not taken as complete ({flaw})"),
        None => at,
    };
    let owner = if user.scim_owned { "SCIM" } else { "sign-in" };
    let filter = settings.sign_in.groups_filter.as_deref().unwrap_or("-");
    output::fields(&[
        ("user", format!("{} ({})", user.user_name, user.id)),
        ("external id", user.external_id.clone().unwrap_or_else(|| "-".to_owned())),
        ("connection", found.connection.name.clone()),
        ("policy", settings.membership.to_string()),
        ("groups filter", filter.to_owned()),
        ("owner", owner.to_owned()),
        ("active", if user.active { "yes" } else { "no" }.to_owned()),
        ("identity", identity),
        ("last sign-in", signed_in),
        ("last complete claim", time(user.claim_issued_at)),
        ("disagreements", found.disagreements.to_string()),
    ]);
    for membership in &found.memberships {
        output::line("");
        show_membership(membership);
    }
    if found.memberships.is_empty() {
        output::line("");
        output::line("Neither SCIM nor a groups claim says that the user is in any team.");
    }
}

fn show_membership(membership: &Membership) {
    let verdict = &membership.verdict;
    let state = match (verdict.effective, verdict.granted) {
        (true, _) => "a member",
        (_, true) => "a member without effect",
        _ => "not a member",
    };
    let manager = if membership.scim_managed { "SCIM" } else { "sign-in" };
    let said = |statement: &Statement, what: &str| {
        let word = if statement.member { "member" } else { "not a member" };
        match (statement.since, &statement.by) {
            (Some(since), Some(by)) => format!("{word} since {} ({what} {by})", rfc3339(since)),
            (Some(since), None) => format!("{word} since {}", rfc3339(since)),
            (None, _) if statement.member => word.to_owned(),
            (None, _) => "not a member (has never named the user)".to_owned(),
        }
    };
    let mut fields = vec![
        ("team", format!("{} ({})", membership.display_name, membership.team_id)),
        ("managed by", manager.to_owned()),
        ("SCIM", said(&membership.scim, "request")),
        ("claim", said(&membership.claim, "sign-in")),
        ("result", state.to_owned()),
    ];
    if verdict.disagree {
        fields.push(("disagreement", "SCIM and the last complete claim differ".to_owned()));
    }
    if !membership.roles.is_empty() {
        let effect = if verdict.effective { "" } else { " (not in effect)" };
        fields.push(("team's roles", format!("{}{effect}", membership.roles.join(", "))));
    }
    fields.push(("why", verdict.why.clone()));
    fields.push(("to change it", verdict.change.clone()));
    output::fields(&fields);
}
