//! `GET /audit/proofs/inclusion`

use axum::Json;
use axum::extract::State;
use keyledger_domain::EventId;
use keyledger_projections::log::InclusionProof;
use keyledger_tlog::TreeHash;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::size::{SIZE, size};
use super::state::LogRoutesState;
use crate::extract::{Auditor, Given, Parameter, Parameters, QueryParameters, put, schema};
use crate::problem::ApiError;
use crate::problem::documented::{AuditProblems, ProofProblems, QueryProblems};

/// Prove that an event is in the tree
///
/// RFC 9162, 2.1.3. Give `event_id` or `index`; `size` is that of the last checkpoint when left out.
#[utoipa::path(
    get, path = "/audit/proofs/inclusion", tag = "audit",
    params(Parameters<InclusionQuery>),
    responses(
        (status = 200, description = "The proof", body = Inclusion),
        QueryProblems, AuditProblems, ProofProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn inclusion(
    State(state): State<LogRoutesState>,
    _: Auditor,
    Parameters(query): Parameters<InclusionQuery>,
) -> Result<Json<Inclusion>, ApiError> {
    let tree = &state.tree;
    let index = match query.event()? {
        EventRef::Index(index) => index,
        EventRef::Id(id) => tree.leaf_of(id).await?.ok_or(ApiError::NotInTree)?,
    };
    let size = match query.size {
        Some(size) => size,
        None => tree.last_signed().await?.ok_or(ApiError::NoCheckpoint)?.size,
    };
    let proof = state.proven(tree.prove_inclusion(index, size).await)?;
    let InclusionProof { leaf, path: proof, root } = proof;
    Ok(Json(Inclusion { success: true, index, size, leaf, proof, root }))
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

/// How the caller names the event.
enum EventRef {
    Id(EventId),
    Index(u64),
}

#[derive(Default)]
pub(super) struct InclusionQuery {
    event_id: Option<EventId>,
    index: Option<u64>,
    size: Option<u64>,
}

impl InclusionQuery {
    /// The event, which is named by its id or by its index.
    fn event(&self) -> Result<EventRef, ApiError> {
        match (self.event_id, self.index) {
            (Some(id), None) => Ok(EventRef::Id(id)),
            (None, Some(index)) => Ok(EventRef::Index(index)),
            (None, None) | (Some(_), Some(_)) => {
                let expected = "given, or index instead of it";
                Err(ApiError::InvalidParameter { name: "event_id", expected })
            }
        }
    }
}

impl QueryParameters for InclusionQuery {
    const ALL: &'static [Parameter<Self>] = &[
        Parameter {
            name: "event_id",
            given: Given::AtMostOnce,
            description: "The event",
            schema: schema::uuid,
            expected: "a UUID",
            read: |query, text| {
                put(&mut query.event_id, Uuid::try_parse(text).ok().map(EventId::from_uuid))
            },
        },
        Parameter {
            name: "index",
            given: Given::AtMostOnce,
            description: "The event's place among all events, from 0, instead of its id",
            schema: schema::position,
            expected: SIZE,
            read: |query, text| put(&mut query.index, size(text)),
        },
        Parameter {
            name: "size",
            given: Given::AtMostOnce,
            description: "The size of the tree",
            schema: schema::position,
            expected: SIZE,
            read: |query, text| put(&mut query.size, size(text)),
        },
    ];
}
