//! Verification: what gateways and services ask on every request, on the internal listener.
//!
//! These routes have no layers around them and write no log line each: they are asked far more often
//! than all others together, and what they answer is counted instead.

mod auth;
mod introspect;
mod verify;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, post};
use keyledger_domain::Position;
use keyledger_domain::key::Verdict;
use keyledger_verifier::{Outcome, Verification};

use super::position::WAIT;
use super::problem::ApiError;
use crate::clock::Clock;
use crate::metrics::Counters;
use crate::node::Progress;
pub(super) use auth::auth;
pub(super) use verify::verify;

/// What verification needs.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Answers, once the index is loaded.
    pub verification: Arc<OnceLock<Verification>>,
    /// How far the index has come.
    pub verified: Progress,
    /// Tells whether a key has expired.
    pub clock: Arc<dyn Clock>,
    /// Where answers are counted.
    pub counters: Counters,
}

/// The routes.
pub(super) fn routes(verifier: &'static Verifier) -> Router {
    Router::new()
        .route("/verify", post(verify::<Body>))
        .route("/introspect", post(introspect::introspect))
        // Envoy adds the path of the request that it asks about.
        .route("/auth", any(auth::<Body>))
        .route("/auth/", any(auth::<Body>))
        .route("/auth/{*path}", any(auth::<Body>))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(verifier)
}

impl Verifier {
    /// Whether a key is good; after waiting until the index includes this position, if there is one.
    async fn verify(
        &self,
        presented: &str,
        min_position: Option<Position>,
    ) -> Result<Outcome<'_>, ApiError> {
        let unknown = || {
            self.counters.unknown.inc();
            ApiError::CannotVerify
        };
        let verification = self.verification.get().ok_or_else(unknown)?;
        if let Some(position) = min_position {
            let reached = self.verified.wait_for(position, WAIT).await;
            reached.map_err(|_| ApiError::VerificationBehind)?;
        }
        let outcome = verification.verify(presented, self.clock.now()).map_err(|_| unknown())?;
        self.counters.verdict(match outcome {
            Outcome::Valid(_) => Verdict::Valid,
            Outcome::Refused(verdict) => verdict,
        });
        Ok(outcome)
    }
}
