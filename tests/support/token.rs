//! Sign-in tokens, signed as the services under test expect.

use keyledger_domain::Clock;
use keyledger_identity::{Claims, SharedSecret, SigningKey, mint};
use keyledger_node::clock::SystemClock;

/// The secret that signs tokens; every service under test has it.
pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";

/// A user's token, good for an hour.
pub(crate) fn token(user: &str, roles: &[&str]) -> String {
    token_with(user, roles, 3600)
}

/// A token that expires this many seconds from now.
pub(crate) fn token_with(user: &str, roles: &[&str], expires_in: i64) -> String {
    token_of(&claims(user, roles, expires_in))
}

/// A token that says this.
pub(crate) fn token_of(claims: &Claims) -> String {
    let key = SigningKey::hs256(&SharedSecret::new(SECRET.to_owned()).unwrap());
    mint(&key, claims, None).unwrap()
}

/// The time this many seconds from now, in seconds since 1970. A token that is issued up to 30 seconds from
/// now is accepted already, since no two clocks are the same.
pub(crate) fn from_now(seconds: i64) -> i64 {
    SystemClock.now().unix_seconds() + seconds
}

/// What such a token says.
pub(crate) fn claims(user: &str, roles: &[&str], expires_in: i64) -> Claims {
    let now = from_now(0);
    Claims {
        user_id: user.to_owned(),
        email: Some(format!("{user}@example.com")),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        audience: None,
        issuer: None,
        issued_at: now,
        expires_at: now + expires_in,
    }
}
