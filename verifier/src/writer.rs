//! The writer of the index: it loads the keys from a source, then applies the journal's events.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use hashbrown::HashTable;
use keyledger_domain::key::{KeyCreated, KeyDetails, KeyEvent, KeyOwnerEmailChanged, KeyStatus};
use keyledger_domain::{KeyId, Position, Reached, RecordedEvent, Revision};

use crate::index::Index;
use crate::record::{KeyRecord, LoadedKey, Owner};
use crate::records::{Free, RecordBuffer};

/// Where an index gets its keys from when it starts, for instance a table.
#[async_trait]
pub trait KeySource: Sync {
    /// Why the keys cannot be read.
    type Error;

    /// About how many keys there are. The index makes room for that many.
    ///
    /// # Errors
    /// The source's own error.
    async fn count(&self) -> Result<usize, Self::Error>;

    /// Calls `each` with every key that is not deleted, in the order of the keys' ids, and returns
    /// how far in the journal the keys include events. All keys must be as of this one position.
    ///
    /// # Errors
    /// The source's own error.
    async fn scan(
        &self,
        each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Reached, Self::Error>;

    /// The ids of the keys that are closed (see [`IndexWriter::close`]), asked for after the scan. By
    /// default there are none.
    ///
    /// # Errors
    /// The source's own error.
    async fn closed(&self) -> Result<Vec<KeyId>, Self::Error> {
        Ok(Vec::new())
    }
}

/// An event does not follow the last event of its key that the index includes, or cannot be applied to
/// what the index knows of the key. The index misses something: stop answering from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of key {key_id} does not follow the key's last one")]
pub struct OutOfStep {
    /// The id of the event's key.
    pub key_id: KeyId,
}

/// Applies events to an index. An index has one writer, so nothing is written by two threads at once.
#[derive(Debug)]
pub struct IndexWriter {
    index: Index,
    /// How many keys were loaded. They have the first numbers, in the order of their ids.
    loaded: u32,
    /// The ids of those of them that were deleted since, by their numbers, which other keys may have now.
    gone: HashMap<u32, KeyId>,
    /// The numbers of all other keys, by their ids.
    added: HashTable<u32>,
    /// The keys that are closed, whether the index has them or not.
    closed: HashSet<KeyId>,
    free: Free,
    reached: Reached,
}

impl IndexWriter {
    /// Loads an index of all keys that the source holds, as of the position that it returns.
    ///
    /// # Errors
    /// The source's error.
    pub async fn load<S: KeySource>(source: &S) -> Result<Self, S::Error> {
        // Room for all keys at once, since each table that grows leaves a hole in memory behind it.
        let mut writer = Self {
            index: Index::with_room(source.count().await?),
            loaded: 0,
            gone: HashMap::new(),
            added: HashTable::new(),
            closed: HashSet::new(),
            free: Free::default(),
            reached: Reached::START,
        };
        let reached = source.scan(&mut |key| writer.load_one(&key)).await?;
        writer.advance(reached);
        for key_id in source.closed().await? {
            writer.close(key_id);
        }
        Ok(writer)
    }

    /// The index, for readers.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index.clone()
    }

