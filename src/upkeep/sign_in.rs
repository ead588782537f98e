//! Sees to it that tokens can be verified.

use std::sync::Arc;

use crate::identity::TokenVerifier;
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// Fetches the keys that tokens are verified with, until there are some. Later they are fetched
/// when they are needed.
pub async fn prepare_sign_in(verifier: Arc<TokenVerifier>, readiness: Readiness) {
    let mut pause = Pause::new();
    while let Err(error) = verifier.prepare().await {
        tracing::warn!(cause = %chain(&error), "sign-in tokens cannot be verified");
        readiness.set(Part::SignIn, State::Failing);
        pause.wait().await;
    }
    readiness.set(Part::SignIn, State::Ready);
}
