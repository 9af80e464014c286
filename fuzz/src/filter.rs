//! A filter is read or refused. What is read writes out as the same filter, and a resource meets
//! either it or its negation, by the laws of logic.

use muster::scim::filter::{Expression, FilterError, Operator, check, matches, parse};
use muster::scim::quirks::Quirks;

use super::known::resources;

/// One filter, as text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(expression) = parse(text) else { return };
    let again = parse(&expression.to_string());
    // Escapes can make the text longer than what is read.
    if !matches!(again, Err(FilterError::TooLong { .. })) {
        assert_eq!(again.as_ref(), Ok(&expression), "a filter does not write out as itself");
    }
    for (resource_type, resource) in resources() {
        let holds = |expression: &Expression| {
            let filter = check(expression, resource_type, &mut Quirks::default());
            filter.map(|filter| matches(&filter, resource.as_map()))
        };
        let Ok(found) = holds(&expression) else { continue };
        let not = Expression::Not(Box::new(expression.clone()));
        assert_eq!(holds(&not), Ok(!found), "a filter and its negation");
        assert_eq!(holds(&negated(&expression)), Ok(!found), "the laws of De Morgan");
        for both in [Expression::And, Expression::Or] {
            let twice = both(vec![expression.clone(), expression.clone()]);
            assert_eq!(holds(&twice), Ok(found), "a filter twice");
        }
    }
}

/// The negation, pushed inwards as far as it goes.
fn negated(expression: &Expression) -> Expression {
    let all = |members: &[Expression]| members.iter().map(negated).collect();
    match expression {
        Expression::And(members) => Expression::Or(all(members)),
        Expression::Or(members) => Expression::And(all(members)),
        Expression::Not(inner) => inner.as_ref().clone(),
        Expression::Compare { path, op: op @ (Operator::Eq | Operator::Ne), value } => {
            let op = if *op == Operator::Eq { Operator::Ne } else { Operator::Eq };
            Expression::Compare { path: path.clone(), op, value: value.clone() }
        }
        other => Expression::Not(Box::new(other.clone())),
    }
}
