//! The work of everything that follows the journal: load, check, subscribe, apply.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use keyledger_domain::{Batch, Place, Position, RecordedEvent};
use keyledger_journal::{JournalReader, ReadError};
use keyledger_projections::Epoch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::health::Health;
use super::progress::Progress;
use super::readiness::State;
use super::supervise::{Interruption, Work};

/// How long a follower may take for one call before its part counts as failing.
const STALLED: Duration = Duration::from_secs(10);
/// How long a follower may take to apply a batch or for a tick before it is interrupted. Loading
/// has no such limit: it takes as long as there are keys.
const HUNG: Duration = Duration::from_secs(120);

/// Something that follows the journal: it stores what events say, or passes them on.
///
/// Every future may be dropped at any await, since a lease can be lost at any moment. After that,
/// and after any error, [`Follower::load`] is called again before anything else.
#[async_trait]
pub trait Follower: Send {
    /// At which pace events are handed over.
    fn pace(&self) -> Pace;

    /// Opens what events go to, and says where it stands: the last event that it includes.
    ///
    /// # Errors
    /// Why it cannot be opened, and whether to try again.
    async fn load(&mut self, epoch: Option<Epoch>) -> Result<Place, Interruption>;

    /// Applies the next events, of which there may be none, and says where it stands then. The
    /// journal has no other event up to `to`.
    ///
    /// # Errors
    /// Why they cannot be applied, and whether to try again.
    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Place, Interruption>;

    /// Called every [`Pace::tick`] between batches.
    ///
    /// # Errors
    /// Why the follower cannot go on.
    async fn tick(&mut self, _caught_up: bool) -> Result<(), Interruption> {
        Ok(())
    }

    /// What runs beside the following, once what [`Follower::load`] said has been checked against the
    /// journal and until the next interruption. It may interrupt the following.
    fn beside(&self, _health: &Health) -> BoxFuture<'static, Interruption> {
        Box::pin(std::future::pending())
    }

    /// As [`Work::stand_by`].
    async fn stand_by(&mut self, health: &Health, period: Duration) {
        health.set(State::Ready);
        sleep(period / 3).await;
    }

    /// As [`Work::remedy`].
    fn remedy(&self) -> &'static str {
        "look into the cause, then start this node again"
    }

    /// As [`Work::interrupted`].
    fn interrupted(&mut self, health: &Health) {
        health.set(State::Failing);
    }

    /// As [`Work::stopped`].
    fn stopped(&mut self) {}
}

/// At which pace a follower is given events.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The most events of a batch.
    pub batch: usize,
    /// How long to gather events after a batch that was not full. Zero: hand over what there is.
    pub gather: Duration,
    /// How often [`Follower::tick`] is called, if ever.
    pub tick: Option<Duration>,
    /// When the part is ready.
    pub ready: ReadyWhen,
}

/// When the part of a follower counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as it is loaded, however many events it lacks.
    Loaded,
    /// When it has caught up with the journal.
    CaughtUp,
    /// When the follower says so itself.
    ItSays,
}

