//! Changes to the log that no client can make, as with access to the files of the database.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::log::{Database, Record};

/// An event as the database's files hold it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "an event's fields")]
pub struct Stored {
    pub stream: String,
    pub revision: u64,
    pub position: u64,
    pub id: Uuid,
    pub event_type: String,
    pub data: String,
    pub metadata: String,
    more: HashMap<String, String>,
}

impl Database {
    /// Writes the log anew: all events, in the order of their positions.
    pub fn rewrite<T>(&self, change: impl FnOnce(&mut Vec<Stored>) -> T) -> T {
        let mut log = self.log();
        let mut events: Vec<_> = log.all.iter().map(|record| Stored::of(record)).collect();
        let outcome = change(&mut events);
        assert!(events.is_sorted_by(|one, next| one.position < next.position));
        for stream in log.streams.values_mut() {
            stream.events.clear();
        }
        for (at, event) in events.iter().enumerate() {
            log.streams.entry(event.stream.clone()).or_default().events.push(at);
        }
        log.all = events.into_iter().map(|event| Arc::new(event.into_record())).collect();
        outcome
    }
}

impl Stored {
    fn of(record: &Record) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            stream: record.stream.clone(),
            revision: record.revision,
            position: record.position,
            id: record.id,
            event_type: record.metadata.get("type").cloned().unwrap_or_default(),
            data: text(&record.data),
            metadata: text(&record.custom_metadata),
            more: record.metadata.clone(),
        }
    }

    fn into_record(mut self) -> Record {
        self.more.insert("type".to_owned(), self.event_type);
        Record {
            stream: self.stream,
            revision: self.revision,
            position: self.position,
            id: self.id,
            metadata: self.more,
            custom_metadata: self.metadata.into_bytes(),
            data: self.data.into_bytes(),
        }
    }
}
