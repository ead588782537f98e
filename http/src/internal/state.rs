//! What the handlers of verification need.

use std::sync::Arc;

use keyledger_domain::key::Verdict;
use keyledger_domain::{KeyPrefix, Position};
use keyledger_verifier::{Outcome, RecordBuffer};

use crate::metrics::Counters;
use crate::position::WAIT;
use crate::problem::ApiError;
use crate::trace;
use keyledger_domain::Clock;
use keyledger_node::History;

/// The state of the verification endpoints.
#[derive(Clone, Debug)]
pub struct VerificationState {
    /// Has the verification index.
    pub history: History,
    /// Tells the current time, which decides whether a key has expired.
    pub clock: Arc<dyn Clock>,
    /// Counts the answers.
    pub counters: Counters,
    /// The prefix of new keys.
    pub key_prefix: KeyPrefix,
}

impl VerificationState {
    /// Waits until the index includes this position, if there is one, for [`WAIT`] at most.
    pub(super) async fn reach(&self, min_position: Option<Position>) -> Result<(), ApiError> {
        if let Some(position) = min_position {
            let reached = self.history.verified().wait_in_turn(position, WAIT).await;
            reached.map_err(|_| ApiError::VerificationBehind)?;
        }
        Ok(())
    }

    /// Whether there is such a key that is not deleted, good or not. While nothing is known, there may be.
    pub(super) fn knows(&self, presented: &str) -> bool {
        let (now, mut buffer) = (self.clock.now(), RecordBuffer::new());
        let unknown = Ok(Outcome::Refused(Verdict::NotFound));
        self.history.with_verification(|it| it.verify(presented, now, &mut buffer) != unknown)
    }

    /// Verifies a key. What is known of a valid key is copied into `buffer`.
    pub(super) fn verify<'b>(
        &self,
        presented: &str,
        buffer: &'b mut RecordBuffer,
    ) -> Result<Outcome<'b>, ApiError> {
        let unknown = || {
            self.counters.unknown.inc();
            ApiError::CannotVerify
        };
        let now = self.clock.now();
        let outcome = self.history.with_verification(|it| it.verify(presented, now, buffer));
        let outcome = outcome.map_err(|_| unknown())?;
        let verdict = match outcome {
            Outcome::Valid(_) => Verdict::Valid,
            Outcome::Refused(verdict) => verdict,
        };
        self.counters.verdict(verdict);
        trace::outcome(&outcome, verdict.code());
        Ok(outcome)
    }
}
