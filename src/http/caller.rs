//! Who asks: a token from the cookie `auth_token` or from `Authorization: Bearer`.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum_extra::extract::CookieJar;

use super::observe::RequestId;
use super::problem::ApiError;
use crate::commands::Origin;
use crate::identity::{Caller, TokenError, TokenVerifier};

const COOKIE: &str = "auth_token";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may come in.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Arc<TokenVerifier>,
    allowed_origins: Vec<HeaderValue>,
}

impl Authenticator {
    /// Lets in whom the verifier knows; pages of these origins may act for them.
    pub fn new(verifier: Arc<TokenVerifier>, allowed_origins: &[String]) -> Self {
        let origins = allowed_origins.iter().filter_map(|origin| origin.parse().ok());
        Self { verifier, allowed_origins: origins.collect() }
    }

    pub(super) fn allowed_origins(&self) -> &[HeaderValue] {
        &self.allowed_origins
    }

    async fn admit(&self, parts: &Parts) -> Result<Caller, ApiError> {
        let token = match bearer(&parts.headers) {
            Some(token) => token,
            None => {
                let jar = CookieJar::from_headers(&parts.headers);
                let cookie = jar.get(COOKIE).map(|cookie| cookie.value().to_owned());
                let token = cookie.filter(|token| !token.is_empty());
                let token = token.ok_or(ApiError::AuthenticationRequired { bad_token: false })?;
                if !parts.method.is_safe() && !self.is_own_page(&parts.headers) {
                    return Err(ApiError::CrossSite);
                }
                token
            }
        };
        self.verifier.verify(&token).await.map_err(|error| match error {
            TokenError::Rejected(reason) => {
                tracing::debug!(%reason, "token rejected");
                ApiError::AuthenticationRequired { bad_token: true }
            }
            TokenError::KeysUnavailable(cause) => ApiError::IdentityUnavailable(cause.into()),
        })
    }

    /// Whether the browser says that one of our own pages made the request. A browser sends the
    /// cookie along whoever made it.
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

/// The caller is signed in.
pub(super) struct SignedIn(pub(super) Caller);

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Arc::<Authenticator>::from_ref(state).admit(parts).await.map(Self)
    }
}

/// The caller is signed in, as an auditor.
pub(super) struct Auditor(pub(super) Caller);

impl<S> FromRequestParts<S> for Auditor
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        if caller.is_auditor { Ok(Self(caller)) } else { Err(ApiError::AuditorsOnly) }
    }
}

/// The caller is signed in and asks for a change.
pub(super) struct Asking {
    pub(super) caller: Caller,
    pub(super) origin: Origin,
}

impl<S> FromRequestParts<S> for Asking
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        let request_id = parts.extensions.get::<RequestId>();
        let origin = Origin {
            actor: caller.user_id.clone(),
            correlation_id: request_id.map(ToString::to_string).unwrap_or_default(),
            traceparent: text(&parts.headers, "traceparent").filter(|it| is_traceparent(it)),
            client: text(&parts.headers, "user-agent").map(|it| it.chars().take(200).collect()),
        };
        Ok(Self { caller, origin })
    }
}

/// A header's visible ASCII text.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

/// Whether it has the form of W3C Trace Context, version 00.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    matches!(parts.as_slice(), ["00", trace, span, flags]
        if hex(trace, 32) && hex(span, 16) && hex(flags, 2))
}
