//! What an event changed, beside what it says of it: enough to build the state from the log again.
//!
//! Much of it is in the event's data already. That is left out when it is written, and filled in when
//! it is read.

use serde_json::Value;

use super::events::Data;
use crate::db::StoreError;
use crate::db::journal::{Change, Source};

/// The changes that an event tells of, as they are stored beside its data.
///
/// # Errors
/// A row that cannot be written as JSON.
pub fn told(
    mut changes: Vec<Change>,
    subject_id: &str,
    data: &Data<'_>,
) -> Result<String, StoreError> {
    let after = data.after()?;
    for change in &mut changes {
        match change {
            Change::User(_) | Change::Team(_) => {
                if let Some(document) = document_of(change, subject_id)
                    && after.as_deref() == Some(document.as_str())
                {
                    document.clear();
                }
            }
            Change::Said { source: Source::Scim, users, member, .. }
                if listed(data.get("members"), *member)
                    .is_some_and(|listed| users.iter().eq(listed)) =>
            {
                users.clear();
            }
            _ => {}
        }
    }
    Ok(serde_json::to_string(&changes)?)
}

/// The changes that an event tells of.
///
/// # Errors
/// What is stored is no list of changes.
pub fn read(text: &str, subject_id: &str, data: &Value) -> Result<Vec<Change>, StoreError> {
    let mut changes: Vec<Change> = serde_json::from_str(text)?;
    for change in &mut changes {
        if let Change::Said { source: Source::Scim, users, member, .. } = change
            && users.is_empty()
        {
            let listed = listed(data.get("members"), *member).into_iter().flatten();
            *users = listed.map(str::to_owned).collect();
        } else if let Some(document) = document_of(change, subject_id)
            && document.is_empty()
        {
            *document = data.get("after").map(Value::to_string).unwrap_or_default();
        }
    }
    Ok(changes)
}

/// The document of the user or team that the event is about.
fn document_of<'c>(change: &'c mut Change, subject_id: &str) -> Option<&'c mut String> {
    match change {
        Change::User(row) if row.id == subject_id => Some(&mut row.document),
        Change::Team(row) if row.id == subject_id => Some(&mut row.document),
        _ => None,
    }
}

/// The members that are called added, or removed; nothing where none are named.
fn listed(members: Option<&Value>, added: bool) -> Option<impl Iterator<Item = &str>> {
    let list = members?.get(if added { "added" } else { "removed" })?.as_array()?;
    Some(list.iter().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::teams::TeamRow;

    fn team(id: &str, document: &Value) -> Change {
        Change::Team(TeamRow {
            id: id.to_owned(),
            connection_id: "c".to_owned(),
            display_name: "Team".to_owned(),
            display_name_fold: "team".to_owned(),
            external_id: None,
            scim_managed: true,
            document: document.to_string(),
            version: 2,
            created_at: 1,
            updated_at: 2,
        })
    }

    fn said(users: &[&str], member: bool) -> Change {
        Change::Said {
            source: Source::Scim,
            teams: vec!["t".to_owned()],
            users: users.iter().map(|&id| id.to_owned()).collect(),
            member,
            at: 2,
            by: "request".to_owned(),
        }
    }

    #[test]
    fn what_the_data_says_is_not_said_twice() {
        let document = json!({ "displayName": "Team" });
        let data = json!({
            "after": document,
            "members": { "added": ["u1", "u2"], "removed": ["u3"] },
        });
        let changes = vec![
            said(&["u1", "u2"], true),
            said(&["u3"], false),
            said(&["u1"], true),
            team("t", &document),
            team("t", &json!({})),
            team("other", &document),
        ];
        let text = told(changes.clone(), "t", &Data::Said(&data)).unwrap();
        assert_eq!(text.matches("u2").count(), 0, "{text}");
        assert_eq!(text.matches("u3").count(), 0, "{text}");
        assert_eq!(text.matches("u1").count(), 1, "{text}");
        assert_eq!(read(&text, "t", &data).unwrap(), changes);
    }

    #[test]
    fn what_the_data_does_not_say_is_kept() {
        let changes = vec![said(&["u1"], true), team("t", &json!({ "displayName": "Team" }))];
        for data in [json!({}), json!({ "after": 1, "members": { "added": "u1" } })] {
            let text = told(changes.clone(), "t", &Data::Said(&data)).unwrap();
            assert_eq!(read(&text, "t", &data).unwrap(), changes);
        }
    }
}
