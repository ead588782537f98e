//! The log of a database, and the rules by which it grows.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use uuid::Uuid;

use super::Cluster;
use super::metadata::Hiding;

/// The database behind one or more nodes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Database(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    log: Mutex<Log>,
    head: watch::Sender<u64>,
    cluster: Arc<Cluster>,
}

/// All events in order, and the places of each stream's events.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) all: Vec<Arc<Record>>,
    /// The indexes of the events that a scavenge has removed.
    gone: HashSet<usize>,
    pub(super) streams: HashMap<String, Stream>,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The indexes of its events in the log, beginning with the first that was ever written.
    pub(super) events: Vec<usize>,
    /// Which of them its metadata hide.
    hiding: Hiding,
    is_tombstoned: bool,
}

impl Stream {
    /// How many of its first events are hidden.
    fn hidden(&self) -> usize {
        self.hiding.hidden(self.events.len())
    }
}

/// An event as it was written.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: String,
    pub(super) revision: u64,
    pub(super) position: u64,
    pub(super) id: Uuid,
    pub(super) metadata: HashMap<String, String>,
    pub(super) custom_metadata: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// An event that is to be written.
#[derive(Debug)]
pub(super) struct Proposed {
    pub(super) id: Uuid,
    pub(super) metadata: HashMap<String, String>,
    pub(super) custom_metadata: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// The revision that a stream must have for an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Any,
    NoStream,
    Exists,
    Exact(u64),
}

/// The outcome of an append.
#[derive(Debug)]
pub(super) enum Appended {
    Written { revision: u64, position: u64 },
    WrongExpected { current: Option<u64> },
    Deleted,
}

/// What a read of a stream finds.
#[derive(Debug)]
pub(super) enum Found {
    Events { events: Vec<Arc<Record>>, last: u64 },
    Nothing,
    Deleted,
}

impl Database {
    pub(super) fn cluster(&self) -> Arc<Cluster> {
        self.0.cluster.clone()
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap()
    }

    /// Changes each time that the log grows.
    pub(super) fn head(&self) -> watch::Receiver<u64> {
        self.0.head.subscribe()
    }

    /// Appends events. As on a real server, an append that is sent again is recognised by the ids of
    /// its events.
    pub(super) fn append(
        &self,
        stream: &str,
        expected: Expected,
        events: Vec<Proposed>,
    ) -> Appended {
        let mut log = self.0.log.lock().unwrap();
        let found = log.streams.get(stream);
        if found.is_some_and(|found| found.is_tombstoned) {
            return Appended::Deleted;
        }
        let written = found.map_or(0, |found| found.events.len());
        let is_empty = found.is_none_or(|found| found.events.len() == found.hidden());
        let current = written.checked_sub(1).map(number);
        let matches = match expected {
            Expected::Any => true,
            Expected::NoStream => is_empty,
            Expected::Exists => !is_empty,
            Expected::Exact(revision) => current == Some(revision),
        };
        let known = match expected {
            // An append is recognised only if all of its events were written by it.
            Expected::Any | Expected::Exists => log.known_anywhere(stream, &events),
            Expected::NoStream if !matches => log.known_from(stream, 0, &events),
            Expected::Exact(revision)
                if !matches && current.is_some_and(|last| last > revision) =>
            {
                log.known_from(stream, usize::try_from(revision).unwrap() + 1, &events)
            }
            Expected::NoStream | Expected::Exact(_) => None,
        };
        if let Some(last) = known {
            return Appended::Written { revision: last.revision, position: last.position };
        }
        if !matches {
            return Appended::WrongExpected { current: current.filter(|_| !is_empty) };
        }
        let was_deleted = is_empty && written > 0;
        let (mut revision, mut position) = (number(written), log.end());
        for event in events {
            position = log.end();
            revision = log.write(stream, event);
        }
        if was_deleted {
            // The hidden events stay hidden.
            log.truncate(stream, number(written));
        }
        drop(log);
        self.0.head.send_modify(|head| *head += 1);
        Appended::Written { revision, position }
    }

    /// Appends an event of another program to a stream, as any client may.
    pub fn write_foreign(&self, stream: &str, event_type: &str, data: &str) {
        let mut log = self.0.log.lock().unwrap();
        log.write_unknown(stream, event_type, data.as_bytes().to_vec());
        drop(log);
        self.0.head.send_modify(|head| *head += 1);
    }

