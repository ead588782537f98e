//! The journal's events with their places in the tree, whatever became of the journal.

use std::collections::VecDeque;

use anyhow::ensure;
use futures::StreamExt;
use keyledger_domain::Delivery;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use keyledger_projections::log::{LeafWalk, LogReader};
use keyledger_tlog::export::Placing;
use keyledger_tlog::{Entry, TreeHash};

use keyledger_journal::{JournalReader, Subscription};

/// How many events in a row may be unknown to the tree: beyond that, it is another journal's.
const MOST_UNKNOWN: usize = 10_000;

/// The events of a checkpoint's tree as the journal has them, and those that were put among them.
///
/// Whatever fits the tree's leaf hash stands where it should. Of all else the tree is asked where it
/// has the event: so one that was taken out or moved does not make all after it look altered.
pub(super) struct Places {
    events: Subscription,
    tree: LogReader,
    size: u64,
    /// How far in the journal the tree has come.
    position: Position,
    placing: Placing,
    /// How many leaves have found their events.
    found: u64,
    /// Events whose places are told by what comes.
    unknown: Vec<(RecordedEvent, Entry)>,
    ready: VecDeque<Placed>,
    has_ended: bool,
    /// Shared with the export that is written from these events, so that each tile is read once.
    pub(super) walk: LeafWalk,
}

/// An event and its place.
pub(super) struct Placed {
    pub(super) index: u64,
    pub(super) event: RecordedEvent,
    pub(super) entry: Entry,
    /// The hash that the tree holds there; `None` for an event that was added.
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

    /// The same with the events of one key alone, from its own stream, if the tree knows all of them:
    /// otherwise it takes all others to tell their places.
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

    /// The next event.
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
            // It came after the checkpoint.
            Some(place) if place >= self.size => Ok(()),
            Some(place) => self.place(place, event, entry).await,
            // It is not in the tree yet.
            None if event.position > self.position => Ok(()),
            None => {
                let few = self.unknown.len() < MOST_UNKNOWN;
                ensure!(
                    few,
                    "the tree knows none of {MOST_UNKNOWN} events: it is another journal's"
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

    /// Gives events that the tree does not know the places that they have taken.
    async fn settle(&mut self, places: Vec<u64>) -> anyhow::Result<()> {
        let settled: Vec<_> = self.unknown.drain(..places.len()).collect();
        for (index, (event, entry)) in places.into_iter().zip(settled) {
            let leaf = if index < self.size { Some(self.leaf(index).await?) } else { None };
            self.ready.push_back(Placed { index, event, entry, leaf });
        }
        Ok(())
    }

    /// The hash that the tree holds at a place.
    async fn leaf(&mut self, index: u64) -> anyhow::Result<TreeHash> {
        Ok(self.walk.leaf(index).await?)
    }
}
