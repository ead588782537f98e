//! Records when keys were last used.

use async_trait::async_trait;
use keyledger_domain::{KeyId, Timestamp};

use crate::index::Index;

/// The most keys whose uses are recorded by one call of [`UseSink::record`].
const AT_ONCE: usize = 1_024;

/// A key's id, and when the key was last used.
pub type Use = (KeyId, Timestamp);

/// Where last uses are recorded, for instance a table.
#[async_trait]
pub trait UseSink: Sync {
    /// Why uses cannot be recorded.
    type Error;

    /// Records when keys were last used: all of these uses, or none. A time earlier than the one that
    /// is recorded already must change nothing. No key occurs twice, and the keys are in the order of
    /// their ids.
    ///
    /// # Errors
    /// The sink's own error; no use was recorded then.
    async fn record(&self, uses: &[Use]) -> Result<(), Self::Error>;
}

/// The keys with a use that is not recorded yet, in the order of their ids.
#[derive(Debug)]
pub struct WaitingUses(Vec<u32>);

impl Index {
    /// How many keys have a use that waits to be recorded.
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
        used.sort_unstable_by_key(|number| self.records().key_id(*number));
        WaitingUses(used)
    }

    /// Records these uses, at most 1,024 in one call of the sink. A use that is not recorded, because
    /// of an error or because the caller dropped the future, keeps waiting.
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
            // The use first: if the key is deleted then, and another has its number, the id is of no key
            // that the use could be recorded for in error.
            match self.records().last_use(number).zip(self.records().key_id(number)) {
                Some((at, key_id)) => uses.push(((key_id, at), number)),
                None => self.records().use_is_recorded(number, None),
            }
        }
        sink.record(&uses.iter().map(|(one, _)| *one).collect::<Vec<_>>()).await?;
        for ((key_id, at), number) in uses {
            if self.records().key_id(number) == Some(key_id) {
                self.records().use_is_recorded(number, Some(at));
            }
        }
        Ok(())
    }
}
