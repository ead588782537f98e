//! Checks that in each stream the revisions are consecutive and the times do not decrease.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::event::{Event, Moment, Stream};
use super::finding::{Finding, Findings};

/// The last revision and time of each stream.
#[derive(Debug)]
pub(super) struct Streams {
    reached: HashMap<Stream, (u32, Moment)>,
    /// Whether the first event of a stream in the export must have revision 0.
    from_the_first: bool,
}

impl Streams {
    pub(super) fn new(from_the_first: bool) -> Self {
        Self { reached: HashMap::new(), from_the_first }
    }

    /// Checks an event against the previous one of its stream.
    pub(super) fn follow(&mut self, event: &Event, findings: &mut Findings) {
        let expected = match self.reached.entry(event.stream) {
            Entry::Vacant(new) => {
                new.insert((event.revision, event.at));
                if self.from_the_first { 0 } else { event.revision }
            }
            Entry::Occupied(mut known) => {
                let (revision, at) = known.insert((event.revision, event.at));
                if event.at < at {
                    findings.add(Finding::redated(event));
                }
                revision.saturating_add(1)
            }
        };
        if event.revision != expected {
            findings.add(Finding::RevisionGap {
                index: event.index,
                stream: event.stream.name(),
                expected,
                found: event.revision,
            });
        }
    }
}
