//! The one who writes the index: first from the key table, then from the journal.

use async_trait::async_trait;
use hashbrown::HashTable;
use keyledger_domain::key::{KeyEvent, KeyStatus};
use keyledger_domain::{KeyId, Position, RecordedEvent, Revision};

use crate::index::Index;
use crate::record::{KeyRecord, Owner, Record};

/// Where an index gets its keys from when it starts.
#[async_trait]
pub trait KeySource: Sync {
    /// Why the keys cannot be read.
    type Error;

    /// How many keys there are, about.
    ///
    /// # Errors
    /// The source's own.
    async fn count(&self) -> Result<usize, Self::Error>;

    /// Calls `each` with every key that is not deleted, in the order of the keys' ids, and returns
    /// the journal position as of which the keys are.
    ///
    /// # Errors
    /// The source's own.
    async fn scan(
        &self,
        each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Position, Self::Error>;
}

/// A key as its source holds it.
#[derive(Clone, Copy, Debug)]
pub struct LoadedKey<'a> {
    /// What is known of it.
    pub record: KeyRecord<'a>,
    /// The revision of its last event.
    pub revision: Revision,
    /// Its status as of that revision.
    pub status: KeyStatus,
}

/// An event does not follow the last event of its key that the index includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of key {key_id} does not follow the key's last one")]
pub struct OutOfStep {
    /// The key.
    pub key_id: KeyId,
}

/// Keeps an index level with the events it is given. There is one for an index, so that nothing is
/// written at once; and each key's standing only moves forward, so that nothing older could take the
/// place of something newer if it were.
#[derive(Debug)]
pub struct IndexWriter {
    index: Index,
    /// How many records were loaded: the first ones, in the order of their keys' ids.
    loaded: u32,
    /// The numbers of all others, by the ids of their keys.
    added: HashTable<u32>,
    position: Position,
}

impl IndexWriter {
    /// Loads an index of all keys that the source holds, as of the position that it returns.
    ///
    /// # Errors
    /// The source's error.
    pub async fn load<S: KeySource>(source: &S) -> Result<Self, S::Error> {
        // Room for all keys at once, since each table that grows leaves a hole in memory.
        let mut writer = Self {
            index: Index::with_room(source.count().await?),
            loaded: 0,
            added: HashTable::new(),
            position: Position::START,
        };
        let position = source.scan(&mut |key| writer.load_one(&key)).await?;
        writer.advance(position);
        Ok(writer)
    }

    /// The index, for those who ask.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index.clone()
    }

    /// The position after which the events are to begin.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Applies events in journal order; afterwards the index includes every event up to `to`.
    /// Calls `ended` with each event that ends a key, once the index includes it.
    ///
    /// # Errors
    /// [`OutOfStep`] when an event does not follow the last one of its key. The events before it
    /// stay applied, and [`IndexWriter::position`] says how far that is.
    pub fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
        mut ended: impl FnMut(&RecordedEvent),
    ) -> Result<(), OutOfStep> {
        for event in events {
            self.apply_one(event)?;
            self.advance(event.position);
            match event.event {
                KeyEvent::Created(_) => {}
                KeyEvent::Revoked(_) | KeyEvent::Deleted(_) => ended(event),
            }
        }
        self.advance(to);
        Ok(())
    }

    fn advance(&mut self, position: Position) {
        if position > self.position {
            self.position = position;
            self.index.advance(position);
        }
    }

    /// Takes an event; one that the index includes already changes nothing.
    fn apply_one(&mut self, recorded: &RecordedEvent) -> Result<(), OutOfStep> {
        let RecordedEvent { revision, event, .. } = recorded;
        let key_id = event.key_id();
        let out_of_step = OutOfStep { key_id };
        let known = self.find(key_id);
        match (event, known.map(|record| record.status.get().0)) {
            (_, Some(known)) if known >= *revision => Ok(()),
            (KeyEvent::Created(created), None) if *revision == Revision::FIRST => {
                let key_record = KeyRecord {
                    key_id,
                    hash: created.key_hash,
                    owner: Owner::of(created.user_id.as_str()),
                    owner_email: created.user_email.as_ref().map(|email| email.as_str()),
                    name: created.name.as_str(),
                    created_at: created.occurred_at,
                    expires_at: created.expires_at,
                };
                if self.add(&key_record, *revision, KeyStatus::Active) {
                    Ok(())
                } else {
                    Err(out_of_step)
                }
            }
            (KeyEvent::Revoked(_), Some(known)) if known.next() == Some(*revision) => {
                self.end(key_id, *revision, KeyStatus::Revoked);
                Ok(())
            }
            (KeyEvent::Deleted(_), Some(known)) if known.next() == Some(*revision) => {
                self.end(key_id, *revision, KeyStatus::Deleted);
                Ok(())
            }
            (KeyEvent::Created(_) | KeyEvent::Revoked(_) | KeyEvent::Deleted(_), _) => {
                Err(out_of_step)
            }
        }
    }

    fn end(&self, key_id: KeyId, revision: Revision, status: KeyStatus) {
        if let Some(record) = self.find(key_id) {
            record.status.advance(revision, status);
        }
    }

    fn find(&self, key_id: KeyId) -> Option<&Record> {
        let id_of = |number: u32| self.index.record(number).and_then(Record::key_id);
        let is_it = |number: &u32| id_of(*number) == Some(key_id);
        if let Some(number) = self.added.find(key_id.hash_bits(), is_it) {
            return self.index.record(*number);
        }
        let (mut from, mut to) = (0, self.loaded);
        while from < to {
            let middle = from.midpoint(to);
            match id_of(middle)?.cmp(&key_id) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return self.index.record(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// Adds a key of the table, after those with lesser ids.
    fn load_one(&mut self, key: &LoadedKey<'_>) {
        let record = Record::new(&key.record, key.revision, key.status);
        if let Some(number) = record.and_then(|record| self.index.add(record)) {
            self.loaded = number + 1;
        }
    }

    /// Adds a key that is not there yet; tells whether there was room.
    fn add(&mut self, of: &KeyRecord<'_>, revision: Revision, status: KeyStatus) -> bool {
        let record = Record::new(of, revision, status);
        let Some(number) = record.and_then(|record| self.index.add(record)) else {
            return false;
        };
        let index = &self.index;
        let rehash = |number: &u32| {
            index.record(*number).and_then(Record::key_id).map_or(0, KeyId::hash_bits)
        };
        self.added.insert_unique(of.key_id.hash_bits(), number, rehash);
        true
    }
}
