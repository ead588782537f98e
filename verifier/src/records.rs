//! Where records are: they stay there for as long as the index lives.

use std::fmt;
use std::sync::OnceLock;

use keyledger_domain::Timestamp;

use crate::record::Record;
use crate::used::Marks;

/// How many there are of each: groups of pages of records.
const GROUPS: usize = 1 << 10;
const PAGES: usize = 1 << 10;
/// A page is a little less than a MiB, so that what an allocator adds to it does not begin another.
const PAGE: usize = ((1 << 20) - 4_096) / size_of::<OnceLock<Record>>();

struct Page {
    records: Box<[OnceLock<Record>]>,
    /// Which of them have a use that is not recorded yet.
    used: Marks,
}

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

    /// The page of the record of this number, and its place there.
    fn page(&self, number: u32) -> Option<(&Page, usize)> {
        let number = usize::try_from(number).ok()?;
        let group = self.0.get(number / PAGE / PAGES)?.get()?;
        Some((group.get(number / PAGE % PAGES)?.get()?, number % PAGE))
    }

    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        let (page, place) = self.page(number)?;
        page.records.get(place)?.get()
    }

    /// Puts in the record of this number, once. A number that is out of reach is left.
    pub(super) fn set(&self, number: u32, record: Record) {
        let place = || {
            let number = usize::try_from(number).ok()?;
            let group = self.0.get(number / PAGE / PAGES)?.get_or_init(|| empty(PAGES));
            let page = || Page { records: empty(PAGE), used: Marks::new(PAGE) };
            let page = group.get(number / PAGE % PAGES)?.get_or_init(page);
            page.records.get(number % PAGE)
        };
        if let Some(place) = place() {
            // It is set once: numbers are given once.
            let _ = place.set(record);
        }
    }

    /// Notes a use of the record of this number.
    pub(super) fn note_use(&self, number: u32, at: Timestamp) {
        if let Some((page, place)) = self.page(number)
            && let Some(record) = page.records.get(place).and_then(OnceLock::get)
        {
            page.used.note(place, &record.used, at.unix_micros());
        }
    }

    /// Notes that a use of the record of this number is recorded, or that none was there.
    pub(super) fn use_is_recorded(&self, number: u32, at: Option<Timestamp>) {
        if let Some((page, place)) = self.page(number)
            && let Some(record) = page.records.get(place).and_then(OnceLock::get)
        {
            page.used.is_recorded(place, &record.used, at.map(|at| at.unix_micros()));
        }
    }

    fn pages(&self) -> impl Iterator<Item = (usize, &Page)> {
        let groups = self.0.iter().map_while(OnceLock::get);
        groups.flat_map(|group| group.iter().map_while(OnceLock::get)).enumerate()
    }

    /// How many records have a use that waits to be recorded.
    pub(super) fn used_count(&self) -> usize {
        self.pages().map(|(_, page)| page.used.count()).sum()
    }

    /// The numbers of those records.
    pub(super) fn used(&self) -> impl Iterator<Item = u32> {
        self.pages().flat_map(|(index, page)| {
            let number = move |place| u32::try_from(index * PAGE + place).ok();
            page.used.places().filter_map(number)
        })
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records(..)")
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::key::KeyStatus;
    use keyledger_domain::{KeyHash, KeyId, Revision, Timestamp};

    use super::*;
    use crate::record::{KeyRecord, Owner};

    #[test]
    fn records_are_found_by_their_numbers() {
        let records = Records::new();
        let key_id = |number: u32| KeyId::from_uuid(uuid::Uuid::from_u128(number.into()));
        let record = |number| {
            let of = KeyRecord {
                key_id: key_id(number),
                hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
                owner: Owner::of("ann"),
                owner_email: None,
                name: "key",
                created_at: Timestamp::UNIX_EPOCH,
                expires_at: None,
            };
            Record::new(&of, Revision::FIRST, KeyStatus::Active).unwrap()
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
