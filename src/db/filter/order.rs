//! Orders of lists as SQL, and the part of an ordered list that is wanted.
//!
//! The keys are those of [`Order::key`], which a property test holds this against.

use crate::scim::cursor::Anchor;
use crate::scim::filter::is_case_exact;
use crate::scim::list::{Page, Start};
use crate::scim::schema::{AttributeType, Target};
use crate::scim::sort::{KEY_LENGTH, Key, Order, is_looked_up};

use super::super::connection::Conn;
use super::super::json;
use super::super::sql::Sql;
use super::{Compiler, Context, Operand, Scope};

/// A part of an ordered list of users or of teams.
#[derive(Debug, Clone)]
pub struct Window {
    /// What the list is sorted by before the id, if it is sorted and these rows have the attribute.
    key: Option<SortKey>,
    /// Whether rows are walked from small to large.
    upwards: bool,
    /// Whether the rows are walked from the end of the page to its beginning.
    pub is_reversed: bool,
    /// Where the walk begins.
    anchor: Option<Anchor>,
    offset: i64,
    id: String,
    postgres: bool,
}

/// What rows are sorted by.
#[derive(Debug, Clone)]
struct SortKey {
    sql: Sql,
    kind: AttributeType,
    /// Whether a row may be without a value.
    nullable: bool,
    /// Whether it is text that needs to be told to compare by code points.
    collated: bool,
}

impl Window {
    /// The part of the list that `page` asks for.
    pub fn new(conn: &Conn, context: Context<'_>, order: Option<&Order>, page: &Page) -> Self {
        let descending = order.is_some_and(|order| order.descending);
        let (anchor, is_reversed) = match &page.start {
            Start::Cursor(position) => (position.anchor.clone(), position.backwards),
            Start::First | Start::Index(_) => (None, false),
        };
        let postgres = conn.is_postgres();
        let mut compiler = Compiler { postgres, context, aliases: 0 };
        Self {
            key: order.and_then(|order| compiler.sort_key(order.target.as_ref()?)),
            upwards: descending == is_reversed,
            is_reversed,
            anchor,
            offset: page.offset(),
            id: format!("{}.id", context.kind.table()),
            postgres,
        }
    }

    /// Lets the walk to a page by index begin at the end of the list that is nearer, if there are
    /// `total` rows; gives how many to look up where the page has `count` at most.
    pub fn from_the_nearer_end(&mut self, count: i64, total: i64) -> i64 {
        let count = total.saturating_sub(self.offset).clamp(0, count);
        let behind = total.saturating_sub(self.offset).saturating_sub(count).max(0);
        if count > 0 && behind < self.offset {
            self.offset = behind;
            self.is_reversed = true;
            self.upwards = !self.upwards;
        }
        count
    }

    /// The statement about the rows with the part that is wanted, at most `limit` rows.
    pub fn of(&self, statement: Sql, limit: i64) -> Sql {
        let statement = self.beyond(statement);
        let direction = self.direction();
        let mut ordered = statement.raw(" ORDER BY ");
        if let Some(key) = &self.key {
            if key.nullable {
                // Said aloud, since the databases differ in where they put what is absent.
                let is_null = Sql::new("((").append(key.sql.clone()).raw(") IS NULL)");
                ordered = ordered.append(is_null).raw(direction).raw(", ").one_off();
            }
            ordered = ordered.append(key.collated(self.postgres)).raw(direction).raw(", ");
        }
        let ordered = ordered.raw(&self.id).raw(direction).raw(" LIMIT ").integer(limit);
        // Without it the text is the same for every page by cursor.
        if self.offset > 0 { ordered.raw(" OFFSET ").integer(self.offset) } else { ordered }
    }

    /// The statement that says what the row with that id is sorted by; none where rows come in the
    /// order of ids alone. The database itself says so, since its word decides what lies beyond.
    pub fn key_of(&self, connection_id: &str, id: &str) -> Option<Sql> {
        let key = self.key.as_ref()?;
        let column = |wanted: &[AttributeType], kind: &str, name: &str| {
            if wanted.contains(&key.kind) {
                Sql::new("CAST(").append(key.sql.clone()).raw(format!(" AS {kind}) AS {name}"))
            } else {
                Sql::new(format!("CAST(NULL AS {kind}) AS {name}"))
            }
        };
        let real = if self.postgres { "DOUBLE PRECISION" } else { "REAL" };
        let flag = match (key.kind, self.postgres) {
            (AttributeType::Boolean, true) => {
                Sql::new("(").append(key.sql.clone()).raw(")::INT::BIGINT AS integer")
            }
            (_, _) => column(
                &[AttributeType::Integer, AttributeType::DateTime, AttributeType::Boolean],
                "BIGINT",
                "integer",
            ),
        };
        let table = self.id.trim_end_matches(".id");
        let statement = Sql::new("SELECT ")
            .append(column(&TEXT_KINDS, "TEXT", "text"))
            .raw(", ")
            .append(flag)
            .raw(", ")
            .append(column(&[AttributeType::Decimal], real, "real"))
            .raw(format!(" FROM {table} WHERE {table}.connection_id = "))
            .text(connection_id)
            .raw(format!(" AND {} = ", self.id))
            .text(id);
        Some(statement.one_off())
    }

