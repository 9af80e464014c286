//! What a membership comes to and why, in words: a pure function of what is known of it.

use crate::directory::membership::{
    Facts, Heard, Policy, disagrees, effective, granted, scim_decides,
};

/// All that bears on one user's membership of one team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub policy: Policy,
    pub facts: Facts,
    pub heard: Heard,
    pub active: bool,
    /// SCIM spoke after the last complete claim was issued.
    pub scim_is_newer: bool,
}

/// What a membership comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Verdict {
    pub scim_decides: bool,
    pub granted: bool,
    pub effective: bool,
    pub disagree: bool,
    /// Why it is so.
    pub why: String,
    /// What would change it.
    pub change: String,
}

/// Judges a case.
pub fn judge(case: Case) -> Verdict {
    let Case { policy, facts, heard, active, .. } = case;
    Verdict {
        scim_decides: scim_decides(policy, facts),
        granted: granted(policy, facts),
        effective: effective(policy, facts, active),
        disagree: disagrees(policy, facts, heard),
        why: why(case),
        change: change(case),
    }
}

fn why(case: Case) -> String {
    let Case { policy, facts, heard, active, scim_is_newer } = case;
    let mut parts = Vec::new();
    if scim_decides(policy, facts) {
        let said = if facts.scim { "is" } else { "is not" };
        parts.push(format!(
            "SCIM decides, because it manages the team and owns the user: it says that the user \
             {said} a member."
        ));
        if facts.claim && !facts.scim {
            parts.push("The groups claim says otherwise, and grants nothing here.".to_owned());
        } else if disagrees(policy, facts, heard) {
            parts
                .push("The groups claim leaves the team out, and removes nothing here.".to_owned());
        }
        if disagrees(policy, facts, heard) && scim_is_newer {
            parts.push(
                "SCIM spoke after the last complete claim; the next sign-in may settle it."
                    .to_owned(),
            );
        }
    } else {
        let reason = match (policy, facts.scim_managed, facts.scim_owned) {
            (Policy::Union, ..) => "the connection's policy is union",
            (_, false, false) => "SCIM neither manages the team nor owns the user",
            (_, false, true) => "only sign-in has made the team",
            (..) => "SCIM does not own the user",
        };
        let said = match (facts.scim, facts.claim) {
            (true, true) => "both say that the user is a member",
            (true, false) => "SCIM says that the user is a member",
            (false, true) => "the groups claim says that the user is a member",
            (false, false) => "neither says that the user is a member",
        };
        parts.push(format!("Either source grants, because {reason}: {said}."));
    }
    if !active && granted(policy, facts) {
        parts.push("It has no effect, because the user is inactive.".to_owned());
    }
    parts.join(" ")
}

fn change(case: Case) -> String {
    const PUSH_OUT: &str = "Remove the person from the group in the identity provider, and push it";
    const PUSH_IN: &str = "Add the person to the group in the identity provider, and push it";
    let Case { policy, facts, heard, active, .. } = case;
    let decides = scim_decides(policy, facts);
    if !granted(policy, facts) {
        let mut text = PUSH_IN.to_owned();
        if !decides && heard.lets_through {
            text.push_str(", or let the groups claim of the next sign-in list it");
        }
        if !active {
            text.push_str("; activate the user by SCIM as well");
        }
        return text + ".";
    }
    if !active {
        return "Activate the user by SCIM: assign the person to the application again.".to_owned();
    }
    match (decides, facts.scim, facts.claim) {
        (true, ..) | (_, true, false) => format!("{PUSH_OUT}."),
        (_, true, true) => format!(
            "{PUSH_OUT}; then the next sign-in whose groups claim is complete and leaves the team \
             out withdraws the rest."
        ),
        _ if !heard.lets_through => {
            "The next sign-in with a complete groups claim withdraws it, because the connection's \
             groups filter does not let the team through any more."
                .to_owned()
        }
        _ => {
            "The next sign-in whose groups claim is complete and leaves the team out withdraws it."
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD: Heard = Heard { complete: true, lets_through: true };

    fn case(policy: Policy, facts: Facts) -> Case {
        Case { policy, facts, heard: HEARD, active: true, scim_is_newer: false }
    }

    fn facts(scim: bool, claim: bool) -> Facts {
        Facts { scim, claim, scim_managed: true, scim_owned: true }
    }

    fn every_case() -> Vec<Case> {
        let both = [false, true];
        let mut cases = Vec::new();
        for policy in [Policy::ScimFirst, Policy::Union] {
            for bits in 0..256_u32 {
                let bit = |place: u32| both[usize::from(bits & (1 << place) != 0)];
                let (scim, claim) = (bit(0), bit(1));
                cases.push(Case {
                    policy,
                    facts: Facts { scim, claim, scim_managed: bit(2), scim_owned: bit(3) },
                    heard: Heard { complete: bit(4), lets_through: bit(5) },
                    active: bit(6),
                    scim_is_newer: bit(7),
                });
            }
        }
        cases
    }

    #[test]
    fn the_words_fit_the_rule_in_every_case() {
        for case in every_case() {
            let verdict = judge(case);
            let about = format!("{case:?}: {verdict:?}");
            assert_eq!(verdict.granted, granted(case.policy, case.facts), "{about}");
            assert_eq!(verdict.effective, verdict.granted && case.active, "{about}");
            assert_eq!(verdict.why.starts_with("SCIM decides"), verdict.scim_decides, "{about}");
            assert!(verdict.why.ends_with('.') && verdict.change.ends_with('.'), "{about}");
            let takes_away = verdict.change.starts_with("Remove")
                || verdict.change.starts_with("The next sign-in");
            assert_eq!(takes_away, verdict.effective, "{about}");
            assert_eq!(verdict.change.starts_with("Add"), !verdict.granted, "{about}");
            if verdict.disagree {
                assert!(verdict.why.contains("The groups claim"), "{about}");
            }
        }
    }

    #[test]
    fn scim_decides_and_the_claim_is_told_apart() {
        let verdict = judge(case(Policy::ScimFirst, facts(false, true)));
        assert!(!verdict.effective && verdict.disagree);
        assert!(verdict.why.contains("manages the team and owns the user"), "{}", verdict.why);
        assert!(verdict.change.starts_with("Add the person to the group"), "{}", verdict.change);
    }

    #[test]
    fn an_inactive_user_is_told_to_be_activated() {
        let verdict = judge(Case { active: false, ..case(Policy::ScimFirst, facts(true, true)) });
        assert!(verdict.granted && !verdict.effective);
        assert!(verdict.why.contains("inactive"), "{}", verdict.why);
        assert!(verdict.change.starts_with("Activate the user by SCIM"), "{}", verdict.change);
    }

    #[test]
    fn a_claim_alone_is_withdrawn_by_a_claim() {
        let claimed = Facts { scim_managed: false, ..facts(false, true) };
        let verdict = judge(case(Policy::ScimFirst, claimed));
        assert!(verdict.effective && verdict.why.contains("only sign-in has made the team"));
        assert!(verdict.change.starts_with("The next sign-in whose groups claim"));
    }
}
