//! Who may ask on the internal listener.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use keyledger_domain::KeyHash;

use crate::problem::ApiError;

const TOKEN: HeaderName = HeaderName::from_static("keyledger-token");

/// Who may ask on the internal listener: anyone who reaches it, or only those with one of its tokens. Cheap
/// to clone.
#[derive(Clone, Debug, Default)]
pub struct InternalCallers(Option<Arc<HashSet<KeyHash>>>);

impl InternalCallers {
    /// Those with a token that has one of these hashes.
    #[must_use]
    pub fn with_tokens(hashes: HashSet<KeyHash>) -> Self {
        Self(Some(Arc::new(hashes)))
    }

    /// Whether only those with a token may ask.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.0.is_some()
    }

    /// Fails unless the request may be answered.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        let Some(hashes) = &self.0 else { return Ok(()) };
        let is_forwarded = request.uri().path().starts_with("/auth");
        let token = token(request.headers(), is_forwarded);
        let is_known = token.is_some_and(|token| hashes.contains(&KeyHash::of(token)));
        if is_known { Ok(()) } else { Err(ApiError::InternalTokenRequired) }
    }
}

/// The token in `Keyledger-Token`, or else in `Authorization: Bearer` (RFC 6750 § 2.1). Requests to `/auth`
/// have the headers of the request that they ask about, whose `Authorization` is no token.
fn token(headers: &HeaderMap, is_forwarded: bool) -> Option<&str> {
    if let Some(token) = once(headers, TOKEN) {
        return Some(token);
    }
    let (scheme, token) = once(headers, header::AUTHORIZATION)?.split_once(' ')?;
    let is_bearer = !is_forwarded && scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim())
}

fn once(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// Answers only those who may ask.
pub(super) async fn require(
    State(callers): State<InternalCallers>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    callers.check(&request)?;
    Ok(next.run(request).await)
}
