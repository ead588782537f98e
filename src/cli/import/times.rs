//! Times as databases and spreadsheets write them.

use keyledger_domain::Timestamp;

/// What is understood, for people.
pub(super) const EXPECTED: &str = "a date and time such as 2025-01-31T12:00:00Z or 2025-01-31 12:00:00+00 (UTC, if it has no zone)";

/// Parses RFC 3339, also with a space for the `T`, with an offset in hours (`+00`) or without a colon
/// (`+0000`), as PostgreSQL writes it, or without one, which means UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.trim().split_at_checked(10)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at_checked(at)?,
        None => (time, "Z"),
    };
    // PostgreSQL may write a space before the offset.
    let clock = clock.trim_end();
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
        _ => offset.to_owned(),
    };
    Timestamp::parse(&format!("{date}T{clock}{offset}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_databases_and_spreadsheets_are_understood() {
        for (text, expected) in [
            ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000000Z"),
            ("2026-03-01T12:00:00.123456", "2026-03-01T12:00:00.123456Z"),
            ("2026-03-01T12:00:00", "2026-03-01T12:00:00.000000Z"),
            ("2024-01-01 00:00:00+00", "2024-01-01T00:00:00.000000Z"),
            ("2024-01-01 00:00:00.5-03", "2024-01-01T03:00:00.500000Z"),
            ("2024-01-01 00:00:00+0530", "2023-12-31T18:30:00.000000Z"),
            ("2024-01-01 00:00:00 +05:30", "2023-12-31T18:30:00.000000Z"),
            (" 2024-01-01t00:00:00z ", "2024-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(
                parse(text).map(|time| time.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_time_or_could_be_several_is_not() {
        for text in [
            "",
            "yesterday",
            "2024-01-01",
            "01/02/2024 12:00",
            "2024-01-01_00:00:00",
            "2024-01-01 00:00",
            "2024-13-01 00:00:00",
            "2024-01-01 25:00:00",
            "2024-01-01 00:00:00+0",
            "2024-01-01 00:00:00 CET",
            "infinity",
            "é024-01-01 00:00:00",
            "2024-01-01 00:00:00+é0",
            "1767225600",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
