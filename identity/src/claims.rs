//! The claims of a token, and the caller that they describe.

use std::str::FromStr;
use std::time::Duration;

use keyledger_domain::{Email, Timestamp, UserId};
use serde_json::{Map, Value};

use super::{Caller, LEEWAY, Rejection};

/// The claims of a token. The signature, the audience and the issuer are checked before.
pub(super) type Claims = Map<String, Value>;

/// Where a claim is: a name such as `roles`, or names of nested objects such as `realm_access.roles`. A
/// claim whose own name has dots in it is found too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

/// The text is not a [`ClaimPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a claim has 1 to 255 characters, such as roles or realm_access.roles")]
pub struct ClaimPathError;

impl FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        let fits = (1..=255).contains(&text.chars().count());
        if fits { Ok(Self(text.to_owned())) } else { Err(ClaimPathError) }
    }
}

impl ClaimPath {
    fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        if let Some(claim) = claims.get(&self.0) {
            return Some(claim);
        }
        let mut names = self.0.split('.');
        let outer = claims.get(names.next()?)?;
        names.try_fold(outer, |object, name| object.get(name))
    }
}

/// Which roles or scopes of a user allow what.
#[derive(Clone, Debug)]
pub struct RoleRules {
    /// The claims that list a user's roles or scopes.
    pub claims: Vec<ClaimPath>,
    /// Users with this role are auditors.
    pub audit: String,
    /// Users with this role may create keys; `None` if everyone may.
    pub create: Option<String>,
}

impl RoleRules {
    fn has(&self, claims: &Claims, role: &str) -> bool {
        self.claims.iter().filter_map(|path| path.find(claims)).any(|claim| names(claim, role))
    }
}

/// The caller, if the token is good at this time.
pub(super) fn caller(
    claims: &Claims,
    now: Timestamp,
    roles: &RoleRules,
) -> Result<Caller, Rejection> {
    let until = until(seconds(claims, "exp")?.ok_or(Rejection::NoExpiry)?);
    if now >= until {
        return Err(Rejection::Expired);
    }
    let latest = i64::try_from(LEEWAY).unwrap_or(i64::MAX).saturating_add(now.unix_seconds());
    let has_come = |time: &Timestamp| time.unix_seconds() <= latest;
    if seconds(claims, "nbf")?.is_some_and(|begins| !has_come(&timestamp(begins))) {
        return Err(Rejection::NotYet);
    }
    // An issuer that is several is none (RFC 7519 § 4.1.1).
    if claims.get("iss").is_some_and(|issuer| !issuer.is_string() && !issuer.is_null()) {
        return Err(Rejection::BadIssuer);
    }
    let user = ["user_id", "sub"].into_iter().filter_map(|name| claims.get(name));
    let user_id = match user.into_iter().find(|user| !user.is_null()) {
        Some(Value::String(text)) => UserId::parse(text)?,
        // Some identity providers use numbers.
        Some(Value::Number(number)) if number.is_u64() => UserId::parse(&number.to_string())?,
        Some(_) | None => return Err(Rejection::NoUser),
    };
    let is_auditor = roles.has(claims, &roles.audit);
    let may_create = roles.create.as_ref().is_none_or(|role| roles.has(claims, role));
    // An unexpected address does not lock a user out.
    let email = claims.get("email").and_then(Value::as_str).and_then(Email::parse);
    // Nor does an unexpected time of issue.
    let issued_at = seconds(claims, "iat").ok().flatten().map(timestamp).filter(has_come);
    Ok(Caller { user_id, email, issued_at, is_auditor, may_create, until })
}

/// A time in seconds since 1970, possibly with a fraction.
fn seconds(claims: &Claims, name: &'static str) -> Result<Option<f64>, Rejection> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(time) => time.as_f64().map(Some).ok_or(Rejection::BadTime(name)),
    }
}

/// From when on a token with this `exp` is refused. Times are compared in whole seconds, and a token
/// is still accepted during the second `exp` plus [`LEEWAY`].
fn until(expires: f64) -> Timestamp {
    let end = since_epoch(expires).saturating_add(Duration::from_secs(LEEWAY + 1));
    Timestamp::saturating_from_unix_micros(i64::try_from(end.as_micros()).unwrap_or(i64::MAX))
}

fn timestamp(seconds: f64) -> Timestamp {
    let micros = i64::try_from(since_epoch(seconds).as_micros()).unwrap_or(i64::MAX);
    Timestamp::saturating_from_unix_micros(micros)
}

/// A time before 1970 counts as 1970, and one that is too large as the last there is.
fn since_epoch(seconds: f64) -> Duration {
    let since_epoch = Duration::try_from_secs_f64(seconds.max(0.0));
    since_epoch.unwrap_or(Duration::MAX)
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
