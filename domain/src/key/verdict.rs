//! Whether a key verifies.

use super::{Key, Lifecycle};
use crate::Timestamp;

/// Where a key is in its life, without when and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyStatus {
    /// In use, unless it has expired.
    Active,
    /// Refused for good.
    Revoked,
    /// Refused for good, and known to auditors only.
    Deleted,
}

/// What becomes of a key that someone presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is good.
    Valid,
    /// It was revoked.
    Revoked,
    /// It has expired.
    Expired,
    /// There is no such key, or no more.
    NotFound,
}

impl Verdict {
    /// All of them.
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
    /// Whether a key with this standing and this expiry verifies now.
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
    /// The standing of a key that is here in its life.
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
    /// Whether the key verifies now.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        self.lifecycle.status().verdict(self.expires_at, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::fold;
    use crate::key::tests::{at, created, deleted, revoked};

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
