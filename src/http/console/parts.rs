//! Small pieces of pages.

use maud::{Markup, html};

use crate::clock::rfc3339;
use crate::directory::requests::Hour;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// How something is, for a badge's colour. What it says is in its words, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Calm,
    Good,
    Warn,
    Bad,
}

impl Tone {
    /// The class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Calm => "",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A word in a coloured shape.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// What has just been done, or is to be known first.
pub fn notice(tone: Tone, text: &str) -> Markup {
    html! { div class={ "notice " (tone.class()) } role="status" { (text) } }
}

/// A point in time: how long ago or ahead it is, and in full where the pointer rests.
pub fn time(at: i64, now: i64) -> Markup {
    let full = rfc3339(at);
    html! { time datetime=(full) title=(full) { (distance(at, now)) } }
}

/// A point in time that there need not be.
pub fn maybe_time(at: Option<i64>, now: i64) -> Markup {
    if let Some(at) = at {
        time(at, now)
    } else {
        html! { span.soft { "never" } }
    }
}

/// When something was, as far as the log of requests goes back.
pub fn lately(at: Option<i64>, now: i64) -> Markup {
    if let Some(at) = at {
        time(at, now)
    } else {
        html! { span.soft { "not in the log" } }
    }
}

/// A point in time to the second, in UTC.
pub fn clock(at: i64) -> Markup {
    let full = rfc3339(at);
    let shown = full.get(..19).unwrap_or(&full).replace('T', " ");
    html! { time datetime=(full) title=(full) { (shown) } }
}

/// How long before or after now a time is, rounded, in the largest unit that fits.
fn distance(at: i64, now: i64) -> String {
    let (micros, is_past) = ((now - at).abs(), at <= now);
    let rounded = |unit: i64| micros.saturating_add(unit * SECOND / 2) / (unit * SECOND);
    let (seconds, minutes, hours) = (rounded(1), rounded(60), rounded(3_600));
    let (number, unit) = if seconds < 5 {
        return "just now".to_owned();
    } else if seconds < 60 {
        (seconds, "second")
    } else if minutes < 60 {
        (minutes, "minute")
    } else if hours < 24 {
        (hours, "hour")
    } else {
        (rounded(86_400), "day")
    };
    let plural = if number == 1 { "" } else { "s" };
    if is_past {
        format!("{number} {unit}{plural} ago")
    } else {
        format!("in {number} {unit}{plural}")
    }
}

/// A value to be copied into another form, in a field with a name.
pub fn copied(id: &str, name: &str, value: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (name) }
            div.copy {
                input.mono type="text" id=(id) readonly value=(value);
                button type="button" data-copy=(id) data-name=(name)
                    aria-label={ "Copy " (name) } { "Copy" }
            }
        }
    }
}

/// Requests of the last hours as a small chart, with what it shows in words.
pub fn chart(hours: &[Hour]) -> Markup {
    const HEIGHT: i64 = 40;
    let most = hours.iter().map(|hour| hour.requests).max().unwrap_or(0).max(1);
    let (all, failed) = hours
        .iter()
        .fold((0, 0), |(all, failed), hour| (all + hour.requests, failed + hour.errors));
    let words = format!("{} requests in 24 hours, {} of them refused", number(all), number(failed));
    let bar = |count: i64| {
        let height = count.saturating_mul(HEIGHT).checked_div(most).unwrap_or(0);
        // What there is at all is to be seen.
        if count > 0 { height.max(2) } else { 0 }
    };
    html! {
        svg.chart role="img" aria-label=(words) viewBox={ "0 0 " (hours.len() * 6) " " (HEIGHT + 1) }
            preserveAspectRatio="none" {
            line.base x1="0" y1=(HEIGHT) x2=(hours.len() * 6) y2=(HEIGHT) {}
            @for (place, hour) in hours.iter().enumerate() {
                @let (height, errors) = (bar(hour.requests), bar(hour.errors));
                rect.ok x=(place * 6) y=(HEIGHT - height) width="5" height=(height) {}
                rect.failed x=(place * 6) y=(HEIGHT - errors) width="5" height=(errors) {}
            }
        }
        span.small.soft { (words) }
    }
}

/// A number with its thousands set apart.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// The way to the pages before and after one of a list.
pub fn pager(page: u64, is_more: bool, address: impl Fn(u64) -> String) -> Markup {
    html! {
        @if page > 1 || is_more {
            nav.pager aria-label="Pages" {
                @if page > 1 { a.button href=(address(page - 1)) rel="prev" { "Before" } }
                span { "Page " (page) }
                @if is_more { a.button href=(address(page + 1)) rel="next" { "After" } }
            }
        }
    }
}

/// The last of a page's items, where the page is full and there may be more.
pub fn last_of_full<T>(items: &[T], count: i64) -> Option<&T> {
    let is_full = i64::try_from(items.len()).is_ok_and(|len| len >= count);
    items.last().filter(|_| is_full)
}

/// Text in an address's query.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_in_the_largest_unit_that_fits() {
        let now = 1_000_000 * SECOND;
        for (seconds, text) in [
            (0, "just now"),
            (-3, "just now"),
            (5, "5 seconds ago"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (86_400, "1 day ago"),
            (-86_400 * 3, "in 3 days"),
            (59, "59 seconds ago"),
            (89, "1 minute ago"),
            (3_599, "1 hour ago"),
            (86_399, "1 day ago"),
            (1 - 86_400 * 365, "in 365 days"),
            (30 - 86_400 * 7, "in 7 days"),
        ] {
            assert_eq!(distance(now - seconds * SECOND, now), text);
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(copied("a", "Name", "\"><script>").into_string().matches("<script>").count(), 0);
        assert_eq!(query(&[("q", "a&b=ü"), ("empty", "")]), "q=a%26b%3D%C3%BC");
    }
}
