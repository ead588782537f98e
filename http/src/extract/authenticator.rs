//! Checks who sends a request, by the token in the cookie `auth_token` or in
//! `Authorization: Bearer`.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum_extra::extract::CookieJar;

use crate::problem::ApiError;
use keyledger_identity::{Caller, TokenError, TokenVerifier};

const COOKIE: &str = "auth_token";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks the tokens of requests to the public API.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Arc<TokenVerifier>,
    allowed_origins: Vec<HeaderValue>,
}

impl Authenticator {
    /// Accepts the tokens that the verifier accepts. Pages of these origins may use the cookie.
    pub fn new(verifier: Arc<TokenVerifier>, allowed_origins: &[String]) -> Self {
        let origins = allowed_origins.iter().filter_map(|origin| origin.parse().ok());
        Self { verifier, allowed_origins: origins.collect() }
    }

    pub(crate) fn allowed_origins(&self) -> &[HeaderValue] {
        &self.allowed_origins
    }

    /// Tells who sends the request. A bearer token has precedence over the cookie.
    pub(super) async fn authenticate(&self, parts: &Parts) -> Result<Caller, ApiError> {
        let token = match bearer(&parts.headers) {
            Some(token) => token,
            None => self.cookie(parts)?,
        };
        self.verifier.verify(&token).await.map_err(|error| match error {
            TokenError::Rejected(reason) => {
                tracing::debug!(%reason, "token rejected");
                ApiError::AuthenticationRequired { bad_token: true }
            }
            TokenError::KeysUnavailable(cause) => ApiError::IdentityUnavailable(cause.into()),
        })
    }

    /// The token of the cookie. A browser sends the cookie with requests of every site, so a request
    /// that changes something must come from one of our own pages.
    fn cookie(&self, parts: &Parts) -> Result<String, ApiError> {
        let jar = CookieJar::from_headers(&parts.headers);
        let cookie = jar.get(COOKIE).map(|cookie| cookie.value().to_owned());
        let token = cookie.filter(|token| !token.is_empty());
        let token = token.ok_or(ApiError::AuthenticationRequired { bad_token: false })?;
        if parts.method.is_safe() || self.is_own_page(&parts.headers) {
            Ok(token)
        } else {
            Err(ApiError::CrossSite)
        }
    }

    /// Whether the browser says that one of our own pages made the request. Clients that send
    /// neither header are no browsers and are let through.
    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        match headers.get(SEC_FETCH_SITE) {
            Some(site) => site == "same-origin" || site == "none",
            None => match headers.get(header::ORIGIN) {
                Some(origin) => self.allowed_origins.contains(origin),
                None => true,
            },
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
