//! What happened to all keys, in the order of the journal.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keyledger_domain::{Position, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::AuditState;
use super::query::{EventsQuery, Form};
use crate::audit::{self, Page};
use crate::http::caller::Auditor;
use crate::http::event::AuditEvent;
use crate::http::openapi::{AuditProblems, QueryProblems};
use crate::http::problem::ApiError;

/// How many events a page has unless the caller says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// How many events one request for a page looks through.
const LOOK_THROUGH: usize = 100_000;

/// Show what happened to all keys
///
/// For auditors. A page of events in the order of the journal; those of deleted keys are among them.
/// The next page is the one `after` the position `next_after`; where few events fit, a page may be
/// short or empty and still have one.
///
/// With `Accept: application/x-ndjson`, all events, each a JSON object on a line of its own. With
/// `follow=true` too, the answer goes on with those that come, until the service stops or the token
/// expires; an empty line now and then shows that it is alive. An answer that is broken off in the
/// midst of its body is not complete: go on after the last position seen.
#[utoipa::path(
    get, path = "/audit/events", tag = "audit",
    params(
        ("after" = Option<i64>, Query, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64,
            description = "A position that the API has told; only later events are shown"),
        ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 1000,
            description = "How many events at most; a page has 100 if it is left out"),
        ("key_id" = Option<Uuid>, Query, nullable = false, description = "Only of this key"),
        ("user_id" = Option<String>, Query, nullable = false, min_length = 1, max_length = 255,
            pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
            description = "Only of this owner's keys"),
        ("type" = Option<Vec<EventType>>, Query, nullable = false,
            description = "Only of this type; may be given again for another"),
        ("from" = Option<String>, Query, nullable = false, format = DateTime,
            description = "Only what occurred at this time or later"),
        ("to" = Option<String>, Query, nullable = false, format = DateTime,
            description = "Only what occurred before this time"),
        ("follow" = Option<bool>, Query, nullable = false,
            description = "Go on with what comes; only with `Accept: application/x-ndjson`"),
        ("Last-Event-ID" = Option<i64>, Header, nullable = false, minimum = 0,
            maximum = 9_223_372_036_854_775_807_i64, description = "The same as `after`"),
    ),
    responses(
        (status = 200, description = "The events, oldest first", content(
            (EventPage = "application/json"), (AuditEvent = "application/x-ndjson"),
        )),
        AuditProblems, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn events(
    State(state): State<AuditState>,
    Auditor(caller): Auditor,
    query: EventsQuery,
) -> Result<Response, ApiError> {
    let EventsQuery { filter, after, limit, form } = query;
    match form {
        Form::Page => {
            let deliveries = audit::deliveries(state.journal, &filter, after);
            let limit = limit.unwrap_or(DEFAULT_LIMIT);
            let page = audit::page(deliveries, &filter, limit, LOOK_THROUGH).await?;
            Ok(Json(EventPage::from(page)).into_response())
        }
        Form::Lines => {
            let deliveries = audit::deliveries(state.journal, &filter, after);
            super::lines::all(deliveries, filter, limit).await
        }
        Form::EndlessLines => {
            let deliveries = state.journal.subscribe(after);
            let end = state.until(caller.until);
            super::lines::follow(deliveries, filter, limit, end).await
        }
    }
}

impl AuditState {
    /// Waits until the service stops, or until this time.
    fn until(&self, time: Timestamp) -> impl Future<Output = ()> + Send + 'static {
        let left = time.unix_micros().saturating_sub(self.clock.now().unix_micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let mut stopping = self.stopping.clone();
        async move {
            tokio::select! {
                _ = stopping.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}

/// The type of an event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes what the parameter may be")]
#[expect(clippy::enum_variant_names, reason = "the names are those of the events")]
enum EventType {
    KeyCreated,
    KeyRevoked,
    KeyDeleted,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    /// Always true.
    success: bool,
    events: Vec<AuditEvent>,
    /// Where the next page begins; `null` if there is nothing more.
    #[schema(value_type = Option<u64>, required)]
    next_after: Option<u64>,
}

impl From<Page> for EventPage {
    fn from(page: Page) -> Self {
        Self {
            success: true,
            events: page.events.into_iter().map(AuditEvent::from).collect(),
            next_after: page.next_after.map(Position::as_u64),
        }
    }
}
