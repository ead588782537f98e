//! Uses that are not recorded yet. The last one of each key stands in the key's record, so they take
//! no more memory however long the database is away; and the numbers of those records wait here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keyledger_domain::Timestamp;

use super::index::Index;
use crate::ReadTables;
use crate::usage::{Use, record};

/// Parts that do not wait for each other.
const PARTS: usize = 64;
/// The most keys whose uses are recorded at once, so that whoever else writes gets a turn.
const AT_ONCE: usize = 10_000;

/// The numbers of records with a use that waits.
#[derive(Debug)]
pub(super) struct Waiting(Box<[Mutex<Vec<u32>>]>);

impl Waiting {
    pub(super) fn new() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }

    fn parts(&self) -> impl Iterator<Item = MutexGuard<'_, Vec<u32>>> {
        // A list is never left half-way by a panic elsewhere.
        self.0.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, number: u32) {
        let part = usize::try_from(number).unwrap_or(0) % PARTS;
        if let Some(part) = self.0.get(part) {
            part.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        }
    }
}

impl Index {
    /// Notes that the key of this record was used.
    pub(super) fn note_use(&self, number: u32, at: Timestamp) {
        if self.record(number).is_some_and(|record| record.note_use(at)) {
            self.waiting_uses().add(number);
        }
    }

    /// How many keys' uses wait to be recorded.
    #[must_use]
    pub fn uses_waiting(&self) -> usize {
        self.waiting_uses().parts().map(|part| part.len()).sum()
    }

    /// Records all uses that wait; whatever cannot be recorded waits on. Tells of how many keys uses
    /// were recorded.
    ///
    /// # Errors
    /// The database's error.
    pub async fn record_uses(&self, tables: &ReadTables) -> Result<usize, sqlx::Error> {
        let mut waiting: Vec<(Use, u32)> = Vec::with_capacity(self.uses_waiting());
        for mut part in self.waiting_uses().parts() {
            // The room stays, for as many again.
            let taken = part.drain(..).filter_map(|number| {
                let record = self.record(number)?;
                Some(((record.key_id()?, record.take_use()?), number))
            });
            waiting.extend(taken);
        }
        // In the order of the keys, so that two nodes never wait for each other, and the database
        // finds each one near the one before.
        waiting.sort_unstable_by_key(|((key_id, _), _)| *key_id);
        let count = waiting.len();
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(AT_ONCE));
            let uses: Vec<Use> = now.iter().map(|(one, _)| *one).collect();
            if let Err(error) = record(tables, &uses).await {
                for ((_, at), number) in rest {
                    self.note_use(*number, *at);
                }
                return Err(error);
            }
            rest = later;
        }
        Ok(count)
    }
}
