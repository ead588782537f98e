//! What a key was at a moment of its past, whether it would have verified, and why.

use std::fmt;
use std::str::FromStr;

use crate::key::{Corrupt, Key, Lifecycle, Verdict, fold};
use crate::{HmacSecret, Position, RecordedEvent, Timestamp};

/// The time or position as of which a key is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Includes the events that occurred at this time or earlier.
    Time(Timestamp),
    /// Includes the events at this position or before it. Its time is that of [`PositionTime`].
    ///
    /// [`PositionTime`]: crate::PositionTime
    Position(Position),
}

/// The text is not a [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a date and time of RFC 3339, such as 2030-01-31T12:00:00Z, nor a position")]
pub struct MomentError;

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(position) => Ok(Self::Position(position)),
            Err(_) => Timestamp::parse(text).map(Self::Time).map_err(|_| MomentError),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => fmt::Display::fmt(time, f),
            Self::Position(position) => fmt::Display::fmt(position, f),
        }
    }
}

impl Moment {
    /// Divides a key's events into those that the moment includes and those after it. Revisions
    /// decide before times: all events after the first one that is not included are not included
    /// either.
    #[must_use]
    pub fn divide(self, history: &[RecordedEvent]) -> (&[RecordedEvent], &[RecordedEvent]) {
        let is_later = |recorded: &RecordedEvent| match self {
            Self::Time(time) => recorded.event.occurred_at() > time,
            Self::Position(position) => recorded.position > position,
        };
        let first = history.iter().position(is_later).unwrap_or(history.len());
        history.split_at_checked(first).unwrap_or((history, &[]))
    }
}

/// The state of a key as of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAsOf {
    /// The key's state; `None` before it was created.
    pub key: Option<Key>,
    /// What verification would have answered.
    pub verdict: Verdict,
    /// The last event that is included and decides the verdict; `None` before the key was created.
    pub because: Option<RecordedEvent>,
    /// The reason for the verdict, for people.
    pub reason: Reasoning,
}

/// Why a key would have verified or not. Its text is a short sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasoning {
    /// The key was in use.
    InUse {
        /// When the key was created.
        since: Timestamp,
        /// When the key expires; `None` if it does not.
        until: Option<Timestamp>,
    },
    /// The key had expired at this time.
    Expired(Timestamp),
    /// The key was revoked at this time.
    Revoked(Timestamp),
    /// The key was deleted at this time.
    Deleted(Timestamp),
    /// The key did not exist yet. It was created at this later time, if ever.
    NotYet(Option<Timestamp>),
    /// The key was in use, but its hash is an HMAC, and no secret is known.
    NoSecret,
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { since, until: None } => write!(f, "in use since {since}"),
            Self::InUse { since, until: Some(until) } => {
                write!(f, "in use since {since}, until {until}")
            }
            Self::Expired(at) => write!(f, "expired at {at}"),
            Self::Revoked(at) => write!(f, "revoked at {at}"),
            Self::Deleted(at) => write!(f, "deleted at {at}"),
            Self::NotYet(Some(at)) => write!(f, "created only later, at {at}"),
            Self::NotYet(None) => f.write_str("never created"),
            Self::NoSecret => f.write_str(
                "in use, but cannot be verified here: the secret of its hash is not configured",
            ),
        }
    }
}

impl KeyAsOf {
    /// The state of a key after the `past` events and before the `future` ones. `time` decides
    /// whether the key had expired.
    ///
    /// # Errors
    /// [`Corrupt`] if no sequence of decisions could have led to these events.
    pub fn new(
        (past, future): (&[RecordedEvent], &[RecordedEvent]),
        time: Timestamp,
    ) -> Result<Self, Corrupt> {
        let key = fold(past.iter().map(|recorded| &recorded.event))?;
        let verdict = key.as_ref().map_or(Verdict::NotFound, |key| key.verdict(time));
        let reason = match &key {
            None => Reasoning::NotYet(future.first().map(|next| next.event.occurred_at())),
            Some(key) => key.reasoning(verdict),
        };
        // It ended the key, or created it with its expiry.
        let because = past.iter().rfind(|recorded| recorded.event.may_change_verdict()).cloned();
        Ok(Self { key, verdict, because, reason })
    }

