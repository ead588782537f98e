//! How those who follow a journal learn that there is more to read.

use std::sync::Arc;

use keyledger_domain::{Position, RecordedEvent};
use tokio::sync::broadcast;

/// How many pieces of news a subscription may lie behind before it has to read the table.
const REMEMBERED: usize = 256;

/// What has happened.
#[derive(Debug)]
pub(super) enum News {
    /// This process has committed events.
    Committed(Committed),
    /// Someone has brought the journal to this position.
    Head(Position),
    /// Something may have been committed: only the table knows.
    Unknown,
}

/// Events that were committed together.
#[derive(Debug)]
pub(super) struct Committed {
    /// The position of the last event before them, in the whole journal.
    pub(super) after: Position,
    /// Oldest first.
    pub(super) events: Vec<RecordedEvent>,
}

/// Tells news to all subscriptions of a process.
pub(super) type Tell = broadcast::Sender<Arc<News>>;
/// Where a subscription hears them.
pub(super) type Hear = broadcast::Receiver<Arc<News>>;

pub(super) fn channel() -> Tell {
    broadcast::channel(REMEMBERED).0
}
