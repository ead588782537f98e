//! The loop that every follower of the journal shares: load, check, subscribe, apply.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use keyledger_domain::{Batch, ClosedKey, KeyDelivery, Position, Reached, RecordedEvent};
use keyledger_journal::{JournalReader, ReadError};
use keyledger_projections::Epoch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::health::Health;
use super::history::{History, HistoryChanged};
use super::progress::Progress;
use super::readiness::State;
use super::supervise::{Advice, Interruption, Work};

/// The duration of one call of a follower after which its part counts as failing.
const STALLED: Duration = Duration::from_secs(10);
/// The duration of one [`Follower::apply`] or [`Follower::tick`] after which it is interrupted.
/// [`Follower::load`] has no limit, since its duration depends on the number of keys.
const HUNG: Duration = Duration::from_secs(120);

/// Applies the journal's events in order, for instance to tables, or publishes them.
///
/// Every future may be dropped at any await, since a lease can be lost at any time. After that, and
/// after any error, [`Follower::load`] is called again before any other method.
#[async_trait]
pub trait Follower: Send {
    /// The size and the frequency of batches.
    fn pace(&self) -> Pace;

    /// Loads the follower's state, and returns how far in the journal it includes events.
    ///
    /// # Errors
    /// Why the state cannot be loaded, and whether to try again.
    async fn load(&mut self, epoch: Option<Epoch>) -> Result<Reached, Interruption>;

    /// Applies the next events, possibly none, and returns how far events are included then. The journal
    /// has no other events up to `to`, and closes no other keys. `closed` is empty unless the follower
    /// [reads](Pace::reads) keys.
    ///
    /// # Errors
    /// Why they cannot be applied, and whether to try again.
    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        closed: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption>;

    /// Called when the journal does not have the events that the follower includes, after
    /// [`Follower::load`]: does what has to be done before it is loaded again, if it may be.
    async fn lost(&mut self, lost: Lost, _journal: &Arc<dyn JournalReader>) -> Interruption {
        Interruption::stop(lost)
    }

    /// Called every [`Pace::tick`] between batches.
    ///
    /// # Errors
    /// Why the follower cannot go on.
    async fn tick(&mut self, _caught_up: bool) -> Result<(), Interruption> {
        Ok(())
    }

    /// A task to run at the same time, from the check of the loaded place against the journal until the
    /// next interruption. It ends only to interrupt the follower.
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
        "find the cause, then restart this node"
    }

    /// As [`Work::interrupted`].
    fn interrupted(&mut self, health: &Health) {
        health.set(State::Failing);
    }

    /// As [`Work::stopped`].
    fn stopped(&mut self) {}
}

/// How a follower is given events.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The most events in a batch.
    pub batch: usize,
    /// How long to wait for more events after a batch that was not full. Zero: apply events at once.
    pub gather: Duration,
    /// The time between two calls of [`Follower::tick`]; `None` if it is never called.
    pub tick: Option<Duration>,
    /// When the follower's part counts as ready.
    pub ready: ReadyWhen,
    /// What the follower reads from the journal.
    pub reads: Reads,
}

/// What a follower reads from the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Every event ([`JournalReader::subscribe`]). It stops at one that cannot be read.
    Events,
    /// The state of each key ([`JournalReader::subscribe_to_keys`]). A key that cannot be told is closed.
    Keys,
}

/// When the part of a follower counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as it is loaded, even if it has not caught up with the journal.
    Loaded,
    /// When it has caught up with the journal.
    CaughtUp,
    /// The follower sets its state in [`Health`] itself.
    ItSays,
}

/// A follower includes what the journal does not have.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The journal does not have the follower's last event.
    #[error("{part} includes {}, which the journal does not have", .changed.lost)]
    Event {
        /// The follower's part.
        part: &'static str,
        /// The event.
        changed: HistoryChanged,
    },
    /// The follower is further than the journal.
    #[error("{part} includes position {position}, but the journal ends at {head}")]
    BeyondHead {
        /// The follower's part.
        part: &'static str,
        /// How far the follower is.
        position: Position,
        /// The journal's head.
        head: Position,
    },
}

