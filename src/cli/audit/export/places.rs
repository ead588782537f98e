//! Pairs the journal's events with leaves of the tree, even if the journal was altered.

use std::collections::VecDeque;

use anyhow::ensure;
use futures::StreamExt;
use keyledger_domain::Delivery;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use keyledger_projections::log::{LeafWalk, LogReader};
use keyledger_tlog::export::Placing;
use keyledger_tlog::{Entry, TreeHash};

use keyledger_journal::{JournalReader, Subscription};

/// The maximum number of consecutive events that are not in the tree. With more, the tree is taken
/// to be that of another journal.
const MOST_UNKNOWN: usize = 10_000;

/// The journal's events up to a checkpoint, each with the index of its leaf, including events that
/// were added to the journal later.
///
/// An event that matches the next leaf hash has that index. Any other event is looked up in the
/// tree by its id, so that a removed or moved event does not shift the indexes of those after it.
pub(super) struct Places {
    events: Subscription,
    tree: LogReader,
    size: u64,
    /// The position up to which the tree holds all events.
    position: Position,
    placing: Placing,
    /// The number of leaves whose events were found.
    found: u64,
    /// Events that are not in the tree, whose indexes are known only after a later event.
    unknown: Vec<(RecordedEvent, Entry)>,
    ready: VecDeque<Placed>,
    has_ended: bool,
    /// Also used by the export that is written from these events, so that each tile is read once.
    pub(super) walk: LeafWalk,
}

/// An event and the index of its leaf.
pub(super) struct Placed {
    pub(super) index: u64,
    pub(super) event: RecordedEvent,
    pub(super) entry: Entry,
    /// The hash of the leaf in the tree; `None` for an event that was added to the journal.
    pub(super) leaf: Option<TreeHash>,
}

impl Places {
    pub(super) async fn new(
        journal: &dyn JournalReader,
        tree: &LogReader,
        size: u64,
    ) -> anyhow::Result<Self> {
        let position = tree.state().await?.position;
        Ok(Self {
            events: journal.subscribe(Position::START),
            tree: tree.clone(),
            size,
            position,
            placing: Placing::new(size),
            found: 0,
            unknown: Vec::new(),
            ready: VecDeque::new(),
            has_ended: false,
            walk: tree.walk(size),
        })
    }

    /// Reads only the events of one key, from its stream, if all of them are in the tree. Otherwise
    /// reads all events, which are needed to determine the indexes of the missing ones.
    pub(super) async fn of_key(
        journal: &dyn JournalReader,
        tree: &LogReader,
        size: u64,
        key_id: KeyId,
    ) -> anyhow::Result<Self> {
        let mut places = Self::new(journal, tree, size).await?;
        for event in journal.read(key_id).await? {
            match tree.leaf_of(event.id).await? {
                Some(place) if place < size => {
                    let entry = Entry::of(&event)?;
                    places.place(place, event, entry).await?;
                }
                Some(_) => {}
                None if event.position > places.position => {}
                None => return Self::new(journal, tree, size).await,
            }
        }
        places.has_ended = true;
        Ok(places)
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Placed>> {
        loop {
            if let Some(placed) = self.ready.pop_front() {
                return Ok(Some(placed));
            }
            if self.has_ended {
                return Ok(None);
            }
            let is_whole = self.found >= self.size && self.placing.next().is_none();
            let delivery = if is_whole { None } else { self.events.next().await.transpose()? };
            match delivery {
                Some(Delivery::Event(event)) => self.take(event).await?,
                Some(Delivery::CaughtUp(_)) | None => {
                    self.has_ended = true;
                    let places = self.placing.end();
                    self.settle(places).await?;
                }
            }
        }
    }

    async fn take(&mut self, event: RecordedEvent) -> anyhow::Result<()> {
        let entry = Entry::of(&event)?;
        if let Some(next) = self.placing.next()
            && self.leaf(next).await? == entry.hash()
        {
            return self.place(next, event, entry).await;
        }
        match self.tree.leaf_of(event.id).await? {
            // The event is newer than the checkpoint.
            Some(place) if place >= self.size => Ok(()),
            Some(place) => self.place(place, event, entry).await,
            // The event is not in the tree yet.
            None if event.position > self.position => Ok(()),
            None => {
                let few = self.unknown.len() < MOST_UNKNOWN;
                ensure!(
                    few,
                    "{MOST_UNKNOWN} events in a row are not in the tree: it is that of another journal"
                );
                self.unknown.push((event, entry));
                self.placing.take_unknown();
                Ok(())
            }
        }
    }

    async fn place(
        &mut self,
        index: u64,
        event: RecordedEvent,
        entry: Entry,
    ) -> anyhow::Result<()> {
        let places = self.placing.take(index);
        self.settle(places).await?;
        self.found += 1;
        let leaf = Some(self.leaf(index).await?);
        self.ready.push_back(Placed { index, event, entry, leaf });
        Ok(())
    }

    /// Assigns these indexes to the oldest events that are not in the tree.
    async fn settle(&mut self, places: Vec<u64>) -> anyhow::Result<()> {
        let settled: Vec<_> = self.unknown.drain(..places.len()).collect();
        for (index, (event, entry)) in places.into_iter().zip(settled) {
            let leaf = if index < self.size { Some(self.leaf(index).await?) } else { None };
            self.ready.push_back(Placed { index, event, entry, leaf });
        }
        Ok(())
    }

    /// The hash of the leaf at this index.
    async fn leaf(&mut self, index: u64) -> anyhow::Result<TreeHash> {
        Ok(self.walk.leaf(index).await?)
    }
}
