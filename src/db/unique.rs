//! Values that no two users of a connection, or no two teams, may share.
//!
//! The table follows the documents: whoever writes one writes the other in the same transaction.
//! [`index`] makes it do so where the rules have changed.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::connection::Conn;
use super::filter::Kind;
use super::json;
use super::sql::Sql;
use crate::scim::schema::{Attribute, AttributeType, Target};
use crate::scim::unique::UniqueAttribute;

/// Longest value, in bytes, as it compares: an index entry on PostgreSQL takes no more.
const MAX_VALUE: i64 = 1536;
/// Most problems that are told at once.
const MAX_PROBLEMS: i64 = 20;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Held {
    /// The attribute's full name.
    #[diesel(sql_type = Text)]
    pub attribute: String,
    /// The value as it compares.
    #[diesel(sql_type = Text)]
    pub value: String,
}

/// A value that keeps an attribute from being unique.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Conflict {
    /// Name of the connection.
    #[diesel(sql_type = Text)]
    pub connection: String,
    #[diesel(sql_type = Text)]
    pub attribute: String,
    #[diesel(sql_type = Text)]
    pub value: String,
    /// How many have it.
    #[diesel(sql_type = BigInt)]
    pub holders: i64,
    /// The ids of two of them, or twice that of the only one, whose value is too long.
    #[diesel(sql_type = Text)]
    pub first: String,
    #[diesel(sql_type = Text)]
    pub last: String,
}

/// The resource type's name in the table.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "User",
        Kind::Team => "Group",
    }
}

/// The column of the holder.
fn holder(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user_id",
        Kind::Team => "team_id",
    }
}

/// Attributes and values as rows, bound as one JSON array.
fn listed(conn: &Conn, wanted: &[(&str, &str)]) -> Sql {
    let pairs: serde_json::Value = wanted.iter().map(|(a, v)| vec![*a, *v]).collect();
    let array = pairs.to_string();
    if conn.is_postgres() {
        Sql::new("(SELECT pair ->> 0 AS attribute, pair ->> 1 AS value FROM json_array_elements(")
            .text(array)
            .raw("::json) AS pairs (pair)) AS listed")
    } else {
        Sql::new(
            "(SELECT json_extract(value, '$[0]') AS attribute, \
             json_extract(value, '$[1]') AS value FROM json_each(",
        )
        .text(array)
        .raw(")) AS listed")
    }
}

/// A value, of those that are wanted, which another resource has.
pub fn find_taken(
    conn: &mut Conn,
    kind: Kind,
    connection_id: &str,
    id: &str,
    wanted: &[(&str, &str)],
) -> QueryResult<Option<Held>> {
    Sql::new("SELECT listed.attribute, listed.value FROM ")
        .append(listed(conn, wanted))
        .raw(
            " JOIN unique_values AS held ON held.attribute = listed.attribute \
             AND held.value = listed.value WHERE held.connection_id = ",
        )
        .text(connection_id)
        .raw(" AND held.kind = ")
        .text(name(kind))
        .raw(format!(" AND held.{} <> ", holder(kind)))
        .text(id)
        .raw(" ORDER BY 1, 2 LIMIT 1")
        .get_result(conn)
        .optional()
}

/// Makes the table say of a resource that it has these values and no others.
pub fn replace(
    conn: &mut Conn,
    kind: Kind,
    connection_id: &str,
    id: &str,
    values: &[(&str, &str)],
) -> QueryResult<()> {
    let column = holder(kind);
    Sql::new(format!("DELETE FROM unique_values WHERE {column} = "))
        .text(id)
        .raw(" AND NOT EXISTS (SELECT 1 FROM ")
        .append(listed(conn, values))
        .raw(
            " WHERE listed.attribute = unique_values.attribute \
             AND listed.value = unique_values.value)",
        )
        .execute(conn)?;
    // In one order, so that two writers do not wait for each other.
    Sql::new(format!(
        "INSERT INTO unique_values (attribute, value, connection_id, kind, {column}) \
         SELECT listed.attribute, listed.value, "
    ))
    .text(connection_id)
    .raw(", ")
    .text(name(kind))
    .raw(", ")
    .text(id)
    .raw(" FROM ")
    .append(listed(conn, values))
    .raw(
        " WHERE NOT EXISTS (SELECT 1 FROM unique_values AS own \
         WHERE own.attribute = listed.attribute AND own.value = listed.value AND own.",
    )
    .raw(column)
    .raw(" = ")
    .text(id)
    .raw(") ORDER BY 1, 2")
    .execute(conn)
    .map(drop)
}