/// Why following was interrupted, where the reason is not the follower's own.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("the journal's head cannot be read")]
    Head(#[source] ReadError),
    #[error("it includes position {place}, but the journal ends at {head}")]
    BeyondHead { place: Position, head: Position },
    #[error("the events cannot be read")]
    Events(#[source] ReadError),
    #[error("the subscription to the journal has ended")]
    Ended,
    #[error("it did not finish within {} s", HUNG.as_secs())]
    Hung,
}

/// A follower, and the journal that it follows.
#[derive(Debug)]
pub struct Following<F> {
    follower: F,
    journal: Arc<dyn JournalReader>,
    /// How far the follower has come, for those who wait for it.
    progress: Progress,
}

impl<F: Follower> Following<F> {
    /// This follower of this journal. It reports to `progress` each position that it has reached.
    pub fn new(follower: F, journal: Arc<dyn JournalReader>, progress: Progress) -> Self {
        Self { follower, journal, progress }
    }

    async fn follow(
        &mut self,
        epoch: Option<Epoch>,
        health: &Health,
    ) -> Result<Infallible, Interruption> {
        let place = attended(health, self.follower.load(epoch)).await?;
        check(&*self.journal, place).await?;
        self.progress.advance(place.position);
        if self.follower.pace().ready == ReadyWhen::Loaded {
            health.set(State::Ready);
        }
        let beside = self.follower.beside(health);
        tokio::select! {
            outcome = self.apply_all(place, health) => outcome,
            interruption = beside => Err(interruption),
        }
    }

    async fn apply_all(
        &mut self,
        mut place: Place,
        health: &Health,
    ) -> Result<Infallible, Interruption> {
        let Pace { batch: most, gather, tick, ready } = self.follower.pace();
        let mut batches = std::pin::pin!(self.journal.subscribe(place.position).ready_chunks(most));
        // Without a tick, the timer exists and is not polled.
        let mut ticks = interval(tick.unwrap_or(HUNG));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut caught_up = false;
        loop {
            tokio::select! {
                deliveries = batches.next() => {
                    let deliveries = deliveries.ok_or(Interruption::retry(FollowError::Ended))?;
                    let is_full = deliveries.len() == most;
                    let batch = Batch::gather(deliveries);
                    let to = batch.reaches(place.position);
                    if to > place.position {
                        let applied = self.follower.apply(&batch.events, to);
                        place = attended(health, bounded(applied)).await?;
                        self.progress.advance(place.position);
                        health.progressed();
                    }
                    if batch.caught_up.is_some() {
                        caught_up = true;
                        health.progressed();
                        if ready == ReadyWhen::CaughtUp {
                            health.set(State::Ready);
                        }
                    }
                    if let Some(error) = batch.failure {
                        return Err(Interruption::retry_if(
                            error.is_passing(),
                            FollowError::Events(error),
                        ));
                    }
                    if !is_full && !gather.is_zero() {
                        sleep(gather).await;
                    }
                }
                _ = ticks.tick(), if tick.is_some() => {
                    attended(health, bounded(self.follower.tick(caught_up))).await?;
                }
            }
        }
    }
}

#[async_trait]
impl<F: Follower> Work for Following<F> {
    async fn run(&mut self, epoch: Option<Epoch>, health: &Health) -> Interruption {
        let Err(interruption) = self.follow(epoch, health).await;
        interruption
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        self.follower.stand_by(health, period).await;
    }

    fn remedy(&self) -> &'static str {
        self.follower.remedy()
    }

    fn interrupted(&mut self, health: &Health) {
        self.follower.interrupted(health);
    }

    fn stopped(&mut self) {
        self.follower.stopped();
    }
}

/// Whether the journal has what a follower says that it includes.
async fn check(
    journal: &dyn JournalReader,
    Place { position: place, .. }: Place,
) -> Result<(), Interruption> {
    let head = journal.head().await;
    let head = head.map_err(|error| Interruption::retry(FollowError::Head(error)))?;
    if place > head {
        return Err(Interruption::stop(FollowError::BeyondHead { place, head }));
    }
    Ok(())
}

/// Waits for a call of a follower. While it takes longer than [`STALLED`], the part is failing.
async fn attended<T>(health: &Health, call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    if let Ok(done) = timeout(STALLED, &mut call).await {
        return done;
    }
    let was_ready = health.is(State::Ready);
    tracing::warn!(part = health.name(), "no progress for {} s", STALLED.as_secs());
    health.set(State::Failing);
    let done = call.await;
    if was_ready {
        health.set(State::Ready);
    }
    done
}

/// Interrupts a call that takes longer than [`HUNG`].
async fn bounded<T>(
    call: impl Future<Output = Result<T, Interruption>>,
) -> Result<T, Interruption> {
    match timeout(HUNG, call).await {
        Ok(done) => done,
        Err(_) => Err(Interruption::retry(FollowError::Hung)),
    }
}
