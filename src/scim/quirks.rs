//! Shapes that real clients send although the RFC has another one: each accepted by name.
//!
//! Input is read liberally and output stays strict. A rule that is not named here does not exist;
//! each has a fixture in `tests/fixtures` that shows it.

use std::collections::BTreeSet;

/// A tolerated deviation from RFC 7643 or RFC 7644.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quirk {
    /// A filter compares with a bare word, `externalId eq jyoung` (Entra ID's documentation).
    UnquotedValue,
    /// A filter goes on after the bracket, `emails[type eq "work"].value eq "x"`; both parts are
    /// about the same element (Entra ID).
    ComparedValuePath,
    /// A boolean arrives as the text `"True"` or `"False"` (Entra ID).
    StringBoolean,
    /// A complex attribute with a `value` arrives as that value alone: `manager` as a plain string
    /// (Entra ID), a member as a bare id.
    BareComplexValue,
    /// A multi-valued attribute arrives as its only element, without the array.
    SingleValue,
    /// A pathless PATCH object names sub-attributes with a dot, `"name.givenName"`, qualifies a key
    /// with its schema's URN, or uses a whole value path as key (Entra ID with
    /// `aadOptscim062020`).
    PathAsKey,
    /// A pathless PATCH object repeats `id` or another read-only attribute (Okta's group rename).
    ReadOnlyInObject,
    /// `add` or `replace` at `emails[type eq "work"].value` where there is no such element yet: the
    /// element is made from the filter (Entra ID).
    SeededElement,
    /// `remove` at a multi-valued attribute carries the elements to remove as its value (Entra ID).
    RemoveByValue,
    /// `remove` of a member who is not one succeeds (Okta and Entra ID repeat themselves).
    RemoveAbsentMember,
    /// The operation is spelled `Add`, `Replace` or `Remove` (Entra ID).
    CapitalizedOperation,
    /// A PATCH body has no `schemas`.
    MissingPatchSchema,
    /// A resource body has no `schemas`, or none that this server knows (OneLogin, authentik).
    ForeignSchemas,
    /// `externalId` is the empty string: it names nobody, so it is not stored.
    EmptyExternalId,
    /// A bulk request has no `schemas`.
    MissingBulkSchema,
    /// The `data` of a PATCH in a bulk request is the array of its operations (RFC 7644's own
    /// example, which is no JSON as it stands).
    BarePatchOperations,
}

impl Quirk {
    /// Every rule.
    pub const ALL: [Self; 16] = [
        Self::UnquotedValue,
        Self::ComparedValuePath,
        Self::StringBoolean,
        Self::BareComplexValue,
        Self::SingleValue,
        Self::PathAsKey,
        Self::ReadOnlyInObject,
        Self::SeededElement,
        Self::RemoveByValue,
        Self::RemoveAbsentMember,
        Self::CapitalizedOperation,
        Self::MissingPatchSchema,
        Self::ForeignSchemas,
        Self::EmptyExternalId,
        Self::MissingBulkSchema,
        Self::BarePatchOperations,
    ];

    /// The rule's name, as logs and metrics carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnquotedValue => "unquoted-value",
            Self::ComparedValuePath => "compared-value-path",
            Self::StringBoolean => "string-boolean",
            Self::BareComplexValue => "bare-complex-value",
            Self::SingleValue => "single-value",
            Self::PathAsKey => "path-as-key",
            Self::ReadOnlyInObject => "read-only-in-object",
            Self::SeededElement => "seeded-element",
            Self::RemoveByValue => "remove-by-value",
            Self::RemoveAbsentMember => "remove-absent-member",
            Self::CapitalizedOperation => "capitalized-operation",
            Self::MissingPatchSchema => "missing-patch-schema",
            Self::ForeignSchemas => "foreign-schemas",
            Self::EmptyExternalId => "empty-external-id",
            Self::MissingBulkSchema => "missing-bulk-schema",
            Self::BarePatchOperations => "bare-patch-operations",
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
