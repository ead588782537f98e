//! Appends events and pulses.

use eventstore::{
    AppendToStreamOptions, Error, EventData, ExpectedRevision, ReadStreamOptions,
    StreamMetadataBuilder, StreamPosition, WriteResult,
};
use keyledger_domain::{Position, Revision, encode};
use serde_json::value::RawValue;

use super::connection::Connection;
use super::decode::position_of;
use super::mistakes::{Right, cause};
use super::removed::is_removed;
use super::{ANSWER, PULSE};
use crate::{Append, AppendError, Appended, Expected, NewEvent};

/// The gRPC code `INVALID_ARGUMENT`: the server can never accept this append.
const INVALID_ARGUMENT: i32 = 3;
/// How many times an append follows the server's hint to the leader before that counts as an outage.
const REDIRECTS: u32 = 3;

/// Appends events to a key's stream. The server itself recognises events that are sent again with the
/// same ids and the same expectation.
///
/// If the stream was deleted, the server takes it for a new one, and continues its revisions. So a stream
/// that may have been there before is looked at first; and if it is deleted in between, the revision that
/// was written tells, and the key is closed for all readers.
pub(super) async fn append(
    connection: &Connection,
    append: Append,
) -> Result<Appended, AppendError> {
    let invalid = |cause: &str| AppendError::Invalid(cause.into());
    if append.events.is_empty() {
        return Err(invalid("an append has at least 1 event"));
    }
    let count = u32::try_from(append.events.len()).ok();
    let first = append.expected.next().ok_or_else(|| invalid("the stream is full"))?;
    let last = count.and_then(|count| first.as_u32().checked_add(count - 1));
    let last = Revision::new(last.ok_or_else(|| invalid("the stream is full"))?);
    let events = append.events.iter().map(data).collect::<Result<Vec<_>, _>>()?;
    let expected = match append.expected {
        Expected::NoStream => ExpectedRevision::NoStream,
        Expected::Revision(revision) => ExpectedRevision::Exact(u64::from(revision.as_u32())),
    };
    let stream = append.key_id.stream();
    if append.expected == Expected::NoStream && append.key_id.may_recur() {
        match is_removed(connection, append.key_id).await {
            Ok(true) => return Err(AppendError::Closed),
            Ok(false) => {}
            Err(error) => return Err(AppendError::Unavailable(error.into())),
        }
    }
    let written = write(connection, &stream, expected, events).await.map_err(append_error)?;
    if written.next_expected_version != u64::from(last.as_u32()) {
        return Err(AppendError::Closed);
    }
    let position = match Position::try_from(written.position.commit) {
        Ok(position) if position > Position::START => position,
        // A server may recognise the events as sent again without returning their position.
        Ok(_) | Err(_) => position_at(connection, &stream, last).await?,
    };
    connection.acknowledge(position);
    Ok(Appended { position, revision: last })
}

/// Appends a pulse and returns its position, which was the head at that time.
pub(super) async fn pulse(connection: &Connection) -> Result<Position, Error> {
    if connection.acknowledged() == Position::START {
        let last_only = StreamMetadataBuilder::new().max_count(1).build();
        let options = connection.signed(AppendToStreamOptions::default());
        let set = connection
            .ask(async |client| client.set_stream_metadata(PULSE, &options, &last_only).await);
        if let Err(error) = set.await {
            tracing::debug!(%error, "the stream of pulses cannot be limited to the last one; old pulses are kept");
        }
    }
    let event = EventData::binary("keyledger-pulse", Default::default());
    let written = write(connection, PULSE, ExpectedRevision::Any, vec![event]).await?;
    let position = Position::try_from(written.position.commit)
        .map_err(|error| Error::InternalParsingError(error.to_string()))?;
    connection.acknowledge(position);
    Ok(position)
}

pub(super) async fn write(
    connection: &Connection,
    stream: &str,
    expected: ExpectedRevision,
    events: Vec<EventData>,
) -> Result<WriteResult, Error> {
    let options = AppendToStreamOptions::default().expected_revision(expected).deadline(ANSWER);
    let options = connection.signed(options);
    let mut redirects = 0;
    loop {
        let events = events.clone();
        let written = connection
            .ask(async |client| client.append_to_stream(stream, &options, events).await)
            .await;
        match written {
            // Nothing was written, and the client has connected to the leader.
            Err(Error::NotLeaderException(_)) if redirects < REDIRECTS => redirects += 1,
            written => return written,
        }
    }
}

/// The event with exactly the text of data and metadata that the other adapters store.
fn data(new: &NewEvent) -> Result<EventData, AppendError> {
    let invalid = |error: serde_json::Error| AppendError::Invalid(error.into());
    let form = encode(&new.event, &new.metadata).map_err(|e| AppendError::Invalid(e.into()))?;
    let json: &RawValue = serde_json::from_str(&form.data).map_err(invalid)?;
    let data = EventData::json(form.event_type, &json).map_err(invalid)?;
    Ok(data.id(new.id.as_uuid()).metadata(form.metadata.into_bytes().into()))
}

/// The position of the event with this revision.
async fn position_at(
    connection: &Connection,
    stream: &str,
    at: Revision,
) -> Result<Position, AppendError> {
    let options = ReadStreamOptions::default()
        .position(StreamPosition::Position(u64::from(at.as_u32())))
        .max_count(1);
    let options = connection.signed(options);
    let read =
        connection.ask(async |client| client.read_stream(stream, &options).await?.next().await);
    let read = read.await.map_err(|error| AppendError::Ambiguous(error.into()))?;
    let position = read.and_then(|read| read.event).and_then(|event| position_of(&event));
    position.ok_or_else(|| AppendError::Ambiguous("the server returned no position".into()))
}

pub(super) fn append_error(error: Error) -> AppendError {
    match error {
        Error::WrongExpectedVersion { .. } => AppendError::Conflict,
        Error::ResourceDeleted => AppendError::Closed,
        // Nothing was sent, or the server has refused all of it.
        Error::GrpcConnectionError(_)
        | Error::ConnectionClosed
        | Error::NotLeaderException(_)
        | Error::AccessDenied
        | Error::InitializationError(_) => AppendError::Unavailable(cause(error, Right::Append)),
        Error::ResourceNotFound | Error::ResourceAlreadyExists | Error::UnsupportedFeature => {
            AppendError::Invalid(error.into())
        }
        Error::Grpc { code, .. } if i32::from(code) == INVALID_ARGUMENT => {
            AppendError::Invalid(error.into())
        }
        Error::ServerError(_)
        | Error::DeadlineExceeded
        | Error::Grpc { .. }
        | Error::InternalParsingError(_)
        | Error::InternalClientError
        | Error::IllegalStateError(_) => AppendError::Ambiguous(error.into()),
    }
}
