//! The rule of membership: a pure function of what each source says.
//!
//! SCIM and sign-in each keep their own statement about a user and a team, and neither writes the
//! other's. Who belongs where is never stored; it follows from the statements by [`granted`], and
//! whether it takes effect by [`effective`].

use std::fmt;
use std::str::FromStr;

use crate::db::memberships::StatementRow;

/// How a connection weighs the two sources against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// SCIM decides wherever it has a say over both the team and the user.
    #[default]
    ScimFirst,
    /// Either source's statement grants, always.
    Union,
}

impl Policy {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScimFirst => "scim-first",
            Self::Union => "union",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "scim-first" => Ok(Self::ScimFirst),
            "union" => Ok(Self::Union),
            _ => Err(format!("'{text}' is no membership policy; use scim-first or union")),
        }
    }
}

/// What is known of one user and one team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// SCIM says that the user is a member.
    pub scim: bool,
    /// The latest complete claim says so.
    pub claim: bool,
    /// SCIM has taken charge of the team.
    pub scim_managed: bool,
    /// SCIM has taken charge of the user.
    pub scim_owned: bool,
}

impl From<&StatementRow> for Facts {
    fn from(row: &StatementRow) -> Self {
        Self {
            scim: row.scim,
            claim: row.claim,
            scim_managed: row.scim_managed,
            scim_owned: row.scim_owned,
        }
    }
}

/// What is known of a user's claims, beside what they say of one team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// A complete claim has been applied, so that what it leaves out is a statement too.
    pub complete: bool,
    /// The connection's filter lets claims speak of the team.
    pub lets_through: bool,
}

/// Whether SCIM's statement alone decides: it has a say over both the team and the user.
pub fn scim_decides(policy: Policy, facts: Facts) -> bool {
    policy == Policy::ScimFirst && facts.scim_managed && facts.scim_owned
}

/// Whether the user belongs to the team.
///
/// Where SCIM has a say over both, its statement decides and a claim that differs is mere evidence.
/// Anywhere else (a team that only sign-in made, or a person whom SCIM does not know) either
/// statement grants.
pub fn granted(policy: Policy, facts: Facts) -> bool {
    facts.scim || (facts.claim && !scim_decides(policy, facts))
}

/// Whether belonging to the team takes effect: an inactive user has no membership anywhere, while
/// the statements stay, so that reactivation brings them back.
pub fn effective(policy: Policy, facts: Facts, active: bool) -> bool {
    active && granted(policy, facts)
}

/// Whether the sources disagree: SCIM decides, and the latest complete claim says otherwise, whichever
/// of the two says that the user is a member.
///
/// Of a team that the filter keeps from claims, a claim says nothing by leaving it out.
pub fn disagrees(policy: Policy, facts: Facts, heard: Heard) -> bool {
    scim_decides(policy, facts) && heard.complete && heard.lets_through && facts.scim != facts.claim
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::fn_params_excessive_bools, reason = "each is a fact of its own")]
    fn facts(scim: bool, claim: bool, scim_managed: bool, scim_owned: bool) -> Facts {
        Facts { scim, claim, scim_managed, scim_owned }
    }

    #[test]
    fn scim_decides_where_it_has_a_say_over_both() {
        for claim in [false, true] {
            assert!(granted(Policy::ScimFirst, facts(true, claim, true, true)));
            assert!(!granted(Policy::ScimFirst, facts(false, claim, true, true)));
        }
    }

    #[test]
    fn anywhere_else_either_statement_grants() {
        for (managed, owned) in [(false, false), (false, true), (true, false)] {
            assert!(granted(Policy::ScimFirst, facts(false, true, managed, owned)));
            assert!(granted(Policy::ScimFirst, facts(true, false, managed, owned)));
            assert!(!granted(Policy::ScimFirst, facts(false, false, managed, owned)));
        }
    }

    #[test]
    fn a_union_grants_whatever_either_says() {
        for (managed, owned) in [(false, false), (false, true), (true, false), (true, true)] {
            assert!(granted(Policy::Union, facts(false, true, managed, owned)));
            assert!(granted(Policy::Union, facts(true, false, managed, owned)));
            assert!(!granted(Policy::Union, facts(false, false, managed, owned)));
        }
    }

    #[test]
    fn an_inactive_user_has_no_effective_membership() {
        for policy in [Policy::ScimFirst, Policy::Union] {
            assert!(!effective(policy, facts(true, true, false, false), false));
            assert!(effective(policy, facts(true, true, false, false), true));
        }
    }

    const HEARD: Heard = Heard { complete: true, lets_through: true };

    #[test]
    fn the_sources_disagree_where_scim_decides_and_a_complete_claim_differs() {
        for (scim, claim) in [(true, false), (false, true)] {
            let both = facts(scim, claim, true, true);
            assert!(disagrees(Policy::ScimFirst, both, HEARD));
            assert!(!disagrees(Policy::Union, both, HEARD), "either grants, so none is overruled");
            for (managed, owned) in [(false, false), (false, true), (true, false)] {
                let either = facts(scim, claim, managed, owned);
                assert!(!disagrees(Policy::ScimFirst, either, HEARD));
            }
        }
        for said in [false, true] {
            assert!(!disagrees(Policy::ScimFirst, facts(said, said, true, true), HEARD));
        }
    }

    #[test]
    fn what_no_claim_could_say_is_no_disagreement() {
        for (scim, claim) in [(true, false), (false, true)] {
            let both = facts(scim, claim, true, true);
            for heard in [
                Heard { complete: false, lets_through: true },
                Heard { complete: true, lets_through: false },
            ] {
                assert!(!disagrees(Policy::ScimFirst, both, heard), "{heard:?}");
            }
        }
    }
}
