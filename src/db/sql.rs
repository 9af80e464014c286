//! Hand-written SQL with bound values, for what the query builder cannot say on both databases.
//!
//! The text is put together from fragments of the program alone; whatever comes from outside is
//! bound.

use std::marker::PhantomData;

use diesel::backend::Backend as DieselBackend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, Double, HasSqlType, Text, Untyped};
use diesel::{Connection, QueryResult, RunQueryDsl};

use super::connection::Conn;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Raw(String),
    Text(String),
    BigInt(i64),
    Double(f64),
    Bool(bool),
}

/// A statement, or a piece of one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sql {
    parts: Vec<Part>,
    /// Whether the text differs from client to client, so that keeping its prepared statement
    /// would let clients fill the cache.
    one_off: bool,
}

impl Sql {
    /// A fragment without values.
    pub fn new(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Raw(text.into())], one_off: false }
    }

    /// Appends text.
    #[must_use]
    pub fn raw(mut self, text: impl AsRef<str>) -> Self {
        match self.parts.last_mut() {
            Some(Part::Raw(last)) => last.push_str(text.as_ref()),
            _ => self.parts.push(Part::Raw(text.as_ref().to_owned())),
        }
        self
    }

    /// Appends a bound text.
    #[must_use]
    pub fn text(mut self, value: impl Into<String>) -> Self {
        self.parts.push(Part::Text(value.into()));
        self
    }

    /// Appends a bound integer.
    #[must_use]
    pub fn integer(mut self, value: i64) -> Self {
        self.parts.push(Part::BigInt(value));
        self
    }

    /// Appends a bound floating-point number.
    #[must_use]
    pub fn double(mut self, value: f64) -> Self {
        self.parts.push(Part::Double(value));
        self
    }

    /// Appends a bound boolean.
    #[must_use]
    pub fn boolean(mut self, value: bool) -> Self {
        self.parts.push(Part::Bool(value));
        self
    }

    /// Appends another fragment.
    #[must_use]
    pub fn append(mut self, other: Self) -> Self {
        self.one_off |= other.one_off;
        for part in other.parts {
            self = match part {
                Part::Raw(text) => self.raw(text),
                part => {
                    self.parts.push(part);
                    self
                }
            };
        }
        self
    }

    /// Marks the statement as not worth keeping prepared.
    #[must_use]
    pub fn one_off(mut self) -> Self {
        self.one_off = true;
        self
    }

    /// A subquery whose rows, named `value`, are the texts of `set`, bound as one JSON array.
    ///
    /// One statement serves sets of any size, where a list of placeholders has a limit.
    #[must_use]
    pub fn set<'a>(self, conn: &Conn, set: impl IntoIterator<Item = &'a str>) -> Self {
        let array: Vec<&str> = set.into_iter().collect();
        let array = serde_json::Value::from(array).to_string();
        if conn.is_postgres() {
            self.raw("SELECT value FROM json_array_elements_text(")
                .text(array)
                .raw("::json) AS listed (value)")
        } else {
            self.raw("SELECT value FROM json_each(").text(array).raw(")")
        }
    }
}

impl Sql {
    /// Appends that what stands before is one of the ids.
    ///
    /// A planner that is asked for a member of a subquery reckons with many, and may rather read the
    /// whole table; an array or a single value it looks up.
    #[must_use]
    pub fn among(self, conn: &Conn, ids: &[&str]) -> Self {
        match ids {
            [id] => self.raw(" = ").text(*id),
            ids if conn.is_postgres() => {
                self.raw(" = ANY (ARRAY(").set(conn, ids.iter().copied()).raw("))")
            }
            ids => self.raw(" IN (").set(conn, ids.iter().copied()).raw(")"),
        }
    }
}

impl QueryId for Sql {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}

