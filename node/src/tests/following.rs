//! The loop of a follower: load, check, subscribe, apply.

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use keyledger_domain::testing::{created, position, recorded};
use keyledger_domain::{
    ClosedKey, EventId, InstallationSecret, KeyDelivery, KeyId, Place, Position, Reached,
    RecordedEvent, Revision,
};
use keyledger_journal::{JournalReader, KeySubscription, ReadError};

use super::*;
use crate::follow::Lost;
use crate::{
    Follower, Following, History, Pace, Progress, Reads, ReadyWhen, WatchedJournal, supervise,
};

fn id(number: u64) -> EventId {
    EventId::from_uuid(uuid::Uuid::from_u128(number.into()))
}

/// The creation of a key, at this position.
fn event(number: u64) -> RecordedEvent {
    RecordedEvent { id: id(number), ..recorded(number, Revision::FIRST, created(number)) }
}

/// A journal in memory. Each subscription delivers the events after its position, then
/// [`KeyDelivery::CaughtUp`], and then ends in one of the given ways.
#[derive(Debug)]
struct Memory {
    events: Mutex<Vec<RecordedEvent>>,
    ends: Mutex<VecDeque<End>>,
    /// The positions that subscriptions began after.
    subscribed: Mutex<Vec<Position>>,
}

/// How a subscription ends. Those after the last one stay open.
#[derive(Debug)]
enum End {
    Silently,
    Unavailable,
    Corrupt,
}

impl Memory {
    fn new(events: u64, ends: impl IntoIterator<Item = End>) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::new((1..=events).map(event).collect()),
            ends: Mutex::new(ends.into_iter().collect()),
            subscribed: Mutex::default(),
        })
    }

    fn subscribed(&self) -> Vec<u64> {
        self.subscribed.lock().unwrap().iter().map(|position| position.as_u64()).collect()
    }
}

#[async_trait]
impl JournalReader for Memory {
    async fn read(&self, _: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        Ok(self.events.lock().unwrap().clone())
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        self.subscribed.lock().unwrap().push(after);
        let events = self.events.lock().unwrap().clone();
        let head = events.last().map_or(Position::START, |last| last.position);
        let fresh = events.into_iter().filter(move |event| event.position > after);
        let deliveries = fresh.map(KeyDelivery::Event).chain([KeyDelivery::CaughtUp(head)]);
        let end: BoxStream<'static, _> = match self.ends.lock().unwrap().pop_front() {
            None => stream::pending().boxed(),
            Some(End::Silently) => stream::empty().boxed(),
            Some(End::Unavailable) => {
                stream::iter([Err(ReadError::Unavailable("away".into()))]).boxed()
            }
            Some(End::Corrupt) => {
                let (position, why) = (position(9), "the id is not valid".to_owned());
                stream::iter([Err(ReadError::Undecodable { position, why })]).boxed()
            }
        };
        stream::iter(deliveries.map(Ok)).chain(end).boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.events.lock().unwrap().last().map_or(Position::START, |last| last.position))
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        Ok(Some(self.events.lock().unwrap().iter().any(|event| event.place() == place)))
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        Ok(None)
    }
}

/// A follower that keeps events in memory, as a store would: it still has them after a failure.
#[derive(Clone, Debug)]
struct Store {
    pace: Pace,
    loads: Script,
    applies: Script,
    kept: Arc<Mutex<Vec<EventId>>>,
    /// Whether it begins anew when the journal does not have its last event.
    begins_anew: bool,
    /// Whether it tells its last event, besides its position.
    tells_last: bool,
    history: History,
    /// The calls, in order.
    calls: Arc<Mutex<Vec<String>>>,
}

impl Store {
    fn new(ready: ReadyWhen) -> Self {
        let pace = Pace { batch: 2, gather: Duration::ZERO, tick: None, ready, reads: Reads::Keys };
        let always = || Script::of([Step::Succeed; 1_000]);
        let (kept, calls) = Default::default();
        let history = History::new(seconds(10), Arc::default());
        let (loads, applies, begins_anew, tells_last) = (always(), always(), false, true);
        Self { pace, loads, applies, kept, begins_anew, tells_last, history, calls }
    }

