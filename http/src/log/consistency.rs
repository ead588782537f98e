//! `GET /audit/proofs/consistency`

use axum::Json;
use axum::extract::State;
use keyledger_projections::log::ConsistencyProof;
use keyledger_tlog::TreeHash;
use serde::Serialize;
use utoipa::ToSchema;

use super::size::{SIZE, size};
use super::state::LogRoutesState;
use crate::extract::{Auditor, Given, Parameter, Parameters, QueryParameters, schema};
use crate::problem::ApiError;
use crate::problem::documented::{AuditProblems, ProofProblems, QueryProblems};

/// Prove that the tree continues an earlier one
///
/// RFC 9162, 2.1.4.
#[utoipa::path(
    get, path = "/audit/proofs/consistency", tag = "audit",
    params(Parameters<ConsistencyQuery>),
    responses(
        (status = 200, description = "The proof", body = Consistency),
        QueryProblems, AuditProblems, ProofProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn consistency(
    State(state): State<LogRoutesState>,
    _: Auditor,
    Parameters(query): Parameters<ConsistencyQuery>,
) -> Result<Json<Consistency>, ApiError> {
    let ConsistencyQuery { from, to } = query;
    let proof = state.proven(state.tree.prove_consistency(from, to).await)?;
    let ConsistencyProof { from_root, to_root, path: proof } = proof;
    Ok(Json(Consistency { success: true, from, from_root, to, to_root, proof }))
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

#[derive(Default)]
pub(super) struct ConsistencyQuery {
    from: u64,
    to: u64,
}

impl QueryParameters for ConsistencyQuery {
    const ALL: &'static [Parameter<Self>] = &[
        Parameter {
            name: "from",
            given: Given::ExactlyOnce,
            description: "The size of the earlier tree",
            schema: schema::position,
            expected: SIZE,
            read: |query, text| {
                query.from = size(text)?;
                Some(())
            },
        },
        Parameter {
            name: "to",
            given: Given::ExactlyOnce,
            description: "The size of the later tree",
            schema: schema::position,
            expected: SIZE,
            read: |query, text| {
                query.to = size(text)?;
                Some(())
            },
        },
    ];
}
