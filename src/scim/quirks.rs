//! Shapes that real clients send although the RFC has another one: each accepted by name.
//!
//! Input is read liberally and output stays strict. A rule that is not named here does not exist;
//! each has a fixture in `tests/fixtures` that shows it, and a line in `docs/clients.md`.

use std::collections::BTreeSet;

/// A tolerated deviation from RFC 7643 or RFC 7644; [`Quirk::rule`] describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quirk {
    /// A filter compares with a bare word.
    UnquotedValue,
    /// A filter goes on after the bracket of a value path.
    ComparedValuePath,
    /// A `+` in a URL stands for itself.
    LiteralPlus,
    /// An extension's attribute is named without the extension's URN.
    UnqualifiedExtension,
    /// A boolean arrives as text.
    StringBoolean,
    /// The empty text stands where there is no value of another type.
    EmptyText,
    /// A reference is no URI.
    LooseReference,
    /// A complex value arrives as its `value` alone.
    BareComplexValue,
    /// A multi-valued attribute arrives without its array.
    SingleValue,
    /// A single-valued attribute arrives in an array.
    ArrayForSingle,
    /// A key of a pathless PATCH object is a path.
    PathAsKey,
    /// A pathless PATCH object repeats what only the server may write.
    ReadOnlyInObject,
    /// A PATCH makes the element that its value filter describes.
    SeededElement,
    /// `remove` carries the elements to remove as its value.
    RemoveByValue,
    /// `remove` of a member who is not one succeeds.
    RemoveAbsentMember,
    /// The operation is spelled with a capital.
    CapitalizedOperation,
    /// A PATCH body has no `schemas`.
    MissingPatchSchema,
    /// A PATCH of a group is worded as in SCIM 1.1.
    OldPatch,
    /// A resource body has no `schemas`, or none that this server knows.
    ForeignSchemas,
    /// `externalId` is the empty string.
    EmptyExternalId,
    /// A bulk request has no `schemas`.
    MissingBulkSchema,
    /// The `data` of a PATCH in a bulk request is the array of its operations.
    BarePatchOperations,
}

/// What there is to say of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The name, as logs, metrics and the list of tokens carry it.
    pub name: &'static str,
    /// What is accepted, in one line.
    pub accepts: &'static str,
    /// The clients known to need it, by the names of their files in `tests/fixtures/clients`.
    pub clients: &'static [&'static str],
}

impl Quirk {
    /// Every rule.
    pub const ALL: [Self; 22] = [
        Self::UnquotedValue,
        Self::ComparedValuePath,
        Self::LiteralPlus,
        Self::UnqualifiedExtension,
        Self::StringBoolean,
        Self::EmptyText,
        Self::LooseReference,
        Self::BareComplexValue,
        Self::SingleValue,
        Self::ArrayForSingle,
        Self::PathAsKey,
        Self::ReadOnlyInObject,
        Self::SeededElement,
        Self::RemoveByValue,
        Self::RemoveAbsentMember,
        Self::CapitalizedOperation,
        Self::MissingPatchSchema,
        Self::OldPatch,
        Self::ForeignSchemas,
        Self::EmptyExternalId,
        Self::MissingBulkSchema,
        Self::BarePatchOperations,
    ];

