//! How documents are read in SQL.
//!
//! A schema may have been another one when a document was written, so nothing here fails for a value
//! of another type: it is no value.

use super::sql::Sql;

/// A name from a schema file as an SQL string.
pub(super) fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// PostgreSQL's way to a member.
pub(super) fn arrows(steps: &[String]) -> String {
    steps.iter().flat_map(|step| [" -> ".to_owned(), quoted(step)]).collect()
}

/// SQLite's JSON path to a member.
pub(super) fn path(steps: &[String]) -> String {
    quoted(&to_member(steps))
}

/// The JSON path to a member, as both databases write it.
fn to_member(steps: &[String]) -> String {
    let names: Vec<String> = steps.iter().map(|step| step.replace('"', "\\\"")).collect();
    format!("$.\"{}\"", names.join("\".\""))
}

/// A member of a container, as JSON on PostgreSQL and as a value on SQLite.
pub(super) fn member(postgres: bool, container: &str, steps: &[String]) -> String {
    if postgres {
        format!("({container}{})", arrows(steps))
    } else {
        format!("json_extract({container}, {})", path(steps))
    }
}

/// The rows for the elements of an array in a container.
pub(super) fn elements(postgres: bool, container: &str, steps: &[String]) -> String {
    if postgres {
        // Read once, and silent about what is no array.
        let path = quoted(&format!("strict {}[*]", to_member(steps)));
        format!("jsonb_path_query({container}, {path}, '{{}}', TRUE)")
    } else {
        let (path, array) = (path(steps), member(postgres, container, steps));
        format!(
            "json_each(CASE json_type({container}, {path}) WHEN 'array' THEN {array} \
             ELSE '[]' END)"
        )
    }
}

/// An object in a container, to look into.
pub(super) fn object(postgres: bool, container: &str, steps: &[String]) -> String {
    let object = member(postgres, container, steps);
    if postgres {
        return object;
    }
    // A text is no JSON to look into.
    format!("CASE json_type({container}, {}) WHEN 'object' THEN {object} END", path(steps))
}

/// An element that is an object, of rows that go by the alias.
pub(super) fn element(postgres: bool, alias: &str) -> String {
    if postgres {
        format!("{alias}.value")
    } else {
        format!("CASE {alias}.type WHEN 'object' THEN {alias}.value END")
    }
}

/// A value as a number: PostgreSQL's text of one, or SQLite's own.
pub(super) fn number(postgres: bool, value: Sql) -> Sql {
    let (is_number, cast) = if postgres {
        (value.clone().raw(r" ~ '^-?\d+(\.\d+)?$'"), "::numeric")
    } else {
        // To SQLite every text is larger than any number.
        (Sql::new("typeof(").append(value.clone()).raw(") IN ('integer', 'real')"), "")
    };
    Sql::new("CASE WHEN ")
        .append(is_number)
        .raw(" THEN (")
        .append(value)
        .raw(format!("){cast} END"))
}

/// A value as an integer of 64 bits: a number that is none is no value.
pub(super) fn integer(postgres: bool, value: Sql) -> Sql {
    let number = number(postgres, value);
    let (whole, is_within) = if postgres {
        let bounds = format!(") BETWEEN {} AND {}", i64::MIN, i64::MAX);
        let whole = Sql::new("trunc(").append(number.clone()).raw(")");
        (whole, Sql::new(" AND (").append(number.clone()).raw(bounds))
    } else {
        (Sql::new("CAST((").append(number.clone()).raw(") AS INTEGER)"), Sql::default())
    };
    Sql::new("CASE WHEN (")
        .append(number)
        .raw(") = ")
        .append(whole.clone())
        .append(is_within)
        .raw(" THEN ")
        .append(whole)
        .raw(" END")
}

/// A truth in SQLite's JSON, which is a number there.
pub(super) fn flag(value: Sql) -> Sql {
    Sql::new("CASE WHEN typeof(")
        .append(value.clone())
        .raw(") = 'integer' AND ")
        .append(value.clone())
        .raw(" IN (0, 1) THEN ")
        .append(value)
        .raw(" END")
}

/// The truth in PostgreSQL's text of a value.
pub(super) fn truth(text: Sql) -> Sql {
    Sql::new("CASE ").append(text).raw(" WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END")
}
