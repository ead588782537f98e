//! Tells, at the start, what is less closed than it could be.

use keyledger_identity::TokenKeys;

use crate::config::{Config, Identity};

pub(crate) fn warn_of_what_is_open(config: &Config) {
    if let Identity::Provider(rules) = &config.identity {
        if rules.audiences.is_empty() && rules.issuer.is_none() {
            tracing::warn!(
                "neither KEYLEDGER_JWT_AUDIENCE nor KEYLEDGER_JWT_ISSUER is set: every token that the \
                 identity provider has signed is accepted, also one for another service"
            );
        }
        if let TokenKeys::Jwks(url) = &rules.source
            && url.is_unprotected()
        {
            tracing::warn!(
                "the key set is fetched over plain http://: whoever can change what is sent in that \
                 network can sign in as anyone"
            );
        }
    }
    if !config.internal_listen.ip().is_loopback() && !config.internal_callers.are_known() {
        tracing::warn!(
            "the internal listener is not on loopback, and KEYLEDGER_INTERNAL_TOKENS is not set: everyone \
             who reaches it may verify keys and read metrics"
        );
    }
}