impl<DB> QueryFragment<DB> for Sql
where
    DB: DieselBackend
        + HasSqlType<Text>
        + HasSqlType<BigInt>
        + HasSqlType<Double>
        + HasSqlType<Bool>,
    String: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
    f64: ToSql<Double, DB>,
    bool: ToSql<Bool, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.one_off {
            out.unsafe_to_cache_prepared();
        }
        for part in &self.parts {
            match part {
                Part::Raw(text) => out.push_sql(text),
                Part::Text(value) => out.push_bind_param::<Text, _>(value)?,
                Part::BigInt(value) => out.push_bind_param::<BigInt, _>(value)?,
                Part::Double(value) => out.push_bind_param::<Double, _>(value)?,
                Part::Bool(value) => out.push_bind_param::<Bool, _>(value)?,
            }
        }
        Ok(())
    }

    // What is said while walking, for whoever asks the statement itself before each use.
    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(!self.one_off)
    }
}

impl RunQueryDsl<Conn> for Sql {}

/// A statement whose columns are known by their places and types: reading a row by the names of its
/// columns takes longer than reading it.
#[derive(Debug)]
pub struct Typed<Columns> {
    sql: Sql,
    columns: PhantomData<Columns>,
}

impl Sql {
    /// Says what the columns of the rows are.
    pub fn columns<Columns>(self) -> Typed<Columns> {
        Typed { sql: self, columns: PhantomData }
    }
}

impl<Columns> QueryId for Typed<Columns> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Columns> Query for Typed<Columns> {
    type SqlType = Columns;
}

impl<DB: DieselBackend, Columns> QueryFragment<DB> for Typed<Columns>
where
    Sql: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.sql.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, backend: &DB) -> QueryResult<bool> {
        self.sql.is_safe_to_cache_prepared(backend)
    }
}

impl<Columns, C: Connection> RunQueryDsl<C> for Typed<Columns> {}

/// A statement of the query builder that is kept prepared, since it has few texts, whatever its values: the
/// builder takes every update for one of many.
///
/// It has to return something and to be loaded: on SQLite what is merely executed is asked by the builder
/// whether to be kept, not by this.
#[derive(Debug)]
pub struct Fixed<Statement>(pub Statement);

impl<Statement> QueryId for Fixed<Statement> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Statement: Query> Query for Fixed<Statement> {
    type SqlType = Statement::SqlType;
}

impl<DB: DieselBackend, Statement: QueryFragment<DB>> QueryFragment<DB> for Fixed<Statement> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Statement, C: Connection> RunQueryDsl<C> for Fixed<Statement> {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::{InstrumentationEvent, SimpleConnection};
    use diesel::prelude::*;

    use super::Fixed;

    diesel::table! {
        notes (id) {
            id -> BigInt,
            title -> Nullable<Text>,
            body -> Nullable<Text>,
        }
    }

    #[derive(Debug, Clone, PartialEq, Insertable, AsChangeset, Queryable)]
    #[diesel(table_name = notes, treat_none_as_null = true)]
    struct Note {
        id: i64,
        title: Option<String>,
        body: Option<String>,
    }

    fn notes_of(values: [(i64, Option<&str>, Option<&str>); 3]) -> Vec<Note> {
        let note = |(id, title, body): (i64, Option<&str>, Option<&str>)| Note {
            id,
            title: title.map(Into::into),
            body: body.map(Into::into),
        };
        values.map(note).into()
    }

    #[test]
    fn an_update_is_prepared_once() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE notes (id BIGINT PRIMARY KEY, title TEXT, body TEXT)")
            .unwrap();
        let written = notes_of([(1, None, None), (2, Some("a"), None), (3, Some("b"), Some("c"))]);
        for note in &written {
            diesel::insert_into(notes::table).values(note).execute(&mut conn).unwrap();
        }
        let kept = Arc::new(AtomicUsize::new(0));
        let count = kept.clone();
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let changed = notes_of([(1, Some("d"), Some("e")), (2, None, Some("f")), (3, None, None)]);
        for note in &changed {
            let update = diesel::update(notes::table.filter(notes::id.eq(note.id))).set(note);
            let found: Vec<i64> = Fixed(update.returning(notes::id)).load(&mut conn).unwrap();
            assert_eq!(found, [note.id]);
        }
        assert_eq!(kept.load(Ordering::Relaxed), 1);
        let read: Vec<Note> = notes::table.order(notes::id).load(&mut conn).unwrap();
        assert_eq!(read, changed);
    }
}
