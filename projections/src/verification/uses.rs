//! Records when keys were last used.

use super::index::Index;
use super::record::Record;
use crate::ReadTables;
use crate::usage::{Use, record};

/// How many keys' uses are recorded at once.
const AT_ONCE: usize = 1_024;

impl Index {
    /// How many keys' uses wait to be recorded.
    #[must_use]
    pub fn uses_waiting(&self) -> usize {
        self.records().used_count()
    }

    /// Records all uses that wait; whatever is not recorded, for an error or because the caller has
    /// not waited, waits on. Few are one statement; of many, some at a time, so that requests and
    /// whoever else writes get their turns.
    ///
    /// # Errors
    /// The database's error.
    pub async fn record_uses(&self, tables: &ReadTables) -> Result<(), sqlx::Error> {
        let index = self.clone();
        // It takes a while to put a million in order: not where requests are answered.
        let used = tokio::task::spawn_blocking(move || index.used()).await;
        for some in used.map_err(|_| sqlx::Error::WorkerCrashed)?.chunks(AT_ONCE) {
            self.record_some(some, tables).await?;
        }
        Ok(())
    }

    /// The numbers of the records with a use that waits, by the ids of their keys: the database keeps
    /// uses in that order, so that it writes each of its pages once. In most others it would write
    /// nearly all of them for each statement. Two nodes never wait for each other, since both go by it.
    fn used(&self) -> Vec<u32> {
        let mut used = Vec::with_capacity(self.uses_waiting());
        used.extend(self.records().used());
        used.sort_unstable_by_key(|number| self.record(*number).and_then(Record::key_id));
        used
    }

    async fn record_some(&self, numbers: &[u32], tables: &ReadTables) -> Result<(), sqlx::Error> {
        let mut uses: Vec<(Use, u32)> = Vec::with_capacity(numbers.len());
        for number in numbers.iter().copied() {
            let Some(record) = self.record(number) else { continue };
            match record.key_id().zip(record.last_use()) {
                Some(used) => uses.push((used, number)),
                None => self.records().use_is_recorded(number, None),
            }
        }
        record(tables, &uses.iter().map(|(one, _)| *one).collect::<Vec<_>>()).await?;
        for ((_, at), number) in uses {
            self.records().use_is_recorded(number, Some(at));
        }
        Ok(())
    }
}
