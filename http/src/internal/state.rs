//! What the handlers of verification need.

use std::sync::Arc;

use keyledger_domain::Position;
use keyledger_domain::key::Verdict;
use keyledger_verifier::{Outcome, RecordBuffer};

use crate::metrics::Counters;
use crate::position::WAIT;
use crate::problem::ApiError;
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
}

impl VerificationState {
    /// Verifies a key. With a position, waits first until the index includes it, for [`WAIT`] at most.
    /// What is known of a valid key is copied into `buffer`.
    pub(super) async fn verify<'b>(
        &self,
        presented: &str,
        min_position: Option<Position>,
        buffer: &'b mut RecordBuffer,
    ) -> Result<Outcome<'b>, ApiError> {
        let unknown = || {
            self.counters.unknown.inc();
            ApiError::CannotVerify
        };
        if let Some(position) = min_position {
            let reached = self.history.verified().wait_in_turn(position, WAIT).await;
            reached.map_err(|_| ApiError::VerificationBehind)?;
        }
        let now = self.clock.now();
        let outcome = self.history.with_verification(|it| it.verify(presented, now, buffer));
        let outcome = outcome.map_err(|_| unknown())?;
        self.counters.verdict(match outcome {
            Outcome::Valid(_) => Verdict::Valid,
            Outcome::Refused(verdict) => verdict,
        });
        Ok(outcome)
    }
}
