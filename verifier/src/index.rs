//! The index: a map from a key's hash to the key's record and status.

use std::sync::Arc;

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{KeyHash, KeyId, Position};

use crate::atomic::{ArcSwap, AtomicI64, AtomicU32, Ordering, TABLES};
use crate::record::{KeyRecord, LoadedKey};
use crate::records::{Free, RecordBuffer, Records};
use crate::slots::{SlotKey, Slots};
use crate::status::StatusWord;

/// The index, for readers. Cloning it is cheap. Reading takes no locks and never waits for the writer.
#[derive(Clone, Debug)]
pub struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    records: Records,
    tables: Box<[ArcSwap<Slots>]>,
    /// How many keys there are.
    count: AtomicU32,
    /// How many of them were imported.
    imported: AtomicU32,
    /// How many of them are hashed with HMAC.
    hmac: AtomicU32,
    /// The position that all reads include.
    reached: AtomicI64,
}

impl Index {
    /// An empty index with room for about this many keys.
    pub(super) fn with_room(count: usize) -> Self {
        // 3 % more than the average, since keys are not spread over the tables exactly evenly.
        let of_table = count / TABLES + count / TABLES / 32;
        let table = || ArcSwap::from_pointee(Slots::with_room(of_table));
        Self(Arc::new(Shared {
            records: Records::new(),
            tables: (0..TABLES).map(|_| table()).collect(),
            count: AtomicU32::new(0),
            imported: AtomicU32::new(0),
            hmac: AtomicU32::new(0),
            reached: AtomicI64::new(Position::START.as_i64()),
        }))
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether it holds no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the keys were imported.
    #[must_use]
    pub(super) fn imported(&self) -> u32 {
        self.0.imported.load(Ordering::Relaxed)
    }

    /// How many of the keys are hashed with HMAC.
    #[must_use]
    pub fn hashed_with_hmac(&self) -> u32 {
        self.0.hmac.load(Ordering::Relaxed)
    }

    /// The journal position that all later reads include.
    #[must_use]
    pub fn reached(&self) -> Position {
        Position::try_from(self.0.reached.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// Copies the key with this hash into `buffer`, and returns it. If several keys share the hash, an
    /// active one is preferred. A deleted key is not found.
    pub fn find<'b>(&self, hash: &KeyHash, buffer: &'b mut RecordBuffer) -> Option<LoadedKey<'b>> {
        let (_, status) = self.copy(hash, buffer)?;
        buffer.key(status)
    }

    /// Copies the key with this hash into `buffer`, and returns its number and status.
    pub(super) fn copy(
        &self,
        hash: &KeyHash,
        buffer: &mut RecordBuffer,
    ) -> Option<(u32, StatusWord)> {
        let slot_key = SlotKey::of(hash.as_bytes());
        let table = self.0.tables.get(slot_key.table(TABLES))?.load();
        let slot_key = slot_key.within(TABLES);
        let mut read = |number| {
            let is_it = self.0.records.has_hash(number, hash);
            let status = if is_it { self.0.records.read(number, buffer) } else { None };
            // The key may have been deleted since, and another have its number.
            status.filter(|_| buffer.has_hash(hash)).map(|status| (number, status))
        };
        let active = table.find(slot_key, |number| {
            read(number).filter(|(_, status)| status.status() == KeyStatus::Active)
        });
        active.or_else(|| table.find(slot_key, read))
    }

    pub(super) fn records(&self) -> &Records {
        &self.0.records
    }

    /// Adds a key and returns its number; `None` if there is no room for more, or a text is too long.
    /// Only one thread may do it at a time.
    pub(super) fn add(&self, key: &LoadedKey<'_>, free: &mut Free) -> Option<u32> {
        let slot_key = SlotKey::of(key.record.hash.as_bytes());
        let table = self.0.tables.get(slot_key.table(TABLES))?;
        let number = self.records().add(key, free)?;
        let slots = table.load();
        if slots.has_room() {
            slots.insert(slot_key.within(TABLES), number);
        } else {
            let larger = Slots::with_room(slots.len() + slots.len() / 3 + 1);
            for known in slots.numbers() {
                if let Some(hash) = self.records().hash(known) {
                    larger.insert(SlotKey::of(&hash).within(TABLES), known);
                }
            }
            larger.insert(slot_key.within(TABLES), number);
            table.store(Arc::new(larger));
        }
        for counter in self.counters_of(&key.record) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Some(number)
    }

    /// Removes the key with this number, and gives its memory back. Only the thread that adds keys may do it.
    pub(super) fn remove(&self, number: u32, free: &mut Free) {
        let mut buffer = RecordBuffer::new();
        let status = self.records().read(number, &mut buffer);
        let Some(key) = status.and_then(|status| buffer.key(status)) else { return };
        let slot_key = SlotKey::of(key.record.hash.as_bytes());
        if let Some(table) = self.0.tables.get(slot_key.table(TABLES)) {
            table.load().remove(slot_key.within(TABLES), number);
        }
        self.records().remove(number, free);
        for counter in self.counters_of(&key.record) {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The counters that count this key. Readers see them change no later than the position advance.
    fn counters_of(&self, of: &KeyRecord<'_>) -> impl Iterator<Item = &AtomicU32> {
        let is_imported = of.key_id.may_recur() && of.key_id == KeyId::for_imported_hash(&of.hash);
        let is_hmac = !of.hash_function.is_sha256();
        [(true, &self.0.count), (is_imported, &self.0.imported), (is_hmac, &self.0.hmac)]
            .into_iter()
            .filter_map(|(counts, counter)| counts.then_some(counter))
    }

    /// Advances the position that reads include.
    pub(super) fn advance(&self, position: Position) {
        self.0.reached.fetch_max(position.as_i64(), Ordering::AcqRel);
    }
}