    /// Appends this many events of another program to a stream of its own.
    pub fn append_foreign(&self, count: usize) {
        let event = |_| Proposed {
            id: Uuid::from_u128(0),
            metadata: HashMap::from([("type".to_owned(), "Ordered".to_owned())]),
            custom_metadata: Vec::new(),
            data: b"{}".to_vec(),
        };
        let mut log = self.0.log.lock().unwrap();
        for number in 0..count {
            log.write("order-1", event(number));
        }
        drop(log);
        self.0.head.send_modify(|head| *head += 1);
    }

    /// Hides a stream, as an operator can: its metadata truncate it. Its events stay in the log.
    pub fn soft_delete(&self, stream: &str) {
        let mut log = self.0.log.lock().unwrap();
        log.truncate(stream, i64::MAX.cast_unsigned());
        drop(log);
        self.0.head.send_modify(|head| *head += 1);
    }

    /// Removes the records that no read of a stream shows any more, except the last of each stream, as a
    /// scavenge does. Positions stay as they are.
    pub fn scavenge(&self) {
        let mut log = self.0.log.lock().unwrap();
        let mut gone: HashSet<usize> = HashSet::new();
        for (name, stream) in &log.streams {
            // Of the metadata, only the last counts.
            let hidden = if name.starts_with("$$") { usize::MAX } else { stream.hidden() };
            let (_, removable) = stream.events.split_last().unwrap();
            gone.extend(removable.iter().take(hidden));
        }
        log.gone.extend(gone);
    }

    /// Ends a stream for ever, as an operator can.
    pub fn tombstone(&self, stream: &str) {
        let mut log = self.0.log.lock().unwrap();
        let position = log.end();
        log.streams.get_mut(stream).unwrap().is_tombstoned = true;
        log.all.push(Arc::new(Record {
            stream: stream.to_owned(),
            revision: i64::MAX.cast_unsigned(),
            position,
            id: Uuid::from_u128(1),
            metadata: stamped(HashMap::from([("type".to_owned(), "$streamDeleted".to_owned())])),
            custom_metadata: Vec::new(),
            data: Vec::new(),
        }));
        drop(log);
        self.0.head.send_modify(|head| *head += 1);
    }

    /// The events of a stream.
    pub(super) fn stream(&self, name: &str) -> Found {
        let log = self.0.log.lock().unwrap();
        let of = name.strip_prefix("$$").unwrap_or(name);
        if log.streams.get(of).is_some_and(|stream| stream.is_tombstoned) {
            return Found::Deleted;
        }
        match log.streams.get(name) {
            Some(stream) if stream.hidden() < stream.events.len() => {
                let left = stream.events.iter().skip(stream.hidden());
                let events: Vec<_> = left.filter_map(|at| log.all.get(*at).cloned()).collect();
                let last = events.last().map_or(0, |last| last.revision);
                Found::Events { events, last }
            }
            Some(_) | None => Found::Nothing,
        }
    }

    /// Up to `most` events of all streams, after a position.
    pub(super) fn after(&self, position: Option<u64>, most: usize) -> Vec<Arc<Record>> {
        let log = self.0.log.lock().unwrap();
        let from =
            position.map_or(0, |after| log.all.partition_point(|event| event.position <= after));
        let left = log.all.iter().enumerate().skip(from).filter(|(at, _)| !log.gone.contains(at));
        left.map(|(_, event)| event.clone()).take(most).collect()
    }

    /// Sets the log back to before the last so many events of keys, as a restored backup does.
    pub fn set_back_keys(&self, events: usize) {
        let mut log = self.0.log.lock().unwrap();
        let numbered = log.all.iter().enumerate();
        let mut of_keys = numbered.filter(|(_, event)| event.stream.starts_with("apikey-")).rev();
        let (left, _) = of_keys.nth(events - 1).expect("there are so many events of keys");
        drop(of_keys);
        log.all.truncate(left);
        for stream in log.streams.values_mut() {
            stream.events.retain(|at| *at < left);
        }
        log.streams.retain(|_, stream| !stream.events.is_empty());
    }

