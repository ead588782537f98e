//! `GET /audit/keys/{key_id}`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use keyledger_domain::{KeyAsOf, KeyId, Moment, PublishedData, Timestamp};
use serde::Serialize;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::state::AuditState;
use crate::event::HistoryEvent;
use crate::extract::{
    Auditor, Given, KeyPath, Parameter, Parameters, QueryParameters, put, schema,
};
use crate::problem::ApiError;
use crate::problem::documented::{AuditProblems, ClosedKeyProblem, QueryProblems, problems};
use keyledger_audit::key_at;

/// Show what a key was at a moment
///
/// For auditors: its state then, whether it would have verified, and the event that decides it. By
/// a time, what had occurred by then counts; by a position, what stands in the journal up to it, and
/// the key's expiry is judged by the latest time at which one of these events was recorded.
#[utoipa::path(
    get, path = "/audit/keys/{key_id}", tag = "audit", operation_id = "key_state",
    params(KeyPath, Parameters<AtQuery>),
    responses(
        (status = 200, description = "The key as it was", body = KeyState),
        AuditProblems, UnknownKey, ClosedKeyProblem, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn key_as_of(
    State(state): State<AuditState>,
    _auditor: Auditor,
    KeyPath(key_id): KeyPath,
    Parameters(query): Parameters<AtQuery>,
) -> Result<Json<KeyState>, ApiError> {
    let now = state.clock.now();
    let then = key_at(&*state.journal, key_id, query.at, now).await?;
    let then = then.ok_or(ApiError::KeyNotFound)?.verified_with(&state.hmac_secrets);
    Ok(Json(KeyState::new(key_id, query.at.unwrap_or(Moment::Time(now)), then)))
}

#[derive(Default)]
pub(super) struct AtQuery {
    at: Option<Moment>,
}

impl QueryParameters for AtQuery {
    const ALL: &'static [Parameter<Self>] = &[Parameter {
        name: "at",
        given: Given::AtMostOnce,
        description: "A time or a position; now, if it is left out",
        schema: schema::moment,
        expected: "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z, or a position",
        read: |query, text| put(&mut query.at, text.parse().ok()),
    }];
}

/// The problem of auditors who name a key that never existed.
struct UnknownKey;

impl IntoResponses for UnknownKey {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[("404", "There was never such a key")])
    }
}

/// What a key was at a moment. Before its creation, what it has since is `null`.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyState {
    /// Always true.
    success: bool,
    key_id: Uuid,
    /// The moment: a time, or the position that was asked about.
    #[schema(example = "2026-03-01T12:00:00.000000Z")]
    at: String,
    /// Where the key was in its life: `none` before its creation.
    #[schema(pattern = "^(none|active|revoked|deleted)$")]
    status: &'static str,
    /// Its owner.
    #[schema(required)]
    user_id: Option<String>,
    #[schema(required)]
    user_email: Option<String>,
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    key_prefix: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime, required)]
    created_at: Option<Timestamp>,
    /// From when on it does not verify; `null` when it does not expire.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
    /// What its verification would have answered.
    #[schema(pattern = "^(VALID|REVOKED|EXPIRED|NOT_FOUND)$")]
    verdict: &'static str,
    /// The event that decides it; `null` before the key's creation.
    #[schema(required)]
    because: Option<HistoryEvent>,
    /// The same for people.
    #[schema(example = "revoked at 2026-03-01T12:00:00.000000Z")]
    reason: String,
}

impl KeyState {
    /// Describes what the key was at this time or position.
    #[must_use]
    pub fn new(key_id: KeyId, at: Moment, then: KeyAsOf) -> Self {
        let status = then.status();
        let key = then.key.as_ref();
        let data = key.map(|key| PublishedData::from(&key.details));
        let text = |of: fn(PublishedData<'_>) -> Option<&str>| Some(of(data?)?.to_owned());
        Self {
            success: true,
            key_id: key_id.as_uuid(),
            at: at.to_string(),
            status,
            user_id: text(|data| Some(data.user_id)),
            user_email: text(|data| data.user_email),
            name: text(|data| data.name),
            key_prefix: text(|data| data.key_prefix),
            created_at: key.map(|key| key.created_at),
            expires_at: data.and_then(|data| data.expires_at),
            verdict: then.verdict.code(),
            because: then.because.map(HistoryEvent::from),
            reason: then.reason.to_string(),
        }
    }
}
