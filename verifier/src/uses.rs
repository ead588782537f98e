//! Records when keys were last used.

use async_trait::async_trait;
use keyledger_domain::{KeyId, Timestamp};

use crate::index::Index;
use crate::record::Record;

/// The most keys whose uses are recorded by one call of [`UseSink::record`].
const AT_ONCE: usize = 1_024;

/// A key, and when it was last used.
pub type Use = (KeyId, Timestamp);

/// Where last uses are recorded.
#[async_trait]
pub trait UseSink: Sync {
    /// Why uses cannot be recorded.
    type Error;

    /// Records when keys were last used, all or none. A time earlier than the recorded one changes
    /// nothing. No key occurs twice.
    ///
    /// # Errors
    /// The sink's own; nothing was recorded then.
    async fn record(&self, uses: &[Use]) -> Result<(), Self::Error>;
}

/// The keys with a use that is not recorded yet, in the order of their ids.
#[derive(Debug)]
pub struct WaitingUses(Vec<u32>);

impl Index {
    /// How many keys' uses wait to be recorded.
    #[must_use]
    pub fn uses_waiting(&self) -> usize {
        self.records().used_count()
    }

    /// Collects the keys with a use that is not recorded yet. Sorting a million of them takes a
    /// while: call it where blocking is allowed.
    ///
    /// They are sorted by key id because the database stores uses in that order: each of its pages
    /// is then written once, and two nodes that record at the same time never deadlock.
    #[must_use]
    pub fn waiting_uses(&self) -> WaitingUses {
        let mut used = Vec::with_capacity(self.uses_waiting());
        used.extend(self.records().used());
        used.sort_unstable_by_key(|number| self.record(*number).and_then(Record::key_id));
        WaitingUses(used)
    }

    /// Records these uses, some at a time. A use that is not recorded, because of an error or
    /// because the caller dropped the future, keeps waiting.
    ///
    /// # Errors
    /// The sink's error.
    pub async fn record_uses<S: UseSink>(
        &self,
        waiting: &WaitingUses,
        sink: &S,
    ) -> Result<(), S::Error> {
        for some in waiting.0.chunks(AT_ONCE) {
            self.record_some(some, sink).await?;
        }
        Ok(())
    }

    async fn record_some<S: UseSink>(&self, numbers: &[u32], sink: &S) -> Result<(), S::Error> {
        let mut uses: Vec<(Use, u32)> = Vec::with_capacity(numbers.len());
        for number in numbers.iter().copied() {
            let Some(record) = self.record(number) else { continue };
            match record.key_id().zip(record.last_use()) {
                Some(used) => uses.push((used, number)),
                None => self.records().use_is_recorded(number, None),
            }
        }
        sink.record(&uses.iter().map(|(one, _)| *one).collect::<Vec<_>>()).await?;
        for ((_, at), number) in uses {
            self.records().use_is_recorded(number, Some(at));
        }
        Ok(())
    }
}
