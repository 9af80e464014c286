//! What the store holds of one connection.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use muster::db::sql::Sql;
use muster::db::{Db, StoreError};

/// A user.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
#[expect(clippy::struct_field_names, reason = "the columns' names")]
pub struct User {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub external_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub display_name: Option<String>,
    #[diesel(sql_type = Bool)]
    pub active: bool,
    #[diesel(sql_type = Bool)]
    pub scim_owned: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub subject: Option<String>,
    #[diesel(sql_type = Text)]
    pub document: String,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
}

impl User {
    /// Whether the user is the provider's identity of that id.
    pub fn is(&self, id: &str) -> bool {
        self.external_id.as_deref() == Some(id)
            || (self.external_id.is_none() && self.subject.as_deref() == Some(id))
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Team {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub display_name: String,
    #[diesel(sql_type = Bool)]
    pub scim_managed: bool,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
}

/// What is said of a user and a team.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Statement {
    #[diesel(sql_type = Text)]
    pub user_id: String,
    #[diesel(sql_type = Text)]
    pub team_id: String,
    #[diesel(sql_type = Bool)]
    pub scim: bool,
    #[diesel(sql_type = Bool)]
    pub claim: bool,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dump {
    pub users: Vec<User>,
    pub teams: Vec<Team>,
    pub statements: Vec<Statement>,
    /// Sessions of users who are inactive.
    pub stray_sessions: i64,
}

impl Dump {
    pub async fn read(db: &Db, connection_id: &str) -> Self {
        let id = connection_id.to_owned();
        db.snapshot(move |conn| {
            let users = Sql::new(
                "SELECT id, user_name, external_id, display_name, active, scim_owned, subject, \
                 document, version FROM users WHERE connection_id = ",
            )
            .text(&*id)
            .raw(" ORDER BY id")
            .load(conn)?;
            let teams = Sql::new(
                "SELECT id, display_name, scim_managed, version FROM teams WHERE connection_id = ",
            )
            .text(&*id)
            .raw(" ORDER BY id")
            .load(conn)?;
            let statements = Sql::new(
                "SELECT m.user_id, m.team_id, m.scim, m.claim FROM users AS u \
                 JOIN memberships AS m ON m.user_id = u.id WHERE u.connection_id = ",
            )
            .text(&*id)
            .raw(" ORDER BY m.user_id, m.team_id")
            .load(conn)?;
            let stray: Count = Sql::new(
                "SELECT COUNT(*) AS total FROM sessions JOIN users ON users.id = sessions.user_id \
                 WHERE NOT users.active AND users.connection_id = ",
            )
            .text(&*id)
            .get_result(conn)?;
            Ok::<_, StoreError>(Self { users, teams, statements, stray_sessions: stray.total })
        })
        .await
        .expect("a dump")
    }

    /// The users and teams of which a source says that they belong together.
    pub fn said(&self, by: fn(&Statement) -> bool) -> Vec<(&str, &str)> {
        self.statements
            .iter()
            .filter(|statement| by(statement))
            .map(|statement| (statement.user_id.as_str(), statement.team_id.as_str()))
            .collect()
    }

    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user that an identity signs in as.
    pub fn of_subject(&self, subject: &str) -> Option<&User> {
        self.users.iter().find(|user| user.subject.as_deref() == Some(subject))
    }

    pub fn has_team(&self, id: &str) -> bool {
        self.teams.iter().any(|team| team.id == id)
    }
}