    /// Whether no record begins at this position inside of the log. Once a scavenge has removed records,
    /// all positions are passed over.
    pub(super) fn is_invalid(&self, position: u64) -> bool {
        let next = self.after(position.checked_sub(1), 1);
        let is_scavenged = !self.0.log.lock().unwrap().gone.is_empty();
        !is_scavenged && next.first().is_some_and(|next| next.position != position)
    }

    /// The position of the last event.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.log.lock().unwrap().all.last().map(|last| last.position)
    }

    /// All data and metadata.
    #[must_use]
    pub fn at_rest(&self) -> Vec<u8> {
        let log = self.0.log.lock().unwrap();
        log.all.iter().flat_map(|event| [&*event.data, &*event.custom_metadata].concat()).collect()
    }

    /// The number of events of keys, and of different ids among them.
    #[must_use]
    pub fn key_events(&self) -> (usize, usize) {
        let log = self.0.log.lock().unwrap();
        let of_keys = log.all.iter().filter(|event| event.stream.starts_with("apikey-"));
        let ids: Vec<_> = of_keys.map(|event| event.id).collect();
        let different: HashSet<_> = ids.iter().collect();
        (ids.len(), different.len())
    }
}

impl Log {
    /// The position of the next event. As on a real server, positions grow by the sizes of events.
    fn end(&self) -> u64 {
        self.all.last().map_or(71, |last| last.position + 180 + number(last.data.len()))
    }

    /// Writes metadata that hide a stream's events before this revision.
    fn truncate(&mut self, stream: &str, before: u64) {
        let data = format!(r#"{{"$tb":{before}}}"#).into_bytes();
        self.write_unknown(&format!("$${stream}"), "$metadata", data);
    }

    /// Writes an event that no client of this project has written.
    fn write_unknown(&mut self, stream: &str, event_type: &str, data: Vec<u8>) {
        let event = Proposed {
            id: Uuid::from_u128(u128::try_from(self.all.len()).unwrap() << 64),
            metadata: HashMap::from([("type".to_owned(), event_type.to_owned())]),
            custom_metadata: Vec::new(),
            data,
        };
        self.write(stream, event);
    }

    fn write(&mut self, name: &str, event: Proposed) -> u64 {
        let is_metadata = event.metadata.get("type").is_some_and(|name| name == "$metadata");
        if let Some(of) = name.strip_prefix("$$").filter(|_| is_metadata) {
            let stream = self.streams.entry(of.to_owned()).or_default();
            let (hidden, written) = (stream.hidden(), stream.events.len());
            // A stream that has no events is not deleted.
            let hidden = if written == 0 { usize::MAX } else { hidden };
            stream.hiding = Hiding::of(&event.data, hidden, written);
        }
        let position = self.end();
        let at = self.all.len();
        let stream = self.streams.entry(name.to_owned()).or_default();
        let revision = number(stream.events.len());
        stream.events.push(at);
        self.all.push(Arc::new(Record {
            stream: name.to_owned(),
            revision,
            position,
            id: event.id,
            metadata: stamped(event.metadata),
            custom_metadata: event.custom_metadata,
            data: event.data,
        }));
        revision
    }

    /// The last of these events, if the stream has exactly them from this revision on.
    fn known_from(&self, stream: &str, from: usize, events: &[Proposed]) -> Option<Arc<Record>> {
        let stream = self.streams.get(stream)?;
        let mut last = None;
        for (number, event) in events.iter().enumerate() {
            let at = *stream.events.get(from + number)?;
            let known = self.all.get(at).filter(|known| known.id == event.id)?;
            last = Some(known.clone());
        }
        last
    }

    /// The last of these events, if the stream has them one after another at any revision.
    fn known_anywhere(&self, name: &str, events: &[Proposed]) -> Option<Arc<Record>> {
        let stream = self.streams.get(name)?;
        let first = events.first()?;
        // A real server remembers only recent ids.
        let recent = stream.events.len().saturating_sub(100);
        let from = (recent..stream.events.len()).find(|number| {
            let at = stream.events.get(*number).and_then(|at| self.all.get(*at));
            at.is_some_and(|known| known.id == first.id)
        })?;
        self.known_from(name, from, events)
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

fn stamped(mut metadata: HashMap<String, String>) -> HashMap<String, String> {
    // Any time will do, in ticks of 100 ns.
    metadata.insert("created".to_owned(), "17720000000000000".to_owned());
    metadata
}
