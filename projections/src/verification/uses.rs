//! Uses that are not recorded yet. The last one of each key stands in the key's record, so they take
//! no more memory however long the database is away; and the numbers of those records wait here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyledger_domain::Timestamp;
use tokio::sync::OwnedMutexGuard;

use super::index::Index;
use super::record::Record;
use crate::ReadTables;
use crate::usage::{Use, record};

/// Parts that do not wait for each other.
const PARTS: usize = 64;
/// How many keys' uses are recorded at once.
const AT_ONCE: usize = 1_024;

/// The numbers of records with a use that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    parts: Box<[Mutex<Vec<u32>>]>,
    /// For whoever records them.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), turn: Arc::default() }
    }

    fn parts(&self) -> impl Iterator<Item = MutexGuard<'_, Vec<u32>>> {
        // A list is never left half-way by a panic elsewhere.
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, number: u32) {
        if let Some(part) = self.parts.get(usize::try_from(number).unwrap_or(0) % PARTS) {
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

    /// How many keys' uses wait to be recorded, but for those that are being recorded.
    #[must_use]
    pub fn uses_waiting(&self) -> usize {
        self.waiting_uses().parts().map(|part| part.len()).sum()
    }

    /// Records all uses that wait; whatever is not recorded, for an error or because the caller has
    /// not waited, waits on. Few are one statement; of many, some at a time, so that requests and
    /// whoever else writes get their turns.
    ///
    /// # Errors
    /// The database's error.
    pub async fn record_uses(&self, tables: &ReadTables) -> Result<(), sqlx::Error> {
        let turn = self.waiting_uses().turn.clone().lock_owned().await;
        let index = self.clone();
        // It takes a while to put a million in order: not where requests are answered.
        let taken = tokio::task::spawn_blocking(|| Taken::all(index, turn)).await;
        taken.map_err(|_| sqlx::Error::WorkerCrashed)?.record(tables).await
    }
}

/// Uses that are being recorded. What is left of them when it is dropped waits on.
struct Taken {
    index: Index,
    /// The numbers of their records, and the first half of their keys' ids, by which they are sorted:
    /// the database keeps uses in that order, so that it writes each of its pages once. In the order
    /// of the journal it would write nearly all pages for each statement.
    numbers: Vec<(u64, u32)>,
    /// Given back once what is left waits again: whoever comes then finds all of it.
    _turn: OwnedMutexGuard<()>,
}

impl Taken {
    fn all(index: Index, turn: OwnedMutexGuard<()>) -> Self {
        let mut numbers = Vec::with_capacity(index.uses_waiting());
        for mut part in index.waiting_uses().parts() {
            // The room stays, for as many again.
            numbers.extend(part.drain(..).map(|number| (0, number)));
        }
        let mut taken = Self { index, numbers, _turn: turn };
        for (half, number) in &mut taken.numbers {
            let key_id = taken.index.record(*number).and_then(Record::key_id);
            *half = key_id.map_or(0, |key_id| key_id.as_uuid().as_u64_pair().0);
        }
        taken.numbers.sort_unstable();
        taken
    }

    async fn record(mut self, tables: &ReadTables) -> Result<(), sqlx::Error> {
        while !self.numbers.is_empty() {
            let rest = self.numbers.len().saturating_sub(AT_ONCE);
            let mut uses: Vec<(Use, u32)> = self
                .numbers
                .iter()
                .skip(rest)
                .filter_map(|(_, number)| self.waits(*number))
                .collect();
            // Two nodes never wait for each other when both go by the order of the keys.
            uses.sort_unstable_by_key(|((key_id, _), _)| *key_id);
            let rows: Vec<Use> = uses.iter().map(|(one, _)| *one).collect();
            record(tables, &rows).await?;
            self.numbers.truncate(rest);
            for ((_, at), number) in uses {
                let is_last = self.index.record(number).is_none_or(|of| of.use_is_recorded(at));
                if !is_last {
                    self.index.waiting_uses().add(number);
                }
            }
        }
        Ok(())
    }

    fn waits(&self, number: u32) -> Option<(Use, u32)> {
        let record = self.index.record(number)?;
        Some(((record.key_id()?, record.use_waiting()?), number))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for (_, number) in &self.numbers {
            self.index.waiting_uses().add(*number);
        }
    }
}