    /// What the parts of a key that the database gives are.
    pub fn key(&self, text: Option<String>, integer: Option<i64>, real: Option<f64>) -> Key {
        let kind = self.key.as_ref().map(|key| key.kind);
        let found = match kind {
            Some(AttributeType::Boolean) => integer.map(|flag| Key::Boolean(flag != 0)),
            Some(AttributeType::Decimal) => real.map(Key::Decimal),
            Some(kind) if is_text(kind) => text.map(Key::Text),
            _ => integer.map(Key::Integer),
        };
        found.unwrap_or(Key::Absent)
    }

    fn direction(&self) -> &'static str {
        if self.upwards { " ASC" } else { " DESC" }
    }

    /// The statement, limited to what lies beyond the place where the walk begins.
    fn beyond(&self, statement: Sql) -> Sql {
        let Some(anchor) = &self.anchor else { return statement };
        let sign = if self.upwards { " > " } else { " < " };
        let by_id = Sql::new(&self.id).raw(sign).text(&anchor.id);
        let Some(key) = &self.key else {
            // Rows that lack the attribute altogether come after every value.
            return match (&anchor.key, self.upwards) {
                (Key::Absent, _) => statement.raw(" AND ").append(by_id),
                (_, true) => statement,
                (_, false) => statement.raw(" AND (1 = 0)"),
            };
        };
        let text = key.collated(self.postgres);
        let value = Sql::new("(").append(key.sql.clone()).raw(")");
        let condition = match bound(&anchor.key) {
            None if self.upwards => value.raw(" IS NULL AND ").append(by_id),
            None => value.raw(" IS NOT NULL OR ").append(by_id),
            // One comparison of rows, so that an index can answer it.
            Some(anchored) if !key.nullable => Sql::new("(")
                .append(text)
                .raw(", ")
                .raw(&self.id)
                .raw(")")
                .raw(sign)
                .raw("(")
                .append(anchored)
                .raw(", ")
                .text(&anchor.id)
                .raw(")"),
            Some(anchored) => {
                let further = text.clone().raw(sign).append(anchored.clone());
                let beside = text.raw(" = ").append(anchored).raw(" AND ").append(by_id);
                let either = further.raw(" OR (").append(beside).raw(")");
                if self.upwards { either.raw(" OR ").append(value.raw(" IS NULL")) } else { either }
            }
        };
        statement.raw(" AND (").append(condition).raw(")")
    }

    /// The part that is wanted of rows of both tables together: their ids, in order.
    pub fn of_both(users: (Sql, &Self), teams: (Sql, &Self), limit: i64) -> Sql {
        let (window, other) = (users.1, teams.1);
        let kind = window.key.as_ref().or(other.key.as_ref()).map(|key| key.kind);
        // Of each table no more than this can be part of the page.
        let reach = limit.saturating_add(window.offset);
        let mut found = Sql::new("SELECT is_user, id FROM (");
        for (place, (conditions, side)) in [users, teams].into_iter().enumerate() {
            let truth = match (side.postgres, place) {
                (true, 0) => "TRUE",
                (true, _) => "FALSE",
                (false, 0) => "1",
                (false, _) => "0",
            };
            let separator = if place == 0 { "" } else { " UNION ALL " };
            found = found.raw(format!("{separator}SELECT * FROM (SELECT {truth} AS is_user, "));
            found = found.raw(&side.id).raw(" AS id");
            found = match (&side.key, kind) {
                (Some(key), _) => found.raw(", ").append(key.sql.clone()).raw(" AS sort_key"),
                (None, Some(kind)) => {
                    found.raw(format!(", {} AS sort_key", absent(side.postgres, kind)))
                }
                (None, None) => found,
            };
            let table = side.id.trim_end_matches(".id");
            found = found.raw(format!(" FROM {table} WHERE ")).append(conditions);
            let first = Self { offset: 0, ..side.clone() };
            found = first.of(found, reach).raw(format!(") AS side{place}"));
        }
        let direction = window.direction();
        found = found.raw(") AS found ORDER BY ");
        if let Some(kind) = kind {
            let collation = if window.postgres && is_text(kind) { " COLLATE \"C\"" } else { "" };
            found = found
                .raw(format!("(sort_key IS NULL){direction}, sort_key{collation}{direction}, "));
        }
        found
            .raw(format!("id{direction} LIMIT "))
            .integer(limit)
            .raw(" OFFSET ")
            .integer(window.offset)
    }
}

