//! Carrying out one change on a document.

use serde_json::{Map, Value};

use super::{Action, Change, Place, Selector, full_name};
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::filter::matches_element;
use crate::scim::quirks::{Quirk, Quirks};
use crate::scim::resource::immutable::{changed, is_immutable};
use crate::scim::schema::Attribute;
use crate::scim::value::{MAX_ELEMENTS, distinct, is_primary, is_same, is_unassigned};

/// Carries out `change` on the attributes of a resource.
pub(super) fn apply(
    root: &mut Map<String, Value>,
    change: &Change,
    quirks: &mut Quirks,
) -> ScimResult<()> {
    match &change.extension {
        None => in_container(root, change, quirks),
        Some(urn) => {
            let mut values = match root.shift_remove(urn.as_ref()) {
                Some(Value::Object(values)) => values,
                _ => Map::new(),
            };
            in_container(&mut values, change, quirks)?;
            if !values.is_empty() {
                root.insert(urn.to_string(), values.into());
            }
            Ok(())
        }
    }
}

fn in_container(
    container: &mut Map<String, Value>,
    change: &Change,
    quirks: &mut Quirks,
) -> ScimResult<()> {
    let name = change.attribute.name.as_str();
    let after = if change.attribute.multi_valued {
        let before = match container.shift_remove(name) {
            Some(Value::Array(elements)) => elements,
            _ => Vec::new(),
        };
        Some(Value::Array(multi_valued(before, change, quirks)?))
    } else {
        single(container.shift_remove(name), change)
    };
    if let Some(value) = after
        && !is_unassigned(&value)
    {
        container.insert(name.to_owned(), value);
    }
    Ok(())
}

fn single(before: Option<Value>, change: &Change) -> Option<Value> {
    match (&change.place, &change.action) {
        (Place::Sub(sub), action) => {
            let mut object = match before {
                Some(Value::Object(object)) => object,
                _ => Map::new(),
            };
            set_sub(&mut object, sub, action);
            Some(object.into())
        }
        (_, Action::Add(value) | Action::Replace(value)) => Some(value.clone()),
        (_, Action::Remove | Action::RemoveValues(_)) => None,
    }
}

fn set_sub(object: &mut Map<String, Value>, sub: &Attribute, action: &Action) {
    match action {
        Action::Add(Value::Array(added)) if sub.multi_valued => {
            let mut elements = match object.shift_remove(&sub.name) {
                Some(Value::Array(elements)) => elements,
                _ => Vec::new(),
            };
            elements.extend(added.iter().cloned());
            object.insert(sub.name.clone(), distinct(sub, elements).into());
        }
        Action::Add(value) | Action::Replace(value) => {
            object.insert(sub.name.clone(), value.clone());
        }
        Action::Remove | Action::RemoveValues(_) => {
            object.shift_remove(&sub.name);
        }
    }
}

/// The elements after the change. `touched` marks those that the change set, for the rule on
/// `primary`.
fn multi_valued(
    before: Vec<Value>,
    change: &Change,
    quirks: &mut Quirks,
) -> ScimResult<Vec<Value>> {
    let mut elements: Vec<Element> =
        before.into_iter().map(|value| Element { value, touched: false }).collect();
    match (&change.place, &change.action) {
        (Place::Whole, Action::Add(values)) => {
            // "If the value already exists, no changes SHOULD be made" (RFC 7644 section 3.5.2.1).
            for value in each(values) {
                check_room(&elements, &change.attribute.name)?;
                if !elements.iter().any(|element| element.value == *value) {
                    elements.push(Element { value: value.clone(), touched: true });
                }
            }
        }
        (Place::Whole, Action::Replace(values)) => {
            return Ok(each(values).cloned().collect());
        }
        (Place::Whole, Action::Remove) => return Ok(Vec::new()),
        (Place::Whole, Action::RemoveValues(values)) => {
            elements.retain(|element| {
                !values.iter().any(|listed| names(&change.attribute, listed, &element.value))
            });
        }
        (Place::Sub(sub), action) => {
            if elements.is_empty() && matches!(action, Action::Add(_) | Action::Replace(_)) {
                elements.push(Element { value: Map::new().into(), touched: true });
            }
            for element in &mut elements {
                element.set_sub(change, sub, action)?;
            }
        }
        (Place::Elements(selector), action) => {
            at_elements(&mut elements, change, selector, action, quirks)?;
        }
        (Place::ElementsSub(selector, sub), action) => {
            let mut found = false;
            for element in &mut elements {
                if matches_element(&selector.filter, &element.value) {
                    element.set_sub(change, sub, action)?;
                    found = true;
                }
            }
            if !found {
                let (Action::Add(_) | Action::Replace(_), Some(seed)) = (action, &selector.seed)
                else {
                    return Err(no_match(change));
                };
                let mut object = seed.clone();
                set_sub(&mut object, sub, action);
                elements.push(Element { value: object.into(), touched: true });
                quirks.note(Quirk::SeededElement);
            }
        }
    }
    elements.retain(|element| !is_unassigned(&element.value));
    one_primary(elements, &change.attribute.name)
}

