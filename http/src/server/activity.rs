//! What goes on on a connection, and when that is not enough for it to stay open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection may be open without a first request.
const SILENT: Duration = Duration::from_secs(10);
/// How long a connection may be open without a request after that.
const IDLE: Duration = Duration::from_secs(60);
/// How long a caller may take to read an answer whose size is known when it begins, and which is in memory.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a caller may take nothing of another answer, which is made as it is read. A slow reader seems to take
/// nothing for a while, since the kernel asks for more only when much of its own memory is free.
const UNREAD: Duration = Duration::from_secs(600);

/// The requests of a connection that are not answered yet, or whose answers are not read.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// Notified when the connection becomes idle, or ceases to be, when an answer begins, and when a part of
    /// it comes that the connection has waited for.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    has_asked: bool,
    idle_since: Instant,
    next: u64,
    answers: BTreeMap<u64, Unread>,
}

/// An answer. It is here from the begin of its request until all of it is handed to the connection.
#[derive(Debug, Default)]
struct Unread {
    /// When the last part of it was handed to the connection, if its size is not known; `None` while the
    /// connection waits for us.
    handed: Option<Instant>,
    /// When all of it must be read, if its size is known.
    whole: Option<Instant>,
}

/// Why and when a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is idle. It may stay until then.
    Idle(Instant),
    /// Its caller does not read. It is cut off then.
    Unread(Instant),
    /// It waits for us.
    Never,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State {
            has_asked: false,
            idle_since: Instant::now(),
            next: 0,
            answers: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> Answer {
        let mut state = self.lock();
        state.has_asked = true;
        let number = state.next;
        state.next += 1;
        state.answers.insert(number, Unread::default());
        drop(state);
        self.changed.notify_one();
        Answer { activity: self.clone(), number }
    }

    /// When the connection is to be closed, if nothing changes.
    pub(super) fn due(&self) -> Due {
        let state = self.lock();
        if state.answers.is_empty() {
            let limit = if state.has_asked { IDLE } else { SILENT };
            return Due::Idle(state.idle_since + limit);
        }
        let ends = state.answers.values().flat_map(|answer| {
            [answer.handed.map(|handed| handed + UNREAD), answer.whole].into_iter().flatten()
        });
        ends.min().map_or(Due::Never, Due::Unread)
    }

    /// Waits for a change of what [`Activity::due`] says, but for parts of answers that are read.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code can panic in the middle of a change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a request. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    activity: Arc<Activity>,
    number: u64,
}

impl Answer {
    /// The answer begins.
    pub(super) fn begins(&self, has_known_size: bool) {
        let now = Instant::now();
        self.set(|answer| {
            if has_known_size {
                answer.whole = Some(now + WHOLE);
            } else {
                answer.handed = Some(now);
            }
        });
        self.activity.changed.notify_one();
    }

    /// A part of the answer is handed to the connection.
    pub(super) fn is_handed(&self) {
        let now = Instant::now();
        let mut was_awaited = false;
        self.set(|answer| {
            if answer.whole.is_none() {
                was_awaited = answer.handed.replace(now).is_none();
            }
        });
        if was_awaited {
            self.activity.changed.notify_one();
        }
    }

    /// The connection would take more of the answer than there is.
    pub(super) fn is_awaited(&self) {
        self.set(|answer| answer.handed = None);
    }

    fn set(&self, change: impl FnOnce(&mut Unread)) {
        if let Some(answer) = self.activity.lock().answers.get_mut(&self.number) {
            change(answer);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.answers.remove(&self.number);
        if state.answers.is_empty() {
            state.idle_since = Instant::now();
            drop(state);
            self.activity.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn activity() -> Arc<Activity> {
        Arc::new(Activity::new())
    }

    #[keyledger_bounded::test(paused)]
    async fn a_connection_that_asks_nothing_is_idle_for_a_short_time_only() {
        let activity = activity();
        assert_eq!(activity.due(), Due::Idle(Instant::now() + SILENT));
        drop(activity.begin());
        assert_eq!(activity.due(), Due::Idle(Instant::now() + IDLE));
    }

    #[keyledger_bounded::test(paused)]
    async fn a_request_that_waits_for_us_is_not_cut_off() {
        let activity = activity();
        let answer = activity.begin();
        assert_eq!(activity.due(), Due::Never);
        answer.begins(false);
        assert_eq!(activity.due(), Due::Unread(Instant::now() + UNREAD));
        answer.is_awaited();
        assert_eq!(activity.due(), Due::Never);
    }

    #[keyledger_bounded::test(paused)]
    async fn whoever_waits_for_an_answer_hears_of_each_part_that_may_not_be_read() {
        let activity = activity();
        let answer = activity.begin();
        answer.begins(false);
        while activity.changed().now_or_never().is_some() {}
        answer.is_handed();
        assert_eq!(activity.changed().now_or_never(), None, "it watches for the end already");
        answer.is_awaited();
        answer.is_handed();
        assert_eq!(activity.changed().now_or_never(), Some(()));
        assert_eq!(activity.due(), Due::Unread(Instant::now() + UNREAD));
    }

    #[keyledger_bounded::test(paused)]
    async fn each_part_that_is_read_gives_time_for_the_next() {
        let activity = activity();
        let (stuck, read) = (activity.begin(), activity.begin());
        let begun = Instant::now();
        stuck.begins(false);
        read.begins(false);
        tokio::time::advance(UNREAD / 2).await;
        read.is_handed();
        assert_eq!(activity.due(), Due::Unread(begun + UNREAD), "the other answer is not read");
        drop(stuck);
        assert_eq!(activity.due(), Due::Unread(Instant::now() + UNREAD));
    }

    #[keyledger_bounded::test(paused)]
    async fn an_answer_of_known_size_cannot_be_read_for_ever() {
        let activity = activity();
        let answer = activity.begin();
        let begun = Instant::now();
        answer.begins(true);
        for _ in 0..5 {
            tokio::time::advance(WHOLE / 2).await;
            answer.is_handed();
            answer.is_awaited();
        }
        assert_eq!(activity.due(), Due::Unread(begun + WHOLE));
    }
}
