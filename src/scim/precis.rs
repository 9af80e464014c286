//! User names prepared for comparison (RFC 7644 sections 5 and 7.8, RFC 7613 section 3.2).
//!
//! PRECIS's profile `UsernameCaseMapped`: full and half width become the ordinary letters, case goes,
//! and what is composed of several characters becomes one where Unicode has it, so that what looks the
//! same is the same. Names are kept as they were sent; only what they are compared by is prepared.
//! Characters that the profile would not have in a name at all are left as they are.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::fold::fold;

/// The form in which two user names are equal if they are the same name.
///
/// Preparing twice changes nothing more.
pub fn prepare(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return fold(name);
    }
    let mut usual = Cow::Borrowed(name);
    if name.chars().any(has_width) {
        usual = Cow::Owned(name.chars().flat_map(without_width).collect());
    }
    // Composed before as well, so that the case of the letter counts as it is usually written.
    let composed = compose(usual);
    let folded = match composed {
        Cow::Borrowed(composed) => fold(composed),
        Cow::Owned(composed) => Cow::Owned(fold(&composed).into_owned()),
    };
    compose(folded)
}

/// Normalization form C, which is what most text is in already.
fn compose(text: Cow<'_, str>) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text,
        _ => Cow::Owned(text.nfc().collect()),
    }
}

/// Whether Unicode has the character for its width alone: the block of half and full width forms.
fn has_width(character: char) -> bool {
    matches!(character, '\u{ff01}'..='\u{ffee}' | '\u{3000}')
}

/// The character of ordinary width.
fn without_width(character: char) -> impl Iterator<Item = char> {
    let (wide, usual) =
        if has_width(character) { (Some(character), None) } else { (None, Some(character)) };
    wide.into_iter().nfkd().chain(usual)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same_name() {
        for (one, other) in [
            ("Ann@Example.com", "ann@example.com"),
            ("Jos\u{e9}", "JOSE\u{301}"),
            ("\u{c5}ngstr\u{f6}m", "a\u{30a}ngstro\u{308}m"),
            // ANGSTROM SIGN and OHM SIGN are letters by another number.
            ("\u{212b}ngstr\u{f6}m", "\u{e5}ngstr\u{f6}m"),
            ("\u{2126}", "\u{3c9}"),
            ("\u{ff21}\u{ff4e}\u{ff4e}\u{ff20}x", "ann@x"),
            ("\u{ff76}\u{ff9e}", "\u{30ac}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
        ] {
            assert_eq!(prepare(one), prepare(other), "{one} {other}");
        }
        for (one, other) in [("ann", "anna"), ("jose", "jos\u{e9}"), ("\u{df}", "ss"), ("a", " a")]
        {
            assert_ne!(prepare(one), prepare(other), "{one} {other}");
        }
    }

    #[test]
    fn an_ordinary_name_is_borrowed() {
        for name in ["ann@example.com", "jos\u{e9}", "\u{7528}\u{6237}"] {
            assert!(matches!(prepare(name), Cow::Borrowed(_)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn preparing_is_idempotent(name in "\\PC{0,12}") {
            let once = prepare(&name).into_owned();
            prop_assert_eq!(prepare(&once).into_owned(), once);
        }

        #[test]
        fn preparing_forgets_case_and_composition(name in "[a-zA-Z\u{c0}-\u{24f}\u{300}-\u{303}]{0,12}") {
            let composed: String = name.nfc().collect();
            let decomposed: String = name.nfd().collect();
            prop_assert_eq!(prepare(&composed), prepare(&decomposed));
            prop_assert_eq!(prepare(&name), prepare(&composed));
            let lower = fold(&name).into_owned();
            prop_assert_eq!(prepare(&name), prepare(&lower));
        }
    }
}
