//! Keeps one piece of work running for as long as the process lives.
//!
//! ```text
//!           ┌──────────── claim the lease ◀───────────────┐
//!  held by  │                   │ ours (or none needed)   │
//!  another  ▼                   ▼                         │
//!     stand by a while     run until interrupted ─────────┤
//!           │               restart: at once              │
//!           └──────────────▶retry: after the backoff ─────┘
//!                           stop: never again; `/readyz` and the log say so
//! ```

use async_trait::async_trait;
use keyledger_domain::chain;
use keyledger_projections::Epoch;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use super::health::Health;
use super::lease::{LeaseClaims, hold};
use super::readiness::State;

/// Work that goes on until something interrupts it.
#[async_trait]
pub trait Work: Send {
    /// Works until something interrupts it. `epoch` is that of the lease, for work that needs one.
    /// The future is dropped when the lease is lost, so it must be safe to drop at any await.
    async fn run(&mut self, epoch: Option<Epoch>, health: &Health) -> Interruption;

    /// Called while another node holds the lease. Must return after a third of `period`, when the lease
    /// is claimed again.
    async fn stand_by(&mut self, health: &Health, period: Duration) {
        health.set(State::Ready);
        tokio::time::sleep(period / 3).await;
    }

    /// What an operator has to do when the work has stopped, for the log.
    fn remedy(&self) -> &'static str {
        "find the cause, then restart this node"
    }

    /// Called after an interruption with [`Advice::Retry`], before the wait.
    fn interrupted(&mut self, health: &Health) {
        health.set(State::Failing);
    }

    /// Called after an interruption with [`Advice::Stop`].
    fn stopped(&mut self) {}
}

/// What a supervisor does about an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Run again at once: the work only has to load its state again.
    Restart,
    /// Run again after the backoff: the cause may go away by itself.
    Retry,
    /// Do not run again: no attempt can succeed without an operator's help.
    Stop,
}

/// Why work was interrupted, and what to do about it.
#[derive(Debug)]
pub struct Interruption {
    advice: Advice,
    cause: Cause,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Interruption {
    /// An interruption with [`Advice::Restart`].
    pub fn restart(cause: impl Into<Cause>) -> Self {
        Self { advice: Advice::Restart, cause: cause.into() }
    }

    /// An interruption with [`Advice::Retry`].
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self { advice: Advice::Retry, cause: cause.into() }
    }

    /// An interruption with [`Advice::Stop`].
    pub fn stop(cause: impl Into<Cause>) -> Self {
        Self { advice: Advice::Stop, cause: cause.into() }
    }

    /// An interruption with [`Advice::Retry`] if `is_passing`, else with [`Advice::Stop`].
    pub fn retry_if(is_passing: bool, cause: impl Into<Cause>) -> Self {
        if is_passing { Self::retry(cause) } else { Self::stop(cause) }
    }

    /// What the supervisor does about the interruption.
    #[must_use]
    pub fn advice(&self) -> Advice {
        self.advice
    }
}

/// Runs the work until the process ends, or until an interruption with [`Advice::Stop`]. With a lease,
/// the work runs only while this node holds it.
pub async fn supervise(mut work: impl Work, lease: Option<Arc<dyn LeaseClaims>>, health: Health) {
    health.set(State::Starting);
    let mut backoff = Backoff::new();
    let mut is_ours = false;
    loop {
        let claimed = match &lease {
            Some(lease) => lease.claim().await,
            None => Ok(None),
        };
        let interruption = match (claimed, &lease) {
            (Err(error), _) => {
                tracing::warn!(
                    part = health.name(), cause = %chain(&*error), "lease cannot be claimed"
                );
                health.set(State::Failing);
                backoff.wait().await;
                continue;
            }
            (Ok(Some(epoch)), Some(lease)) => {
                if !std::mem::replace(&mut is_ours, true) {
                    tracing::info!(part = health.name(), "this node holds the lease");
                }
                tokio::select! {
                    interruption = work.run(Some(epoch), &health) => interruption,
                    () = hold(&**lease, epoch) => {
                        is_ours = false;
                        tracing::info!(part = health.name(), "this node has lost the lease");
                        backoff = Backoff::new();
                        continue;
                    }
                }
            }
            (Ok(None), Some(lease)) => {
                is_ours = false;
                work.stand_by(&health, lease.period()).await;
                backoff = Backoff::new();
                continue;
            }
            (Ok(_), None) => work.run(None, &health).await,
        };
        let (part, cause) = (health.name(), chain(&*interruption.cause));
        if health.take_progress() {
            backoff = Backoff::new();
        }
        match interruption.advice {
            Advice::Restart => {
                tracing::info!(part, cause, "{part} loads its state again and goes on");
            }
            Advice::Retry => {
                tracing::warn!(part, cause, "{part} interrupted, trying again");
                work.interrupted(&health);
                backoff.wait().await;
            }
            Advice::Stop => {
                work.stopped();
                tracing::error!(part, cause, "{part} stopped: {}", work.remedy());
                return health.set(State::Stopped);
            }
        }
    }
}