    /// The same, as a verifier answers that has these secrets. Without any, it cannot tell a key that was
    /// imported with an HMAC, and such a key is never valid.
    #[must_use]
    pub fn verified_with(self, hmac_secrets: &[HmacSecret]) -> Self {
        let is_hmac = self.key.as_ref().is_some_and(|key| !key.details.hash_function.is_sha256());
        if self.verdict == Verdict::Valid && is_hmac && hmac_secrets.is_empty() {
            return Self { verdict: Verdict::NotFound, reason: Reasoning::NoSecret, ..self };
        }
        self
    }

    /// The name of the key's status: `none`, `active`, `revoked` or `deleted`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        self.key.as_ref().map_or("none", |key| key.lifecycle.name())
    }
}

impl Key {
    fn reasoning(&self, verdict: Verdict) -> Reasoning {
        match (&self.lifecycle, self.details.expires_at) {
            (Lifecycle::Revoked(ended), _) => Reasoning::Revoked(ended.at),
            (Lifecycle::Deleted { deleted, .. }, _) => Reasoning::Deleted(deleted.at),
            (Lifecycle::Active, Some(at)) if verdict == Verdict::Expired => Reasoning::Expired(at),
            (Lifecycle::Active, until) => Reasoning::InUse { since: self.created_at, until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashFunction;
    use crate::key::KeyDetails;
    use crate::key::tests::{created, created_until, deleted, email_changed, revoked, revoked_at};
    use crate::testing::{at, created_with, details, stream};

    /// Events at seconds 0, 1, 2 and at positions 10, 20, 30.
    fn whole_life() -> Vec<RecordedEvent> {
        stream([(10, created()), (20, revoked()), (30, deleted())])
    }

    fn then(history: &[RecordedEvent], moment: Moment, time: Timestamp) -> KeyAsOf {
        KeyAsOf::new(moment.divide(history), time).unwrap()
    }

    fn at_time(history: &[RecordedEvent], time: Timestamp) -> KeyAsOf {
        then(history, Moment::Time(time), time)
    }

    #[test]
    fn a_key_with_an_hmac_is_valid_only_where_a_secret_is_known() {
        let details = KeyDetails { hash_function: HashFunction::HmacSha256, ..details(1) };
        let history = stream([(10, created_with(1, details))]);
        let then = at_time(&history, at(0));
        assert_eq!(then.verdict, Verdict::Valid);
        let secret = HmacSecret::new(b"former").unwrap();
        assert_eq!(then.clone().verified_with(&[secret]), then);
        let without = then.clone().verified_with(&[]);
        assert_eq!((without.verdict, without.reason), (Verdict::NotFound, Reasoning::NoSecret));
        assert_eq!(without.because, then.because);
        let plain = at_time(&whole_life(), at(0));
        assert_eq!(plain.clone().verified_with(&[]), plain);
    }

    fn micros_before(time: Timestamp) -> Timestamp {
        Timestamp::from_unix_micros(time.unix_micros() - 1).unwrap()
    }

    #[test]
    fn an_event_counts_from_the_microsecond_at_which_it_occurred() {
        let history = whole_life();
        for (time, status, verdict, revision) in [
            (micros_before(at(0)), "none", Verdict::NotFound, None),
            (at(0), "active", Verdict::Valid, Some(0)),
            (micros_before(at(1)), "active", Verdict::Valid, Some(0)),
            (at(1), "revoked", Verdict::Revoked, Some(1)),
            (micros_before(at(2)), "revoked", Verdict::Revoked, Some(1)),
            (at(2), "deleted", Verdict::NotFound, Some(2)),
            (Timestamp::MAX, "deleted", Verdict::NotFound, Some(2)),
        ] {
            let then = at_time(&history, time);
            assert_eq!((then.status(), then.verdict), (status, verdict), "{time}");
            assert_eq!(then.because.map(|event| event.revision.as_u32()), revision, "{time}");
        }
    }

    #[test]
    fn an_event_counts_from_its_position_on() {
        let history = whole_life();
        for (position, status) in [
            (0_u64, "none"),
            (9, "none"),
            (10, "active"),
            (19, "active"),
            (20, "revoked"),
            (29, "revoked"),
            (30, "deleted"),
            (99, "deleted"),
        ] {
            let moment = Moment::Position(position.try_into().unwrap());
            assert_eq!(then(&history, moment, at(0)).status(), status, "{position}");
        }
    }

    #[test]
    fn a_key_that_expires_does_so_at_the_moment_of_its_expiry() {
        let history = stream([(1, created_until(at(5)))]);
        let before = at_time(&history, micros_before(at(5)));
        assert_eq!((before.verdict, before.status()), (Verdict::Valid, "active"));
        assert_eq!(before.reason, Reasoning::InUse { since: at(0), until: Some(at(5)) });
        let after = at_time(&history, at(5));
        assert_eq!((after.verdict, after.status()), (Verdict::Expired, "active"));
        assert_eq!(after.reason, Reasoning::Expired(at(5)));
        assert_eq!(after.because, history.first().cloned(), "its creation set the expiry");
    }

    #[test]
    fn an_event_that_changes_no_verdict_is_no_reason_for_one() {
        let changed = email_changed("ann@example.net", at(3), at(4));
        let history = stream([(1, created_until(at(9))), (2, changed)]);
        let then = at_time(&history, at(5));
        assert_eq!(then.because.map(|event| event.revision.as_u32()), Some(0));
        let email = then.key.unwrap().details.owner_email.unwrap();
        assert_eq!(email.as_str(), "ann@example.net");
        let before = at_time(&history, at(3)).key.unwrap().details.owner_email.unwrap();
        assert_eq!(before.as_str(), "someone@example.com");
    }

    #[test]
    fn events_of_the_same_microsecond_count_together() {
        let history = stream([(1, created()), (2, revoked_at(at(0)))]);
        assert_eq!(at_time(&history, at(0)).verdict, Verdict::Revoked);
        assert_eq!(at_time(&history, micros_before(at(0))).verdict, Verdict::NotFound);
    }

    #[test]
    fn what_follows_on_a_later_event_is_later_whatever_its_date() {
        let history = stream([(1, created()), (2, revoked_at(at(7))), (3, deleted())]);
        assert_eq!(at_time(&history, at(3)).status(), "active");
        assert_eq!(at_time(&history, at(7)).status(), "deleted");
    }

    #[test]
    fn reasons_are_short_sentences() {
        let history = whole_life();
        let told = |seconds| at_time(&history, at(seconds)).reason.to_string();
        assert_eq!(told(-1), "created only later, at 2026-03-01T12:00:00.000000Z");
        assert_eq!(told(0), "in use since 2026-03-01T12:00:00.000000Z");
        assert_eq!(told(1), "revoked at 2026-03-01T12:00:01.000000Z");
        assert_eq!(told(2), "deleted at 2026-03-01T12:00:02.000000Z");
        assert_eq!(at_time(&[], at(0)).reason.to_string(), "never created");
    }

    #[test]
    fn a_moment_is_a_time_or_a_position() {
        assert_eq!("17".parse(), Ok(Moment::Position(17_u64.try_into().unwrap())));
        assert_eq!("2026-03-01T12:00:00Z".parse(), Ok(Moment::Time(at(0))));
        for text in ["", "-1", "soon", "2026-03-01", "9223372036854775808", "1.5"] {
            assert_eq!(text.parse::<Moment>(), Err(MomentError), "{text}");
        }
        for text in ["17", "2026-03-01T12:00:00.000000Z"] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
    }
}
