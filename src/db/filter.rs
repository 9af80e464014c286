//! Filters as SQL conditions, with every value bound.
//!
//! The meaning is that of [`crate::scim::filter::matches`], which a property test holds this
//! against on random data. Attributes that clients look resources up by have columns and indexes;
//! the others are read out of the document.

mod order;

use std::sync::Arc;

use crate::scim::filter::{Filter, Operator, Value, comparable, is_case_exact};
use crate::scim::fold::fold;
use crate::scim::reference::{names_resources, unversioned};
use crate::scim::schema::{Attribute, AttributeType, Target};

use super::connection::Conn;
use super::json;
use super::memberships::granted_sql;
use super::sql::Sql;

pub use self::order::Window;

/// Which table a filter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    User,
    Team,
}

impl Kind {
    /// The table's name.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Team => "teams",
        }
    }
}

/// What a condition depends on besides the filter.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub kind: Kind,
    /// The connection whose resources are searched.
    pub connection_id: &'a str,
    /// Base URL of the resources' locations.
    pub base_url: &'a str,
    /// Whether either source's statement grants membership, always.
    pub union: bool,
}

/// The condition on the rows of the table.
pub fn condition(conn: &Conn, context: Context<'_>, filter: &Filter) -> Sql {
    let mut compiler = Compiler { postgres: conn.is_postgres(), context, aliases: 0 };
    let mut condition = compiler.compile(&Scope::Root, filter);
    if !conn.is_postgres() {
        // Looked at before what costs more, for every row that no index rules out.
        condition = Sql::new("(muster_in_time() AND ").append(condition).raw(")");
    }
    // Clients send the plain lookups over and over; anything else may come in endless variety.
    match filter {
        Filter::Compare { op: Operator::Eq, .. } => condition,
        _ => condition.one_off(),
    }
}

/// Whether the filter is the plain comparison with a key that has an index of its own.
pub fn is_by_key(filter: &Filter) -> bool {
    let Filter::Compare { target, op: Operator::Eq, .. } = filter else { return false };
    let sub = target.sub.as_deref().map(|sub| sub.name.as_str());
    target.extension.is_none()
        && matches!((target.attribute.name.as_str(), sub), ("id" | "externalId" | "userName", None))
}

/// Where names are looked up.
#[derive(Debug, Clone)]
enum Scope {
    /// The resource.
    Root,
    /// An element of a multi-valued attribute, or a complex attribute: a JSON expression.
    Json(String),
    /// The resource's `meta`, whose parts are columns.
    Meta(Arc<Attribute>),
    /// A value that is no object, as SQL text.
    Plain(String),
    /// A membership as an element of a user's `groups`; aliases of membership and team.
    Group(String, String),
    /// A membership as an element of a team's `members`; aliases of membership and user.
    Member(String, String),
}

/// A value in SQL.
struct Operand {
    sql: Sql,
    /// Whether the value is folded already.
    folded: bool,
    /// Whether the value has the attribute's own SQL type, rather than the one JSON gives it.
    native: bool,
}

struct Compiler<'a> {
    postgres: bool,
    context: Context<'a>,
    aliases: usize,
}

