//! Where records are: they stay there for as long as the index lives.

use std::fmt;
use std::sync::OnceLock;

use super::record::Record;

/// How many there are of each: groups of pages of records.
const GROUPS: usize = 1 << 10;
const PAGES: usize = 1 << 10;
/// A page is a little less than a MiB, so that what an allocator adds to it does not begin another.
const PAGE: usize = ((1 << 20) - 4_096) / size_of::<OnceLock<Record>>();

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

    /// Puts in the record of this number, once. A number that is out of reach is left.
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

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records(..)")
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::key::Standing;
    use keyledger_domain::{KeyHash, KeyId, Revision, Timestamp};

    use super::super::record::{Owner, Particulars};
    use super::*;

    #[test]
    fn records_are_found_by_their_numbers() {
        let records = Records::new();
        let key_id = |number: u32| KeyId::from_uuid(uuid::Uuid::from_u128(number.into()));
        let record = |number| {
            let of = Particulars {
                key_id: key_id(number),
                hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
                owner: Owner::of("ann"),
                owner_email: None,
                name: "key",
                created_at: Timestamp::UNIX_EPOCH,
                expires_at: None,
            };
            Record::new(&of, Revision::FIRST, Standing::Active).unwrap()
        };
        let page = u32::try_from(PAGE).unwrap();
        let numbers = [0, 1, page - 1, page, page * 1_024 - 1, page * 1_024, u32::MAX];
        for number in numbers {
            assert!(records.get(number).is_none());
            records.set(number, record(number));
        }
        for number in numbers {
            assert_eq!(records.get(number).unwrap().key_id(), Some(key_id(number)));
        }
    }
}
