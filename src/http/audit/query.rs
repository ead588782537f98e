//! Which events an auditor asks for, and in which form.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use keyledger_domain::key::KeyEvent;
use keyledger_domain::{EventFilter, Position, Timestamp, UserId};

use super::lines::NDJSON;
use crate::http::parameter::once;
use crate::http::problem::ApiError;
use crate::http::wire;

/// What a request for events asks.
pub(super) struct EventsQuery {
    pub(super) filter: EventFilter,
    pub(super) after: Position,
    pub(super) limit: Option<usize>,
    pub(super) form: Form,
}

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    /// Each on a line, to the end of the journal.
    Lines,
    /// The same, and those that come.
    EndlessLines,
}

impl<S: Send + Sync> FromRequestParts<S> for EventsQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let (mut filter, mut types) = (EventFilter::default(), Vec::new());
        let (mut after, mut limit, mut follow) = (None, None, None);
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => once(&mut after, "after", position(&value)?)?,
                "limit" => once(&mut limit, "limit", page_limit(&value)?)?,
                "key_id" => {
                    let key_id = value.parse();
                    let key_id = key_id.map_err(|_| invalid("key_id", "the id of a key"))?;
                    once(&mut filter.key_id, "key_id", key_id)?;
                }
                "user_id" => {
                    let owner = UserId::parse(&value);
                    let owner = owner.map_err(|_| invalid("user_id", "the id of a user"))?;
                    once(&mut filter.owner, "user_id", owner)?;
                }
                "type" => types.push(event_type(&value)?),
                "from" => once(&mut filter.from, "from", time("from", &value)?)?,
                "to" => once(&mut filter.to, "to", time("to", &value)?)?,
                "follow" => once(&mut follow, "follow", yes_or_no(&value)?)?,
                _ => return Err(ApiError::UnknownParameter(name.into_owned())),
            }
        }
        let last_seen = last_event_id(&parts.headers)?;
        if after.is_some() && last_seen.is_some() {
            return Err(invalid("after", "left out where Last-Event-ID is given"));
        }
        let form = match (asks_for_lines(&parts.headers), follow.unwrap_or(false)) {
            (true, true) => Form::EndlessLines,
            (true, false) => Form::Lines,
            (false, false) => Form::Page,
            (false, true) => {
                return Err(invalid("follow", "asked for with Accept: application/x-ndjson"));
            }
        };
        let after = after.or(last_seen).unwrap_or(Position::START);
        Ok(Self { filter: EventFilter { types, ..filter }, after, limit, form })
    }
}

/// The position of the last event that the caller has seen.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let mut values = headers.get_all(wire::LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.and_then(|text| text.parse().ok()).map(Some).ok_or(ApiError::InvalidHeader {
        name: "Last-Event-ID",
        expected: "the position of an event, given once",
    })
}

fn asks_for_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = accepted.flat_map(|accepted| accepted.split(','));
    kinds.filter_map(|kind| kind.split(';').next()).any(|kind| kind.trim() == NDJSON)
}

fn invalid(name: &'static str, expected: &'static str) -> ApiError {
    ApiError::InvalidParameter { name, expected }
}

fn position(value: &str) -> Result<Position, ApiError> {
    value.parse().map_err(|_| invalid("after", "a position, as events tell one"))
}

fn page_limit(value: &str) -> Result<usize, ApiError> {
    let limit = value.parse().ok().filter(|limit| (1..=1000).contains(limit));
    limit.ok_or(invalid("limit", "a whole number from 1 to 1000"))
}

fn event_type(value: &str) -> Result<&'static str, ApiError> {
    let known = KeyEvent::TYPES.into_iter().find(|name| *name == value);
    known.ok_or(invalid("type", "KeyCreated, KeyRevoked or KeyDeleted"))
}

fn time(name: &'static str, value: &str) -> Result<Timestamp, ApiError> {
    let expected = "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z";
    Timestamp::parse(value).map_err(|_| invalid(name, expected))
}

fn yes_or_no(value: &str) -> Result<bool, ApiError> {
    value.parse().map_err(|_| invalid("follow", "true or false"))
}
