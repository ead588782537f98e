//! Whether the journal still has the history that this node has followed.
//!
//! A position does not identify an event once the journal's past can have changed: after a failover to a
//! standby that was behind, after a backup was restored, after a database was set back. Followers that
//! only compare positions would then miss events, and say that a revoked key is valid.
//!
//! [`History`] remembers the last events that any follower of this node has applied. [`WatchedJournal`]
//! asks with each request for the head whether the journal still has them. When it does not, verification
//! ends at once, everything that was known of this node's followers is forgotten, and they load again,
//! each checked against the journal as it is now.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use keyledger_domain::{
    HmacSecret, InstallationSecret, KeyId, Place, Position, Reached, RecordedEvent,
};
use keyledger_journal::{
    Append, AppendError, Appended, CloseError, Journal, JournalReader, KeySubscription, ReadError,
};
use keyledger_verifier::Verification;
use std::time::Duration;
use tokio::sync::watch;

use crate::Progress;

/// How many places are remembered. More than one, since a database may remove the record of the last
/// one, and then cannot tell of it.
const PLACES: usize = 8;

/// The journal does not have an event that was read from it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal's history has changed: it no longer has {lost}")]
pub struct HistoryChanged {
    /// The place of the event.
    pub lost: Place,
}

/// What this node knows of the journal's history; cheap to clone.
#[derive(Clone, Debug)]
pub struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The last places that followers have reached, the furthest last.
    places: Mutex<VecDeque<Place>>,
    /// Grows by one with each change of the history.
    generation: watch::Sender<u64>,
    verification: ArcSwap<Verification>,
    max_staleness: Duration,
    hmac_secrets: Arc<[HmacSecret]>,
    tables: Progress,
    verified: Progress,
}

impl History {
    /// Nothing is known yet. Answers of verification are given for less than `max_staleness` after a
    /// proof. `hmac_secrets` are those under which former services hashed imported keys.
    #[must_use]
    pub fn new(max_staleness: Duration, hmac_secrets: Arc<[HmacSecret]>) -> Self {
        let verification = Verification::new(max_staleness).with_hmac_secrets(hmac_secrets.clone());
        Self(Arc::new(Inner {
            places: Mutex::default(),
            generation: watch::Sender::new(0),
            verification: ArcSwap::from_pointee(verification),
            max_staleness,
            hmac_secrets,
            tables: Progress::default(),
            verified: Progress::default(),
        }))
    }

    /// The verification of the present history. It has no index until one is loaded.
    #[must_use]
    pub fn verification(&self) -> Arc<Verification> {
        self.0.verification.load_full()
    }

    /// Answers with the verification of the present history, without a change of its reference count.
    pub fn with_verification<T>(&self, answer: impl FnOnce(&Verification) -> T) -> T {
        answer(&self.0.verification.load())
    }

    /// The secrets under which former services hashed imported keys.
    #[must_use]
    pub fn hmac_secrets(&self) -> Arc<[HmacSecret]> {
        self.0.hmac_secrets.clone()
    }

    /// The position that the read tables include. Unknown while they are not known to be of the
    /// journal's history.
    #[must_use]
    pub fn tables(&self) -> &Progress {
        &self.0.tables
    }

    /// The position that the verification index includes.
    #[must_use]
    pub fn verified(&self) -> &Progress {
        &self.0.verified
    }

    /// The number of the present history: how many times it has changed since this process began.
    #[must_use]
    pub fn generation(&self) -> u64 {
        *self.0.generation.borrow()
    }

    /// Waits until the history is another than the one with this number.
    pub async fn is_another_than(&self, generation: u64) {
        // Fails only without a sender, and `self` is one.
        let _ = self.0.generation.subscribe().wait_for(|now| *now != generation).await;
    }

    /// Notes that a follower, which was checked against the history with this number, includes
    /// everything up to here. Returns `false`, and notes nothing, if the history has changed since.
    pub fn advance(&self, generation: u64, progress: &Progress, reached: Reached) -> bool {
        let mut places = self.places();
        if self.generation() != generation {
            return false;
        }
        if let Some(last) = reached.last
            && places.back().is_none_or(|furthest| furthest.position < last.position)
        {
            places.push_back(last);
            if places.len() > PLACES {
                places.pop_front();
            }
        }
        progress.advance(reached.position);
        true
    }