/// Makes the table say what the documents say, for the attributes that are unique now; gives the
/// values that keep them from being so. Then nothing is changed, once the caller takes it back.
pub fn index(
    conn: &mut Conn,
    kind: Kind,
    attributes: &[UniqueAttribute],
) -> QueryResult<Vec<Conflict>> {
    if attributes.is_empty() || differences(conn, kind, attributes)? == 0 {
        return Ok(Vec::new());
    }
    if conn.is_postgres() {
        // Whoever writes a document meanwhile would change what is being looked at.
        let table = kind.table();
        let lock = format!("LOCK TABLE {table}, unique_values IN SHARE ROW EXCLUSIVE MODE");
        Sql::new(lock).execute(conn)?;
    }
    let conflicts = conflicts(conn, kind, attributes)?;
    if !conflicts.is_empty() {
        return Ok(conflicts);
    }
    both(conn, kind, attributes)
        .raw("DELETE FROM unique_values WHERE kind = ")
        .text(name(kind))
        .raw(
            " AND (connection_id, attribute, value) IN (SELECT connection_id, attribute, value \
             FROM (SELECT * FROM indexed EXCEPT SELECT * FROM found) AS surplus)",
        )
        .execute(conn)?;
    both(conn, kind, attributes)
        .raw(format!(
            "INSERT INTO unique_values (connection_id, kind, attribute, value, {}) \
             SELECT connection_id, ",
            holder(kind)
        ))
        .text(name(kind))
        .raw(
            ", attribute, value, holder \
             FROM (SELECT * FROM found EXCEPT SELECT * FROM indexed) AS missing",
        )
        .execute(conn)?;
    Ok(Vec::new())
}

/// How many rows the table has too many or too few.
fn differences(conn: &mut Conn, kind: Kind, attributes: &[UniqueAttribute]) -> QueryResult<i64> {
    let statement = both(conn, kind, attributes).raw(
        "SELECT (SELECT COUNT(*) FROM (SELECT * FROM found EXCEPT SELECT * FROM indexed) AS a) \
         + (SELECT COUNT(*) FROM (SELECT * FROM indexed EXCEPT SELECT * FROM found) AS b) \
         AS total",
    );
    super::count(conn, statement)
}

/// Values that several resources have, or that are too long.
fn conflicts(
    conn: &mut Conn,
    kind: Kind,
    attributes: &[UniqueAttribute],
) -> QueryResult<Vec<Conflict>> {
    let length = if conn.is_postgres() {
        "octet_length(found.value)"
    } else {
        "length(CAST(found.value AS BLOB))"
    };
    both(conn, kind, attributes)
        .raw(
            "SELECT connections.name AS connection, attribute, value, COUNT(*) AS holders, \
             MIN(holder) AS first, MAX(holder) AS last FROM found \
             JOIN connections ON connections.id = found.connection_id \
             GROUP BY connections.name, attribute, value \
             HAVING COUNT(*) > 1 OR MAX(",
        )
        .raw(length)
        .raw(") > ")
        .integer(MAX_VALUE)
        .raw(" ORDER BY 1, 2, 3 LIMIT ")
        .integer(MAX_PROBLEMS)
        .load(conn)
}

