//! What is kept of a key, and where: records stay where they are for as long as the index lives.

use std::sync::OnceLock;

use keyledger_domain::key::Standing;
use keyledger_domain::{KeyHash, KeyId, Revision, Timestamp};

use super::standing::StandingCell;

/// What is needed to answer for a key: few bytes, since there may be millions.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) hash: KeyHash,
    pub(super) key_id: KeyId,
    created_at: Timestamp,
    /// The owner, the owner's address and the name, and the expiry in microseconds if there is one. A
    /// control character, which none of them holds, separates them.
    text: Box<str>,
    pub(super) standing: StandingCell,
}

const SEPARATOR: char = '\0';

/// What is known of a key, but for its standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Particulars<'a> {
    /// Its id.
    pub key_id: KeyId,
    /// The hash of its secret.
    pub hash: KeyHash,
    /// Who it belongs to.
    pub user_id: &'a str,
    /// The owner's address, where it is known.
    pub user_email: Option<&'a str>,
    /// What the owner calls it.
    pub name: &'a str,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it does not verify, if ever.
    pub expires_at: Option<Timestamp>,
}

impl Record {
    pub(super) fn new(of: &Particulars<'_>, revision: Revision, standing: Standing) -> Self {
        let expiry = of.expires_at.map(|at| at.unix_micros().to_string());
        let email = of.user_email.unwrap_or_default();
        let mut text = [of.user_id, email, of.name].join("\0");
        if let Some(expiry) = expiry {
            text.push(SEPARATOR);
            text.push_str(&expiry);
        }
        Self {
            hash: of.hash,
            key_id: of.key_id,
            created_at: of.created_at,
            text: text.into_boxed_str(),
            standing: StandingCell::new(revision, standing),
        }
    }

    /// What was put in.
    pub(super) fn particulars(&self) -> Particulars<'_> {
        let mut parts = self.text.split(SEPARATOR);
        let mut part = || parts.next().unwrap_or_default();
        let (user_id, email, name) = (part(), part(), part());
        Particulars {
            key_id: self.key_id,
            hash: self.hash,
            user_id,
            user_email: Some(email).filter(|email| !email.is_empty()),
            name,
            created_at: self.created_at,
            expires_at: parts
                .next()
                .and_then(|micros| micros.parse().ok())
                .map(Timestamp::saturating_from_unix_micros),
        }
    }
}

/// How many there are of each: groups of pages of records.
const GROUPS: usize = 1 << 10;
const PAGES: usize = 1 << 10;
const PAGE: usize = 1 << 12;

type Page = Box<[OnceLock<Record>]>;
type Group = Box<[OnceLock<Page>]>;

/// Records by their numbers, from 0 without a gap. One writer adds; what was added is read without
/// locks and never moves.
pub(super) struct Records(Box<[OnceLock<Group>]>);

fn empty<T>(count: usize) -> Box<[OnceLock<T>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

impl Records {
    pub(super) fn new() -> Self {
        Self(empty(GROUPS))
    }

    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        let number = usize::try_from(number).ok()?;
        let group = self.0.get(number / PAGE / PAGES)?.get()?;
        group.get(number / PAGE % PAGES)?.get()?.get(number % PAGE)?.get()
    }

    /// Puts in the record of this number, once; a number that is out of reach is left.
    pub(super) fn set(&self, number: u32, record: Record) {
        let place = || {
            let number = usize::try_from(number).ok()?;
            let group = self.0.get(number / PAGE / PAGES)?.get_or_init(|| empty(PAGES));
            let page = group.get(number / PAGE % PAGES)?.get_or_init(|| empty(PAGE));
            page.get(number % PAGE)
        };
        if let Some(place) = place() {
            // It is set once: numbers are given once.
            let _ = place.set(record);
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<OnceLock<Record>>() <= 88);
    }

    #[test]
    fn a_record_tells_what_was_put_in() {
        let hash = KeyHash::try_from([7; 32].as_slice()).unwrap();
        let at = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
        for (user_email, expires_at) in
            [(None, None), (Some("ann@example.com"), None), (None, Some(at))]
        {
            let key_id = KeyId::from_uuid(uuid::Uuid::from_u128(1));
            let (user_id, name) = ("ünn", "my key");
            let of =
                Particulars { key_id, hash, user_id, user_email, name, created_at: at, expires_at };
            let record = Record::new(&of, Revision::FIRST, Standing::Active);
            assert_eq!(record.particulars(), of);
        }
    }

    #[test]
    fn records_are_found_by_their_numbers() {
        let records = Records::new();
        let of = |number: u32| Particulars {
            key_id: KeyId::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
            hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
            user_id: "ann",
            user_email: None,
            name: "key",
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        let numbers = [0, 1, 4_095, 4_096, 4_194_303, 4_194_304, u32::MAX];
        for number in numbers {
            assert!(records.get(number).is_none());
            records.set(number, Record::new(&of(number), Revision::FIRST, Standing::Active));
        }
        for number in numbers {
            assert_eq!(records.get(number).unwrap().key_id, of(number).key_id);
        }
    }
}
