//! Which events an auditor asks for, and in which form.

use axum::http::HeaderMap;
use keyledger_domain::key::KeyEvent;
use keyledger_domain::{EventFilter, Position, Timestamp, UserId};

use super::lines::NDJSON;
use crate::extract::{Given, Parameter, QueryParameters, accepts, put, schema};
use crate::problem::ApiError;

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object.
    Page,
    /// One line per event, up to the end of the journal.
    Lines,
    /// The same, continued with the events that are appended later.
    EndlessLines,
}

/// What a request asks for, from its query string and its headers together.
pub(super) struct EventsRequest {
    pub(super) filter: EventFilter,
    pub(super) after: Position,
    pub(super) limit: Option<usize>,
    pub(super) form: Form,
}

#[derive(Default)]
pub(in crate::audit) struct EventsQuery {
    filter: EventFilter,
    after: Option<Position>,
    limit: Option<usize>,
    follow: Option<bool>,
}

impl EventsQuery {
    pub(super) fn request(
        self,
        last_seen: Option<Position>,
        headers: &HeaderMap,
    ) -> Result<EventsRequest, ApiError> {
        let invalid = |name, expected| Err(ApiError::InvalidParameter { name, expected });
        let Self { filter, after, limit, follow } = self;
        if after.is_some() && last_seen.is_some() {
            return invalid("after", "left out where Last-Event-ID is given");
        }
        let form = match (accepts(headers, NDJSON), follow.unwrap_or(false)) {
            (true, true) => Form::EndlessLines,
            (true, false) => Form::Lines,
            (false, false) => Form::Page,
            (false, true) => {
                return invalid("follow", "asked for with Accept: application/x-ndjson");
            }
        };
        let after = after.or(last_seen).unwrap_or(Position::START);
        Ok(EventsRequest { filter, after, limit, form })
    }
}

/// How many events one answer can have, when the caller sets a limit.
const MAX_LIMIT: usize = 1000;
const TIME: &str = "a date and time of RFC 3339, such as 2030-01-31T12:00:00Z";

impl QueryParameters for EventsQuery {
    const ALL: &'static [Parameter<Self>] = &[
        Parameter {
            name: "after",
            given: Given::AtMostOnce,
            description: "A position that the API has told; only later events are shown",
            schema: schema::position,
            expected: "a position, as events tell one",
            read: |query, text| put(&mut query.after, text.parse().ok()),
        },
        Parameter {
            name: "limit",
            given: Given::AtMostOnce,
            description: "How many events at most; a page has 100 if it is left out",
            schema: || schema::limit(1000),
            expected: "a whole number from 1 to 1000",
            read: |query, text| {
                let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                put(&mut query.limit, limit)
            },
        },
        Parameter {
            name: "key_id",
            given: Given::AtMostOnce,
            description: "Only of this key",
            schema: schema::uuid,
            expected: "the id of a key",
            read: |query, text| put(&mut query.filter.key_id, text.parse().ok()),
        },
        Parameter {
            name: "user_id",
            given: Given::AtMostOnce,
            description: "Only of this owner's keys",
            schema: || schema::short_pattern(255, r"^[^\x00-\x1f\x7f-\x9f]+$"),
            expected: "the id of a user",
            read: |query, text| put(&mut query.filter.owner, UserId::parse(text).ok()),
        },
        Parameter {
            name: "type",
            given: Given::AnyNumberOfTimes,
            description: "Only of this type; may be given again for another",
            schema: || schema::list_of(KeyEvent::TYPES),
            expected: "a type of event, such as KeyRevoked",
            read: |query, text| {
                query.filter.types.push(event_type(text)?);
                Some(())
            },
        },
        Parameter {
            name: "from",
            given: Given::AtMostOnce,
            description: "Only what occurred at this time or later",
            schema: schema::date_time,
            expected: TIME,
            read: |query, text| put(&mut query.filter.from, Timestamp::parse(text).ok()),
        },
        Parameter {
            name: "to",
            given: Given::AtMostOnce,
            description: "Only what occurred before this time",
            schema: schema::date_time,
            expected: TIME,
            read: |query, text| put(&mut query.filter.to, Timestamp::parse(text).ok()),
        },
        Parameter {
            name: "follow",
            given: Given::AtMostOnce,
            description: "Go on with what comes; only with `Accept: application/x-ndjson`",
            schema: schema::boolean,
            expected: "true or false",
            read: |query, text| put(&mut query.follow, text.parse().ok()),
        },
    ];
}

fn event_type(text: &str) -> Option<&'static str> {
    KeyEvent::TYPES.iter().copied().find(|name| *name == text)
}
