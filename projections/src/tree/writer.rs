//! Lets the tree grow by the events that come, and remembers what is to be signed of it.

use keyledger_domain::{Position, RecordedEvent, Timestamp};
use uuid::Uuid;

use super::reader::remembered;
use super::store::Growth;
use super::{EventTree, TreeError, TreeReadError, TreeState};
use crate::audit::merkle::{Frontier, Node, TILE_WIDTH, Tile, TreeHash};
use crate::audit::{Checkpoint, Entry};
use crate::lease::Term;
use crate::{ReadTables, WriteError};

/// The most events that share a transaction.
pub const TREE_BATCH: usize = 500;

/// Writes the tree, for as long as the term lasts. After an error it is of no more use.
#[derive(Debug)]
pub struct TreeWriter {
    tables: ReadTables,
    term: Term,
    position: Position,
    frontier: Frontier,
    /// The last tile of each level, whether it is begun or not.
    tiles: Vec<Open>,
    /// What was last remembered, and whether it was signed.
    signed: Option<u64>,
}

/// A tile that is not full yet.
#[derive(Debug, Default)]
struct Open {
    index: u64,
    hashes: Vec<u8>,
}

impl TreeWriter {
    /// Goes on where the tree stands. It must lead to the roots that it says it has, and continue
    /// what was last remembered of it.
    ///
    /// # Errors
    /// [`TreeError::Read`] and [`TreeError::NotContinued`].
    pub async fn load(tables: &ReadTables, term: Term) -> Result<Self, TreeError> {
        let tree = EventTree::new(tables);
        let (position, frontier) = tree.frontier().await?;
        let size = frontier.size();
        if tree.root_at(size).await? != frontier.root() {
            return Err(TreeReadError::Damaged("its hashes do not lead to its root".into()).into());
        }
        let mut tiles = Vec::new();
        for level in 0_u8..8 {
            let hashes = size.checked_shr(u32::from(level) * 8).unwrap_or(0);
            if hashes == 0 {
                break;
            }
            let tile = Tile { level, index: hashes / u64::from(TILE_WIDTH) };
            let width = usize::from(tile.width_at(size));
            let mut stored = if width == 0 { Vec::new() } else { tree.tile(tile).await? };
            stored.truncate(width);
            if stored.len() < width {
                return Err(TreeReadError::short(tile).into());
            }
            let hashes = stored.iter().flat_map(|hash| *hash.as_bytes()).collect();
            tiles.push(Open { index: tile.index, hashes });
        }
        let last = tables.store.last_checkpoint().await?;
        let signed = last.as_ref().filter(|last| last.note.is_some());
        let signed = signed.map(|last| remembered(last).map(|(size, _)| size)).transpose()?;
        let (tables, frontier) = (tables.clone(), frontier);
        let writer = Self { tables, term, position, frontier, tiles, signed };
        writer.check_continues().await?;
        Ok(writer)
    }

    /// What the tree is.
    #[must_use]
    pub fn state(&self) -> TreeState {
        let frontier = &self.frontier;
        TreeState { position: self.position, size: frontier.size(), root: frontier.root() }
    }

    /// Appends events, and notes that the tree has come as far as `to` in the journal.
    ///
    /// # Errors
    /// [`TreeError::Write`], [`TreeError::Entry`] and [`TreeError::Full`].
    pub async fn append(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<(), TreeError> {
        let from = (self.position, number(self.frontier.size()));
        let mut changed = Vec::new();
        let mut ids: Vec<Uuid> = Vec::with_capacity(events.len());
        for event in events {
            let entry = Entry::of(event).map_err(|source| TreeError::Entry {
                id: event.id,
                position: event.position,
                source,
            })?;
            let tiles = &mut self.tiles;
            self.frontier.append_with(entry.hash(), |node, hash| {
                changed.extend(add(tiles, node, hash));
            })?;
            ids.push(event.id.as_uuid());
        }
        if !events.is_empty() {
            changed.extend(
                (0_u8..)
                    .zip(&self.tiles)
                    .filter(|(_, open)| !open.hashes.is_empty())
                    .map(|(level, open)| (Tile { level, index: open.index }, open.hashes.clone())),
            );
        }
        let frontier = self.frontier.roots().iter().flat_map(|root| *root.as_bytes()).collect();
        let to = (to, number(self.frontier.size()));
        let growth = Growth { from, to, frontier, tiles: changed, events: ids };
        self.tables.store.grow(&growth, self.term).await?;
        self.position = to.0;
        Ok(())
    }

    /// Remembers what the tree is, so that it can be signed; `None` when that was signed before, or
    /// there is nothing to sign.
    ///
    /// # Errors
    /// [`TreeError::Read`], [`TreeError::Write`] and [`TreeError::NotContinued`].
    pub async fn checkpoint(
        &self,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, TreeError> {
        let TreeState { size, root, .. } = self.state();
        if size == 0 || self.signed.is_some_and(|signed| signed >= size) {
            return Ok(None);
        }
        self.check_continues().await?;
        let known = self.tables.store.remember(number(size), root, self.term).await?;
        if TreeHash::try_from(known.as_slice()) != Ok(root) {
            return Err(TreeError::NotContinued { size });
        }
        Ok(Some(Checkpoint { origin: origin.to_owned(), size, root, time: Some(now) }))
    }

    /// Keeps the note that was signed of a checkpoint.
    ///
    /// # Errors
    /// [`TreeError::Write`].
    pub async fn keep(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), WriteError> {
        let at = checkpoint.time.unwrap_or(Timestamp::UNIX_EPOCH);
        self.tables.store.keep_note(number(checkpoint.size), note, at, self.term).await?;
        self.signed = Some(checkpoint.size);
        Ok(())
    }

    /// Whether the tree continues what was last remembered of it, as far as it has come. After a
    /// crash of the database it may be behind that.
    async fn check_continues(&self) -> Result<(), TreeError> {
        let Some(last) = self.tables.store.last_checkpoint().await? else { return Ok(()) };
        let (size, root) = remembered(&last)?;
        if size > self.frontier.size() {
            return Ok(());
        }
        let is_continued = EventTree::new(&self.tables).root_at(size).await? == root;
        if is_continued { Ok(()) } else { Err(TreeError::NotContinued { size }) }
    }
}

/// Adds a hash to the last tile of its level; tells the tile if it is full now.
fn add(tiles: &mut Vec<Open>, node: Node, hash: TreeHash) -> Option<(Tile, Vec<u8>)> {
    if !node.level.is_multiple_of(8) {
        return None;
    }
    let level = node.level / 8;
    if tiles.len() <= usize::from(level) {
        tiles.push(Open::default());
    }
    let open = tiles.get_mut(usize::from(level))?;
    open.hashes.extend_from_slice(hash.as_bytes());
    if open.hashes.len() < usize::from(TILE_WIDTH) * hash.as_bytes().len() {
        return None;
    }
    let tile = Tile { level, index: open.index };
    open.index = open.index.saturating_add(1);
    Some((tile, std::mem::take(&mut open.hashes)))
}

/// A size as the tables have it.
fn number(size: u64) -> i64 {
    // No journal holds 2^63 events.
    i64::try_from(size).unwrap_or(i64::MAX)
}
