//! What a token says of its bearer.

use std::time::Duration;

use keyledger_domain::{Email, Timestamp, UserId};
use serde::Deserialize;
use serde_json::Value;

use super::{Caller, LEEWAY, Rejection};

/// The claims that matter here; those that a token must have are checked before.
#[derive(Deserialize)]
pub(super) struct TokenClaims {
    user_id: Option<User>,
    sub: Option<User>,
    /// Seconds since 1970, perhaps with a fraction.
    #[serde(default)]
    exp: f64,
    // Of any type: a provider's odd e-mail or role must not keep a user out.
    #[serde(default)]
    email: Value,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scope: Value,
}

/// A user's name; some providers have numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum User {
    Text(String),
    Number(u64),
}

impl TokenClaims {
    pub(super) fn into_caller(self, audit_role: &str) -> Result<Caller, Rejection> {
        let user_id = match self.user_id.or(self.sub).ok_or(Rejection::NoUser)? {
            User::Text(text) => UserId::parse(&text)?,
            User::Number(number) => UserId::parse(&number.to_string())?,
        };
        let is_auditor = names(&self.roles, audit_role) || names(&self.scope, audit_role);
        let email = self.email.as_str().and_then(Email::parse);
        Ok(Caller { user_id, email, is_auditor, until: until(self.exp) })
    }
}

/// From when on a token is refused: tokens are judged by whole seconds, of which the last counts.
fn until(expires: f64) -> Timestamp {
    let since_epoch = Duration::try_from_secs_f64(expires).unwrap_or(Duration::MAX);
    let end = since_epoch.saturating_add(Duration::from_secs(LEEWAY + 1));
    Timestamp::saturating_from_unix_micros(i64::try_from(end.as_micros()).unwrap_or(i64::MAX))
}

/// Whether a list of texts, or a text of words (RFC 8693 § 4.2), names this one.
fn names(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(words) => words.split_ascii_whitespace().any(|word| word == wanted),
        Value::Array(list) => list.iter().any(|entry| entry.as_str() == Some(wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}
