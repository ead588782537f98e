//! Who may ask on the internal listener.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use keyledger_domain::KeyHash;

use crate::extract::{bearer, single};
use crate::problem::ApiError;
use crate::well_formed;

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

    /// Fails unless the request is well-formed and may be answered.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        well_formed::check(request)?;
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
    if let Some(token) = single(headers, TOKEN).flatten() {
        return Some(token);
    }
    let authorization = single(headers, header::AUTHORIZATION).flatten();
    authorization.filter(|_| !is_forwarded).and_then(bearer)
}

/// Answers only those who may ask.
pub(super) async fn require(
    State(callers): State<&'static InternalCallers>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    callers.check(&request)?;
    Ok(next.run(request).await)
}
