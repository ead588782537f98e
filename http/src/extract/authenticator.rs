//! Checks who sends a request, by the token in the cookie `auth_token` or in
//! `Authorization: Bearer`.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cookie;
use super::header::bearer;
use super::sign_ins::SignIns;
use crate::problem::ApiError;
use keyledger_identity::{Caller, TokenError, TokenVerifier};

const COOKIE: &str = "auth_token";
/// The most cookies of this name that are looked at. Browsers send several when they were set for several
/// paths or domains.
const MAX_COOKIES: usize = 4;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks the tokens of requests to the public API.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Arc<TokenVerifier>,
    allowed_origins: Vec<HeaderValue>,
    sign_ins: SignIns,
}

impl Authenticator {
    /// Accepts the tokens that the verifier accepts, and hands them on to `sign_ins`. Pages of these origins
    /// may use the cookie.
    pub fn new(
        verifier: Arc<TokenVerifier>,
        allowed_origins: &[String],
        sign_ins: SignIns,
    ) -> Self {
        let origins = allowed_origins.iter().filter_map(|origin| origin.parse().ok());
        Self { verifier, allowed_origins: origins.collect(), sign_ins }
    }

    pub(crate) fn allowed_origins(&self) -> &[HeaderValue] {
        &self.allowed_origins
    }

    /// The tokens of callers that are still to be compared.
    pub(super) fn sign_ins(&self) -> &SignIns {
        &self.sign_ins
    }

    /// Tells who sends the request. A bearer token has precedence over the cookie, unless it is none of ours:
    /// a proxy may need one of its own in the same header.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Caller, ApiError> {
        let Some(token) = bearer_token(&parts.headers)? else {
            return self.by_cookie(parts).await;
        };
        match self.verify(token).await {
            Err(error) if error.may_be_of_foreign_token() => match self.by_cookie(parts).await {
                // Nobody is signed in by a cookie either, so the problem of the bearer token is told.
                Err(ApiError::AuthenticationRequired { .. }) => Err(error.into()),
                outcome => outcome,
            },
            outcome => outcome.map_err(ApiError::from),
        }
    }

    async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        let outcome = self.verifier.verify(token).await;
        if let Err(TokenError::Rejected(reason)) = &outcome {
            tracing::debug!(%reason, "token rejected");
        }
        outcome
    }

    /// The user of the cookie. A browser sends the cookie with requests of every site, so a request that
    /// changes something must come from one of our own pages. It may send several cookies of the name, old
    /// ones too. Those that are good must be of one user, or it would depend on their order who this is; the one
    /// that was issued last tells the user's roles and address.
    async fn by_cookie(&self, parts: &Parts) -> Result<Caller, ApiError> {
        let is_there = |token: &Option<&str>| token.is_none_or(|token| !token.is_empty());
        let tokens: Vec<_> =
            cookie::tokens(&parts.headers, COOKIE).filter(is_there).take(MAX_COOKIES + 1).collect();
        if tokens.is_empty() {
            return Err(ApiError::AuthenticationRequired { bad_token: false });
        }
        if !parts.method.is_safe() && !self.is_own_page(&parts.headers) {
            return Err(ApiError::CrossSite);
        }
        if tokens.len() > MAX_COOKIES {
            return Err(REFUSED);
        }
        let mut caller: Result<Caller, ApiError> = Err(REFUSED);
        for token in tokens.into_iter().flatten() {
            match (&caller, self.verify(token).await) {
                (Ok(one), Ok(other)) if one.user_id != other.user_id => return Err(REFUSED),
                (Ok(one), Ok(other)) if one.issued_at < other.issued_at => caller = Ok(other),
                (Ok(_), _) => {}
                (Err(_), Err(TokenError::Rejected(_))) => {}
                (Err(_), outcome) => caller = outcome.map_err(ApiError::from),
            }
        }
        caller
    }

    /// Whether the browser says that one of our own pages made the request. Clients that send
    /// neither header are no browsers and are let through.
    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(header::ORIGIN);
        let is_listed = origin.is_some_and(|origin| self.allowed_origins.contains(origin));
        let is_own = match headers.get(SEC_FETCH_SITE) {
            Some(site) if site == "same-origin" || site == "none" => true,
            Some(site) => site == "same-site" && is_listed,
            None => origin.is_none() || is_listed,
        };
        if !is_own {
            tracing::info!(
                ?origin,
                site = ?headers.get(SEC_FETCH_SITE),
                "request of another site refused: KEYLEDGER_ALLOWED_ORIGINS does not list its origin, or \
                 it is on another site"
            );
        }
        is_own
    }
}

const REFUSED: ApiError = ApiError::AuthenticationRequired { bad_token: true };

/// The bearer token; `None` if there is no `Authorization` header, or one of another scheme. A value that is
/// not visible ASCII is a token that nobody has issued. Of two such headers, a proxy and this service could
/// take different ones.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(REFUSED);
    }
    let Some(value) = first else { return Ok(None) };
    Ok(value.to_str().map_or(Some(""), bearer))
}
