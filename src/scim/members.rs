//! The members of a group as clients list them, read as they come: a tree of a hundred thousand objects takes
//! longer to be made than all the rest of a request.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::error::{ScimError, ScimResult};
use super::quirks::{Quirk, Quirks};

/// A `members` value: an array of members, or a single one.
#[derive(Debug, Default)]
pub struct Members {
    ids: Vec<String>,
    /// What is wrong with the first that is no member of the kind this server has.
    wrong: Option<ScimError>,
    quirks: Vec<Quirk>,
}

/// The user ids in a `members` value.
///
/// # Errors
/// See [`Members::ids`].
pub fn member_ids(value: Value, quirks: &mut Quirks) -> ScimResult<BTreeSet<String>> {
    Members::deserialize(value).map_err(|_| no_member())?.ids(quirks)
}

impl Members {
    /// The user ids.
    ///
    /// # Errors
    /// `invalidValue` for an element that is no object with a `value`, or of a `type` other than `User`.
    pub fn ids(self, quirks: &mut Quirks) -> ScimResult<BTreeSet<String>> {
        quirks.extend(self.quirks);
        match self.wrong {
            Some(wrong) => Err(wrong),
            None => Ok(self.ids.into_iter().collect()),
        }
    }

    fn take(&mut self, element: Shape<Parts, IgnoredAny>) {
        let id = match element {
            Shape::Null => return,
            Shape::Text(id) => {
                self.note(Quirk::BareComplexValue);
                Ok(id)
            }
            Shape::Object(parts) => parts.id(),
            Shape::Array(_) | Shape::Other => Err(no_member()),
        };
        match id {
            Ok(id) if id.is_empty() || id.contains('\0') => self.refuse(no_member()),
            Ok(id) => self.ids.push(id),
            Err(wrong) => self.refuse(wrong),
        }
    }

    fn note(&mut self, quirk: Quirk) {
        if !self.quirks.contains(&quirk) {
            self.quirks.push(quirk);
        }
    }

    fn refuse(&mut self, wrong: ScimError) {
        self.wrong.get_or_insert(wrong);
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let single = match Shape::<Parts, Elements>::deserialize(deserializer)? {
            Shape::Null => return Ok(Self::default()),
            Shape::Array(Elements(members)) => return Ok(members),
            Shape::Text(text) => Shape::Text(text),
            Shape::Object(parts) => Shape::Object(parts),
            Shape::Other => Shape::Other,
        };
        let mut members = Self::default();
        members.note(Quirk::SingleValue);
        members.take(single);
        Ok(members)
    }
}

/// The elements of an array of members.
struct Elements(Members);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements, A::Error> {
                let mut members = Members::default();
                while let Some(element) = seq.next_element()? {
                    members.take(element);
                }
                Ok(Elements(members))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

/// What matters of a member that is an object.
#[derive(Default)]
struct Parts {
    value: Option<String>,
    kind: Option<String>,
}

impl Parts {
    fn id(self) -> ScimResult<String> {
        match self.kind {
            Some(kind) if !kind.eq_ignore_ascii_case("user") => {
                Err(ScimError::invalid_value(format!(
                    "a member of type {} was sent: the members of a group are users; push nested groups one by \
                     one",
                    Value::from(kind)
                )))
            }
            _ => self.value.ok_or_else(no_member),
        }
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Parts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
                let mut parts = Parts::default();
                while let Some(name) = map.next_key()? {
                    let part = match name {
                        Name::Value => &mut parts.value,
                        Name::Type => &mut parts.kind,
                        Name::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *part = match map.next_value()? {
                        Shape::<IgnoredAny, IgnoredAny>::Text(text) => Some(text),
                        _ => None,
                    };
                }
                Ok(parts)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Which part of a member an attribute is, by its name.
enum Name {
    Value,
    Type,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(if name.eq_ignore_ascii_case("value") {
                    Name::Value
                } else if name.eq_ignore_ascii_case("type") {
                    Name::Type
                } else {
                    Name::Other
                })
            }
        }
        deserializer.deserialize_identifier(Reader)
    }
}

/// A value of any kind, of which text is kept, and of objects and arrays what `O` and `A` keep of them.
enum Shape<O, A> {
    Null,
    Text(String),
    Object(O),
    Array(A),
    /// A boolean or a number.
    Other,
}

impl<'de, O: Deserialize<'de>, A: Deserialize<'de>> Deserialize<'de> for Shape<O, A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<O, A>(PhantomData<(O, A)>);
        impl<'de, O: Deserialize<'de>, A: Deserialize<'de>> Visitor<'de> for Reader<O, A> {
            type Value = Shape<O, A>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Shape::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Shape::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Shape::Text(text))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                O::deserialize(MapAccessDeserializer::new(map)).map(Shape::Object)
            }

            fn visit_seq<S: SeqAccess<'de>>(self, seq: S) -> Result<Self::Value, S::Error> {
                A::deserialize(SeqAccessDeserializer::new(seq)).map(Shape::Array)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Shape::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Shape::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Shape::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Shape::Other)
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