    fn reached(&self) -> Reached {
        let kept = self.kept.lock().unwrap();
        let position = position(u64::try_from(kept.len()).unwrap());
        let last = kept.last().filter(|_| self.tells_last);
        let last = last.map(|event_id| Place { position, event_id: *event_id });
        Reached { position, last }
    }

    fn called(&self, what: String) {
        self.calls.lock().unwrap().push(what);
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn kept(&self) -> Vec<EventId> {
        self.kept.lock().unwrap().clone()
    }

    fn start(&self, journal: &Arc<Memory>, health: &Health) -> Progress {
        let (progress, history) = (Progress::default(), self.history.clone());
        let following = Following::new(self.clone(), journal.clone(), progress.clone(), history);
        tokio::spawn(supervise(following, None, health.clone()));
        progress
    }
}

#[async_trait]
impl Follower for Store {
    fn pace(&self) -> Pace {
        self.pace
    }

    async fn load(&mut self, _: Option<Epoch>) -> Result<Reached, Interruption> {
        self.called("load".to_owned());
        self.loads.next().await?;
        Ok(self.reached())
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        _: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption> {
        self.called(format!("apply {} to {to}", events.len()));
        self.applies.next().await?;
        self.kept.lock().unwrap().extend(events.iter().map(|event| event.id));
        Ok(self.reached())
    }

    async fn lost(&mut self, lost: Lost, _: &Arc<dyn JournalReader>) -> Interruption {
        self.called("lost".to_owned());
        if !self.begins_anew {
            return Interruption::stop(lost);
        }
        self.kept.lock().unwrap().clear();
        Interruption::restart(lost)
    }

    async fn tick(&mut self, caught_up: bool) -> Result<(), Interruption> {
        self.called(format!("tick, caught up: {caught_up}"));
        Ok(())
    }
}

#[keyledger_bounded::test(paused)]
async fn events_are_applied_in_batches_and_progress_is_told_once_they_are() {
    let (store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    let progress = store.start(&Memory::new(5, []), &health);
    assert_eq!(progress.wait_for(position(5), LIMIT).await, Ok(position(5)));
    assert_eq!(store.kept(), [1, 2, 3, 4, 5].map(id));
    assert_eq!(store.calls(), ["load", "apply 2 to 2", "apply 2 to 4", "apply 1 to 5"]);
    until(&health, State::Ready).await;
}

#[keyledger_bounded::test(paused)]
async fn a_part_is_ready_when_its_follower_has_caught_up() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.applies = Script::of([Step::Succeed, Step::Hang]);
    let progress = store.start(&Memory::new(4, []), &health);
    progress.wait_for(position(2), LIMIT).await.unwrap();
    sleep(seconds(1)).await;
    assert!(health.is(State::Starting), "two of four events are applied");
}

#[keyledger_bounded::test(paused)]
async fn or_when_it_is_loaded_if_it_is_of_use_before_it_has_caught_up() {
    let (mut store, health) = (Store::new(ReadyWhen::Loaded), health());
    store.applies = Script::of([Step::Hang]);
    store.start(&Memory::new(4, []), &health);
    until(&health, State::Ready).await;
}

#[keyledger_bounded::test(paused)]
async fn a_part_that_is_interrupted_is_not_ready_until_it_has_caught_up_again() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.loads = Script::of([Step::Succeed, Step::Retry, Step::Succeed]);
    store.start(&Memory::new(1, [End::Silently]), &health);
    until(&health, State::Failing).await;
    assert!(until(&health, State::Ready).await >= millis(100));
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_stands_where_the_journal_is_not_is_stopped() {
    let (store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.kept.lock().unwrap().extend([1, 2, 3].map(id));
    let journal = Memory::new(2, []);
    store.start(&journal, &health);
    until(&health, State::Stopped).await;
    assert!(journal.subscribed().is_empty());
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_is_beyond_the_journals_head_is_stopped_if_it_knows_no_event() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.tells_last = false;
    store.kept.lock().unwrap().extend([1, 2].map(id));
    let journal = Memory::new(2, []);
    let progress = store.start(&journal, &health);
    assert_eq!(progress.wait_for(position(2), LIMIT).await, Ok(position(2)), "at the head");

    let health = super::health();
    store.kept.lock().unwrap().push(id(3));
    let journal = Memory::new(2, []);
    store.start(&journal, &health);
    until(&health, State::Stopped).await;
    assert!(journal.subscribed().is_empty());
}

#[keyledger_bounded::test(paused)]
async fn a_subscription_that_ends_is_begun_again_where_the_follower_stands() {
    for end in [End::Silently, End::Unavailable] {
        let (store, health) = (Store::new(ReadyWhen::CaughtUp), health());
        let journal = Memory::new(3, [end]);
        let progress = store.start(&journal, &health);
        progress.wait_for(position(3), LIMIT).await.unwrap();
        until(&health, State::Failing).await;
        journal.events.lock().unwrap().push(event(4));
        progress.wait_for(position(4), LIMIT).await.unwrap();
        assert_eq!(journal.subscribed(), [0, 3]);
        assert_eq!(store.kept(), [1, 2, 3, 4].map(id));
    }
}

#[keyledger_bounded::test(paused)]
async fn an_event_that_cannot_be_read_stops_a_follower_after_those_before_it() {
    let (store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.start(&Memory::new(3, [End::Corrupt]), &health);
    until(&health, State::Stopped).await;
    assert_eq!(store.kept(), [1, 2, 3].map(id));
}

#[keyledger_bounded::test(paused)]
async fn a_batch_that_fails_is_applied_again_after_a_load() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.applies = Script::of([Step::Retry, Step::Restart, Step::Succeed]);
    let journal = Memory::new(2, []);
    let progress = store.start(&journal, &health);
    progress.wait_for(position(2), LIMIT).await.unwrap();
    let apply = "apply 2 to 2";
    assert_eq!(store.calls(), ["load", apply, "load", apply, "load", apply]);
    assert_eq!(store.kept(), [1, 2].map(id));
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_fails_for_ever_is_failing_and_is_tried_again_for_ever() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.applies = Script::of([Step::Retry; 500]);
    let progress = store.start(&Memory::new(2, []), &health);
    sleep(seconds(200)).await;
    assert!(health.is(State::Failing));
    assert_eq!(progress.current(), Position::START);
    let applies = store.calls().len() / 2;
    assert!((95..110).contains(&applies), "{applies} attempts in 200 s");
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_hangs_is_failing_after_ten_seconds_and_loaded_anew_after_two_minutes() {
    let (mut store, health) = (Store::new(ReadyWhen::Loaded), health());
    store.applies = Script::of([Step::Hang, Step::Succeed]);
    let progress = store.start(&Memory::new(2, []), &health);
    until(&health, State::Ready).await;
    let failing = until(&health, State::Failing).await;
    assert!((seconds(9)..seconds(11)).contains(&failing), "{failing:?}");
    let begun = Instant::now();
    progress.wait_for(position(2), LIMIT).await.unwrap();
    let hung = failing + begun.elapsed();
    assert!((seconds(119)..seconds(122)).contains(&hung), "{hung:?}");
    until(&health, State::Ready).await;
}

#[keyledger_bounded::test(paused)]
async fn a_follower_whose_load_hangs_is_failing_and_may_take_as_long_as_it_needs() {
    let (mut store, health) = (Store::new(ReadyWhen::Loaded), health());
    store.loads = Script::of([Step::Hang]);
    store.start(&Memory::new(2, []), &health);
    until(&health, State::Failing).await;
    sleep(seconds(1_000)).await;
    assert_eq!(store.calls(), ["load"]);
}

#[keyledger_bounded::test(paused)]
async fn ticks_come_at_their_pace_and_say_whether_it_has_caught_up() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.pace.tick = Some(seconds(1));
    store.pace.batch = 100;
    store.pace.gather = millis(100);
    store.start(&Memory::new(1, []), &health);
    sleep(millis(5_050)).await;
    let mut calls = store.calls();
    calls.retain(|call| call == "tick, caught up: true");
    assert!((5..=6).contains(&calls.len()), "{:?}", store.calls());
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_loses_its_lease_is_loaded_before_anything_else() {
    let (mut store, health, lease) =
        (Store::new(ReadyWhen::CaughtUp), health(), SharedLease::free());
    store.applies = Script::of([Step::Hang, Step::Succeed]);
    let journal = Memory::new(2, []);
    let progress = Progress::default();
    let history = store.history.clone();
    let following = Following::new(store.clone(), journal, progress.clone(), history);
    tokio::spawn(supervise(following, Some(lease.as_node(1)), health.clone()));
    sleep(seconds(1)).await;
    lease.give(2);
    progress.wait_for(position(2), LIMIT).await.unwrap();
    assert_eq!(store.calls(), ["load", "apply 2 to 2", "load", "apply 2 to 2"]);
}

#[keyledger_bounded::test(paused)]
async fn a_follower_whose_last_event_is_not_the_journals_is_stopped() {
    let (store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.kept.lock().unwrap().extend([1, 20].map(id));
    let journal = Memory::new(3, []);
    store.start(&journal, &health);
    until(&health, State::Stopped).await;
    assert_eq!(store.calls(), ["load", "lost"]);
    assert!(journal.subscribed().is_empty());
}

/// Replaces the journal's last events by one with another id.
fn set_back(journal: &Memory, left: u64) {
    let mut events = journal.events.lock().unwrap();
    events.truncate(usize::try_from(left).unwrap());
    events.push(RecordedEvent { id: id(100 + left), ..event(left + 1) });
}

#[keyledger_bounded::test(paused)]
async fn when_the_history_changes_everything_is_forgotten_and_loaded_anew() {
    let (mut store, health) = (Store::new(ReadyWhen::CaughtUp), health());
    store.begins_anew = true;
    let journal = Memory::new(5, []);
    let progress = store.start(&journal, &health);
    progress.wait_for(position(5), LIMIT).await.unwrap();
    let history = &store.history;
    history.tables().advance(position(5));
    let watched = WatchedJournal::new(journal.clone(), history.clone());
    let verification = history.verification();
    watched.head().await.unwrap();
    assert_eq!(history.generation(), 0);
    assert!(Arc::ptr_eq(&verification, &history.verification()));

    set_back(&journal, 3);
    watched.head().await.unwrap();
    assert_eq!(history.generation(), 1);
    assert!(!history.tables().is_known());
    assert!(!Arc::ptr_eq(&verification, &history.verification()), "no former index answers");
    let others = || [1, 2, 3, 103].map(id);
    timeout(LIMIT, async {
        while store.kept() != others() {
            sleep(millis(10)).await;
        }
    })
    .await
    .unwrap();
    watched.head().await.unwrap();
    assert_eq!(history.generation(), 1, "one change is told once");
}

#[keyledger_bounded::test(paused)]
async fn a_follower_that_is_late_to_hear_of_a_change_reports_nothing() {
    let journal = Memory::new(2, []);
    let (history, progress) = (History::new(seconds(10), Arc::default()), Progress::default());
    let reached = |number: u64| Reached::START.after(&[event(number)], position(number));
    assert!(history.advance(0, &progress, reached(2)));
    set_back(&journal, 1);
    history.check(&*journal).await.unwrap();
    assert_eq!(history.generation(), 1);
    assert!(!history.advance(0, &progress, reached(3)));
    assert_eq!(progress.current(), position(2));
    assert!(history.advance(1, &progress, reached(4)));
    assert_eq!(progress.current(), position(4));
}