/// The beginning of a statement: `found` is what the documents say, `indexed` what the table says.
fn both(conn: &Conn, kind: Kind, attributes: &[UniqueAttribute]) -> Sql {
    let mut statement = Sql::new("WITH found AS MATERIALIZED (");
    for (position, attribute) in attributes.iter().enumerate() {
        if position > 0 {
            statement = statement.raw(" UNION ");
        }
        statement = statement.append(values_of(conn, kind, attribute));
    }
    statement = statement
        .raw(format!(
            "), indexed AS MATERIALIZED (SELECT connection_id, attribute, value, {} AS holder \
             FROM unique_values WHERE kind = ",
            holder(kind)
        ))
        .text(name(kind))
        .raw(" AND attribute IN (")
        .set(conn, attributes.iter().map(|attribute| attribute.name.as_str()))
        .raw(")) ");
    statement.one_off()
}

/// Where the values of an attribute are in SQL.
struct Values {
    from: String,
    value: String,
    /// What keeps values of another type out, which are there from the time of another schema.
    guard: String,
}

/// The values that documents have of one attribute.
fn values_of(conn: &Conn, kind: Kind, attribute: &UniqueAttribute) -> Sql {
    let table = kind.table();
    let target = &attribute.target;
    let mut steps: Vec<String> = target.extension.iter().map(ToString::to_string).collect();
    steps.push(target.attribute.name.clone());
    let (Values { from, value, guard }, cast) = if conn.is_postgres() {
        (postgres_values(table, target, &steps), "::text")
    } else {
        (sqlite_values(table, target, &steps), "")
    };
    Sql::new(format!("SELECT DISTINCT {table}.connection_id, ")).text(attribute.name.as_str()).raw(
        format!(
            "{cast} AS attribute, {value} AS value, {table}.id AS holder FROM {from} WHERE {guard}"
        ),
    )
}

fn is_text(attribute: &Attribute) -> bool {
    matches!(attribute.kind, AttributeType::String | AttributeType::Reference)
}

/// The text as it compares.
fn folded(attribute: &Attribute, text: String) -> String {
    if attribute.case_exact { text } else { format!("muster_fold({text})") }
}

fn postgres_values(table: &str, target: &Target, steps: &[String]) -> Values {
    let leaf = target.leaf();
    let document = format!("{table}.document::jsonb");
    let (from, found) = if target.attribute.multi_valued {
        let below = target.sub.iter().map(|sub| sub.name.clone()).collect::<Vec<_>>();
        let from = format!(
            "{table} CROSS JOIN LATERAL {} AS e (value)",
            json::elements(true, &document, steps)
        );
        (from, json::member(true, "e.value", &below))
    } else {
        (table.to_owned(), json::member(true, &document, steps))
    };
    let text = format!("({found} #>> '{{}}')");
    if is_text(leaf) {
        let guard = format!("jsonb_typeof({found}) = 'string'");
        return Values { from, value: folded(leaf, text), guard };
    }
    let guard = format!("jsonb_typeof({found}) = 'number'");
    let value = format!("CASE WHEN {guard} THEN trim_scale({text}::numeric)::text END");
    Values { from, value, guard }
}

fn sqlite_values(table: &str, target: &Target, steps: &[String]) -> Values {
    let leaf = target.leaf();
    let path = json::path(steps);
    let document = format!("{table}.document");
    let (from, found, at) = if target.attribute.multi_valued {
        let from = format!("{table}, json_each({document}, {path}) AS e");
        let below = target.sub.as_ref().map(|sub| json::path(std::slice::from_ref(&sub.name)));
        // Elements are taken out of the document, where numbers are as they were written.
        (from, format!("({document} -> e.fullkey)"), below.unwrap_or_else(|| "'$'".to_owned()))
    } else {
        (table.to_owned(), document.clone(), path.clone())
    };
    let types = if is_text(leaf) { "('text')" } else { "('integer', 'real')" };
    let mut guard = format!("json_type({found}, {at}) IN {types}");
    if target.attribute.multi_valued {
        guard = format!("json_type({document}, {path}) = 'array' AND {guard}");
    }
    let value = if is_text(leaf) {
        folded(leaf, format!("json_extract({found}, {at})"))
    } else {
        format!("muster_plain({found} -> {at})")
    };
    Values { from, value, guard }
}