    /// Asks the journal whether it still has the last events that this node has followed. If it does
    /// not, the history has changed, which is noted before this returns.
    ///
    /// # Errors
    /// That the journal cannot be asked.
    pub async fn check(&self, journal: &dyn JournalReader) -> Result<(), ReadError> {
        let generation = self.generation();
        let places: Vec<_> = self.places().iter().rev().copied().collect();
        for place in places {
            match journal.holds(place).await? {
                Some(true) => break,
                Some(false) => {
                    self.changed(generation, place);
                    break;
                }
                // Removed from the database: an earlier event may tell.
                None => {}
            }
        }
        Ok(())
    }

    /// Notes that the journal does not have an event that an earlier process on this node's tables has read from it.
    /// Does nothing if this process has noticed a change itself.
    pub fn lost_before(&self, lost: Place) {
        self.changed(0, lost);
    }

    /// Notes that the history with this number is no longer that of the journal.
    fn changed(&self, generation: u64, lost: Place) {
        let mut places = self.places();
        if self.generation() != generation {
            return;
        }
        // Verification first: no other task may see the new generation and the old index.
        self.0.verification.load().owe(Position::MAX);
        let verification =
            Verification::new(self.0.max_staleness).with_hmac_secrets(self.0.hmac_secrets.clone());
        self.0.verification.store(Arc::new(verification));
        self.0.verified.forget();
        self.0.tables.forget();
        places.clear();
        self.0.generation.send_modify(|generation| *generation = generation.saturating_add(1));
        tracing::error!(
            cause = %HistoryChanged { lost },
            "no key is verified until the index and the read tables are of the journal's history"
        );
    }

    fn furthest(&self) -> Option<Position> {
        self.places().back().map(|place| place.position)
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Place>> {
        // Nothing panics while the lock is held.
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A journal whose history is checked with each request for the head.
#[derive(Debug)]
pub struct WatchedJournal {
    journal: Arc<dyn JournalReader>,
    history: History,
}

impl WatchedJournal {
    /// Watches a journal.
    #[must_use]
    pub fn new(journal: Arc<dyn JournalReader>, history: History) -> Self {
        Self { journal, history }
    }
}

#[async_trait]
impl JournalReader for WatchedJournal {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.journal.read(key_id).await
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        self.journal.subscribe_to_keys(after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let head = self.journal.head().await?;
        self.history.check(&*self.journal).await?;
        Ok(head)
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.journal.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.journal.installation_secret().await
    }
}

/// A journal that is appended to, with its history checked.
///
/// An append that lands at or before an event that this node has seen already tells that the history has
/// changed, and no answer may be given before that is noted. While the read tables are not known to be of
/// the journal's history, nothing is appended that nobody would see.
#[derive(Debug)]
pub struct WatchedAppends {
    reads: WatchedJournal,
    appends: Arc<dyn Journal>,
}

impl WatchedAppends {
    /// Watches a journal.
    #[must_use]
    pub fn new(appends: Arc<dyn Journal>, history: History) -> Self {
        Self { reads: WatchedJournal::new(appends.clone(), history), appends }
    }
}

#[async_trait]
impl JournalReader for WatchedAppends {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reads.read(key_id).await
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        self.reads.subscribe_to_keys(after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reads.head().await
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.reads.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.reads.installation_secret().await
    }
}

#[async_trait]
impl Journal for WatchedAppends {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let history = &self.reads.history;
        if !history.tables().is_known() {
            return Err(AppendError::Unavailable(
                "the read tables are not known to be of the journal's history".into(),
            ));
        }
        let furthest = history.furthest();
        let appended = self.appends.append(append).await?;
        // An append that was sent again is answered with its first position, which may be an old one:
        // the journal tells whether that is the reason.
        if furthest.is_some_and(|furthest| appended.position <= furthest)
            && let Err(error) = history.check(&*self.reads.journal).await
        {
            // The event is written, and the node cannot tell what it follows.
            return Err(AppendError::Ambiguous(error.into()));
        }
        Ok(appended)
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.appends.probe().await
    }

    async fn keep_installation_secret(
        &self,
        secret: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError> {
        self.appends.keep_installation_secret(secret).await
    }

    async fn close(&self) -> Result<(), CloseError> {
        self.appends.close().await
    }
}
