//! Rules broken on purpose, to see that the simulation notices: what a server with such a fault
//! would have written is written into its store behind its back.

use diesel::prelude::*;
use muster::db::StoreError;
use muster::db::sql::Sql;
use serde_json::Value;

use super::okta::{Job, Okta, Outcome};
use super::org::Org;

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A sign-in takes somebody out of the pushed teams that the claim leaves out.
    SignInWithdrawsWhatScimSays,
    /// A push of a group takes out those of whom only claims say that they are members.
    PushWithdrawsWhatClaimsSay,
    /// A claim that may be cut short counts as complete.
    IncompleteClaimWithdraws,
    /// A sign-in changes the profile of a user that SCIM owns.
    SignInOverwritesTheProfile,
    /// Whoever is deactivated stays signed in.
    DeactivationLeavesASession,
    /// A push that deactivates does not last.
    DeactivationIsLost,
}

impl Sabotage {
    pub const ALL: [Self; 6] = [
        Self::SignInWithdrawsWhatScimSays,
        Self::PushWithdrawsWhatClaimsSay,
        Self::IncompleteClaimWithdraws,
        Self::SignInOverwritesTheProfile,
        Self::DeactivationLeavesASession,
        Self::DeactivationIsLost,
    ];

    /// What the simulation has to say of it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::SignInWithdrawsWhatScimSays => "(iii) a sign-in changed what SCIM says",
            Self::PushWithdrawsWhatClaimsSay => "(iii) a push",
            Self::IncompleteClaimWithdraws => "2.4: an incomplete claim",
            Self::SignInOverwritesTheProfile => "(iii) a sign-in changed a user",
            Self::DeactivationLeavesASession => "(iv) an inactive user has a session",
            Self::DeactivationIsLost => "is not assigned, but",
        }
    }

    /// What goes wrong when something was pushed.
    pub async fn after_push(self, okta: &Okta, org: &Org, job: Job, outcome: &Outcome) {
        let Outcome::Linked(id) = outcome else { return };
        let is_deactivation =
            matches!(job, Job::Person(person) if !org.people[person].is_assigned());
        let harm = match (self, job) {
            (Self::PushWithdrawsWhatClaimsSay, Job::Group(_)) => {
                Sql::new("DELETE FROM memberships WHERE claim AND NOT scim AND team_id = ").text(id)
            }
            (Self::DeactivationLeavesASession, _) if is_deactivation => Sql::new(
                "INSERT INTO sessions SELECT id, id, connection_id, id, 0, 0, 0 FROM users \
                 WHERE id = ",
            )
            .text(id)
            .raw(" ON CONFLICT DO NOTHING"),
            (Self::DeactivationIsLost, _) if is_deactivation => {
                Sql::new("UPDATE users SET active = TRUE WHERE id = ").text(id)
            }
            _ => return,
        };
        write(okta, harm).await;
    }

    /// What goes wrong when somebody signed in.
    pub async fn after_sign_in(self, okta: &Okta, subject: &str, claims: &Value) {
        let is_complete = claims["groups"].is_array() && claims.get("hasgroups").is_none();
        let harm = match self {
            Self::SignInWithdrawsWhatScimSays => {
                Sql::new("DELETE FROM memberships WHERE scim AND NOT claim AND user_id IN (")
            }
            Self::IncompleteClaimWithdraws if !is_complete => {
                Sql::new("DELETE FROM memberships WHERE claim AND NOT scim AND user_id IN (")
            }
            Self::SignInOverwritesTheProfile => {
                Sql::new("UPDATE users SET version = version + 1 WHERE scim_owned AND id IN (")
            }
            _ => return,
        };
        let harm = harm
            .raw("SELECT id FROM users WHERE subject = ")
            .text(subject)
            .raw(" AND connection_id = ")
            .text(&*okta.connection_id)
            .raw(")");
        write(okta, harm).await;
    }
}

async fn write(okta: &Okta, harm: Sql) {
    let written = okta.db.write("sabotage", move |conn| {
        harm.clone().execute(conn)?;
        Ok::<_, StoreError>(())
    });
    written.await.expect("a statement that runs");
}
