//! Caseless comparison: the one function that decides whether two strings differ only in case.
//!
//! The table is frozen, and must stay so: unique keys are stored folded, so a table that followed
//! each new Unicode version could make two stored user names equal, or one unreachable, after an
//! upgrade. The mapping goes character by character and knows no context or locale, so that
//! `PostgreSQL` can do the same with `translate(x, FROM, TO)`, byte for byte.

use std::borrow::Cow;
use std::sync::LazyLock;

mod table;

pub use table::{FROM, TO};

/// The two strings side by side, in ascending order of the first character.
static PAIRS: LazyLock<Vec<(char, char)>> =
    LazyLock::new(|| FROM.chars().zip(TO.chars()).collect());

/// Maps `text` to the form in which strings that differ only in case are equal.
///
/// Folding twice changes nothing more, and the fold of a part is the same part of the fold, so
/// that "contains" and "starts with" work on folded text too. Pure ASCII text is lower-cased
/// without a look at the table.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    if text.chars().all(|character| fold_char(character) == character) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(fold_char).collect())
}

fn fold_char(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    PAIRS
        .binary_search_by_key(&character, |&(from, _)| from)
        .ok()
        .and_then(|place| PAIRS.get(place))
        .map_or(character, |&(_, to)| to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// FNV-1a, enough to notice an edited table.
    fn checksum(texts: [&str; 2]) -> u64 {
        texts.iter().flat_map(|text| text.bytes()).fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn the_table_is_the_frozen_one() {
        assert_eq!(FROM.chars().count(), 1454);
        assert_eq!(TO.chars().count(), 1454);
        assert_eq!(checksum([FROM, TO]), 0x0214_5b3b_b21d_dc65);
    }

    #[test]
    fn the_table_is_sorted_and_folds_to_fixed_points() {
        assert!(PAIRS.is_sorted_by(|left, right| left.0 < right.0));
        for &(from, to) in PAIRS.iter() {
            assert_ne!(from, to);
            assert_eq!(fold_char(to), to, "{from:?} folds in two steps");
        }
    }

    #[test]
    fn the_ascii_path_agrees_with_the_table() {
        for byte in 0..=0x7f_u8 {
            let character = char::from(byte);
            let listed = PAIRS.iter().find(|pair| pair.0 == character);
            assert_eq!(fold_char(character), listed.map_or(character, |pair| pair.1));
        }
    }

    #[test]
    fn letters_of_many_scripts_fold() {
        assert_eq!(fold("BJensen"), "bjensen");
        assert_eq!(fold("ÅNGSTRÖM"), "ångström");
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        assert_eq!(fold("ПЁТР"), "пётр");
        assert_eq!(fold("\u{212A}elvin"), "kelvin");
    }

    #[test]
    fn what_needs_more_than_one_character_stays_itself() {
        // Full folding would give "strasse" and "i̇"; one to one mapping cannot.
        assert_eq!(fold("STRAẞE"), "straße");
        assert_eq!(fold("İ"), "İ");
    }

    #[test]
    fn folded_text_is_borrowed() {
        assert!(matches!(fold("bjensen"), Cow::Borrowed(_)));
        assert!(matches!(fold("björn"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once), once.as_str());
        }

        #[test]
        fn folding_goes_character_by_character(left in any::<String>(), right in any::<String>()) {
            let whole = format!("{left}{right}");
            prop_assert_eq!(fold(&whole).into_owned(), format!("{}{}", fold(&left), fold(&right)));
        }
    }
}
