//! `GET /keys`

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keyledger_projections::{Cursor, ListPage, StatusFilter};
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor;
use super::item::KeyItem;
use super::state::QueryState;
use crate::extract::{
    Given, MinPosition, Parameter, Parameters, QueryParameters, SignedIn, put, schema,
};
use crate::position;
use crate::problem::ApiError;
use crate::problem::documented::QueryProblems;

/// List the caller's keys
///
/// All keys that are not deleted, newest first. With `limit` or `cursor`, a page of them.
#[utoipa::path(
    get, path = "/keys", tag = "keys",
    params(Parameters<ListQuery>, MinPosition),
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
    Parameters(query): Parameters<ListQuery>,
) -> Result<Response, ApiError> {
    let position = min_position.reached(&state.progress).await?;
    let (filter, page) = query.filter_and_page();
    let is_paged = page.is_some();
    let listing = state.tables.list(&caller.user_id, filter, page).await?;
    let answer = KeyList {
        success: true,
        keys: listing.keys.into_iter().map(KeyItem::from).collect(),
        next_cursor: is_paged.then(|| listing.next.as_ref().map(cursor::encode)),
    };
    Ok(position::at(position, Json(answer)))
}

/// How many keys a page has when only a cursor is given.
const DEFAULT_LIMIT: u32 = 100;
/// How many keys a page can have.
const MAX_LIMIT: u32 = 100;

#[derive(Default)]
pub(super) struct ListQuery {
    status: Option<StatusFilter>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

impl ListQuery {
    /// The keys that are asked for, and the page of them; without a page, all are listed.
    fn filter_and_page(self) -> (StatusFilter, Option<ListPage>) {
        let is_paged = self.limit.is_some() || self.cursor.is_some();
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let page = is_paged.then_some(ListPage { limit, after: self.cursor });
        (self.status.unwrap_or(StatusFilter::All), page)
    }
}

impl QueryParameters for ListQuery {
    const ALL: &'static [Parameter<Self>] = &[
        Parameter {
            name: "status",
            given: Given::AtMostOnce,
            description: "Which keys; `all` when left out",
            schema: || schema::pattern("^(active|revoked|all)$"),
            expected: "active, revoked or all",
            read: |query, text| put(&mut query.status, status(text)),
        },
        Parameter {
            name: "limit",
            given: Given::AtMostOnce,
            description: "How many keys at most",
            schema: || schema::limit(100),
            expected: "a whole number from 1 to 100",
            read: |query, text| {
                let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                put(&mut query.limit, limit)
            },
        },
        Parameter {
            name: "cursor",
            given: Given::AtMostOnce,
            description: "`next_cursor` of the page before",
            schema: || schema::pattern("^[A-Za-z0-9_-]{32}$"),
            expected: "the next_cursor of an earlier page",
            read: |query, text| put(&mut query.cursor, cursor::decode(text)),
        },
    ];
}

fn status(text: &str) -> Option<StatusFilter> {
    match text {
        "active" => Some(StatusFilter::Active),
        "revoked" => Some(StatusFilter::Revoked),
        "all" => Some(StatusFilter::All),
        _ => None,
    }
}

/// An owner's keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct KeyList {
    /// Always true.
    success: bool,
    keys: Vec<KeyItem>,
    /// Where the next page begins; `null` on the last. Only there when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Option<String>>,
}
