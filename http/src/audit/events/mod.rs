//! `GET /audit/events`

mod lines;
mod parameters;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use keyledger_domain::Position;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::AuditState;
use crate::event::AuditEvent;
use crate::extract::{Auditor, LastEventId, Parameters};
use crate::problem::ApiError;
use crate::problem::documented::{AuditProblems, ClosedKeyProblem, QueryProblems};
use keyledger_audit::{JournalPage, deliveries, page};
use parameters::{EventsQuery, EventsRequest, Form};

/// How many events a page has when the caller sets no limit.
const DEFAULT_LIMIT: usize = 100;
/// How many events are examined for one page, at most.
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
    params(Parameters<EventsQuery>, LastEventId),
    responses(
        (status = 200, description = "The events, oldest first", content(
            (EventPage = "application/json"), (AuditEvent = "application/x-ndjson"),
        )),
        AuditProblems, ClosedKeyProblem, QueryProblems,
    ),
    security(("cookie" = []), ("bearer" = [])),
)]
pub(super) async fn events(
    State(state): State<AuditState>,
    Auditor(caller): Auditor,
    Parameters(query): Parameters<EventsQuery>,
    LastEventId(last_seen): LastEventId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let EventsRequest { filter, after, limit, form } = query.request(last_seen, &headers)?;
    match form {
        Form::Page => {
            let deliveries = deliveries(state.journal, &filter, after);
            let limit = limit.unwrap_or(DEFAULT_LIMIT);
            let turn = state.budget.turn(&caller.user_id).await?;
            let page = page(deliveries, &filter, limit, LOOK_THROUGH).await?;
            let text = serde_json::to_vec(&EventPage::from(page));
            turn.json(text.map_err(|error| ApiError::Internal(error.into()))?).await
        }
        Form::Lines => {
            let deliveries = deliveries(state.journal, &filter, after);
            lines::all(deliveries, filter, limit).await
        }
        Form::EndlessLines => {
            let deliveries = state.journal.subscribe(after);
            let end = state.until(caller.until);
            lines::follow(deliveries, filter, limit, end).await
        }
    }
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

impl From<JournalPage> for EventPage {
    fn from(page: JournalPage) -> Self {
        Self {
            success: true,
            events: page.events.into_iter().map(AuditEvent::from).collect(),
            next_after: page.next_after.map(Position::as_u64),
        }
    }
}
