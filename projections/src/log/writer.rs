//! Appends events to the tree, and stores its checkpoints.

use keyledger_domain::{Place, Position, Reached, RecordedEvent, Timestamp};

use super::reader::remembered;
use super::{LogReadError, LogReader, LogState, LogWriteError};
use crate::store::Growth;
use crate::{Epoch, ReadTables, WriteError};
use keyledger_tlog::merkle::{Frontier, Node, TILE_WIDTH, Tile, TreeHash};
use keyledger_tlog::{Checkpoint, Entry};

/// The maximum number of events per transaction. Each transaction rewrites the last tile of every
/// level, and in SQLite blocks other writers of the read tables.
pub const LOG_BATCH: usize = 4_096;

/// The length of an event's id, in bytes.
const ID: usize = 16;

/// Writes the tree while its lease stays in one epoch. Load a new writer after an error.
#[derive(Debug)]
pub struct LogWriter {
    tables: ReadTables,
    epoch: Epoch,
    reached: Reached,
    frontier: Frontier,
    /// The last tile of each level, which may be empty.
    tiles: Vec<Open>,
    /// The event ids of the last, incomplete row.
    ids: Open,
    /// The size of the largest stored checkpoint, if it is signed.
    signed: Option<u64>,
}

/// A tile, or a row of event ids, that is not full yet.
#[derive(Debug, Default)]
struct Open {
    index: u64,
    bytes: Vec<u8>,
}

impl Open {
    /// Adds a hash or an id; returns the index and the bytes if the tile is now full.
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
    /// Loads the state of the tree. Checks that the stored hashes lead to the stored frontier, and
    /// that the tree continues the largest stored checkpoint.
    ///
    /// # Errors
    /// [`LogWriteError::Read`] and [`LogWriteError::NotContinued`].
    pub async fn load(tables: &ReadTables, epoch: Epoch) -> Result<Self, LogWriteError> {
        let tree = LogReader::new(tables);
        let (position, last, frontier) = tree.frontier().await?;
        let size = frontier.size();
        if tree.root_at(size).await? != frontier.root() {
            return Err(LogReadError::Damaged("its hashes do not lead to its root".into()).into());
        }
        let last = match (last, size.checked_sub(1)) {
            (Some(position), Some(leaf)) => {
                Some(Place { position, event_id: tree.event_id(leaf).await? })
            }
            _ => None,
        };
        let reached = Reached { position, last };
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
        let writer = Self { tables, epoch, reached, frontier, tiles, ids, signed };
        writer.check_continues().await?;
        Ok(writer)
    }

    /// Makes the tree empty, to append all events to it again. What was signed of it is kept.
    ///
    /// # Errors
    /// [`LogWriteError::Write`], [`LogWriteError::Read`] and [`LogWriteError::NotContinued`].
    pub async fn restart(tables: &ReadTables, epoch: Epoch) -> Result<Self, LogWriteError> {
        tables.store.restart(epoch).await?;
        Self::load(tables, epoch).await
    }

    /// The state of the tree.
    #[must_use]
    pub fn state(&self) -> LogState {
        let frontier = &self.frontier;
        LogState { position: self.reached.position, size: frontier.size(), root: frontier.root() }
    }

    /// How far in the journal all events are leaves.
    #[must_use]
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// Appends events and moves the tree's position to `to`, in one transaction.
    ///
    /// # Errors
    /// [`LogWriteError::Write`], [`LogWriteError::Entry`] and [`LogWriteError::Full`].
    pub async fn append(
        &mut self,
        new_events: &[RecordedEvent],
        to: Position,
    ) -> Result<(), LogWriteError> {
        let from = (self.reached.position, number(self.frontier.size()));
        let reached = self.reached.after(new_events, to);
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
        let to = (reached.position, number(self.frontier.size()));
        let event_position = reached.last.map(|last| last.position);
        let events = ids.into_iter().map(|(index, ids)| (number(index), ids)).collect();
        let growth = Growth { from, to, event_position, frontier, tiles: changed, events };
        self.tables.store.grow(&growth, self.epoch).await?;
        self.reached = reached;
        Ok(())
    }

    /// Whether the tree has events that no stored checkpoint includes.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        self.frontier.size() > self.signed.unwrap_or(0)
    }

    /// Stores the size and root of the tree, and returns the checkpoint to sign; `None` when the
    /// tree is empty or this size is already signed.
    ///
    /// # Errors
    /// [`LogWriteError::Read`], [`LogWriteError::Write`] and [`LogWriteError::NotContinued`].
    pub async fn checkpoint(
        &self,
        origin: &str,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, LogWriteError> {
        let LogState { size, root, .. } = self.state();
        if !self.is_unsigned() {
            return Ok(None);
        }
        self.check_continues().await?;
        let known = self.tables.store.remember(number(size), root, self.epoch).await?;
        if TreeHash::try_from(known.as_slice()) != Ok(root) {
            return Err(LogWriteError::NotContinued { size });
        }
        Ok(Some(Checkpoint { origin: origin.to_owned(), size, root, time: Some(now) }))
    }

    /// Stores the signed note of a checkpoint.
    ///
    /// # Errors
    /// [`LogWriteError::Write`].
    pub async fn keep(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), WriteError> {
        let at = checkpoint.time.unwrap_or(Timestamp::UNIX_EPOCH);
        self.tables.store.keep_note(number(checkpoint.size), note, at, self.epoch).await?;
        self.signed = Some(checkpoint.size);
        Ok(())
    }

    /// Fails unless the tree has the root of the largest stored checkpoint at that checkpoint's
    /// size. A tree that is smaller passes: after a crash of the database, it may be behind the
    /// checkpoint.
    async fn check_continues(&self) -> Result<(), LogWriteError> {
        let Some(last) = self.tables.store.last_checkpoint().await? else { return Ok(()) };
        let (size, root) = remembered(&last)?;
        if size > self.frontier.size() {
            return Ok(());
        }
        self.check_root(size, root).await
    }

    /// Fails unless the tree has this root at this size, which it has reached.
    ///
    /// # Errors
    /// [`LogWriteError::Read`] and [`LogWriteError::NotContinued`].
    pub async fn check_root(&self, size: u64, root: TreeHash) -> Result<(), LogWriteError> {
        let is_continued = LogReader::new(&self.tables).root_at(size).await? == root;
        if is_continued { Ok(()) } else { Err(LogWriteError::NotContinued { size }) }
    }
}

/// Adds a hash to the last tile of its level; returns the tile if it is now full. Hashes of levels
/// that are not stored are ignored.
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

/// Reads the last, incomplete row of event ids of a tree of this size.
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

/// Converts a size into the tables' column type.
fn number(size: u64) -> i64 {
    // A size above 2^63 - 1 cannot occur: no journal holds as many events.
    i64::try_from(size).unwrap_or(i64::MAX)
}
