//! Conversions between the messages of the protocol and the types of the stand-in.

use tonic::Status;
use uuid::Uuid;

use super::log::{Expected, Record};
use super::protocol::event_store::client as c;
use super::protocol::event_store::client::streams as s;

pub(super) fn name_of(identifier: c::StreamIdentifier) -> String {
    String::from_utf8(identifier.stream_name).unwrap()
}

pub(super) fn id_of(value: Option<c::uuid::Value>) -> Uuid {
    match value {
        Some(c::uuid::Value::String(text)) => text.parse().unwrap(),
        Some(c::uuid::Value::Structured(halves)) => Uuid::from_u64_pair(
            halves.most_significant_bits.cast_unsigned(),
            halves.least_significant_bits.cast_unsigned(),
        ),
        None => panic!("an event has an id"),
    }
}

pub(super) fn answer(content: s::read_resp::Content) -> s::ReadResp {
    s::ReadResp { content: Some(content) }
}

pub(super) fn appeared(event: &Record) -> s::ReadResp {
    use s::read_resp::read_event::{Position, RecordedEvent};
    let id = c::Uuid { value: Some(c::uuid::Value::String(event.id.to_string())) };
    let stream_name = event.stream.clone().into_bytes();
    answer(s::read_resp::Content::Event(s::read_resp::ReadEvent {
        event: Some(RecordedEvent {
            id: Some(id),
            stream_identifier: Some(c::StreamIdentifier { stream_name }),
            stream_revision: event.revision,
            prepare_position: event.position,
            commit_position: event.position,
            metadata: event.metadata.clone(),
            custom_metadata: event.custom_metadata.clone(),
            data: event.data.clone(),
        }),
        link: None,
        position: Some(Position::CommitPosition(event.position)),
    }))
}

pub(super) fn written(revision: u64, position: u64) -> s::AppendResp {
    use s::append_resp::success::{CurrentRevisionOption, PositionOption};
    use s::append_resp::{Position, Result, Success};
    let position = Position { commit_position: position, prepare_position: position };
    s::AppendResp {
        result: Some(Result::Success(Success {
            current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
            position_option: Some(PositionOption::Position(position)),
        })),
    }
}

pub(super) fn wrong(current: Option<u64>, expected: Expected) -> s::AppendResp {
    use s::append_resp::wrong_expected_version::{CurrentRevisionOption, ExpectedRevisionOption};
    use s::append_resp::{Result, WrongExpectedVersion};
    let current = match current {
        Some(revision) => CurrentRevisionOption::CurrentRevision(revision),
        None => CurrentRevisionOption::CurrentNoStream(c::Empty {}),
    };
    let expected = match expected {
        Expected::Any => ExpectedRevisionOption::ExpectedAny(c::Empty {}),
        Expected::NoStream => ExpectedRevisionOption::ExpectedNoStream(c::Empty {}),
        Expected::Exists => ExpectedRevisionOption::ExpectedStreamExists(c::Empty {}),
        Expected::Exact(revision) => ExpectedRevisionOption::ExpectedRevision(revision),
    };
    s::AppendResp {
        result: Some(Result::WrongExpectedVersion(WrongExpectedVersion {
            current_revision_option_20_6_0: None,
            expected_revision_option_20_6_0: None,
            current_revision_option: Some(current),
            expected_revision_option: Some(expected),
        })),
    }
}

pub(super) fn deleted() -> Status {
    let mut status = Status::failed_precondition("the stream is deleted");
    status.metadata_mut().insert("exception", "stream-deleted".parse().unwrap());
    status
}
