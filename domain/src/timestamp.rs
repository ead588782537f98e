//! Points in time, as in events and answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds in a second.
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A point in time in UTC, to the microsecond, between the years 0001 and 9999.
///
/// The text form is RFC 3339 with six fractional digits and `Z`. Texts sort as the times do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text or a number is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The text is not a date and time of RFC 3339.
    #[error("not a date and time of RFC 3339, such as 2030-01-31T12:00:00Z")]
    NotRfc3339,
    /// The time is outside the years 0001 to 9999.
    #[error("outside the years 0001 to 9999")]
    OutOfRange,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(Self::MAX_MICROS);
    /// 0001-01-01T00:00:00Z.
    const MIN_MICROS: i64 = -62_135_596_800 * MICROS_PER_SECOND;
    /// 9999-12-31T23:59:59.999999Z.
    const MAX_MICROS: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

    /// The time this many microseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError::OutOfRange`] outside the years 0001 to 9999.
    pub fn from_unix_micros(micros: i64) -> Result<Self, TimestampError> {
        if (Self::MIN_MICROS..=Self::MAX_MICROS).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TimestampError::OutOfRange)
        }
    }

    /// The time this many microseconds after 1970-01-01T00:00:00Z. A time outside the years 0001 to
    /// 9999 becomes the first or last time of these years.
    #[must_use]
    pub fn saturating_from_unix_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN_MICROS, Self::MAX_MICROS))
    }

    /// Microseconds since 1970-01-01T00:00:00Z, negative before it.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The time this many seconds later.
    ///
    /// # Errors
    /// [`TimestampError::OutOfRange`] after the year 9999.
    pub fn plus_seconds(self, seconds: u32) -> Result<Self, TimestampError> {
        let micros = i64::from(seconds) * MICROS_PER_SECOND;
        self.0
            .checked_add(micros)
            .ok_or(TimestampError::OutOfRange)
            .and_then(Self::from_unix_micros)
    }

    /// Parses a date and time of RFC 3339. Digits after the microsecond are ignored.
    ///
    /// # Errors
    /// [`TimestampError::NotRfc3339`] and [`TimestampError::OutOfRange`].
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let parsed =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError::NotRfc3339)?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        i64::try_from(micros)
            .map_err(|_| TimestampError::OutOfRange)
            .and_then(Self::from_unix_micros)
    }
}

/// The text form, whose length is fixed.
struct Text([u8; 27]);

impl Text {
    fn as_str(&self) -> &str {
        // All bytes are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Writes a number in decimal, with leading zeros.
    fn put(&mut self, at: std::ops::Range<usize>, mut number: u32) {
        for digit in self.0.get_mut(at).into_iter().flatten().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
    }
}

impl Timestamp {
    /// Each answer of verification has a timestamp, and a general formatter would take longer than
    /// the rest of the answer.
    fn text(self) -> Result<Text, fmt::Error> {
        let at =
            OffsetDateTime::from_unix_timestamp(self.unix_seconds()).map_err(|_| fmt::Error)?;
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let mut text = Text(*b"0000-00-00T00:00:00.000000Z");
        text.put(0..4, at.year().unsigned_abs());
        text.put(5..7, u8::from(at.month()).into());
        text.put(8..10, at.day().into());
        text.put(11..13, at.hour().into());
        text.put(14..16, at.minute().into());
        text.put(17..19, at.second().into());
        text.put(20..26, u32::try_from(micros).unwrap_or(0));
        Ok(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text()?.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text.as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_form_has_six_digits_and_z() {
        let at = Timestamp::parse("2026-03-01T12:30:05+02:00").unwrap();
        assert_eq!(at.to_string(), "2026-03-01T10:30:05.000000Z");
        assert_eq!(at.unix_seconds(), 1_772_361_005);
    }

    #[test]
    fn the_first_and_the_last_moment_have_a_text_form() {
        let first = Timestamp::from_unix_micros(Timestamp::MIN_MICROS).unwrap();
        assert_eq!(first.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        let before_1970 = Timestamp::from_unix_micros(-1).unwrap();
        assert_eq!(before_1970.to_string(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn digits_past_the_microsecond_are_cut_off() {
        let at = Timestamp::parse("2026-03-01T10:30:05.123456999Z").unwrap();
        assert_eq!(at.to_string(), "2026-03-01T10:30:05.123456Z");
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in ["", "2026-03-01", "2026-13-01T00:00:00Z", "2026-03-01T10:30:05", "soon"] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError::NotRfc3339), "{text}");
        }
    }

    #[test]
    fn a_moment_past_the_year_9999_is_refused() {
        let last = Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap();
        assert_eq!(last.plus_seconds(1), Err(TimestampError::OutOfRange));
        assert_eq!(Timestamp::from_unix_micros(i64::MAX), Err(TimestampError::OutOfRange));
    }

    proptest! {
        #[test]
        fn every_moment_survives_its_text_form(
            micros in Timestamp::MIN_MICROS..=Timestamp::MAX_MICROS
        ) {
            let at = Timestamp::from_unix_micros(micros).unwrap();
            prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        }
    }
}
