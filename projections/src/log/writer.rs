//! Lets the tree grow by the events that come, and remembers what is to be signed of it.

use keyledger_domain::{EventId, Place, Position, RecordedEvent, Timestamp};

use super::reader::remembered;
use super::{LogReadError, LogReader, LogState, LogWriteError};
use crate::store::Growth;
use crate::{Epoch, ReadTables, WriteError};
use keyledger_tlog::merkle::{Frontier, Node, TILE_WIDTH, Tile, TreeHash};
use keyledger_tlog::{Checkpoint, Entry};

/// The most events that share a transaction: each writes the last tile of every level anew, and keeps
/// others from writing the read tables meanwhile.
pub const LOG_BATCH: usize = 4_096;

/// How many bytes the id of an event has.
const ID: usize = 16;

/// Writes the tree, for as long as the term lasts. After an error it is of no more use.
#[derive(Debug)]
pub struct LogWriter {
    tables: ReadTables,
    term: Epoch,
    position: Position,
    /// The id of the event at `position`, if one stands there and it is known.
    last_event: Option<EventId>,
    frontier: Frontier,
    /// The last tile of each level, whether it is begun or not.
    tiles: Vec<Open>,
    /// The ids of the last tile's events.
    ids: Open,
    /// What was last remembered, and whether it was signed.
    signed: Option<u64>,
}

/// A tile that is not full yet.
#[derive(Debug, Default)]
struct Open {
    index: u64,
    bytes: Vec<u8>,
}

impl Open {
    /// Adds a hash or an id; tells the tile if it is full now.
    fn add(&mut self, bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < usize::from(TILE_WIDTH) * bytes.len() {
            return None;
        }
        let full = (self.index, std::mem::take(&mut self.bytes));
        self.index = self.index.saturating_add(1);
        Some(full)
    }
}