    /// The rule's name, as logs and metrics carry it.
    pub fn name(self) -> &'static str {
        self.rule().name
    }

    /// The rule of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quirk| quirk.name() == name)
    }

    /// What there is to say of the rule: the one table of them all.
    #[expect(clippy::too_many_lines, reason = "it is the one table")]
    pub const fn rule(self) -> Rule {
        match self {
            Self::UnquotedValue => Rule {
                name: "unquoted-value",
                accepts: "a filter that compares with a bare word: `externalId eq jyoung`",
                clients: &["authentik", "entra", "ping"],
            },
            Self::ComparedValuePath => Rule {
                name: "compared-value-path",
                accepts: "a filter that goes on after the bracket, about the same element: \
                          `emails[type eq \"work\"].value eq \"x\"`",
                clients: &["entra"],
            },
            Self::LiteralPlus => Rule {
                name: "literal-plus",
                accepts: "a `+` that stands for itself in a query whose spaces are `%20`, as in an \
                          address `a+b@example.com`; where spaces are written as `+` it is one",
                clients: &["rauthy"],
            },
            Self::UnqualifiedExtension => Rule {
                name: "unqualified-extension",
                accepts: "a filter or PATCH path that names an extension's attribute without the \
                          extension's URN: `manager`",
                clients: &["entra"],
            },
            Self::StringBoolean => Rule {
                name: "string-boolean",
                accepts: "a boolean as text: `\"True\"`, `\"false\"`",
                clients: &["entra", "keycloak", "onelogin"],
            },
            Self::EmptyText => Rule {
                name: "empty-text",
                accepts: "the empty text for an attribute that is not text, or for an extension: it \
                          has no value then",
                clients: &["generic"],
            },
            Self::LooseReference => Rule {
                name: "loose-reference",
                accepts: "a reference that is no URI, such as a `profileUrl` with a space; it is kept \
                          as it was sent",
                clients: &["generic"],
            },
            Self::BareComplexValue => Rule {
                name: "bare-complex-value",
                accepts: "a complex value as its `value` alone: `manager` as plain text, a member \
                          as a bare id",
                clients: &["entra", "generic"],
            },
            Self::SingleValue => Rule {
                name: "single-value",
                accepts: "a multi-valued attribute as its only element, without the array",
                clients: &["generic", "onelogin"],
            },
            Self::ArrayForSingle => Rule {
                name: "array-for-single",
                accepts: "a single-valued attribute in an array of one: `manager` as `[{…}]`",
                clients: &["entra"],
            },
            Self::PathAsKey => Rule {
                name: "path-as-key",
                accepts: "a path as a key of a PATCH object without `path`: `\"name.givenName\"`, \
                          an attribute behind its schema's URN, a whole value path",
                clients: &["entra"],
            },
            Self::ReadOnlyInObject => Rule {
                name: "read-only-in-object",
                accepts: "`id` or another read-only attribute in a PATCH object without `path`; it \
                          is ignored, as it is in a PUT",
                clients: &["authentik", "okta"],
            },
            Self::SeededElement => Rule {
                name: "seeded-element",
                accepts: "`add` or `replace` at `emails[type eq \"work\"].value` where there is no \
                          such element: it is made from the filter",
                clients: &["entra"],
            },
            Self::RemoveByValue => Rule {
                name: "remove-by-value",
                accepts: "`remove` of a multi-valued attribute that carries the elements to remove \
                          as its `value`; the others stay",
                clients: &["authentik", "entra", "jumpcloud", "rauthy"],
            },
            Self::RemoveAbsentMember => Rule {
                name: "remove-absent-member",
                accepts: "`remove` of somebody who is not a member",
                clients: &["generic"],
            },
            Self::CapitalizedOperation => Rule {
                name: "capitalized-operation",
                accepts: "`Add`, `Replace`, `Remove` as `op`",
                clients: &["entra"],
            },
            Self::MissingPatchSchema => Rule {
                name: "missing-patch-schema",
                accepts: "a PATCH body without `schemas`",
                clients: &["authentik"],
            },
            Self::OldPatch => Rule {
                name: "old-patch",
                accepts: "a PATCH of a group as in SCIM 1.1: `members` without `Operations`, each \
                          added, or removed where it says `\"operation\": \"delete\"`",
                clients: &["onelogin"],
            },
            Self::ForeignSchemas => Rule {
                name: "foreign-schemas",
                accepts: "a resource without `schemas`, or with none that Muster knows, such as \
                          those of SCIM 1.1",
                clients: &["authentik", "onelogin"],
            },
            Self::EmptyExternalId => Rule {
                name: "empty-external-id",
                accepts: "`externalId` as the empty text: it names nobody, so it is not kept",
                clients: &["generic"],
            },
            Self::MissingBulkSchema => Rule {
                name: "missing-bulk-schema",
                accepts: "a bulk request without `schemas`",
                clients: &["generic"],
            },
            Self::BarePatchOperations => Rule {
                name: "bare-patch-operations",
                accepts: "the array of operations as the `data` of a PATCH in a bulk request, as in \
                          the RFC's own example",
                clients: &["rfc"],
            },
        }
    }
}

/// The rules that one request made use of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks(BTreeSet<Quirk>);

impl Quirks {
    /// Notes that a rule was used.
    pub fn note(&mut self, quirk: Quirk) {
        self.0.insert(quirk);
    }

    /// The rules used, each once.
    pub fn iter(&self) -> impl Iterator<Item = Quirk> {
        self.0.iter().copied()
    }

    /// Whether the request kept to the RFC throughout.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<Quirk> for Quirks {
    fn extend<T: IntoIterator<Item = Quirk>>(&mut self, iter: T) {
        self.0.extend(iter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Quirk::ALL.into_iter().map(Quirk::name).collect();
        assert_eq!(names.len(), Quirk::ALL.len());
        for quirk in Quirk::ALL {
            assert_eq!(Quirk::from_name(quirk.name()), Some(quirk));
            let rule = quirk.rule();
            assert!(rule.clients.is_sorted() && !rule.clients.is_empty(), "{}", rule.name);
            assert!(!rule.accepts.contains(['\n', '|']), "{}: it is a cell of a table", rule.name);
        }
        assert_eq!(Quirk::from_name("no-such-rule"), None);
    }

    #[test]
    fn the_documentation_lists_exactly_these_rules() {
        let row = |quirk: Quirk| {
            let Rule { name, accepts, clients } = quirk.rule();
            format!("| `{name}` | {accepts} | {} |\n", clients.join(", "))
        };
        let table: String = Quirk::ALL.into_iter().map(row).collect();
        let table = format!("| rule | accepts | known from |\n|---|---|---|\n{table}\n");
        let documentation = include_str!("../../docs/clients.md");
        assert!(documentation.contains(&table), "should be:\n{table}");
        let rules = Quirk::ALL.map(Quirk::rule);
        let clients: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.clients).copied().collect();
        for client in clients.into_iter().filter(|client| !["generic", "rfc"].contains(client)) {
            let needed = rules.iter().filter(|rule| rule.clients.contains(&client));
            let needed: Vec<String> = needed.map(|rule| format!("`{}`", rule.name)).collect();
            let line = format!("**Rules of `{client}`:** {}.", needed.join(", "));
            // Lines are broken in the documentation.
            let has_line = documentation.replace('\n', " ").contains(&line);
            assert!(has_line, "should be: {line}");
        }
    }
}
