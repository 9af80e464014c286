//! Whether a stored value is shown as it stands, found out while reading past it: no tree is made of what
//! would only be written again.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Name;
use crate::scim::projection::{Container, Parts};
use crate::scim::schema::{Attribute, AttributeType};
use crate::scim::value::format::{is_base64, is_date_time};

/// Whether all of a stored value is shown where these parts of its attribute are, and all of it is of the
/// attribute's types. If not, or where it takes more to tell, some of it may be shown still. What is stored was
/// written by the library that writes answers, so that its text is what it would be written as again.
pub(super) fn is_whole(
    container: &Container<'_>,
    parts: &Parts<'_>,
    attribute: &Attribute,
    stored: &str,
) -> bool {
    let mut reader = serde_json::Deserializer::from_str(stored);
    let look = Look { attribute, within: Within::Resource { container, parts } };
    look.deserialize(&mut reader).is_ok() && reader.end().is_ok()
}

/// A look at a value, which fails where it is not as the attribute has it.
struct Look<'a> {
    attribute: &'a Attribute,
    within: Within<'a>,
}

/// What the value is a part of.
#[derive(Clone, Copy)]
enum Within<'a> {
    Resource {
        container: &'a Container<'a>,
        parts: &'a Parts<'a>,
    },
    /// Another value, of which it is a part that is shown.
    Value,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.attribute.multi_valued {
            deserializer.deserialize_seq(self)
        } else {
            One(self).deserialize(deserializer)
        }
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { attribute, within } = self;
        while elements.next_element_seed(One(Look { attribute, within }))?.is_some() {}
        Ok(())
    }
}

/// A look at a single value, or at one of several.
struct One<'a>(Look<'a>);

/// An error, which nobody reads, if it is not so.
fn is<E: Error>(is_so: bool) -> Result<(), E> {
    if is_so { Ok(()) } else { Err(E::custom("")) }
}

impl One<'_> {
    fn kind(&self) -> AttributeType {
        self.0.attribute.kind
    }
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the attribute's type")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        is(self.kind() == AttributeType::Boolean)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        is(matches!(self.kind(), AttributeType::Integer | AttributeType::Decimal))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        is(match self.kind() {
            AttributeType::Integer => i64::try_from(number).is_ok(),
            kind => kind == AttributeType::Decimal,
        })
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        is(self.kind() == AttributeType::Decimal)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        is(match self.kind() {
            AttributeType::String | AttributeType::Reference => true,
            AttributeType::DateTime => is_date_time(text),
            AttributeType::Binary => is_base64(text),
            _ => false,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Look { attribute, within } = self.0;
        let Within::Resource { container, parts } = within else { return is(false) };
        is(attribute.is_complex())?;
        let mut is_empty = true;
        while let Some(Name(name)) = members.next_key()? {
            is_empty = false;
            let sub = attribute.sub_attribute(&name);
            let Some(sub) = sub.filter(|sub| container.shows(attribute, parts, sub)) else {
                return is(false);
            };
            members.next_value_seed(Look { attribute: sub, within: Within::Value })?;
        }
        // Of which nothing is left, that is none.
        is(!is_empty)
    }
}
