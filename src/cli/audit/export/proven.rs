//! Exports that can be checked offline.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use keyledger_domain::EventFilter;
use keyledger_projections::ReadTables;
use keyledger_projections::log::{LeafWalk, LogReader};
use keyledger_tlog::export::{ExportWriter, Header, RANGE};
use keyledger_tlog::{Checkpoint, NoteVerifyingKey};

use super::places::{Placed, Places};
use super::selection::subset;
use super::{create, progress};
use crate::config::Stores;
use keyledger_journal as journal;

/// The number of bytes that are buffered before each write.
const PIECE: usize = 256 * 1024;

/// Writes the wanted events of the last signed checkpoint, with the first of the keys that signed it;
/// returns their number and the checkpoint's size.
pub(super) async fn write(
    stores: &Stores,
    keys: &[NoteVerifyingKey],
    wanted: EventFilter,
    path: &str,
) -> anyhow::Result<(u64, u64)> {
    let journal = journal::open_reader(&stores.journal_url).await?;
    let tree = LogReader::new(&ReadTables::open_read_only(&stores.read_url).await?);
    let Some(signed) = tree.last_signed().await? else {
        bail!("no checkpoint was signed yet: run the service with KEYLEDGER_AUDIT_KEY first");
    };
    let size = signed.size;
    let checkpoint = Checkpoint::open(&signed.note, keys)?;
    let did_sign = |key: &&NoteVerifyingKey| {
        Checkpoint::open(&signed.note, std::slice::from_ref(*key)).is_ok()
    };
    let public =
        keys.iter().find(did_sign).context("none of the keys has signed the checkpoint")?;
    let subset = subset(&wanted);
    let is_whole = subset.is_none();
    let header = Header::new(checkpoint.origin, subset, public.to_string(), signed.note, size);
    let mut out = Vec::new();
    let writer = if is_whole {
        ExportWriter::begin(&header, &mut out)?
    } else {
        ExportWriter::begin_uncounted(header, &mut out)?
    };
    let events = match wanted.key_id {
        None => Places::new(&*journal, &tree, size).await?,
        Some(key_id) => Places::of_key(&*journal, &tree, size, key_id).await?,
    };
    let (bar, file) = (progress(size)?, create(path)?);
    let export = Export { wanted, size, is_whole, bar, writer, range: 0, out, file };
    Ok((export.write(events).await?, size))
}

/// An export that is being written.
struct Export {
    wanted: EventFilter,
    size: u64,
    is_whole: bool,
    bar: ProgressBar,
    writer: ExportWriter,
    /// The number of the range whose line is written next.
    range: u64,
    out: Vec<u8>,
    file: File,
}

impl Export {
    /// Writes all events and the last line; returns the number of events written.
    async fn write(mut self, mut events: Places) -> anyhow::Result<u64> {
        let mut written = 0;
        while let Some(placed) = events.next().await? {
            self.bar.set_position(placed.index.saturating_add(1).min(self.size));
            written += u64::from(self.event(placed, &mut events.walk).await?);
            if self.out.len() >= PIECE {
                self.file.write_all(&self.out)?;
                self.out.clear();
            }
        }
        if self.is_whole {
            self.ranges(self.size.div_ceil(RANGE), &mut events.walk).await?;
        }
        let first = self.writer.finish(&mut self.out)?;
        self.file.write_all(&self.out)?;
        if let Some(first) = first {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&first)?;
        }
        self.file.sync_all()?;
        self.bar.finish();
        Ok(written)
    }

    /// Writes an event if it is wanted; returns whether it is.
    async fn event(&mut self, placed: Placed, walk: &mut LeafWalk) -> anyhow::Result<bool> {
        let Placed { index, event, entry, leaf } = placed;
        if self.is_whole {
            // An event that is not in the tree is written where it is in the journal.
            if leaf.is_some() {
                self.ranges(index / RANGE, walk).await?;
            }
            let leaf = leaf.unwrap_or_else(|| entry.hash());
            self.writer.event(index, &entry, leaf, &mut self.out)?;
            return Ok(true);
        }
        let Some(leaf) = leaf.filter(|_| self.wanted.fits(&event)) else { return Ok(false) };
        let proof = walk.inclusion(index).await?;
        self.writer.proven_event(index, &entry, leaf, &proof, &mut self.out)?;
        Ok(true)
    }

    /// Writes the remaining lines of ranges before this range.
    async fn ranges(&mut self, before: u64, walk: &mut LeafWalk) -> anyhow::Result<()> {
        while self.range < before {
            let hash = walk.range(self.range).await?;
            self.writer.range(self.range, hash, &mut self.out);
            self.range += 1;
        }
        Ok(())
    }
}
