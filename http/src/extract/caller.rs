//! The caller of a request, for any state that has an [`Authenticator`].

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::authenticator::Authenticator;
use crate::observe::RequestId;
use crate::problem::ApiError;
use keyledger_commands::Origin;
use keyledger_identity::Caller;
use keyledger_telemetry::Traceparent;

/// How many characters of the `User-Agent` header are stored.
const MAX_CLIENT_CHARACTERS: usize = 200;

/// A caller with a valid token.
pub(crate) struct SignedIn(pub(crate) Caller);

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let authenticator = Arc::<Authenticator>::from_ref(state);
        let caller = authenticator.authenticate(parts).await?;
        authenticator.sign_ins().note(&caller, || origin(parts, &caller));
        Ok(Self(caller))
    }
}

/// A caller whose token has the role of an auditor.
pub(crate) struct Auditor(pub(crate) Caller);

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

/// The caller of a command, with what the event's metadata will say about the request.
pub(crate) struct CommandCaller {
    pub(crate) caller: Caller,
    pub(crate) origin: Origin,
}

impl<S> FromRequestParts<S> for CommandCaller
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SignedIn(caller) = SignedIn::from_request_parts(parts, state).await?;
        let origin = origin(parts, &caller);
        Ok(Self { caller, origin })
    }
}

/// The caller of a command who may create keys.
pub(crate) struct Creator(pub(crate) CommandCaller);

impl<S> FromRequestParts<S> for Creator
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let command = CommandCaller::from_request_parts(parts, state).await?;
        if command.caller.may_create { Ok(Self(command)) } else { Err(ApiError::CreatorsOnly) }
    }
}

/// Who sends a command, in which request.
fn origin(parts: &Parts, caller: &Caller) -> Origin {
    let request_id = parts.extensions.get::<RequestId>();
    let client = text(&parts.headers, "user-agent");
    Origin {
        actor: caller.user_id.clone(),
        correlation_id: request_id.map(ToString::to_string).unwrap_or_default(),
        traceparent: Traceparent::of(&parts.headers).map(|it| it.text().to_owned()),
        client: client.map(|it| it.chars().take(MAX_CLIENT_CHARACTERS).collect()),
    }
}

/// The header's value, if all of it is visible ASCII.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}
