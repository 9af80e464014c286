//! From when to when a certificate is good: as much of X.509 as it takes to find that (RFC 5280
//! section 4.1).

use chrono::NaiveDateTime;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which a certificate of version 1 leaves out.
const VERSION: u8 = 0xa0;

/// When the certificate begins and ends to be good, in UTC microseconds; none where it cannot be
/// read.
pub fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number, algorithm and issuer come before it.
    for _ in 0..3 {
        let (_, _, after) = any(rest)?;
        rest = after;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (begins, after) = time(validity)?;
    let (ends, _) = time(after)?;
    Some((begins, ends))
}

/// The tag, the content and what comes after the first element.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // More than four bytes of length are none that memory holds.
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |length, &digit| (length << 8) | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, if it has this tag, and what comes after it.
fn element(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// A point in time, in UTC microseconds, and what comes after it. Both forms end with seconds and Z.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = any(bytes)?;
    let text = std::str::from_utf8(content).ok()?;
    let whole = match tag {
        GENERALIZED_TIME => text.to_owned(),
        // "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY".
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        _ => return None,
    };
    let parsed = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?;
    Some((parsed.and_utc().timestamp_micros(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(begins: (i32, u8, u8), ends: (i32, u8, u8)) -> Vec<u8> {
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(begins.0, begins.1, begins.2);
        parameters.not_after = rcgen::date_time_ymd(ends.0, ends.1, ends.2);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    fn day(text: &str) -> i64 {
        let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("a day");
        date.and_hms_opt(0, 0, 0).expect("midnight").and_utc().timestamp_micros()
    }

    #[test]
    fn a_certificate_says_how_long_it_is_good() {
        for (begins, ends, wanted) in [
            ((1999, 12, 31), (2049, 12, 31), ("1999-12-31", "2049-12-31")),
            ((2050, 1, 1), (4096, 1, 1), ("2050-01-01", "4096-01-01")),
            ((1950, 1, 1), (2026, 2, 28), ("1950-01-01", "2026-02-28")),
        ] {
            let found = validity(&certificate(begins, ends));
            assert_eq!(found, Some((day(wanted.0), day(wanted.1))));
        }
    }

    #[test]
    fn what_is_cut_off_or_spoiled_is_no_certificate() {
        let whole = certificate((2026, 1, 1), (2027, 1, 1));
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "{length}");
        }
        for place in 0..whole.len().min(200) {
            let mut spoiled = whole.clone();
            spoiled[place] = 0xff;
            // It is read or it is not; nothing else happens.
            let _ = validity(&spoiled);
        }
        assert_eq!(validity(&[SEQUENCE, 0x88, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }
}
