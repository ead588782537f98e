//! The heads that are asked for, and when they were.

use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt;
use keyledger_domain::testing::position;
use keyledger_domain::{
    Clock, InstallationSecret, KeyId, Place, Position, RecordedEvent, Timestamp,
};
use keyledger_journal::{JournalReader, KeySubscription, ReadError};
use tokio::sync::{Notify, watch};

use super::*;
use crate::tasks::watch_head;

/// A clock that goes on only when it is told to; it counts seconds since 1970.
#[derive(Debug, Default)]
struct Told(AtomicI64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst) * 1_000_000).unwrap()
    }
}

/// A journal that takes a second of the clock, and of time, to answer with its head.
#[derive(Debug)]
struct Slow {
    clock: Arc<Told>,
    /// When it was asked for the first time, by the clock that does not pause.
    asked: Mutex<Option<std::time::Instant>>,
}

#[async_trait]
impl JournalReader for Slow {
    async fn read(&self, _: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        Ok(Vec::new())
    }

    fn subscribe_to_keys(&self, _: Position) -> KeySubscription {
        futures::stream::pending().boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.asked.lock().unwrap().get_or_insert_with(std::time::Instant::now);
        self.clock.0.fetch_add(1, Ordering::SeqCst);
        sleep(seconds(1)).await;
        Ok(position(5))
    }

    async fn holds(&self, _: Place) -> Result<Option<bool>, ReadError> {
        Ok(Some(true))
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        Ok(None)
    }
}

#[keyledger_bounded::test(paused)]
async fn a_head_is_as_old_as_the_question_and_not_as_the_answer() {
    let clock = Arc::new(Told::default());
    let journal = Arc::new(Slow { clock: clock.clone(), asked: Mutex::default() });
    let (heads, mut head) = watch::channel(None);
    let (ask, health) = (Arc::new(Notify::new()), health());
    let asking = watch_head(journal.clone(), seconds(10), clock.clone(), ask, heads, health);
    tokio::spawn(asking);
    timeout(LIMIT, head.changed()).await.unwrap().unwrap();
    let told = head.borrow_and_update().unwrap();
    assert_eq!(told.position, position(5));
    assert_eq!(told.asked.wall, Timestamp::from_unix_micros(0).unwrap());
    assert!(told.asked.monotonic <= journal.asked.lock().unwrap().unwrap());
    assert!(clock.now() > told.asked.wall, "the answer came later");
}
