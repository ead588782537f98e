//! Fetches the keys that verify sign-in tokens, at the start.

use std::sync::Arc;

use keyledger_domain::chain;

use keyledger_identity::TokenVerifier;
use keyledger_node::Health;
use keyledger_node::backoff::Backoff;
use keyledger_node::readiness::State;

/// Fetches the keys, and tries again until that succeeds. From then on the verifier itself fetches
/// them when they are old or a token names an unknown key.
pub(super) async fn prepare_sign_in(verifier: Arc<TokenVerifier>, health: Health) {
    let mut backoff = Backoff::new();
    while let Err(error) = verifier.prepare().await {
        tracing::warn!(cause = %chain(&error), "sign-in tokens cannot be verified");
        health.set(State::Failing);
        backoff.wait().await;
    }
    health.set(State::Ready);
}
