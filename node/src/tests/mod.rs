//! Tests of supervised work in paused time: durations are exact, and no test really waits.

mod following;
mod heads;
mod lease;
mod supervising;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::readiness::{Part, Readiness, State};
use super::{Health, Interruption, LeaseClaims};
use keyledger_projections::Epoch;

const PERIOD: Duration = Duration::from_secs(6);
/// The limit of every wait, in paused time; no test comes near it.
const LIMIT: Duration = Duration::from_secs(3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The health of one part, with a readiness of its own.
fn health() -> Health {
    Health::new(Part::Relay, &Readiness::default())
}

/// Waits until the part is in a state, and returns how long that took.
async fn until(health: &Health, state: State) -> Duration {
    let begun = Instant::now();
    let waiting = async {
        while !health.is(state) {
            sleep(millis(1)).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("the part is never {state:?}"));
    begun.elapsed()
}

/// A lease that nodes contend for, as the read database keeps it.
#[derive(Clone, Debug)]
struct SharedLease(Arc<Mutex<Holder>>);

#[derive(Debug)]
struct Holder {
    node: Option<u32>,
    epoch: i64,
    until: Instant,
    /// How many claims there were, by any node.
    claims: usize,
    /// Whether claims fail, as if the database could not be reached.
    is_away: bool,
}

impl SharedLease {
    fn free() -> Self {
        let (node, epoch, until) = (None, 0, Instant::now());
        Self(Arc::new(Mutex::new(Holder { node, epoch, until, claims: 0, is_away: false })))
    }

    /// The lease as seen by this node.
    fn as_node(&self, node: u32) -> Arc<dyn LeaseClaims> {
        Arc::new(Contender { lease: self.clone(), node })
    }

    fn holder(&self) -> std::sync::MutexGuard<'_, Holder> {
        self.0.lock().unwrap()
    }

    /// Gives the lease to this node for a period, even if another one holds it.
    fn give(&self, node: u32) {
        let mut holder = self.holder();
        (holder.node, holder.until) = (Some(node), Instant::now() + PERIOD);
        holder.epoch += 1;
    }

    fn claims(&self) -> usize {
        self.holder().claims
    }
}

#[derive(Debug)]
struct Contender {
    lease: SharedLease,
    node: u32,
}

#[async_trait]
impl LeaseClaims for Contender {
    async fn claim(&self) -> Result<Option<Epoch>, Box<dyn std::error::Error + Send + Sync>> {
        let mut holder = self.lease.holder();
        holder.claims += 1;
        if holder.is_away {
            return Err("the database is away".into());
        }
        let is_ours = holder.node == Some(self.node);
        if !is_ours && holder.node.is_some() && Instant::now() < holder.until {
            return Ok(None);
        }
        if !is_ours {
            holder.node = Some(self.node);
            holder.epoch += 1;
        }
        holder.until = Instant::now() + PERIOD;
        Ok(Some(Epoch::new(holder.epoch)))
    }

    fn period(&self) -> Duration {
        PERIOD
    }
}

/// The outcomes of calls, in order. Calls after the last outcome never end.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<VecDeque<Step>>>);

/// The outcome of one call.
#[derive(Clone, Copy, Debug)]
enum Step {
    Succeed,
    Restart,
    Retry,
    Stop,
    Hang,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(Mutex::new(steps.into_iter().collect())))
    }

    /// Plays the next step. Never ends for [`Step::Hang`] and after the last step.
    async fn next(&self) -> Result<(), Interruption> {
        let step = self.0.lock().unwrap().pop_front();
        match step {
            Some(Step::Succeed) => Ok(()),
            Some(Step::Restart) => Err(Interruption::restart("restart")),
            Some(Step::Retry) => Err(Interruption::retry("retry")),
            Some(Step::Stop) => Err(Interruption::stop("stop")),
            Some(Step::Hang) | None => std::future::pending().await,
        }
    }
}
