//! Uses that are not recorded yet. The last one of each key stands in the key's record, so they take
//! no more memory however long the database is away; and the numbers of those records wait here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keyledger_domain::Timestamp;

use super::index::Index;
use crate::ReadTables;
use crate::usage::{Use, record};

/// Parts that do not wait for each other.
const PARTS: usize = 64;
/// About how many keys' uses are recorded at once.
const AT_ONCE: usize = 1_000;

/// The numbers of records with a use that waits.
#[derive(Debug)]
pub(super) struct Waiting(Box<[Mutex<Vec<u32>>]>);

impl Waiting {
    pub(super) fn new() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }

    fn part(&self, number: usize) -> Option<MutexGuard<'_, Vec<u32>>> {
        // A list is never left half-way by a panic elsewhere.
        self.0.get(number).map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, number: u32) {
        if let Some(mut part) = self.part(usize::try_from(number).unwrap_or(0) % PARTS) {
            part.push(number);
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
        (0..PARTS).filter_map(|part| self.waiting_uses().part(part)).map(|part| part.len()).sum()
    }

    /// Records all uses that wait; whatever cannot be recorded waits on. Few are one statement; of
    /// many, some at a time, so that requests and whoever else writes get their turns.
    ///
    /// # Errors
    /// The database's error.
    pub async fn record_uses(&self, tables: &ReadTables) -> Result<(), sqlx::Error> {
        let mut taken = Vec::new();
        for part in 0..PARTS {
            self.take_uses(part, &mut taken);
            if taken.len() >= AT_ONCE || part + 1 == PARTS {
                self.record_taken(&mut taken, tables).await?;
            }
        }
        Ok(())
    }

    fn take_uses(&self, part: usize, taken: &mut Vec<(Use, u32)>) {
        if let Some(mut part) = self.waiting_uses().part(part) {
            // The room stays, for as many again.
            taken.extend(part.drain(..).filter_map(|number| {
                let record = self.record(number)?;
                Some(((record.key_id()?, record.take_use()?), number))
            }));
        }
    }

    async fn record_taken(
        &self,
        taken: &mut Vec<(Use, u32)>,
        tables: &ReadTables,
    ) -> Result<(), sqlx::Error> {
        // In the order of the keys, so that two nodes never wait for each other, and the database
        // finds each one near the one before.
        taken.sort_unstable_by_key(|((key_id, _), _)| *key_id);
        let uses: Vec<Use> = taken.iter().map(|(one, _)| *one).collect();
        let recorded = record(tables, &uses).await;
        if recorded.is_err() {
            for ((_, at), number) in taken.iter() {
                self.note_use(*number, *at);
            }
        }
        taken.clear();
        recorded
    }
}
