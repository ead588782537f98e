//! `GET /keys`

use axum::extract::State;
use axum::response::Response;
use keyledger_domain::UserId;
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
/// Newest first, without deleted keys. With `limit` or `cursor`, a page of them.
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
    let turn = state.budget.turn(&caller.user_id).await?;
    let text = query.answer(&state, &caller.user_id).await?;
    Ok(position::at(position, turn.json(text).await?))
}

/// How many keys are read at a time, and how many a page has when only a cursor is given.
const READ_AT_ONCE: u32 = 100;
/// How many keys a page can have.
const MAX_LIMIT: u32 = 100;

#[derive(Default)]
pub(super) struct ListQuery {
    status: Option<StatusFilter>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

impl ListQuery {
    /// The answer as JSON: a page of the owner's keys, or all of them. They are read a few at a time and
    /// written one by one, since there may be many. All of them are expired or not at the same time.
    async fn answer(self, state: &QueryState, owner: &UserId) -> Result<Vec<u8>, ApiError> {
        let is_paged = self.limit.is_some() || self.cursor.is_some();
        let filter = self.status.unwrap_or(state.list_default);
        let now = state.clock.now();
        let mut page = ListPage { limit: self.limit.unwrap_or(READ_AT_ONCE), after: self.cursor };
        let mut answer = KeyList::begin();
        loop {
            let listing = state.tables.list(owner, filter, now, page).await?;
            for key in listing.keys {
                answer.add(&KeyItem::from(key))?;
            }
            match listing.next {
                next if is_paged => return answer.end_of_page(next.as_ref()),
                None => return Ok(answer.end()),
                after => page.after = after,
            }
        }
    }
}

impl QueryParameters for ListQuery {
    const ALL: &'static [Parameter<Self>] = &[
        Parameter {
            name: "status",
            given: Given::AtMostOnce,
            description: "Which keys: those that verify, those that have expired, those that were revoked \
                (expired or not), or `all`. When left out `all`, or as the service is configured",
            schema: || schema::pattern("^(active|expired|revoked|all)$"),
            expected: "active, expired, revoked or all",
            read: |query, text| {
                let status = StatusFilter::ALL.into_iter().find(|status| status.name() == text);
                put(&mut query.status, status)
            },
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

/// An owner's keys, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this is the form of what `Written` writes")]
struct KeyList {
    /// Always true.
    success: bool,
    keys: Vec<KeyItem>,
    /// Where the next page begins; `null` on the last. Only there when pages were asked for.
    next_cursor: Option<Option<String>>,
}

impl KeyList {
    /// Begins to write a list as JSON.
    fn begin() -> Written {
        Written { text: br#"{"success":true,"keys":["#.to_vec(), is_first: true }
    }
}

/// The beginning of a [`KeyList`] as JSON.
struct Written {
    text: Vec<u8>,
    is_first: bool,
}

impl Written {
    fn add(&mut self, key: &KeyItem) -> Result<(), ApiError> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.text.push(b',');
        }
        self.write(key)
    }

    fn end(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"]}");
        self.text
    }

    fn end_of_page(mut self, next: Option<&Cursor>) -> Result<Vec<u8>, ApiError> {
        self.text.extend_from_slice(br#"],"next_cursor":"#);
        self.write(&next.map(cursor::encode))?;
        self.text.push(b'}');
        Ok(self.text)
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), ApiError> {
        let written = serde_json::to_writer(&mut self.text, value);
        written.map_err(|error| ApiError::Internal(error.into()))
    }
}
