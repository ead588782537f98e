//! Keys that are tried before the switch: whether verification, as the service does it, will accept them.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use futures::StreamExt;
use keyledger_domain::key::Verdict;
use keyledger_domain::{HmacSecret, KeyDelivery, Position, Reached, Timestamp};
use keyledger_journal::JournalReader;
use keyledger_verifier::{
    Clocks, IndexWriter, KeySource, LoadedKey, Outcome, RecordBuffer, Verification,
};
use zeroize::Zeroizing;

use crate::cli::say;
use crate::config::read_private;

/// For longer than any import takes. Nothing revokes a key meanwhile that the answer would have to know.
const BOUND: Duration = Duration::from_secs(24 * 3600);

/// Keys in clear, one per line of a file.
pub(super) struct Samples(Zeroizing<String>);

impl Samples {
    /// Reads the file.
    pub(super) fn read(path: &str) -> anyhow::Result<Self> {
        let text = read_private(Path::new(path)).map_err(|why| anyhow!("--sample: {why}"))?;
        if text.trim().is_empty() {
            bail!("--sample: the file has no key");
        }
        Ok(Self(text))
    }

    /// Prints the verdict on each key.
    ///
    /// # Errors
    /// That the journal cannot be read, or that a key is not found.
    pub(super) async fn try_out(
        &self,
        journal: &dyn JournalReader,
        hmac_secrets: Arc<[HmacSecret]>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let verification = verification(journal, hmac_secrets, now).await?;
        let mut buffer = RecordBuffer::new();
        let mut unknown = 0;
        for (line, key) in (1..).zip(self.0.lines()).filter(|(_, key)| !key.trim().is_empty()) {
            let verdict = match verification.verify(key.trim(), now, &mut buffer)? {
                Outcome::Valid(_) => Verdict::Valid,
                Outcome::Refused(verdict) => verdict,
            };
            say(&format!("Sample {line}: {}", verdict.code()))?;
            unknown += u32::from(verdict == Verdict::NotFound);
        }
        if unknown > 0 {
            bail!("{unknown} of the sample keys would not be known");
        }
        Ok(())
    }
}

/// Verification over the keys of the journal, as a node of the service has it.
async fn verification(
    journal: &dyn JournalReader,
    hmac_secrets: Arc<[HmacSecret]>,
    now: Timestamp,
) -> anyhow::Result<Verification> {
    let mut writer = match IndexWriter::load(&NoKeys).await {
        Ok(writer) => writer,
        Err(never) => match never {},
    };
    let mut events = journal.subscribe_to_keys(Position::START);
    while let Some(delivery) = events.next().await {
        match delivery.context("the journal cannot be read")? {
            KeyDelivery::Event(event) => {
                writer.apply(std::slice::from_ref(&event), event.position, |_| {})?;
            }
            KeyDelivery::Closed(key) => drop(writer.close(key.key_id)),
            KeyDelivery::CaughtUp(_) => break,
        }
    }
    let verification = Verification::new(BOUND).with_hmac_secrets(hmac_secrets);
    verification.set_index(writer.index());
    verification.prove(Clocks::now(now));
    Ok(verification)
}

/// The index is made of events alone.
struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    type Error = Infallible;

    async fn count(&self) -> Result<usize, Infallible> {
        Ok(0)
    }

    async fn scan(
        &self,
        _: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Reached, Infallible> {
        Ok(Reached::START)
    }
}
