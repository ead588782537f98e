//! `GET /keys/{key_id}`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyledger_projections::KeyView;
use serde::Serialize;
use utoipa::ToSchema;

use super::item::KeyItem;
use super::owners::owned;
use super::state::QueryState;
use crate::extract::{IfNoneMatch, KeyPath, MinPosition, SignedIn};
use crate::position;
use crate::problem::ApiError;
use crate::problem::documented::{KeyProblems, QueryProblems};

/// Show one of the caller's keys
#[utoipa::path(
    get, path = "/keys/{key_id}", tag = "keys", operation_id = "get",
    params(KeyPath, IfNoneMatch, MinPosition),
    responses(
        (status = 200, description = "The key", body = KeyAnswer,
            headers(("Keyledger-Position" = u64), ("ETag" = String))),
        (status = 304, description = "The key is as the caller knows it"),
        KeyProblems, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn show(
    State(state): State<QueryState>,
    SignedIn(caller): SignedIn,
    KeyPath(key_id): KeyPath,
    min_position: MinPosition,
    if_none_match: IfNoneMatch,
) -> Result<Response, ApiError> {
    let position = min_position.reached(&state.progress).await?;
    let view = owned(&state.tables, key_id, &caller.user_id, "view").await?;
    let etag = etag(&view);
    let mut response = if if_none_match.matches(&etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(KeyAnswer { success: true, key: view.into() }).into_response()
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(position::at(position, response))
}

/// The entity tag: everything that the answer depends on. That is the revision of the key's stream, the last
/// use, which no event records, and whether the key is closed.
fn etag(view: &KeyView) -> String {
    let used = view.last_used_at.map_or(0, |at| at.unix_micros());
    let closed = view.closed.as_deref().map(|why| format!("-{why}")).unwrap_or_default();
    format!("\"{}-{used}{closed}\"", view.revision)
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyAnswer {
    /// Always true.
    success: bool,
    key: KeyItem,
}