    /// How far in the journal the index includes all events. [`IndexWriter::apply`] takes the events
    /// after this position.
    #[must_use]
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// Applies events in journal order; afterwards the index includes every event up to `to`. An event
    /// that the index includes already changes nothing. Calls `ended` with each event that revokes or
    /// deletes a key, once the index includes it.
    ///
    /// # Errors
    /// [`OutOfStep`] when an event does not follow the last one of its key. The events before it
    /// stay applied, and [`IndexWriter::reached`] says up to where.
    pub fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
        mut ended: impl FnMut(&RecordedEvent),
    ) -> Result<(), OutOfStep> {
        let included = self.reached.position;
        for event in events.iter().filter(|event| event.position > included) {
            self.apply_one(event)?;
            self.advance(self.reached.after(std::slice::from_ref(event), event.position));
            match event.event {
                KeyEvent::Created(_) | KeyEvent::OwnerEmailChanged(_) => {}
                KeyEvent::Revoked(_) | KeyEvent::Deleted(_) => ended(event),
            }
        }
        self.advance(self.reached.after(&[], to));
        Ok(())
    }

    /// Closes a key whose events cannot be told any more, as when its stream was deleted from the journal's
    /// database: it is refused as revoked, and later events of it change nothing. Returns whether it was
    /// not closed before.
    pub fn close(&mut self, key_id: KeyId) -> bool {
        let records = self.index.records();
        if let Some(number) = self.find(key_id)
            && let Some(status) = records.status(number)
        {
            records.advance(number, status.revision(), KeyStatus::Revoked);
        }
        self.closed.insert(key_id)
    }

    /// How many keys are closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed.len()
    }

    fn advance(&mut self, reached: Reached) {
        if reached.position > self.reached.position {
            self.reached = reached;
            self.index.advance(reached.position);
        }
    }

    /// Replaces what is known of a key, because of the event with this revision. The key keeps its
    /// status, and a use of it that is not recorded yet. While this happens, readers see the whole old
    /// record or the whole new one. An event that the index includes already changes nothing.
    ///
    /// [`IndexWriter::get`] returns what is known so far, so that an event that changes one field is
    /// applied as `replace(revision, &KeyRecord { name, ..known.record })`. The position stays as it
    /// is: when all events up to a position are applied, tell [`IndexWriter::apply`].
    ///
    /// # Errors
    /// [`OutOfStep`] when the index does not know the key, when the event does not follow the key's
    /// last one, or when the record has another hash (a key's hash never changes) or a text of more
    /// than 65,535 bytes. The index has not changed then.
    pub fn replace(&mut self, revision: Revision, record: &KeyRecord<'_>) -> Result<(), OutOfStep> {
        let out_of_step = OutOfStep { key_id: record.key_id };
        if self.closed.contains(&record.key_id) {
            return Ok(());
        }
        let number = self.find(record.key_id).ok_or(out_of_step)?;
        if !self.is_next(number, revision).ok_or(out_of_step)? {
            return Ok(());
        }
        let records = self.index.records();
        if !records.has_hash(number, &record.hash) {
            return Err(out_of_step);
        }
        records.replace(number, revision, record, &mut self.free).ok_or(out_of_step)
    }

    /// Copies what the index knows of a key into `buffer`, and returns it.
    pub fn get<'b>(&self, key_id: KeyId, buffer: &'b mut RecordBuffer) -> Option<LoadedKey<'b>> {
        let status = self.index.records().read(self.find(key_id)?, buffer)?;
        buffer.key(status)
    }

    /// Applies one event; one that the index includes already changes nothing.
    fn apply_one(&mut self, recorded: &RecordedEvent) -> Result<(), OutOfStep> {
        let RecordedEvent { revision, event, .. } = recorded;
        if self.closed.contains(&event.key_id()) {
            return Ok(());
        }
        match event {
            KeyEvent::Created(created) => self.create(*revision, created),
            KeyEvent::Revoked(revoked) => self.revoke(revoked.key_id, *revision),
            KeyEvent::Deleted(deleted) => self.delete(deleted.key_id, *revision),
            KeyEvent::OwnerEmailChanged(changed) => self.change_owner_email(*revision, changed),
        }
    }

    fn create(&mut self, revision: Revision, created: &KeyCreated) -> Result<(), OutOfStep> {
        let KeyCreated { key_id, details, occurred_at } = created;
        let out_of_step = OutOfStep { key_id: *key_id };
        if let Some(number) = self.find(*key_id) {
            let is_included = self.is_next(number, revision) == Some(false);
            return if is_included { Ok(()) } else { Err(out_of_step) };
        }
        if revision != Revision::FIRST {
            return Err(out_of_step);
        }
        // Verification answers neither with the prefix nor with the id at a former service.
        let KeyDetails {
            owner,
            owner_email,
            name,
            prefix: _,
            hash,
            expires_at,
            hash_function,
            source_id: _,
        } = details;
        let record = KeyRecord {
            key_id: *key_id,
            hash: *hash,
            hash_function: *hash_function,
            owner: Owner::of(owner.as_str()),
            owner_email: owner_email.as_ref().map(|email| email.as_str()),
            name: name.as_str(),
            created_at: *occurred_at,
            expires_at: *expires_at,
        };
        self.add(&LoadedKey { record, revision, status: KeyStatus::Active }).ok_or(out_of_step)
    }

    fn revoke(&self, key_id: KeyId, revision: Revision) -> Result<(), OutOfStep> {
        let out_of_step = OutOfStep { key_id };
        let number = self.find(key_id).ok_or(out_of_step)?;
        if self.is_next(number, revision).ok_or(out_of_step)? {
            self.index.records().advance(number, revision, KeyStatus::Revoked);
        }
        Ok(())
    }

    fn change_owner_email(
        &mut self,
        revision: Revision,
        changed: &KeyOwnerEmailChanged,
    ) -> Result<(), OutOfStep> {
        let mut buffer = RecordBuffer::new();
        let out_of_step = OutOfStep { key_id: changed.key_id };
        let known = self.get(changed.key_id, &mut buffer).ok_or(out_of_step)?;
        let owner_email = Some(changed.user_email.as_str());
        self.replace(revision, &KeyRecord { owner_email, ..known.record })
    }

    /// Forgets a key. Another key will have its memory.
    fn delete(&mut self, key_id: KeyId, revision: Revision) -> Result<(), OutOfStep> {
        let out_of_step = OutOfStep { key_id };
        let number = self.find(key_id).ok_or(out_of_step)?;
        if self.is_next(number, revision).ok_or(out_of_step)? {
            let records = self.index.records();
            let is_it = |number: &u32| records.key_id(*number) == Some(key_id);
            match self.added.find_entry(key_id.hash_bits(), is_it) {
                Ok(added) => drop(added.remove()),
                Err(_) => drop(self.gone.insert(number, key_id)),
            }
            self.index.remove(number, &mut self.free);
        }
        Ok(())
    }

    /// Whether this revision follows the last one of the key with this number: `Some(false)` if the
    /// index includes it already, `None` if one is missing between them.
    fn is_next(&self, number: u32, revision: Revision) -> Option<bool> {
        let known = self.index.records().status(number)?.revision();
        if revision <= known {
            return Some(false);
        }
        (known.next() == Some(revision)).then_some(true)
    }

    /// The number of a key.
    fn find(&self, key_id: KeyId) -> Option<u32> {
        let id_of = |number: u32| self.index.records().key_id(number);
        let is_it = |number: &u32| id_of(*number) == Some(key_id);
        if let Some(number) = self.added.find(key_id.hash_bits(), is_it) {
            return Some(*number);
        }
        let (mut from, mut to) = (0, self.loaded);
        while from < to {
            let middle = from.midpoint(to);
            let gone = self.gone.get(&middle).copied();
            match gone.or_else(|| id_of(middle))?.cmp(&key_id) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return gone.is_none().then_some(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// Adds a key from the source. Its id is greater than those of all keys before it, and so is its number.
    fn load_one(&mut self, key: &LoadedKey<'_>) {
        if let Some(number) = self.index.add(key, &mut self.free) {
            self.loaded = number + 1;
        }
    }

    /// Adds a key that is not there yet; `None` if there is no room for it.
    fn add(&mut self, key: &LoadedKey<'_>) -> Option<()> {
        let number = self.index.add(key, &mut self.free)?;
        let records = self.index.records();
        let rehash = |number: &u32| records.key_id(*number).map_or(0, KeyId::hash_bits);
        self.added.insert_unique(key.record.key_id.hash_bits(), number, rehash);
        Some(())
    }
}
