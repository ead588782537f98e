//! Whether a key verifies, by its status and its expiry.

use super::{Key, Lifecycle};
use crate::Timestamp;

/// Whether a key was revoked or deleted, without when and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyStatus {
    /// Neither revoked nor deleted. The key may have expired.
    Active,
    /// The key never verifies again.
    Revoked,
    /// The key never verifies again, and only auditors see it.
    Deleted,
}

/// The result of verifying a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The key may be used.
    Valid,
    /// The key was revoked.
    Revoked,
    /// The key has expired.
    Expired,
    /// There is no such key, or it was deleted.
    NotFound,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 4] = [Self::Valid, Self::Revoked, Self::Expired, Self::NotFound];

    /// The name that programs see.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
            Self::NotFound => "NOT_FOUND",
        }
    }
}

impl KeyStatus {
    /// The verdict on a key with this status and this expiry. A key has expired from `expires_at`
    /// on.
    #[must_use]
    pub fn verdict(self, expires_at: Option<Timestamp>, now: Timestamp) -> Verdict {
        match self {
            Self::Deleted => Verdict::NotFound,
            Self::Revoked => Verdict::Revoked,
            Self::Active if expires_at.is_some_and(|at| at <= now) => Verdict::Expired,
            Self::Active => Verdict::Valid,
        }
    }
}

impl Lifecycle {
    /// The status of a key with this lifecycle.
    #[must_use]
    pub fn status(&self) -> KeyStatus {
        match self {
            Self::Active => KeyStatus::Active,
            Self::Revoked(_) => KeyStatus::Revoked,
            Self::Deleted { .. } => KeyStatus::Deleted,
        }
    }
}

impl Key {
    /// The verdict on the key at a time.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        self.lifecycle.status().verdict(self.details.expires_at, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::fold;
    use crate::key::tests::{created, deleted, revoked};
    use crate::testing::at;

    #[test]
    fn a_key_verifies_until_it_is_revoked_or_deleted() {
        for (history, verdict) in [
            (vec![created()], Verdict::Valid),
            (vec![created(), revoked()], Verdict::Revoked),
            (vec![created(), deleted()], Verdict::NotFound),
            (vec![created(), revoked(), deleted()], Verdict::NotFound),
        ] {
            assert_eq!(fold(&history).unwrap().unwrap().verdict(at(99)), verdict);
        }
    }

    #[test]
    fn a_key_verifies_until_the_moment_of_its_expiry() {
        let expires_at = Some(at(5));
        assert_eq!(KeyStatus::Active.verdict(expires_at, at(4)), Verdict::Valid);
        assert_eq!(KeyStatus::Active.verdict(expires_at, at(5)), Verdict::Expired);
        assert_eq!(KeyStatus::Revoked.verdict(expires_at, at(6)), Verdict::Revoked);
        assert_eq!(KeyStatus::Deleted.verdict(expires_at, at(6)), Verdict::NotFound);
    }
}