impl SortKey {
    /// The key, as it compares by code points whatever the database's own language is.
    fn collated(&self, postgres: bool) -> Sql {
        if self.collated && postgres {
            return Sql::new("(").append(self.sql.clone()).raw(") COLLATE \"C\"");
        }
        self.sql.clone()
    }
}

/// A value that the database can compare keys with; `None` for what is absent.
fn bound(key: &Key) -> Option<Sql> {
    Some(match key {
        Key::Absent => return None,
        Key::Text(text) => Sql::default().text(text),
        Key::Boolean(flag) => Sql::default().boolean(*flag),
        Key::Integer(integer) => Sql::default().integer(*integer),
        Key::Decimal(number) => Sql::default().double(*number),
    })
}

const TEXT_KINDS: [AttributeType; 3] =
    [AttributeType::String, AttributeType::Reference, AttributeType::Binary];

fn is_text(kind: AttributeType) -> bool {
    TEXT_KINDS.contains(&kind)
}

/// No value, of the type that values of the kind have.
fn absent(postgres: bool, kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::Boolean if postgres => "NULL::boolean",
        AttributeType::Integer if postgres => "NULL::numeric",
        AttributeType::DateTime if postgres => "NULL::bigint",
        AttributeType::Decimal if postgres => "NULL::double precision",
        _ if postgres => "NULL::text",
        _ => "NULL",
    }
}

impl Compiler<'_> {
    fn sort_key(&mut self, target: &Target) -> Option<SortKey> {
        let leaf = target.leaf();
        let Operand { sql, folded, native } = if target.attribute.multi_valued {
            self.chosen_element(target)
        } else {
            self.operand(&Scope::Root, target)
        };
        // The columns that hold text compare so by themselves.
        let collated = is_text(leaf.kind) && !(native && is_looked_up(target));
        let sql = match leaf.kind {
            AttributeType::Complex => return None,
            AttributeType::Boolean if self.postgres && !native => json::truth(sql),
            AttributeType::Boolean if !native => json::flag(sql),
            AttributeType::Integer => json::integer(self.postgres, sql),
            AttributeType::Decimal => {
                let real = if self.postgres { "DOUBLE PRECISION" } else { "REAL" };
                let number = json::number(self.postgres, sql);
                Sql::new("CAST(").append(number).raw(format!(" AS {real})"))
            }
            AttributeType::DateTime if !native => Sql::new("muster_micros(").append(sql).raw(")"),
            kind if is_text(kind) && !folded && !is_case_exact(leaf) => {
                Sql::new("muster_fold(").append(sql).raw(")")
            }
            _ => sql,
        };
        // A key has to fit into a cursor, and a cursor into an address.
        let sql = if collated {
            Sql::new("substr(").append(sql).raw(format!(", 1, {KEY_LENGTH})"))
        } else {
            sql
        };
        let nullable = !(native && is_never_null(target));
        Some(SortKey { sql, kind: leaf.kind, nullable, collated })
    }

    /// The primary element of a multi-valued attribute, or else the first one.
    fn chosen_element(&mut self, target: &Target) -> Operand {
        let whole = Target { sub: None, ..target.clone() };
        let (container, steps) = self.steps(&Scope::Root, &whole);
        let elements = json::elements(self.postgres, &container, &steps);
        let element = json::element(self.postgres, "chosen");
        let value = if target.attribute.is_complex() {
            let scope = Scope::Json(element.clone());
            self.element_operand(&scope, target).sql
        } else if self.postgres {
            Sql::new("(chosen.value #>> '{}')")
        } else {
            Sql::new("chosen.value")
        };
        let (columns, order) = if self.postgres {
            let is_primary = "(chosen.value -> 'primary') IS NOT DISTINCT FROM 'true'::jsonb";
            (
                " WITH ORDINALITY AS chosen (value, place)",
                format!("{is_primary} DESC, chosen.place"),
            )
        } else if target.attribute.is_complex() {
            let is_primary = format!("json_extract({element}, '$.primary') IS TRUE");
            (" AS chosen", format!("{is_primary} DESC, chosen.key"))
        } else {
            (" AS chosen", "chosen.key".to_owned())
        };
        let sql = Sql::new("(SELECT ")
            .append(value)
            .raw(format!(" FROM {elements}{columns} ORDER BY {order} LIMIT 1)"));
        Operand { sql, folded: false, native: false }
    }
}

/// Whether the column of the attribute always has a value.
fn is_never_null(target: &Target) -> bool {
    ["id", "userName"].iter().any(|name| target.is(name, None))
        || target.extension.is_none() && target.attribute.name == "meta"
}