impl LogWriter {
    /// Goes on where the tree stands. It must lead to the roots that it says it has, and continue
    /// what was last remembered of it.
    ///
    /// # Errors
    /// [`LogWriteError::Read`] and [`LogWriteError::NotContinued`].
    pub async fn load(tables: &ReadTables, term: Epoch) -> Result<Self, LogWriteError> {
        let tree = LogReader::new(tables);
        let (position, frontier) = tree.frontier().await?;
        let size = frontier.size();
        if tree.root_at(size).await? != frontier.root() {
            return Err(LogReadError::Damaged("its hashes do not lead to its root".into()).into());
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
                return Err(LogReadError::short(tile).into());
            }
            let bytes = stored.iter().flat_map(|hash| *hash.as_bytes()).collect();
            tiles.push(Open { index: tile.index, bytes });
        }
        let ids = open_ids(tables, size).await?;
        let last = tables.store.last_checkpoint().await?;
        let signed = last.as_ref().filter(|last| last.note.is_some());
        let signed = signed.map(|last| remembered(last).map(|(size, _)| size)).transpose()?;
        let (tables, frontier) = (tables.clone(), frontier);
        let writer =
            Self { tables, term, position, last_event: None, frontier, tiles, ids, signed };
        writer.check_continues().await?;
        Ok(writer)
    }

    /// What the tree is.
    #[must_use]
    pub fn state(&self) -> LogState {
        let frontier = &self.frontier;
        LogState { position: self.position, size: frontier.size(), root: frontier.root() }
    }

    /// Where in the journal the tree stands: the last event that is a leaf of it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { position: self.position, event_id: self.last_event }
    }

    /// Appends events, and notes that the tree has come as far as `to` in the journal.
    ///
    /// # Errors
    /// [`LogWriteError::Write`], [`LogWriteError::Entry`] and [`LogWriteError::Full`].
    pub async fn append(
        &mut self,
        new_events: &[RecordedEvent],
        to: Position,
    ) -> Result<(), LogWriteError> {
        let from = (self.position, number(self.frontier.size()));
        let mut changed = Vec::new();
        let mut ids = Vec::new();
        for event in new_events {
            let entry = Entry::of(event).map_err(|source| LogWriteError::Entry {
                id: event.id,
                position: event.position,
                source,
            })?;
            let tiles = &mut self.tiles;
            self.frontier.append_with(entry.hash(), |node, hash| {
                changed.extend(add(tiles, node, hash));
            })?;
            ids.extend(self.ids.add(event.id.as_uuid().as_bytes()));
        }
        if !new_events.is_empty() {
            changed.extend(
                (0_u8..)
                    .zip(&self.tiles)
                    .filter(|(_, open)| !open.bytes.is_empty())
                    .map(|(level, open)| (Tile { level, index: open.index }, open.bytes.clone())),
            );
            let open = Some(&self.ids).filter(|open| !open.bytes.is_empty());
            ids.extend(open.map(|open| (open.index, open.bytes.clone())));
        }
        let frontier = self.frontier.roots().iter().flat_map(|root| *root.as_bytes()).collect();
        let to = (to, number(self.frontier.size()));
        let events = ids.into_iter().map(|(index, ids)| (number(index), ids)).collect();
        let growth = Growth { from, to, frontier, tiles: changed, events };
        self.tables.store.grow(&growth, self.term).await?;
        let place = self.place().after(new_events, to.0);
        (self.position, self.last_event) = (place.position, place.event_id);
        Ok(())
    }

    /// Remembers what the tree is, so that it can be signed; `None` when that was signed before, or
    /// there is nothing to sign.
    ///
    /// # Errors
    /// [`LogWriteError::Read`], [`LogWriteError::Write`] and [`LogWriteError::NotContinued`].
    pub async fn checkpoint(
        &self,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, LogWriteError> {
        let LogState { size, root, .. } = self.state();
        if size == 0 || self.signed.is_some_and(|signed| signed >= size) {
            return Ok(None);
        }
        self.check_continues().await?;
        let known = self.tables.store.remember(number(size), root, self.term).await?;
        if TreeHash::try_from(known.as_slice()) != Ok(root) {
            return Err(LogWriteError::NotContinued { size });
        }
        Ok(Some(Checkpoint { origin: origin.to_owned(), size, root, time: Some(now) }))
    }

    /// Keeps the note that was signed of a checkpoint.
    ///
    /// # Errors
    /// [`LogWriteError::Write`].
    pub async fn keep(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), WriteError> {
        let at = checkpoint.time.unwrap_or(Timestamp::UNIX_EPOCH);
        self.tables.store.keep_note(number(checkpoint.size), note, at, self.term).await?;
        self.signed = Some(checkpoint.size);
        Ok(())
    }

    /// Whether the tree continues what was last remembered of it, as far as it has come. After a
    /// crash of the database it may be behind that.
    async fn check_continues(&self) -> Result<(), LogWriteError> {
        let Some(last) = self.tables.store.last_checkpoint().await? else { return Ok(()) };
        let (size, root) = remembered(&last)?;
        if size > self.frontier.size() {
            return Ok(());
        }
        let is_continued = LogReader::new(&self.tables).root_at(size).await? == root;
        if is_continued { Ok(()) } else { Err(LogWriteError::NotContinued { size }) }
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
    let (index, hashes) = tiles.get_mut(usize::from(level))?.add(hash.as_bytes())?;
    Some((Tile { level, index }, hashes))
}

/// The ids of the last tile's events in a tree of this size.
async fn open_ids(tables: &ReadTables, size: u64) -> Result<Open, LogReadError> {
    let tile = Tile { level: 0, index: size / u64::from(TILE_WIDTH) };
    let length = usize::from(tile.width_at(size)) * ID;
    if length == 0 {
        return Ok(Open { index: tile.index, bytes: Vec::new() });
    }
    let mut bytes = tables.store.ids(number(tile.index)).await?.unwrap_or_default();
    if bytes.len() < length {
        let damaged = format!("the ids of tile {} are too few", tile.index);
        return Err(LogReadError::Damaged(damaged));
    }
    bytes.truncate(length);
    Ok(Open { index: tile.index, bytes })
}

/// A size as the tables have it.
fn number(size: u64) -> i64 {
    // No journal holds 2^63 events.
    i64::try_from(size).unwrap_or(i64::MAX)
}
