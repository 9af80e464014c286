//! Histories of an organisation: what happens there, in which order it reaches the server, and how
//! often. A history is made from a seed, and each of its steps makes sense wherever it stands, so
//! that a failing one can be made shorter by leaving steps out.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How the organisation's provider and the connection are set up.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Setup {
    /// Changes are pushed as PATCH (Okta's integration network), not as PUT (its wizard apps).
    pub patches: bool,
    /// Whoever is unassigned is deleted, as Entra ID does in the end, not deactivated.
    pub deletes: bool,
    /// A user is looked for by name before it is created.
    pub looks_up: bool,
    /// Whoever is assigned again is looked for again.
    pub forgets: bool,
    /// SCIM pushes an external id, which the token carries too.
    pub external_ids: bool,
    /// Claims list the ids of groups, which SCIM pushes as external ids, as Entra ID does.
    pub claims_ids: bool,
    /// The connection has a groups filter.
    pub filters: bool,
    pub union: bool,
    pub jit: bool,
    /// In the end everybody signs in before the last push, not after it.
    pub sign_in_first: bool,
}

/// What a token says of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Complete,
    Missing,
    WrongType,
    Overage,
}

/// How a request reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Once,
    /// Once more after the answer.
    Twice,
    /// Twice at the same time.
    TwiceAtOnce,
    /// The answer is lost, and the client begins again.
    AnswerLost,
}

/// Something that happens. The numbers choose among those whom it can happen to.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Somebody new, assigned to the SCIM app or not, maybe with a name that somebody else had.
    Hire {
        assigned: bool,
        recycled: bool,
    },
    /// Somebody gets another user name.
    Rename(usize),
    /// Somebody's profile changes.
    Edit(usize),
    Assign(usize),
    Unassign(usize),
    /// Somebody leaves for good.
    Dismiss(usize),
    /// A new group, pushed or not, in the scope of the groups filter or not.
    Found {
        pushed: bool,
        listed: bool,
    },
    RenameGroup(usize),
    Push(usize),
    Unpush(usize),
    Disband(usize),
    Join(usize, usize),
    Quit(usize, usize),
    /// A token is issued, which may arrive later.
    Issue(usize, Claim),
    /// One of the tokens arrives.
    SignIn(usize, How),
    /// One of the changes is pushed.
    Sync(usize, How),
    /// Two changes and a token arrive at the same time.
    Together(usize, usize, usize),
}

/// The history of a seed.
pub fn generate(seed: u64) -> (Setup, Vec<Step>) {
    let mut random = StdRng::seed_from_u64(seed);
    let external_ids = random.random_bool(0.85);
    let setup = Setup {
        patches: random.random(),
        deletes: random.random_bool(0.2),
        looks_up: random.random_bool(0.7),
        // Without an external id nothing would tell that somebody who has another name by then is
        // the one of before.
        forgets: external_ids && random.random(),
        external_ids,
        claims_ids: random.random_bool(0.3),
        filters: random.random_bool(0.3),
        union: random.random_bool(0.2),
        jit: random.random_bool(0.9),
        sign_in_first: false,
    };
    let mut steps = vec![
        Step::Hire { assigned: random.random(), recycled: false },
        Step::Hire { assigned: random.random(), recycled: false },
        Step::Found { pushed: random.random(), listed: true },
        Step::Join(0, 0),
    ];
    let length = random.random_range(10..40);
    steps.extend((0..length).map(|_| step(&mut random)));
    (setup, steps)
}

fn step(random: &mut StdRng) -> Step {
    let one = random.random_range(0..64);
    let other = random.random_range(0..64);
    match random.random_range(0..100) {
        0..7 => Step::Hire { assigned: random.random_bool(0.7), recycled: random.random_bool(0.7) },
        7..12 => Step::Rename(one),
        12..14 => Step::Edit(one),
        14..19 => Step::Assign(one),
        19..24 => Step::Unassign(one),
        24..28 => Step::Dismiss(one),
        28..31 => Step::Found { pushed: random.random_bool(0.6), listed: random.random_bool(0.8) },
        31..35 => Step::RenameGroup(one),
        35..38 => Step::Push(one),
        38..40 => Step::Unpush(one),
        40..41 => Step::Disband(one),
        41..50 => Step::Join(one, other),
        50..54 => Step::Quit(one, other),
        54..62 => Step::Issue(one, claim(random)),
        62..74 => Step::SignIn(one, how(random)),
        74..94 => Step::Sync(one, how(random)),
        _ => Step::Together(one, other, random.random_range(0..64)),
    }
}

fn claim(random: &mut StdRng) -> Claim {
    match random.random_range(0..10) {
        0 => Claim::Missing,
        1 => Claim::WrongType,
        2 => Claim::Overage,
        _ => Claim::Complete,
    }
}

fn how(random: &mut StdRng) -> How {
    match random.random_range(0..10) {
        0 | 1 => How::Twice,
        2 => How::TwiceAtOnce,
        3 => How::AnswerLost,
        _ => How::Once,
    }
}

/// The history without as many of its steps as can be left out while it still fails.
pub async fn shrink(steps: Vec<Step>, fails: impl AsyncFn(&[Step]) -> bool) -> Vec<Step> {
    let mut steps = steps;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut from = 0;
        let mut shorter = false;
        while from < steps.len() {
            let mut candidate = steps.clone();
            candidate.drain(from..(from + size).min(steps.len()));
            if fails(&candidate).await {
                steps = candidate;
                shorter = true;
            } else {
                from += size;
            }
        }
        if size == 1 && shorter {
            continue;
        }
        size /= 2;
    }
    steps
}
