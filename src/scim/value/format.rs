//! The forms that values of the simple types have (RFC 7643 section 2.3).

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Number;

use crate::scim::filter::instant;

/// Integers up to this one, and no others without gaps, are also floating-point numbers.
const EXACT: i64 = 1 << 53;

/// Whether the text is an `xsd:dateTime`, which has a date and a time and may have fractions of a
/// second and an offset (RFC 7643 section 2.3.5). Without an offset it is UTC.
pub fn is_date_time(text: &str) -> bool {
    let digits = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let is_marked = marks
        .iter()
        .all(|(place, mark)| text.get(*place..).is_some_and(|rest| rest.starts_with(*mark)));
    let year = digits(0, 4).is_some_and(|year| year > 0);
    let time = [(5, 7), (8, 10), (11, 13), (14, 16)].iter().all(|(a, b)| digits(*a, *b).is_some());
    // A minute of `xsd:dateTime` has no 61st second.
    let second = digits(17, 19).is_some_and(|second| second < 60);
    is_marked
        && year
        && time
        && second
        && is_end_of_time(text.get(19..).unwrap_or_default())
        && instant(text).is_some()
}

/// Whether the text can follow the seconds: a fraction, and `Z` or an offset of up to 14 hours.
fn is_end_of_time(text: &str) -> bool {
    let offset = match text.strip_prefix('.') {
        None => text,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    let Some(hours) = offset.strip_prefix(['+', '-']) else { return matches!(offset, "" | "Z") };
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    hours.split_once(':').is_some_and(|(hours, minutes)| {
        is_number(hours)
            && is_number(minutes)
            && (hours < "14" && minutes < "60" || (hours, minutes) == ("14", "00"))
    })
}

/// Whether the text is base64 or base64url; "trailing padding characters MAY be omitted" (RFC 7643
/// section 2.3.6).
pub fn is_base64(text: &str) -> bool {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&STANDARD, &URL_SAFE]
        .into_iter()
        .any(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).is_ok())
}

/// Whether the text can be a URI, absolute or relative (RFC 7643 section 2.3.7, RFC 3986 section
/// 2). Letters of other scripts are let through, as in RFC 3987.
pub fn is_uri(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>\\^`{|}".contains(c);
    let is_escape = |rest: &str| {
        let two = rest.as_bytes().get(..2);
        two.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.chars().all(allowed) && text.split('%').skip(1).all(is_escape)
}

/// A number with "at least one digit to the left and right of the period" (RFC 7643 section
/// 2.3.3): the same number has the same form, whichever way it was written.
pub fn decimal(number: &Number) -> Number {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), Some(double)) if integer.unsigned_abs() <= EXACT.unsigned_abs() => {
            finite(double, number)
        }
        (Some(_), _) | (None, None) => number.clone(),
        // Where floating-point numbers have gaps, whole ones are written with every digit.
        (None, Some(double)) => match whole(double).filter(|i| i.abs() > EXACT) {
            Some(integer) => integer.into(),
            None => finite(double, number),
        },
    }
}

fn finite(double: f64, number: &Number) -> Number {
    // Zero has no sign.
    let double = if double == 0.0 { 0.0 } else { double };
    Number::from_f64(double).unwrap_or_else(|| number.clone())
}

/// The floating-point number as an integer, if it is one of those that fit.
pub fn whole(double: f64) -> Option<i64> {
    // The bound itself is one too large.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    let fits = double.fract() == 0.0 && double > -BOUND && double < BOUND;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the bounds")]
    fits.then_some(double as i64)
}

/// The number with all its digits and no exponent, nor zeros after the last digit.
pub fn plain(number: &Number) -> String {
    let number = decimal(number);
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.to_string(),
        // What Rust writes of a number has no exponent.
        (None, Some(double)) => double.to_string(),
        (None, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect("a number")
    }

    #[test]
    fn a_date_and_time_is_that_of_xml() {
        for text in [
            "2008-01-23T04:56:22Z",
            "2008-01-23T04:56:22",
            "2008-01-23T04:56:22.5",
            "2008-01-23T04:56:22.123456789Z",
            "2008-01-23T04:56:22+05:30",
            "2008-01-23T04:56:22-14:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "2024-02-29T00:00:00Z",
        ] {
            assert!(is_date_time(text), "{text}");
        }
        for text in [
            "",
            "2008-01-23",
            "04:56:22Z",
            "2008-01-23 04:56:22Z",
            "2008-01-23t04:56:22Z",
            "2008-01-23T04:56:22z",
            "2008-01-23T04:56Z",
            "2008-01-23T04:56:60Z",
            "2008-01-23T24:00:00Z",
            "2008-01-23T04:56:22.Z",
            "2008-01-23T04:56:22+0530",
            "2008-01-23T04:56:22+14:01",
            "2008-01-23T04:56:22+5:30",
            "2008-02-30T04:56:22Z",
            "2023-02-29T04:56:22Z",
            "0000-01-01T00:00:00Z",
            "12008-01-23T04:56:22Z",
            "2008-01-23T04:56:22Z ",
            "２008-01-23T04:56:22Z",
            "2008-01-2３T04:56:22Z",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }

    #[test]
    fn base64_is_of_either_alphabet_and_needs_no_padding() {
        for text in ["", "QUJD", "QUI=", "QUI", "QQ==", "QQ", "-_-_", "+/+/"] {
            assert!(is_base64(text), "{text}");
        }
        for text in ["Q", "QUJ$", "QU JD", "QUJD\n", "+_+_", "ä"] {
            assert!(!is_base64(text), "{text}");
        }
    }

    #[test]
    fn a_uri_is_absolute_or_relative() {
        for text in [
            "https://example.com/a?b=c#d",
            "../Users/1",
            "Users/1",
            "urn:ietf:params:scim",
            "mailto:a@b",
            "https://example.com/%C3%A4",
            "https://exämple.com/ä",
            "",
        ] {
            assert!(is_uri(text), "{text}");
        }
        for text in ["a b", "<a>", "a\nb", "a\"b", "%", "%1", "%zz", "{a}", "a\\b", "%ä"] {
            assert!(!is_uri(text), "{text}");
        }
    }

    #[test]
    fn a_number_has_one_form() {
        for (written, form, plainly) in [
            ("5", "5.0", "5"),
            ("5.0", "5.0", "5"),
            ("5e0", "5.0", "5"),
            ("-0.0", "0.0", "0"),
            ("-0", "0.0", "0"),
            ("0.1", "0.1", "0.1"),
            ("1e-7", "1e-7", "0.0000001"),
            ("9007199254740992", "9007199254740992.0", "9007199254740992"),
            ("9007199254740993", "9007199254740993", "9007199254740993"),
            ("1.152921504606847e18", "1152921504606846976", "1152921504606846976"),
            ("-1152921504606846976", "-1152921504606846976", "-1152921504606846976"),
        ] {
            assert_eq!(decimal(&number(written)).to_string(), form, "{written}");
            assert_eq!(plain(&number(written)), plainly, "{written}");
        }
        assert_eq!(plain(&number("1e300")), format!("1{}", "0".repeat(300)));
        assert_eq!(whole(9_223_372_036_854_775_808.0), None);
        assert_eq!(whole(1.5), None);
    }
}