fn at_elements(
    elements: &mut Vec<Element>,
    change: &Change,
    selector: &Selector,
    action: &Action,
    quirks: &mut Quirks,
) -> ScimResult<()> {
    let mut found = false;
    for element in elements.iter_mut() {
        if !matches_element(&selector.filter, &element.value) {
            continue;
        }
        found = true;
        element.touched = true;
        match action {
            Action::Remove | Action::RemoveValues(_) => element.value = Value::Null,
            // "all matching record values SHALL be replaced" (RFC 7644 section 3.5.2.3).
            Action::Replace(value) => element.become_value(change, value.clone())?,
            Action::Add(value) => match (&element.value, value) {
                (Value::Object(object), Value::Object(added)) => {
                    let mut object = object.clone();
                    object.extend(added.clone());
                    element.become_value(change, object.into())?;
                }
                // What is added to a single value takes its place (section 3.5.2.1).
                _ => element.value = value.clone(),
            },
        }
    }
    if found {
        return Ok(());
    }
    match (action, &selector.seed) {
        (Action::Add(Value::Object(added)), Some(seed)) => {
            let mut object = seed.clone();
            object.extend(added.clone());
            elements.push(Element { value: object.into(), touched: true });
            quirks.note(Quirk::SeededElement);
            Ok(())
        }
        _ => Err(no_match(change)),
    }
}

/// The limit holds between operations too: comparing with ever more elements would cost ever more.
fn check_room(elements: &[Element], name: &str) -> ScimResult<()> {
    if elements.len() > MAX_ELEMENTS {
        return Err(ScimError::invalid_value(format!(
            "'{name}' must not have more than {MAX_ELEMENTS} values"
        )));
    }
    Ok(())
}

struct Element {
    value: Value,
    touched: bool,
}

impl Element {
    fn set_sub(&mut self, change: &Change, sub: &Attribute, action: &Action) -> ScimResult<()> {
        if let Value::Object(object) = &self.value {
            let mut object = object.clone();
            set_sub(&mut object, sub, action);
            self.become_value(change, object.into())?;
            self.touched = true;
        }
        Ok(())
    }

    /// Takes on another value, in which nothing immutable is another one.
    fn become_value(&mut self, change: &Change, value: Value) -> ScimResult<()> {
        for sub in change.attribute.sub_attributes.iter().filter(|sub| is_immutable(sub)) {
            let Some(before) = self.value.get(&sub.name) else { continue };
            if !value.get(&sub.name).is_some_and(|after| is_same(sub, before, after)) {
                let name = full_name(change.extension.as_deref(), &change.attribute);
                return Err(changed(&format!("{name}.{}", sub.name)));
            }
        }
        self.value = value;
        Ok(())
    }
}

fn each(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().into_iter().flatten()
}

fn no_match(change: &Change) -> ScimError {
    ScimError::no_target(format!(
        "the value filter selects no element of '{}'",
        change.attribute.name
    ))
}

/// Whether `listed`, an element sent for removal, means `element`.
///
/// A `value` identifies an element by itself; without one every sub-attribute sent must be equal.
fn names(attribute: &Attribute, listed: &Value, element: &Value) -> bool {
    let (Value::Object(members), Value::Object(element)) = (listed, element) else {
        return is_same(attribute, listed, element);
    };
    let same = |key: &str| match (members.get(key), element.get(key)) {
        (Some(a), Some(b)) => attribute.sub_attribute(key).is_some_and(|sub| is_same(sub, a, b)),
        (a, b) => a == b,
    };
    if members.contains_key("value") {
        return same("value") && (!members.contains_key("type") || same("type"));
    }
    members.keys().all(|key| same(key))
}

/// Setting one element as primary makes the others not primary (RFC 7644 section 3.5.2).
fn one_primary(mut elements: Vec<Element>, name: &str) -> ScimResult<Vec<Value>> {
    let primaries = |touched: Option<bool>| {
        elements
            .iter()
            .filter(|e| is_primary(&e.value) && touched.is_none_or(|touched| e.touched == touched))
            .count()
    };
    if primaries(None) > 1 {
        if primaries(Some(true)) != 1 {
            return Err(ScimError::invalid_value(format!(
                "only one element of '{name}' may have primary set to true"
            )));
        }
        for element in elements.iter_mut().filter(|element| !element.touched) {
            if is_primary(&element.value)
                && let Value::Object(object) = &mut element.value
            {
                object.insert("primary".to_owned(), false.into());
            }
        }
    }
    Ok(elements.into_iter().map(|element| element.value).collect())
}
