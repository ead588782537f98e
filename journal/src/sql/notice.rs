//! How the subscriptions of a process learn that there may be new events.

use std::sync::Arc;

use keyledger_domain::{Position, RecordedEvent};
use tokio::sync::broadcast;

/// How many notices are kept for a subscription. One that falls further behind reads the table.
const KEPT: usize = 256;

/// What may have changed in the table.
#[derive(Debug)]
pub(crate) enum Notice {
    /// This process has committed events.
    Committed(Committed),
    /// The head has reached this position; which process appended is not known.
    Head(Position),
    /// There may be new events: only the table can tell.
    Unknown,
}

/// Events that were committed together.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// The head of the whole journal before them.
    pub(crate) after: Position,
    /// In journal order.
    pub(crate) events: Vec<RecordedEvent>,
}

/// Sends notices to all subscriptions of a process.
pub(crate) type NoticeSender = broadcast::Sender<Arc<Notice>>;
/// Receives them in one subscription.
pub(crate) type NoticeReceiver = broadcast::Receiver<Arc<Notice>>;

pub(crate) fn notices() -> NoticeSender {
    broadcast::channel(KEPT).0
}