fn no_member() -> ScimError {
    ScimError::invalid_value(
        "each of 'members' must be an object with the id of a user as its 'value'",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (ScimResult<Vec<String>>, Vec<Quirk>) {
        let mut quirks = Quirks::default();
        let members: Members = serde_json::from_str(text).expect("JSON");
        let ids = members.ids(&mut quirks).map(|ids| ids.into_iter().collect());
        // The same of a tree, as a PATCH has it.
        let mut again = Quirks::default();
        let value = serde_json::from_str(text).expect("JSON");
        let of_value = member_ids(value, &mut again).map(|ids| ids.into_iter().collect());
        assert_eq!((&ids, &quirks), (&of_value, &again), "{text}");
        (ids, quirks.iter().collect())
    }

    #[test]
    fn members_are_read_in_every_form_that_clients_send() {
        for (text, ids, quirks) in [
            ("null", vec![], vec![]),
            ("[]", vec![], vec![]),
            (
                r#"[{"value":"b"},{"value":"a","type":"User"},{"value":"b"}]"#,
                vec!["a", "b"],
                vec![],
            ),
            (
                r#"[{"VALUE":"a","$ref":["x",{"y":1}],"display":null,"Type":"user"}]"#,
                vec!["a"],
                vec![],
            ),
            (r#"[null,{"value":"a","type":null},{"value":"b","type":7}]"#, vec!["a", "b"], vec![]),
            (r#"[{"value":"a\u0041\n"}]"#, vec!["aA\n"], vec![]),
            (r#"["a",{"value":"b"},"c"]"#, vec!["a", "b", "c"], vec![Quirk::BareComplexValue]),
            (r#"{"value":"a"}"#, vec!["a"], vec![Quirk::SingleValue]),
            (r#""a""#, vec!["a"], vec![Quirk::SingleValue, Quirk::BareComplexValue]),
        ] {
            let (found, mut noted) = read(text);
            assert_eq!(found, Ok(ids.into_iter().map(str::to_owned).collect()), "{text}");
            let mut quirks = quirks;
            quirks.sort_unstable();
            noted.sort_unstable();
            assert_eq!(noted, quirks, "{text}");
        }
    }

    #[test]
    fn what_is_no_member_is_refused() {
        for text in [
            "7",
            "true",
            "[7]",
            "[-7, 0.5]",
            "[false]",
            "[[]]",
            r#"[["a"]]"#,
            r"[{}]",
            r#"[{"value":null}]"#,
            r#"[{"value":7}]"#,
            r#"[{"value":{"value":"a"}}]"#,
            r#"[{"value":["a"]}]"#,
            r#"[{"value":""}]"#,
            r#"[{"value":"a\u0000"}]"#,
            r#"[{"value":"a"},{"display":"b"}]"#,
        ] {
            assert_eq!(read(text).0, Err(no_member()), "{text}");
        }
    }

    #[test]
    fn a_nested_group_is_refused_by_its_type() {
        let (found, _) = read(r#"[{"value":"a"},{"type":"Gr\"oup","value":"b"},{}]"#);
        let error = found.expect_err("a nested group");
        assert!(error.detail.starts_with(r#"a member of type "Gr\"oup" was sent"#), "{error:?}");
        let single = member_ids(json!({ "type": "Group" }), &mut Quirks::default());
        assert!(single.is_err_and(|error| error.detail.contains("nested groups")));
    }
}