impl Compiler<'_> {
    fn compile(&mut self, scope: &Scope, filter: &Filter) -> Sql {
        match filter {
            Filter::And(terms) => self.join(scope, terms, " AND "),
            Filter::Or(terms) => self.join(scope, terms, " OR "),
            Filter::Not(inner) => not(self.compile(scope, inner)),
            Filter::Present(target) => self.present(scope, target),
            // `ne` is the negation of `eq`, for multi-valued attributes too.
            Filter::Compare { target, op: Operator::Ne, value } => {
                not(self.compare(scope, target, Operator::Eq, value))
            }
            Filter::Compare { target, op, value } => self.compare(scope, target, *op, value),
            Filter::ValuePath { target, filter } => self.value_path(scope, target, filter),
        }
    }

    fn join(&mut self, scope: &Scope, terms: &[Filter], operator: &str) -> Sql {
        if terms.is_empty() {
            // The empty disjunction holds never, the empty conjunction always.
            return Sql::new(if operator == " OR " { "(1 = 0)" } else { "(1 = 1)" });
        }
        let mut joined = Sql::new("(");
        for (position, term) in terms.iter().enumerate() {
            if position > 0 {
                joined = joined.raw(operator);
            }
            joined = joined.append(self.compile(scope, term));
        }
        joined.raw(")")
    }

    fn value_path(&mut self, scope: &Scope, target: &Target, filter: &Filter) -> Sql {
        let exists = if target.leaf().multi_valued {
            self.any_value(scope, target, |compiler, element| compiler.compile(element, filter))
        } else if matches!(scope, Scope::Root) && is_meta(target) {
            self.compile(&Scope::Meta(target.attribute.clone()), filter)
        } else {
            // An attribute that is not there has no element that could meet anything.
            let (container, steps) = self.steps(scope, target);
            let json = json::object(self.postgres, &container, &steps);
            let inner = self.compile(&Scope::Json(json.clone()), filter);
            Sql::new("(").append(present(Sql::new(json))).raw(" AND ").append(inner).raw(")")
        };
        // An equality on an e-mail address, which every element must meet, comes from the index.
        match wanted_value(filter) {
            Some(value) if self.is_emails(scope, target) => {
                Sql::new("(").append(self.has_email(value)).raw(" AND ").append(exists).raw(")")
            }
            _ => exists,
        }
    }

    fn compare(&mut self, scope: &Scope, target: &Target, op: Operator, value: &Value) -> Sql {
        if let (Operator::Eq, Value::Text { raw }, Some(sub)) = (op, value, &target.sub)
            && sub.name == "value"
            && self.is_emails(scope, target)
        {
            return self.has_email(raw);
        }
        let leaf = target.leaf().clone();
        if leaf.multi_valued && !leaf.is_complex() {
            return self.any_value(scope, target, |compiler, element| {
                let operand = compiler.operand(element, target);
                compiler.comparison(operand, &leaf, op, value)
            });
        }
        if target.attribute.multi_valued {
            return self.any_element(scope, target, |compiler, element| {
                let operand = compiler.element_operand(element, target);
                compiler.comparison(operand, &leaf, op, value)
            });
        }
        let operand = self.operand(scope, target);
        self.comparison(operand, &leaf, op, value)
    }

    fn present(&mut self, scope: &Scope, target: &Target) -> Sql {
        if target.attribute.multi_valued {
            return self.any_element(scope, target, |compiler, element| match &target.sub {
                None => Sql::new(if compiler.postgres { "TRUE" } else { "1" }),
                Some(_) => present(compiler.element_operand(element, target).sql),
            });
        }
        if target.leaf().is_complex() && !(matches!(scope, Scope::Root) && is_meta(target)) {
            let json = self.json(scope, target);
            return present(Sql::new(json));
        }
        if target.leaf().is_complex() {
            return Sql::new(if self.postgres { "TRUE" } else { "1" });
        }
        present(self.operand(scope, target).sql)
    }

    fn is_emails(&self, scope: &Scope, target: &Target) -> bool {
        matches!(scope, Scope::Root)
            && self.context.kind == Kind::User
            && target.extension.is_none()
            && target.attribute.name == "emails"
    }

    fn has_email(&self, value: &str) -> Sql {
        Sql::new("users.id IN (SELECT user_id FROM user_emails WHERE connection_id = ")
            .text(self.context.connection_id)
            .raw(" AND value_fold = ")
            .text(fold(value))
            .raw(")")
    }

    /// True if `test` holds for any value of the attribute or sub-attribute that has several.
    fn any_value(
        &mut self,
        scope: &Scope,
        target: &Target,
        test: impl FnOnce(&mut Self, &Scope) -> Sql,
    ) -> Sql {
        let Some(sub) = &target.sub else { return self.any_element(scope, target, test) };
        if !target.attribute.multi_valued {
            return self.any_json_element(scope, target, test);
        }
        let inner = Target { extension: None, attribute: sub.clone(), sub: None };
        self.any_element(scope, target, |compiler, element| {
            compiler.any_json_element(element, &inner, test)
        })
    }

    /// True if `test` holds for any element of the multi-valued attribute.
    fn any_element(
        &mut self,
        scope: &Scope,
        target: &Target,
        test: impl FnOnce(&mut Self, &Scope) -> Sql,
    ) -> Sql {
        let whole = Target { sub: None, ..target.clone() };
        if matches!(scope, Scope::Root) && target.extension.is_none() {
            let n = self.alias();
            let (inner, from) = match (self.context.kind, target.attribute.name.as_str()) {
                (Kind::User, "groups") => (
                    Scope::Group(format!("m{n}"), format!("t{n}")),
                    format!(
                        "EXISTS (SELECT 1 FROM memberships AS m{n} \
                         JOIN teams AS t{n} ON t{n}.id = m{n}.team_id \
                         WHERE m{n}.user_id = users.id AND users.active AND {} AND ",
                        granted_sql(
                            self.context.union,
                            &format!("m{n}"),
                            &format!("t{n}"),
                            "users"
                        )
                    ),
                ),
                (Kind::Team, "members") => (
                    Scope::Member(format!("m{n}"), format!("u{n}")),
                    format!(
                        "EXISTS (SELECT 1 FROM memberships AS m{n} \
                         JOIN users AS u{n} ON u{n}.id = m{n}.user_id \
                         WHERE m{n}.team_id = teams.id AND {} AND ",
                        granted_sql(
                            self.context.union,
                            &format!("m{n}"),
                            "teams",
                            &format!("u{n}")
                        )
                    ),
                ),
                _ => return self.any_json_element(scope, &whole, test),
            };
            let test = test(self, &inner);
            return Sql::new(from).append(test).raw(")");
        }
        self.any_json_element(scope, &whole, test)
    }

    /// A number for names that occur once in the statement.
    fn alias(&mut self) -> usize {
        self.aliases += 1;
        self.aliases
    }

    /// True if `test` holds for any element of the array at the target.
    fn any_json_element(
        &mut self,
        scope: &Scope,
        target: &Target,
        test: impl FnOnce(&mut Self, &Scope) -> Sql,
    ) -> Sql {
        let n = self.alias();
        let (container, steps) = self.steps(scope, target);
        let elements = json::elements(self.postgres, &container, &steps);
        let columns = if self.postgres { " (value)" } else { "" };
        let element = if target.leaf().is_complex() {
            Scope::Json(json::element(self.postgres, &format!("e{n}")))
        } else if self.postgres {
            Scope::Plain(format!("(e{n}.value #>> '{{}}')"))
        } else {
            Scope::Plain(format!("e{n}.value"))
        };
        let test = test(self, &element);
        Sql::new(format!("EXISTS (SELECT 1 FROM {elements} AS e{n}{columns} WHERE "))
            .append(test)
            .raw(")")
    }

    /// The operand inside an element: its sub-attribute, or the element itself.
    fn element_operand(&mut self, element: &Scope, target: &Target) -> Operand {
        match &target.sub {
            Some(sub) => {
                let inner = Target { extension: None, attribute: sub.clone(), sub: None };
                self.operand(element, &inner)
            }
            None => match element {
                Scope::Plain(sql) => json_operand(Sql::new(sql)),
                scope => self.operand(scope, target),
            },
        }
    }

    fn operand(&mut self, scope: &Scope, target: &Target) -> Operand {
        match scope {
            Scope::Root => match self.column(target) {
                Some(operand) => operand,
                None => json_operand(Sql::new(self.json_text(scope, target))),
            },
            Scope::Json(_) => json_operand(Sql::new(self.json_text(scope, target))),
            Scope::Meta(meta) => {
                let whole = Target {
                    extension: None,
                    attribute: meta.clone(),
                    sub: Some(target.attribute.clone()),
                };
                self.operand(&Scope::Root, &whole)
            }
            Scope::Plain(sql) => json_operand(Sql::new(sql)),
            Scope::Group(membership, team) => self.group_operand(membership, team, target),
            Scope::Member(membership, user) => self.member_operand(membership, user, target),
        }
    }

    /// The column that holds a top-level attribute, where one does.
    fn column(&self, target: &Target) -> Option<Operand> {
        if target.extension.is_some() {
            return None;
        }
        let table = self.context.kind.table();
        let column = |name: &str| native(Sql::new(format!("{table}.{name}")));
        let folded = |name: &str| Operand { folded: true, ..column(name) };
        let path = (target.attribute.name.as_str(), target.sub.as_deref().map(|s| s.name.as_str()));
        Some(match (self.context.kind, path) {
            (_, ("id", None)) => column("id"),
            (_, ("externalId", None)) => column("external_id"),
            (_, ("displayName", None)) => folded("display_name_fold"),
            (_, ("meta", Some("created"))) => column("created_at"),
            (_, ("meta", Some("lastModified"))) => column("updated_at"),
            (kind, ("meta", Some("resourceType"))) => native(
                Sql::default()
                    .text(match kind {
                        Kind::User => "User",
                        Kind::Team => "Group",
                    })
                    .raw(if self.postgres { "::text" } else { "" }),
            ),
            (kind, ("meta", Some("location"))) => {
                let endpoint = match kind {
                    Kind::User => "Users",
                    Kind::Team => "Groups",
                };
                self.location(endpoint, &format!("{table}.id"))
            }
            (_, ("meta", Some("version"))) => {
                native(Sql::new(format!("('W/\"' || CAST({table}.version AS TEXT) || '\"')")))
            }
            (Kind::User, ("userName", None)) => folded("user_name_fold"),
            _ => return None,
        })
    }

    fn location(&self, endpoint: &str, id: &str) -> Operand {
        let cast = if self.postgres { "::text" } else { "" };
        native(
            Sql::new("(")
                .text(format!("{}/{endpoint}/", self.context.base_url))
                .raw(format!("{cast} || {id})")),
        )
    }

    fn group_operand(&self, membership: &str, team: &str, target: &Target) -> Operand {
        match target.attribute.name.as_str() {
            "value" => native(Sql::new(format!("{membership}.team_id"))),
            "$ref" => self.location("Groups", &format!("{membership}.team_id")),
            "display" => {
                Operand { folded: true, ..native(Sql::new(format!("{team}.display_name_fold"))) }
            }
            _ => native(Sql::new("'direct'")),
        }
    }

    fn member_operand(&self, membership: &str, user: &str, target: &Target) -> Operand {
        match target.attribute.name.as_str() {
            "value" => native(Sql::new(format!("{membership}.user_id"))),
            "$ref" => self.location("Users", &format!("{membership}.user_id")),
            "display" => Operand {
                folded: true,
                ..native(Sql::new(format!(
                    "COALESCE({user}.display_name_fold, {user}.user_name_fold)"
                )))
            },
            _ => native(Sql::new("'User'")),
        }
    }

    /// The attribute as JSON.
    fn json(&self, scope: &Scope, target: &Target) -> String {
        let (container, steps) = self.steps(scope, target);
        json::member(self.postgres, &container, &steps)
    }

    /// The attribute as the database's plain text, number or boolean.
    fn json_text(&self, scope: &Scope, target: &Target) -> String {
        let (container, steps) = self.steps(scope, target);
        if !self.postgres {
            return json::member(self.postgres, &container, &steps);
        }
        let Some((last, before)) = steps.split_last() else { return container };
        format!("({container}{} ->> {})", json::arrows(before), json::quoted(last))
    }

    fn steps(&self, scope: &Scope, target: &Target) -> (String, Vec<String>) {
        let container = match scope {
            Scope::Json(sql) | Scope::Plain(sql) => sql.clone(),
            _ => {
                let table = self.context.kind.table();
                let cast = if self.postgres { "::jsonb" } else { "" };
                format!("{table}.document{cast}")
            }
        };
        let mut steps: Vec<String> = target.extension.iter().map(ToString::to_string).collect();
        steps.push(target.attribute.name.clone());
        steps.extend(target.sub.iter().map(|sub| sub.name.clone()));
        (container, steps)
    }

    fn comparison(&self, operand: Operand, leaf: &Attribute, op: Operator, value: &Value) -> Sql {
        match value {
            Value::Text { raw } if op == Operator::Eq && names_resources(leaf) => {
                let sql = Sql::new("muster_unversioned(").append(operand.sql).raw(")");
                self.text(sql, op, &unversioned(raw))
            }
            Value::Text { raw } if is_case_exact(leaf) => self.text(operand.sql, op, raw),
            Value::Text { raw } => {
                let sql = if operand.folded {
                    operand.sql
                } else {
                    Sql::new("muster_fold(").append(operand.sql).raw(")")
                };
                self.text(sql, op, &comparable(leaf, raw))
            }
            Value::Boolean(flag) if operand.native => operand.sql.raw(" = ").boolean(*flag),
            Value::Boolean(flag) => {
                let literal = match (self.postgres, flag) {
                    (true, true) => " = 'true'",
                    (true, false) => " = 'false'",
                    (false, true) => " = 1",
                    (false, false) => " = 0",
                };
                operand.sql.raw(literal)
            }
            Value::DateTime(micros) => {
                let sql = if operand.native && leaf.kind == AttributeType::DateTime {
                    operand.sql
                } else {
                    Sql::new("muster_micros(").append(operand.sql).raw(")")
                };
                sql.raw(symbol(op)).integer(*micros)
            }
            Value::Number(number) => {
                let sql = json::number(self.postgres, operand.sql);
                let sql = sql.raw(symbol(op));
                match (number.as_i64(), number.as_f64()) {
                    (Some(integer), _) => sql.integer(integer),
                    // Digit by digit, as the documents have it.
                    (None, Some(_)) if self.postgres => {
                        sql.text(number.to_string()).raw("::numeric")
                    }
                    (None, Some(double)) => sql.double(double),
                    (None, None) => sql.raw("NULL"),
                }
            }
        }
    }

    fn text(&self, sql: Sql, op: Operator, literal: &str) -> Sql {
        let length = literal.chars().count();
        match op {
            Operator::Eq | Operator::Ne => sql.raw(" = ").text(literal),
            // Code point order, whatever the database's own language is.
            Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
                let collated = if self.postgres { sql.raw(" COLLATE \"C\"") } else { sql };
                collated.raw(symbol(op)).text(literal)
            }
            Operator::Co if self.postgres => {
                Sql::new("strpos(").append(sql).raw(", ").text(literal).raw(") > 0")
            }
            Operator::Co => Sql::new("instr(").append(sql).raw(", ").text(literal).raw(") > 0"),
            Operator::Sw => {
                Sql::new("substr(").append(sql).raw(format!(", 1, {length}) = ")).text(literal)
            }
            Operator::Ew if self.postgres => {
                Sql::new("right(").append(sql).raw(format!(", {length}) = ")).text(literal)
            }
            // A negative start would count from the end, so a text that is too short is kept out.
            Operator::Ew => Sql::new("(length(")
                .append(sql.clone())
                .raw(format!(") >= {length} AND substr("))
                .append(sql.clone())
                .raw(", length(")
                .append(sql)
                .raw(format!(") - {length} + 1) = "))
                .text(literal)
                .raw(")"),
        }
    }
}

