//! The one who writes the index: first from the key table, then from the journal.

use futures::{Stream, StreamExt};
use hashbrown::HashTable;
use keyledger_domain::key::{KeyEvent, Standing};
use keyledger_domain::{KeyId, Position, RecordedEvent, Revision};

use super::index::Index;
use super::record::{Owner, Particulars, Record};
use crate::keys::ScannedKey;
use crate::projector::{BATCH, Batch};
use crate::{Delivery, ProjectionError, QueryError, ReadTables, WriteError};

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
    /// An index of all keys that the table holds, as of the position that the table is at; deleted
    /// keys are left out.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn load(tables: &ReadTables) -> Result<Self, QueryError> {
        // Room for all at once: tables that grow leave holes behind. Some more may come meanwhile.
        let count = usize::try_from(tables.store.count().await?).unwrap_or(0);
        let mut writer = Self {
            index: Index::with_room(count),
            loaded: 0,
            added: HashTable::new(),
            position: Position::START,
        };
        let mut bad = None;
        let mut take = |row| match ScannedKey::try_from(row) {
            Ok(key) => {
                writer.load_one(&key);
                true
            }
            Err(error) => {
                bad = Some(error);
                false
            }
        };
        let position = tables.store.scan(&mut take).await?.position;
        if let Some(error) = bad {
            return Err(error.into());
        }
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

    /// Takes events until their stream ends; tells each one that ends a key, once the index includes
    /// it.
    ///
    /// # Errors
    /// [`ProjectionError::Source`], and [`ProjectionError::Write`] when an event does not follow on
    /// what the index holds. What came before stays in the index, and [`IndexWriter::position`] tells
    /// how far that is.
    pub async fn follow<S, E>(
        &mut self,
        events: S,
        mut ended: impl FnMut(&RecordedEvent),
    ) -> Result<(), ProjectionError<E>>
    where
        S: Stream<Item = Result<Delivery, E>>,
        E: std::error::Error + 'static,
    {
        let mut batches = std::pin::pin!(events.ready_chunks(BATCH));
        while let Some(deliveries) = batches.next().await {
            let batch = Batch::gather(deliveries);
            for event in &batch.events {
                self.apply(event)?;
                self.advance(event.position);
                match event.event {
                    KeyEvent::Created(_) => {}
                    KeyEvent::Revoked(_) | KeyEvent::Deleted(_) => ended(event),
                }
            }
            self.advance(batch.reaches(self.position));
            if let Some(error) = batch.failure {
                return Err(ProjectionError::Source(error));
            }
        }
        Ok(())
    }

    fn advance(&mut self, position: Position) {
        if position > self.position {
            self.position = position;
            self.index.advance(position);
        }
    }

    /// Takes an event; one that the index includes already changes nothing.
    fn apply(&mut self, recorded: &RecordedEvent) -> Result<(), WriteError> {
        let RecordedEvent { revision, event, .. } = recorded;
        let key_id = event.key_id();
        let out_of_step = WriteError::EventOutOfStep { key_id };
        let known = self.find(key_id);
        match (event, known.map(|record| record.standing.get().0)) {
            (_, Some(known)) if known >= *revision => Ok(()),
            (KeyEvent::Created(created), None) if *revision == Revision::FIRST => {
                let particulars = Particulars {
                    key_id,
                    hash: created.key_hash,
                    owner: Owner::of(created.user_id.as_str()),
                    owner_email: created.user_email.as_ref().map(|email| email.as_str()),
                    name: created.name.as_str(),
                    created_at: created.occurred_at,
                    expires_at: created.expires_at,
                };
                if self.add(&particulars, *revision, Standing::Active) {
                    Ok(())
                } else {
                    Err(out_of_step)
                }
            }
            (KeyEvent::Revoked(_), Some(known)) if known.next() == Some(*revision) => {
                self.end(key_id, *revision, Standing::Revoked);
                Ok(())
            }
            (KeyEvent::Deleted(_), Some(known)) if known.next() == Some(*revision) => {
                self.end(key_id, *revision, Standing::Deleted);
                Ok(())
            }
            (KeyEvent::Created(_) | KeyEvent::Revoked(_) | KeyEvent::Deleted(_), _) => {
                Err(out_of_step)
            }
        }
    }

    fn end(&self, key_id: KeyId, revision: Revision, standing: Standing) {
        if let Some(record) = self.find(key_id) {
            record.standing.advance(revision, standing);
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
    fn load_one(&mut self, key: &ScannedKey) {
        let record = Record::new(&key.particulars(), key.revision, key.standing);
        if let Some(number) = record.and_then(|record| self.index.add(record)) {
            self.loaded = number + 1;
        }
    }

    /// Adds a key that is not there yet; tells whether there was room.
    fn add(&mut self, of: &Particulars<'_>, revision: Revision, standing: Standing) -> bool {
        let record = Record::new(of, revision, standing);
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
