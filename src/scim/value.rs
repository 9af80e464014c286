//! Values held against their attribute's definition (RFC 7643 section 2).
//!
//! What comes out has the canonical spelling of every name, the type that the schema asks for, and
//! none of what a client may not write; `null`, `[]` and `{}` come out as unassigned
//! (RFC 7643 section 2.5).

pub mod format;
mod same;

use serde_json::{Map, Value};

pub use self::same::{conforms, distinct, identity, is_same};

use super::error::{ScimError, ScimResult};
use super::quirks::{Quirk, Quirks};
use super::schema::{Attribute, AttributeType, Returned};

/// The longest text that an attribute may hold, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most values that a multi-valued attribute may have; a group's members are not counted here.
pub const MAX_ELEMENTS: usize = 1000;

/// The value of `attribute` in canonical form, or `None` where it is unassigned.
///
/// `name` is how messages call the attribute.
///
/// # Errors
/// `invalidValue` if the value is not of the attribute's type.
pub fn coerce(
    attribute: &Attribute,
    value: Value,
    name: &str,
    quirks: &mut Quirks,
) -> ScimResult<Option<Value>> {
    if is_unassigned(&value) {
        return Ok(None);
    }
    if !attribute.multi_valued {
        return coerce_single(attribute, out_of_array(value, quirks), name, quirks);
    }
    let elements = match value {
        Value::Array(elements) => elements,
        single => {
            quirks.note(Quirk::SingleValue);
            vec![single]
        }
    };
    check_count(&elements, name)?;
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        if let Some(element) = coerce_single(attribute, element, name, quirks)? {
            kept.push(element);
        }
    }
    check_primary(&kept, name)?;
    Ok((!kept.is_empty()).then_some(Value::Array(kept)))
}

/// The only element of an array, for an attribute that has one value; see
/// [`Quirk::ArrayForSingle`].
pub fn out_of_array(value: Value, quirks: &mut Quirks) -> Value {
    match value {
        Value::Array(mut elements) if elements.len() == 1 => {
            quirks.note(Quirk::ArrayForSingle);
            elements.pop().unwrap_or_default()
        }
        value => value,
    }
}

/// One value of `attribute`, whether or not the attribute is multi-valued.
///
/// # Errors
/// `invalidValue` if the value is not of the attribute's type.
pub fn coerce_single(
    attribute: &Attribute,
    value: Value,
    name: &str,
    quirks: &mut Quirks,
) -> ScimResult<Option<Value>> {
    let wrong = |expected: &str| {
        ScimError::invalid_value(format!(
            "'{name}' must be {expected}; check the attribute mapping"
        ))
    };
    match (attribute.kind, value) {
        (_, value) if is_unassigned(&value) => Ok(None),
        (_, value) if is_empty_text(attribute, &value) => {
            quirks.note(Quirk::EmptyText);
            Ok(None)
        }
        (AttributeType::Complex, Value::Object(object)) => {
            coerce_object(attribute, object, name, quirks)
        }
        (AttributeType::Complex, bare @ Value::String(_))
            if attribute.sub_attribute("value").is_some() =>
        {
            quirks.note(Quirk::BareComplexValue);
            if bare == "" {
                return Ok(None);
            }
            coerce_object(attribute, Map::from_iter([("value".to_owned(), bare)]), name, quirks)
        }
        (AttributeType::Complex, _) => Err(wrong("an object")),
        (AttributeType::Boolean, Value::Bool(flag)) => Ok(Some(flag.into())),
        (AttributeType::Boolean, Value::String(text)) => {
            let flag =
                text.to_ascii_lowercase().parse::<bool>().map_err(|_| wrong("true or false"))?;
            quirks.note(Quirk::StringBoolean);
            Ok(Some(flag.into()))
        }
        (AttributeType::Boolean, _) => Err(wrong("true or false")),
        (AttributeType::Integer, number @ Value::Number(_)) if number.as_i64().is_some() => {
            Ok(Some(number))
        }
        // "The value MUST NOT contain fractional or exponent parts" (RFC 7643 section 2.3.4).
        (AttributeType::Integer, Value::Number(number)) if !number.is_f64() => {
            Err(wrong("an integer of at most 64 bits"))
        }
        (AttributeType::Integer, _) => Err(wrong("an integer, without fraction or exponent")),
        (AttributeType::Decimal, Value::Number(number)) => {
            Ok(Some(Value::Number(format::decimal(&number))))
        }
        (AttributeType::Decimal, _) => Err(wrong("a number")),
        (kind, Value::String(text)) => {
            if text.len() > MAX_TEXT {
                return Err(wrong(&format!("no longer than {MAX_TEXT} bytes")));
            }
            if text.contains('\0') {
                return Err(wrong("text without NUL characters"));
            }
            match kind {
                AttributeType::DateTime if !format::is_date_time(&text) => {
                    Err(wrong("a date and time such as 2026-01-31T09:00:00Z"))
                }
                AttributeType::Binary if !format::is_base64(&text) => Err(wrong("base64 text")),
                AttributeType::Reference if !format::is_uri(&text) => {
                    quirks.note(Quirk::LooseReference);
                    Ok(Some(Value::String(text)))
                }
                _ => Ok(Some(Value::String(text))),
            }
        }
        (_, _) => Err(wrong("text")),
    }
}

fn coerce_object(
    attribute: &Attribute,
    object: Map<String, Value>,
    name: &str,
    quirks: &mut Quirks,
) -> ScimResult<Option<Value>> {
    let mut kept = Map::with_capacity(object.len());
    for (key, value) in object {
        // Unknown sub-attributes are ignored, and so is what only the server may write
        // (RFC 7644 section 3.3).
        let Some(sub) = attribute.sub_attribute(&key) else { continue };
        if sub.is_read_only() {
            continue;
        }
        let full_name = format!("{name}.{}", sub.name);
        // What is never returned is checked and not kept.
        if let Some(value) = coerce(sub, value, &full_name, quirks)?
            && sub.returned != Returned::Never
        {
            kept.insert(sub.name.clone(), value);
        }
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

/// A multi-valued attribute has at most [`MAX_ELEMENTS`] values.
///
/// # Errors
/// `invalidValue` if there are more.
pub fn check_count(elements: &[Value], name: &str) -> ScimResult<()> {
    if elements.len() > MAX_ELEMENTS {
        return Err(ScimError::invalid_value(format!(
            "'{name}' must not have more than {MAX_ELEMENTS} values"
        )));
    }
    Ok(())
}

/// At most one element may be the primary one (RFC 7643 section 2.4).
///
/// # Errors
/// `invalidValue` if several are.
pub fn check_primary(elements: &[Value], name: &str) -> ScimResult<()> {
    if elements.iter().filter(|element| is_primary(element)).count() > 1 {
        return Err(ScimError::invalid_value(format!(
            "only one element of '{name}' may have primary set to true"
        )));
    }
    Ok(())
}

/// Whether an element of a multi-valued attribute is its primary one.
pub fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}

/// Whether a value is the empty text where the attribute is not text, nor has its `value` as such;
/// see [`Quirk::EmptyText`].
pub fn is_empty_text(attribute: &Attribute, value: &Value) -> bool {
    let is_text = match attribute.kind {
        AttributeType::String | AttributeType::Reference => true,
        AttributeType::Complex => attribute.sub_attribute("value").is_some(),
        _ => false,
    };
    !is_text && value == ""
}

/// Whether a value counts as unassigned (RFC 7643 section 2.5).
pub fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}
