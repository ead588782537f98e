//! Streams whose events an operator has removed, by the means of the database.
//!
//! A stream that is deleted softly gets metadata that hides its events (`$tb`, "truncate before"). Its
//! name can be used again, and the new events then continue the revisions of the hidden ones. A stream
//! that is deleted for ever cannot be read or written any more.

use eventstore::{Error, ReadStreamOptions, StreamPosition};
use keyledger_domain::KeyId;
use serde_json::{Map, Value};

use super::connection::Connection;

/// The type of the events of a stream's metadata.
pub(super) const METADATA: &str = "$metadata";
/// The stream with the metadata of another stream has this before the name of that stream.
const METADATA_PREFIX: &str = "$$";

/// The name of the stream that holds the metadata of this one.
pub(super) fn metadata_of(stream: &str) -> String {
    format!("{METADATA_PREFIX}{stream}")
}

/// The name of the stream whose metadata the stream with this name holds; `None` if it holds none.
pub(super) fn stream_of(name: &str) -> Option<&str> {
    name.strip_prefix(METADATA_PREFIX)
}

/// Whether a stream with this metadata may lack some of its events.
pub(super) fn is_removing(metadata: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(metadata).is_ok_and(|metadata| {
        let truncate_before = metadata.get("$tb").and_then(Value::as_u64).unwrap_or(0);
        let is_limited = ["$maxAge", "$maxCount"].iter().any(|limit| metadata.contains_key(*limit));
        truncate_before > 0 || is_limited
    })
}

/// Whether events of the key were removed.
///
/// # Errors
/// That the server does not answer.
pub(super) async fn is_removed(connection: &Connection, key_id: KeyId) -> Result<bool, Error> {
    let options =
        ReadStreamOptions::default().position(StreamPosition::End).backwards().max_count(1);
    let options = connection.signed(options);
    let stream = metadata_of(&key_id.stream());
    let read = connection
        .ask(async |client| client.read_stream(stream.as_str(), &options).await?.next().await);
    match read.await {
        Ok(last) => {
            let metadata = last.and_then(|last| last.event);
            Ok(metadata.is_some_and(|metadata| is_removing(&metadata.data)))
        }
        Err(Error::ResourceNotFound) => Ok(false),
        Err(Error::ResourceDeleted) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_removes_events_by_their_number_age_or_count() {
        for removing in [
            r#"{"$tb":9223372036854775807}"#,
            r#"{"$tb":1,"$acl":{}}"#,
            r#"{"$maxCount":1}"#,
            r#"{"$maxAge":60}"#,
        ] {
            assert!(is_removing(removing.as_bytes()), "{removing}");
        }
        for other in ["", "{", "[]", "{}", r#"{"$tb":0}"#, r#"{"$acl":{"$r":["$admins"]}}"#] {
            assert!(!is_removing(other.as_bytes()), "{other}");
        }
    }
}