fn native(sql: Sql) -> Operand {
    Operand { sql, folded: false, native: true }
}

fn json_operand(sql: Sql) -> Operand {
    Operand { sql, folded: false, native: false }
}

/// Whether the target is `meta`, which no document holds.
fn is_meta(target: &Target) -> bool {
    target.extension.is_none() && target.attribute.name == "meta"
}

/// The negation in which an absent value counts as false, not as unknown.
fn not(sql: Sql) -> Sql {
    Sql::new("((").append(sql).raw(") IS NOT TRUE)")
}

fn present(sql: Sql) -> Sql {
    Sql::new("(").append(sql).raw(" IS NOT NULL)")
}

/// The `value` that the filter of a value path asks for in every element, if it does.
fn wanted_value(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::Compare { target, op: Operator::Eq, value: Value::Text { raw } }
            if target.attribute.name == "value" =>
        {
            Some(raw)
        }
        Filter::And(terms) => terms.iter().find_map(wanted_value),
        _ => None,
    }
}

fn symbol(op: Operator) -> &'static str {
    match op {
        Operator::Gt => " > ",
        Operator::Ge => " >= ",
        Operator::Lt => " < ",
        Operator::Le => " <= ",
        Operator::Eq | Operator::Ne | Operator::Co | Operator::Sw | Operator::Ew => " = ",
    }
}
