//! What shows keys: the list, and one key.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyledger_projections::{Cursor, KeyView, Page, ReadTables, StatusFilter};

use super::caller::{Authenticator, SignedIn};
use super::commands::KeyPath;
use super::cursor;
use super::openapi::{Problems, QueryProblems};
use super::parameter::once;
use super::position::{self, MinPosition};
use super::problem::ApiError;
use super::wire::{KeyAnswer, KeyItem, KeyList};
use crate::node::Progress;

/// What queries need.
#[derive(Clone, Debug)]
pub struct QueryState {
    /// Who may come in.
    pub gate: Arc<Authenticator>,
    /// The read side.
    pub tables: ReadTables,
    /// How far it has come.
    pub progress: Progress,
}

impl FromRef<QueryState> for Arc<Authenticator> {
    fn from_ref(state: &QueryState) -> Self {
        state.gate.clone()
    }
}

/// List the caller's keys
///
/// All keys that are not deleted, newest first. With `limit` or `cursor`, a page of them.
#[utoipa::path(
    get, path = "/keys", tag = "keys",
    params(
        ("status" = Option<String>, Query, nullable = false, description = "Which keys; `all` when left out",
            pattern = "^(active|revoked|all)$"),
        ("limit" = Option<u32>, Query, nullable = false, description = "How many keys at most",
            minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the page before",
            pattern = "^[A-Za-z0-9_-]{32}$"),
        ("Keyledger-Min-Position" = Option<i64>, Header, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64,
            description = "A position that the answer must include"),
    ),
    responses(
        (status = 200, description = "The keys", body = KeyList,
            headers(("Keyledger-Position" = u64))),
        QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn list(
    State(state): State<QueryState>,
    SignedIn(caller): SignedIn,
    min_position: MinPosition,
    query: ListQuery,
) -> Result<Response, ApiError> {
    let position = min_position.reached(&state.progress).await?;
    let paged = query.page.is_some();
    let listing = state.tables.list(&caller.user_id, query.filter, query.page).await?;
    let answer = KeyList {
        success: true,
        keys: listing.keys.into_iter().map(KeyItem::from).collect(),
        next_cursor: paged.then(|| listing.next.as_ref().map(cursor::encode)),
    };
    Ok(position::at(position, Json(answer)))
}

/// Show one of the caller's keys
#[utoipa::path(
    get, path = "/keys/{key_id}", tag = "keys",
    params(
        ("key_id" = Uuid, Path),
        ("If-None-Match" = Option<String>, Header, nullable = false,
            description = "An `ETag`; the same one is answered with 304 and no body"),
        ("Keyledger-Min-Position" = Option<i64>, Header, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64,
            description = "A position that the answer must include"),
    ),
    responses(
        (status = 200, description = "The key", body = KeyAnswer,
            headers(("Keyledger-Position" = u64), ("ETag" = String))),
        (status = 304, description = "The key is as the caller knows it"),
        Problems, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn get(
    State(state): State<QueryState>,
    SignedIn(caller): SignedIn,
    KeyPath(key_id): KeyPath,
    min_position: MinPosition,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let position = min_position.reached(&state.progress).await?;
    let view = state.tables.get(key_id).await?.ok_or(ApiError::KeyNotFound)?;
    if view.owner != caller.user_id {
        return Err(ApiError::NotYoursToView);
    }
    let etag = etag(&view);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| matches(value, &etag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(KeyAnswer { success: true, key: view.into() }).into_response()
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(position::at(position, response))
}

/// All that the answer depends on: the stream's revision, and the last use, which is no event.
fn etag(view: &KeyView) -> String {
    let used = view.last_used_at.map_or(0, |at| at.unix_micros());
    format!("\"{}-{used}\"", view.revision)
}

/// RFC 9110 § 13.1.2: a list of tags, or `*`; compared weakly.
fn matches(if_none_match: &HeaderValue, etag: &str) -> bool {
    if_none_match.to_str().is_ok_and(|tags| {
        tags.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// Which keys are asked for.
pub(super) struct ListQuery {
    filter: StatusFilter,
    page: Option<Page>,
}

/// How many keys a page has when only a cursor is given.
const DEFAULT_LIMIT: u32 = 100;

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (mut filter, mut limit, mut after) = (None, None, None);
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "status" => once(&mut filter, "status", status(&value)?)?,
                "limit" => once(&mut limit, "limit", page_limit(&value)?)?,
                "cursor" => once(&mut after, "cursor", page_after(&value)?)?,
                _ => return Err(ApiError::UnknownParameter(name.into_owned())),
            }
        }
        let paged = limit.is_some() || after.is_some();
        let page = paged.then(|| Page { limit: limit.unwrap_or(DEFAULT_LIMIT), after });
        Ok(Self { filter: filter.unwrap_or(StatusFilter::All), page })
    }
}

fn status(value: &str) -> Result<StatusFilter, ApiError> {
    match value {
        "active" => Ok(StatusFilter::Active),
        "revoked" => Ok(StatusFilter::Revoked),
        "all" => Ok(StatusFilter::All),
        _ => Err(ApiError::InvalidParameter { name: "status", expected: "active, revoked or all" }),
    }
}

fn page_limit(value: &str) -> Result<u32, ApiError> {
    let limit = value.parse().ok().filter(|limit| (1..=100).contains(limit));
    limit.ok_or(ApiError::InvalidParameter {
        name: "limit",
        expected: "a whole number from 1 to 100",
    })
}

fn page_after(value: &str) -> Result<Cursor, ApiError> {
    cursor::decode(value).ok_or(ApiError::InvalidParameter {
        name: "cursor",
        expected: "the next_cursor of an earlier page",
    })
}