/// Interruptions that do not come from the follower itself.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("the journal cannot be asked whether it has the follower's last event")]
    Check(#[source] ReadError),
    #[error("the journal's history has changed")]
    HistoryChanged,
    #[error("the events cannot be read")]
    Events(#[source] ReadError),
    #[error("the subscription to the journal has ended")]
    Ended,
    #[error("a call of the follower did not finish within {} s", HUNG.as_secs())]
    Hung,
}

/// A follower with the journal that it follows: the [`Work`] that is supervised.
#[derive(Debug)]
pub struct Following<F> {
    follower: F,
    journal: Arc<dyn JournalReader>,
    /// The position that the follower includes, for tasks that wait for it.
    progress: Progress,
    history: History,
}

impl<F: Follower> Following<F> {
    /// Lets a follower follow a journal. `progress` is advanced to each position that it reaches, and
    /// `history` is told of it. When the history changes, the follower is interrupted and loaded again.
    pub fn new(
        follower: F,
        journal: Arc<dyn JournalReader>,
        progress: Progress,
        history: History,
    ) -> Self {
        Self { follower, journal, progress, history }
    }

    async fn follow(
        &mut self,
        epoch: Option<Epoch>,
        health: &Health,
    ) -> Result<Infallible, Interruption> {
        let generation = self.history.generation();
        let reached = attended(health, self.follower.load(epoch)).await?;
        if let Some(lost) = check(&*self.journal, reached, health.name()).await? {
            // What else this node has followed may be lost too.
            let noted = self.history.check(&*self.journal).await;
            noted.map_err(|error| Interruption::retry(FollowError::Check(error)))?;
            return Err(self.follower.lost(lost, &self.journal).await);
        }
        self.advance(generation, reached)?;
        if self.follower.pace().ready == ReadyWhen::Loaded {
            health.set(State::Ready);
        }
        let beside = self.follower.beside(health);
        let history = self.history.clone();
        tokio::select! {
            outcome = self.apply_all(generation, reached, health) => outcome,
            interruption = beside => Err(interruption),
            () = history.is_another_than(generation) => Err(history_changed()),
        }
    }

    /// Reports how far the follower is, unless the history has changed since it was checked.
    fn advance(&self, generation: u64, reached: Reached) -> Result<(), Interruption> {
        let is_same = self.history.advance(generation, &self.progress, reached);
        if is_same { Ok(()) } else { Err(history_changed()) }
    }

    async fn apply_all(
        &mut self,
        generation: u64,
        mut reached: Reached,
        health: &Health,
    ) -> Result<Infallible, Interruption> {
        let Pace { batch: most, gather, tick, ready, reads } = self.follower.pace();
        let deliveries = match reads {
            Reads::Keys => self.journal.subscribe_to_keys(reached.position),
            Reads::Events => {
                let events = self.journal.subscribe(reached.position);
                events.map(|delivery| delivery.map(KeyDelivery::from)).boxed()
            }
        };
        let mut batches = std::pin::pin!(deliveries.ready_chunks(most));
        // Without a tick the timer is never polled; `HUNG` is only a valid period.
        let mut ticks = interval(tick.unwrap_or(HUNG));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut caught_up = false;
        loop {
            tokio::select! {
                deliveries = batches.next() => {
                    let deliveries = deliveries.ok_or(Interruption::retry(FollowError::Ended))?;
                    let is_full = deliveries.len() == most;
                    let batch = Batch::gather(deliveries);
                    let to = batch.reaches(reached.position);
                    if to > reached.position {
                        let span = applying(health.name(), batch.events.len(), to);
                        let applied = self.follower.apply(&batch.events, &batch.closed, to);
                        let applied = attended(health, bounded(applied)).instrument(span.clone());
                        reached = applied.await.inspect_err(|_| {
                            span.record("otel.status_code", "error");
                        })?;
                        self.advance(generation, reached)?;
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
        let generation = self.history.generation();
        let Err(interruption) = self.follow(epoch, health).await;
        // An event that does not follow may be of another history.
        if interruption.advice() == Advice::Stop
            && self.history.check(&*self.journal).await.is_ok()
            && self.history.generation() != generation
        {
            return history_changed();
        }
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

/// What a follower includes that the journal does not have, if anything.
async fn check(
    journal: &dyn JournalReader,
    Reached { position, last }: Reached,
    part: &'static str,
) -> Result<Option<Lost>, Interruption> {
    let passing = |error| Interruption::retry(FollowError::Check(error));
    if let Some(lost) = last
        && journal.holds(lost).await.map_err(passing)? == Some(false)
    {
        return Ok(Some(Lost::Event { part, changed: HistoryChanged { lost } }));
    }
    let head = journal.head().await.map_err(passing)?;
    Ok((position > head).then_some(Lost::BeyondHead { part, position, head }))
}

/// The span of a batch, for traces. A batch without events has none: there may be many of them.
fn applying(part: &'static str, events: usize, to: Position) -> Span {
    if events == 0 {
        return Span::none();
    }
    tracing::info_span!(
        parent: None,
        "apply",
        otel.kind = "consumer",
        otel.name = %format_args!("apply {part}"),
        otel.status_code = Empty,
        keyledger.part = part,
        keyledger.events = i64::try_from(events).unwrap_or(i64::MAX),
        keyledger.position = to.as_i64(),
    )
}

fn history_changed() -> Interruption {
    Interruption::restart(FollowError::HistoryChanged)
}

/// Waits for a call of a follower. If it takes longer than [`STALLED`], the part counts as failing
/// until the call ends.
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
