//! Proofs of what is in the tree, for auditors.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use keyledger_domain::EventId;
use keyledger_tlog::TreeHash;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::TreeState;
use crate::http::caller::Auditor;
use crate::http::openapi::{AuditProblems, NotInTree, QueryProblems};
use crate::http::parameter::once;
use crate::http::problem::ApiError;

/// Prove that an event is in the tree
///
/// RFC 9162, 2.1.3. Give `event_id` or `index`; `size` is that of the last checkpoint when left out.
#[utoipa::path(
    get, path = "/audit/proofs/inclusion", tag = "audit",
    params(
        ("event_id" = Option<Uuid>, Query, nullable = false, description = "The event"),
        ("index" = Option<i64>, Query, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64,
            description = "The event's place among all events, from 0, instead of its id"),
        ("size" = Option<i64>, Query, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64, description = "The size of the tree"),
    ),
    responses(
        (status = 200, description = "The proof", body = Inclusion),
        QueryProblems, AuditProblems, NotInTree,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn inclusion(
    State(state): State<TreeState>,
    Auditor(_auditor): Auditor,
    query: InclusionQuery,
) -> Result<Json<Inclusion>, ApiError> {
    let tree = state.tree;
    let index = match query.event {
        Event::Index(index) => index,
        Event::Id(id) => tree.leaf_of(id).await?.ok_or(ApiError::NotInTree)?,
    };
    let size = match query.size {
        Some(size) => size,
        None => tree.last_signed().await?.ok_or(ApiError::NoCheckpoint)?.size,
    };
    if index >= size || size > tree.state().await?.size {
        return Err(ApiError::NotInTree);
    }
    let (leaf, proof) = (tree.leaf(index).await?, tree.inclusion(index, size).await?);
    let root = tree.root_at(size).await?;
    Ok(Json(Inclusion { success: true, index, size, leaf, proof, root }))
}

/// Prove that the tree continues an earlier one
///
/// RFC 9162, 2.1.4.
#[utoipa::path(
    get, path = "/audit/proofs/consistency", tag = "audit",
    params(
        ("from" = i64, Query, minimum = 0, maximum = 9_223_372_036_854_775_807_i64,
            description = "The size of the earlier tree"),
        ("to" = i64, Query, minimum = 0, maximum = 9_223_372_036_854_775_807_i64,
            description = "The size of the later tree"),
    ),
    responses(
        (status = 200, description = "The proof", body = Consistency),
        QueryProblems, AuditProblems, NotInTree,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn consistency(
    State(state): State<TreeState>,
    Auditor(_auditor): Auditor,
    query: ConsistencyQuery,
) -> Result<Json<Consistency>, ApiError> {
    let (tree, ConsistencyQuery { from, to }) = (state.tree, query);
    if from > to || to > tree.state().await?.size {
        return Err(ApiError::NotInTree);
    }
    let (from_root, to_root) = (tree.root_at(from).await?, tree.root_at(to).await?);
    let proof = tree.consistency(from, to).await?;
    Ok(Json(Consistency { success: true, from, from_root, to, to_root, proof }))
}

/// A proof that an event is in the tree; hashes are in base64.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Inclusion {
    /// Always true.
    success: bool,
    /// The event's place among all events, from 0.
    index: u64,
    /// The size of the tree.
    size: u64,
    #[schema(value_type = String)]
    leaf: TreeHash,
    #[schema(value_type = Vec<String>)]
    proof: Vec<TreeHash>,
    /// What the proof leads to: to be compared with a checkpoint that is believed.
    #[schema(value_type = String)]
    root: TreeHash,
}

/// A proof that one tree continues another; hashes are in base64.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Consistency {
    /// Always true.
    success: bool,
    from: u64,
    #[schema(value_type = String)]
    from_root: TreeHash,
    to: u64,
    #[schema(value_type = String)]
    to_root: TreeHash,
    #[schema(value_type = Vec<String>)]
    proof: Vec<TreeHash>,
}

enum Event {
    Id(EventId),
    Index(u64),
}

/// Which event is to be proven, in which tree.
pub(super) struct InclusionQuery {
    event: Event,
    size: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for InclusionQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (mut id, mut index, mut size) = (None, None, None);
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "event_id" => once(&mut id, "event_id", event_id(&value)?)?,
                "index" => once(&mut index, "index", number("index", &value)?)?,
                "size" => once(&mut size, "size", number("size", &value)?)?,
                _ => return Err(ApiError::UnknownParameter(name.into_owned())),
            }
        }
        let event = match (id, index) {
            (Some(id), None) => Event::Id(id),
            (None, Some(index)) => Event::Index(index),
            _ => {
                let expected = "given, or index instead of it";
                return Err(ApiError::InvalidParameter { name: "event_id", expected });
            }
        };
        Ok(Self { event, size })
    }
}

/// Which trees are to be compared.
pub(super) struct ConsistencyQuery {
    from: u64,
    to: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for ConsistencyQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (mut from, mut to) = (None, None);
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "from" => once(&mut from, "from", number("from", &value)?)?,
                "to" => once(&mut to, "to", number("to", &value)?)?,
                _ => return Err(ApiError::UnknownParameter(name.into_owned())),
            }
        }
        let given = |name, size: Option<u64>| {
            size.ok_or(ApiError::InvalidParameter { name, expected: "given" })
        };
        Ok(Self { from: given("from", from)?, to: given("to", to)? })
    }
}

fn event_id(value: &str) -> Result<EventId, ApiError> {
    let id = Uuid::try_parse(value).map(EventId::from_uuid);
    id.map_err(|_| ApiError::InvalidParameter { name: "event_id", expected: "a UUID" })
}

fn number(name: &'static str, value: &str) -> Result<u64, ApiError> {
    let size = value.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    size.ok_or(ApiError::InvalidParameter { name, expected: "a whole number from 0" })
}
