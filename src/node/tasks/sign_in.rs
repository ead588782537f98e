//! Fetches the keys that sign-in tokens are verified with.

use std::sync::Arc;

use keyledger_domain::chain;

use crate::identity::TokenVerifier;
use crate::node::Health;
use crate::node::backoff::Backoff;
use crate::node::readiness::State;

/// Fetches the keys, and tries again until there are some. Later they are fetched when a token
/// names a key that is not known.
pub async fn prepare_sign_in(verifier: Arc<TokenVerifier>, health: Health) {
    let mut backoff = Backoff::new();
    while let Err(error) = verifier.prepare().await {
        tracing::warn!(cause = %chain(&error), "sign-in tokens cannot be verified");
        health.set(State::Failing);
        backoff.wait().await;
    }
    health.set(State::Ready);
}
