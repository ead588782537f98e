//! Fetches the keys that verify sign-in tokens, at the start.

use std::sync::Arc;

use keyledger_identity::TokenVerifier;
use keyledger_node::Health;
use keyledger_node::backoff::Backoff;
use keyledger_node::readiness::State;

/// Fetches the keys, and tries again until that succeeds. From then on the verifier itself fetches
/// them when they are old or a token names an unknown key. It also logs when they cannot be fetched.
pub(super) async fn prepare_sign_in(verifier: Arc<TokenVerifier>, health: Health) {
    let mut backoff = Backoff::new();
    while verifier.prepare().await.is_err() {
        health.set(State::Failing);
        backoff.wait().await;
    }
    health.set(State::Ready);
}
