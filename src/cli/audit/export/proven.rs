//! Events with what it takes to check them offline.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use anyhow::bail;
use futures::StreamExt;
use indicatif::ProgressBar;
use keyledger_domain::{EventFilter, Position, RecordedEvent};
use keyledger_projections::audit::export::{Header, Writer};
use keyledger_projections::audit::{Checkpoint, Entry, VerifyingKey};
use keyledger_projections::tree::{EventTree, Walk};
use keyledger_projections::{Delivery, ReadTables};

use super::selection::subset;
use super::{create, progress};
use crate::config::Stores;
use crate::journal::{self, Subscription};
use crate::replay::deliveries;

/// How many leaves share a range.
const RANGE: u64 = 256;
/// How many bytes are gathered before they are written.
const PIECE: usize = 256 * 1024;

/// Writes the events of the last checkpoint that are wanted; tells how many they are, and how many
/// the checkpoint has.
pub(super) async fn write(
    stores: &Stores,
    public: &VerifyingKey,
    wanted: EventFilter,
    path: &str,
) -> anyhow::Result<(u64, u64)> {
    let journal = journal::open_reader(&stores.journal_url).await?;
    let tree = EventTree::new(&ReadTables::open(&stores.read_url).await?);
    let Some(signed) = tree.last_signed().await? else {
        bail!("no checkpoint was signed yet: run the service with KEYLEDGER_AUDIT_KEY first");
    };
    let size = signed.size;
    let checkpoint = Checkpoint::open(&signed.note, std::slice::from_ref(public))?;
    let subset = subset(&wanted);
    let is_whole = subset.is_none();
    let header = Header::new(checkpoint.origin, subset, public.to_string(), signed.note, size);
    let mut out = Vec::new();
    let writer = if is_whole {
        Writer::begin(&header, &mut out)?
    } else {
        Writer::begin_uncounted(header, &mut out)?
    };
    let source = Source {
        position: tree.state().await?.position,
        events: deliveries(journal, &wanted, Position::START),
        wanted,
        next: 0,
        size,
        bar: progress(size)?,
    };
    let walk = tree.walk(size);
    let export = Export { source, tree, walk, writer, is_whole, out, file: create(path)? };
    Ok((export.write().await?, size))
}

/// The checkpoint's events, as the journal has them.
struct Source {
    events: Subscription,
    wanted: EventFilter,
    /// How far in the journal the tree has come.
    position: Position,
    /// The index of the event that comes next, where all of them come.
    next: u64,
    size: u64,
    bar: ProgressBar,
}

impl Source {
    /// The next event that is wanted, and its index.
    async fn next(&mut self, tree: &EventTree) -> anyhow::Result<Option<(u64, RecordedEvent)>> {
        while self.next < self.size {
            let delivery = self.events.next().await.transpose()?;
            let Some(Delivery::Event(event)) = delivery else { return self.end() };
            let index = match self.wanted.key_id {
                None => self.next,
                Some(_) if event.position > self.position => return Ok(None),
                // What comes of one key's stream does not tell its place among all events.
                Some(_) => match tree.leaf_of(event.id).await? {
                    Some(index) => index,
                    None => bail!("event {} is in the journal, and not in the tree", event.id),
                },
            };
            self.next = index.saturating_add(1);
            self.bar.set_position(self.next.min(self.size));
            if index < self.size && self.wanted.fits(&event) {
                return Ok(Some((index, event)));
            }
        }
        Ok(None)
    }

    /// The journal has no more.
    fn end<T>(&self) -> anyhow::Result<Option<T>> {
        if self.wanted.key_id.is_some() {
            return Ok(None);
        }
        let (held, size) = (self.next, self.size);
        bail!("the journal holds {held} events, but a checkpoint of {size} was signed")
    }
}

/// An export that is being written, piece by piece.
struct Export {
    source: Source,
    tree: EventTree,
    walk: Walk,
    writer: Writer,
    is_whole: bool,
    out: Vec<u8>,
    file: File,
}

impl Export {
    async fn write(mut self) -> anyhow::Result<u64> {
        let mut events = 0;
        while let Some((index, event)) = self.source.next(&self.tree).await? {
            self.event(index, &event).await?;
            events += 1;
            if self.out.len() >= PIECE {
                self.file.write_all(&self.out)?;
                self.out.clear();
            }
        }
        let first = self.writer.finish(&mut self.out)?;
        self.file.write_all(&self.out)?;
        if let Some(first) = first {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&first)?;
        }
        self.file.sync_all()?;
        self.source.bar.finish();
        Ok(events)
    }

    async fn event(&mut self, index: u64, event: &RecordedEvent) -> anyhow::Result<()> {
        let (entry, out) = (Entry::of(event)?, &mut self.out);
        let leaf = self.walk.leaf(index).await?;
        if !self.is_whole {
            let proof = self.walk.inclusion(index).await?;
            self.writer.proven_event(index, &entry, leaf, &proof, out)?;
            return Ok(());
        }
        let is_last = index % RANGE == RANGE - 1;
        let range = if is_last { self.walk.range(index / RANGE).await? } else { None };
        self.writer.event(&entry, leaf, range, out)?;
        Ok(())
    }
}
