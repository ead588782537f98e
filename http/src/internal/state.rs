//! What the handlers of verification need.

use std::sync::{Arc, OnceLock};

use keyledger_domain::Position;
use keyledger_domain::key::Verdict;
use keyledger_verifier::{Outcome, RecordBuffer, Verification};

use crate::metrics::Counters;
use crate::position::WAIT;
use crate::problem::ApiError;
use keyledger_domain::Clock;
use keyledger_node::Progress;

/// The state of the verification endpoints.
#[derive(Clone, Debug)]
pub struct VerificationState {
    /// The verification index; unset while it is loading.
    pub verification: Arc<OnceLock<Verification>>,
    /// The position that the index includes.
    pub verified: Progress,
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
        let verification = self.verification.get().ok_or_else(unknown)?;
        if let Some(position) = min_position {
            let reached = self.verified.wait_for(position, WAIT).await;
            reached.map_err(|_| ApiError::VerificationBehind)?;
        }
        let outcome = verification.verify(presented, self.clock.now(), buffer);
        let outcome = outcome.map_err(|_| unknown())?;
        self.counters.verdict(match outcome {
            Outcome::Valid(_) => Verdict::Valid,
            Outcome::Refused(verdict) => verdict,
        });
        Ok(outcome)
    }
}
