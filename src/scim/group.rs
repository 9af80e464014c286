//! Groups as clients send them: attributes of their own, and members.
//!
//! Members go a way of their own and never enter a document: a group may have a hundred thousand.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{ScimError, ScimResult};
use super::members::Members;
use super::quirks::Quirks;
use super::resource::Document;
use super::schema::ResourceType;

/// The body of a POST or PUT, as it was sent.
#[derive(Debug, Default)]
pub struct Body {
    /// The group's own attributes.
    attributes: Map<String, Value>,
    members: Members,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut body = Body::default();
                while let Some(name) = map.next_key::<String>()? {
                    // In whichever case, and however often: the last one counts, as for any attribute.
                    if name.eq_ignore_ascii_case("members") {
                        body.members = map.next_value()?;
                    } else {
                        body.attributes.insert(name, map.next_value()?);
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Body {
    /// The body as it is part of a larger one.
    ///
    /// # Errors
    /// `invalidSyntax` if it is no object.
    pub fn of(value: Value) -> ScimResult<Self> {
        Self::deserialize(value).map_err(|_| ScimError::no_object())
    }

    /// The group's own attributes, and the ids of its members.
    ///
    /// # Errors
    /// See [`Document::from_body`] and [`Members::ids`].
    pub fn read(
        self,
        resource_type: &ResourceType,
        quirks: &mut Quirks,
    ) -> ScimResult<(Document, BTreeSet<String>)> {
        let members = self.members.ids(quirks)?;
        Ok((Document::from_body(resource_type, self.attributes.into(), quirks)?, members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::Registry;

    fn read(text: &str) -> ScimResult<(Document, BTreeSet<String>)> {
        let body: Body = serde_json::from_str(text).expect("JSON");
        let registry = Registry::load(&[]).expect("a registry");
        body.read(registry.group(), &mut Quirks::default())
    }

    #[test]
    fn members_are_no_part_of_the_document() {
        let text = r#"{"Members":[{"value":"a"}],"displayName":"Staff","MEMBERS":[{"value":"b"}]}"#;
        let (document, members) = read(text).expect("a group");
        assert_eq!(document.text("displayName"), Some("Staff"));
        assert_eq!(document.as_map().keys().find(|key| key.eq_ignore_ascii_case("members")), None);
        assert_eq!(Vec::from_iter(members), ["b"], "the last one counts");
        // Even if the one before it was none.
        let text = r#"{"members":[7],"displayName":"Staff","members":null}"#;
        assert_eq!(read(text).map(|(_, members)| members), Ok(BTreeSet::new()));
    }

    #[test]
    fn what_is_no_object_is_no_group() {
        for body in [json!(null), json!([]), json!("a"), json!(7), json!([{ "displayName": "a" }])]
        {
            let of_text: Result<Body, _> = serde_json::from_str(&body.to_string());
            assert!(of_text.is_err_and(|error| error.is_data()), "{body}");
            assert_eq!(Body::of(body).err(), Some(ScimError::no_object()));
        }
    }
}
