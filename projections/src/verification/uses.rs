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
            self.record_some(some.iter().map(|(_, number)| *number), tables).await?;
        }
        Ok(())
    }

    /// The numbers of the records with a use that waits, and the first halves of their keys' ids, by
    /// which they are sorted: the database keeps uses in that order, so that it writes each of its
    /// pages once. In most others it would write nearly all of them for each statement.
    fn used(&self) -> Vec<(u64, u32)> {
        let half = |number| {
            let key_id = self.record(number).and_then(Record::key_id);
            key_id.map_or(0, |key_id| key_id.as_uuid().as_u64_pair().0)
        };
        let mut used: Vec<(u64, u32)> =
            self.records().used().map(|number| (half(number), number)).collect();
        used.sort_unstable();
        used
    }

    async fn record_some(
        &self,
        numbers: impl Iterator<Item = u32>,
        tables: &ReadTables,
    ) -> Result<(), sqlx::Error> {
        let mut uses: Vec<(Use, u32)> = Vec::with_capacity(AT_ONCE);
        for number in numbers {
            let Some(record) = self.record(number) else { continue };
            match record.key_id().zip(record.last_use()) {
                Some(used) => uses.push((used, number)),
                None => self.records().use_is_recorded(number, None),
            }
        }
        // Two nodes never wait for each other when both go by the order of the keys.
        uses.sort_unstable_by_key(|((key_id, _), _)| *key_id);
        record(tables, &uses.iter().map(|(one, _)| *one).collect::<Vec<_>>()).await?;
        for ((_, at), number) in uses {
            self.records().use_is_recorded(number, Some(at));
        }
        Ok(())
    }
}
