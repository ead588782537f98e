//! The index: from a key's hash to what is known of the key.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use keyledger_domain::key::KeyStatus;
use keyledger_domain::{KeyHash, Position, Revision};

use crate::record::{KeyRecord, Record};
use crate::records::Records;
use crate::slots::{Place, Slots};

/// The parts of the table that grow apart from each other, so that none takes long.
const PARTS: usize = 64;

/// The index, for those who ask; cheap to clone. Reading takes no locks and never waits, whatever is
/// written meanwhile.
#[derive(Clone, Debug)]
pub struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    records: Records,
    parts: Box<[ArcSwap<Slots>]>,
    /// How many records there are.
    count: AtomicU32,
    /// The position that all reads include.
    reached: AtomicI64,
}

/// A key that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub(super) number: u32,
    record: &'a Record,
}

impl Index {
    /// An empty index with room for about as many keys.
    pub(super) fn with_room(count: usize) -> Self {
        // No part gets exactly as many as another.
        let of_part = count / PARTS + count / PARTS / 32;
        let parts = (0..PARTS).map(|_| ArcSwap::from_pointee(Slots::with_room(of_part))).collect();
        Self(Arc::new(Shared {
            records: Records::new(),
            parts,
            count: AtomicU32::new(0),
            reached: AtomicI64::new(Position::START.as_i64()),
        }))
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The journal position that reads from now on include.
    #[must_use]
    pub fn reached(&self) -> Position {
        Position::try_from(self.0.reached.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// The key with this hash. Should several share it, one that verifies goes before one that does
    /// not.
    #[must_use]
    pub fn find(&self, hash: &KeyHash) -> Option<Found<'_>> {
        let place = Place::of(hash.as_bytes());
        let part = self.0.parts.get(place.part(PARTS))?.load();
        let of_hash = |number| {
            let record = self.record(number).filter(|record| record.has_hash(hash))?;
            Some(Found { number, record })
        };
        let is_active = |found: &Found<'_>| found.status().1 == KeyStatus::Active;
        let active = part.find(place.within(PARTS), |number| of_hash(number).filter(is_active));
        active.or_else(|| part.find(place.within(PARTS), of_hash))
    }

    pub(super) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(super) fn record(&self, number: u32) -> Option<&Record> {
        self.0.records.get(number)
    }

    /// Adds a record; tells its number, or `None` when there is no room for any more. Only one may do
    /// it at a time.
    pub(super) fn add(&self, record: Record) -> Option<u32> {
        let number = self.len();
        let place = Place::of(record.names()?.0);
        let part = self.0.parts.get(place.part(PARTS))?;
        self.0.records.set(number, record);
        // A number that is out of reach was not taken.
        self.record(number)?;
        let slots = part.load();
        if slots.has_room() {
            slots.insert(place.within(PARTS), number);
        } else {
            let more = Slots::with_room(slots.len() + slots.len() / 3 + 1);
            for known in slots.numbers() {
                if let Some((hash, _)) = self.record(known).and_then(Record::names) {
                    more.insert(Place::of(hash).within(PARTS), known);
                }
            }
            more.insert(place.within(PARTS), number);
            part.store(Arc::new(more));
        }
        self.0.count.store(number + 1, Ordering::Relaxed);
        Some(number)
    }

    /// Tells that reads from now on include this position.
    pub(super) fn advance(&self, position: Position) {
        self.0.reached.fetch_max(position.as_i64(), Ordering::AcqRel);
    }
}

impl<'a> Found<'a> {
    /// All but its standing; always there.
    #[must_use]
    pub fn key_record(&self) -> Option<KeyRecord<'a>> {
        self.record.key_record()
    }

    /// Its standing, and as of which of its revisions.
    #[must_use]
    pub fn status(&self) -> (Revision, KeyStatus) {
        self.record.status.get()
    }
}
