//! The claims of a token, and the caller that they describe.

use std::time::Duration;

use keyledger_domain::{Email, Timestamp, UserId};
use serde::Deserialize;
use serde_json::Value;

use super::{Caller, LEEWAY, Rejection};

/// The claims that are read. The claims that a token must have were checked when it was decoded.
#[derive(Deserialize)]
pub(super) struct TokenClaims {
    user_id: Option<User>,
    sub: Option<User>,
    /// When the token expires, in seconds since 1970, possibly with a fraction.
    #[serde(default)]
    exp: f64,
    // These accept any JSON type, so that an unexpected email or role does not lock a user out.
    #[serde(default)]
    email: Value,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scope: Value,
}

/// A user's id. Some identity providers use numbers.
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

/// From when on a token with this `exp` is refused. Times are compared in whole seconds, and a token
/// is still accepted during the second `exp` plus [`LEEWAY`].
fn until(expires: f64) -> Timestamp {
    let since_epoch = Duration::try_from_secs_f64(expires).unwrap_or(Duration::MAX);
    let end = since_epoch.saturating_add(Duration::from_secs(LEEWAY + 1));
    Timestamp::saturating_from_unix_micros(i64::try_from(end.as_micros()).unwrap_or(i64::MAX))
}

/// Whether a claim contains this value. The claim is a list of texts, or one text of words separated
/// by spaces (RFC 8693 § 4.2).
fn names(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(words) => words.split_ascii_whitespace().any(|word| word == wanted),
        Value::Array(list) => list.iter().any(|entry| entry.as_str() == Some(wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}
