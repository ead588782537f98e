//! A range of 256 events, and the hash over them.

use super::RANGE;
use super::event::Event;
use super::finding::{Finding, Findings};
use super::streams::Streams;
use crate::TreeHash;
use crate::merkle::root_of;

/// The events of a range so far, each at its index in the range.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) number: u64,
    /// The hash in the line of the range.
    pub(super) hash: Option<TreeHash>,
    events: Vec<Option<Event>>,
    /// Whether two different events have the same index, so that it is unknown which one was
    /// altered.
    disputed: bool,
}

/// The result of a complete range.
#[derive(Debug)]
pub(super) struct Closed {
    /// The hash over the events, if all are there and no index is disputed.
    pub(super) computed: Option<TreeHash>,
    /// The hash in the line of the range.
    pub(super) declared: Option<TreeHash>,
    /// The leaf hashes that most likely are those of the tree; empty if some are missing.
    pub(super) leaves: Vec<TreeHash>,
    /// Whether neither the events nor their stated leaf hashes lead to the hash in the line.
    pub(super) differs: bool,
}

impl Range {
    /// An empty range of a tree of this size.
    pub(super) fn new(number: u64, size: u64) -> Self {
        let length = size.saturating_sub(number.saturating_mul(RANGE)).min(RANGE);
        let events = vec![None; usize::try_from(length).unwrap_or(0)];
        Self { number, hash: None, events, disputed: false }
    }

    pub(super) fn holds(&self, index: u64) -> bool {
        index / RANGE == self.number
    }

    /// Stores an event at its index; returns the one that is already there.
    pub(super) fn put(&mut self, event: Event) -> Option<Event> {
        let place = usize::try_from(event.index % RANGE).unwrap_or(usize::MAX);
        let place = self.events.get_mut(place)?;
        match place {
            Some(other) => {
                self.disputed |= other.computed != event.computed;
                Some(*other)
            }
            None => {
                *place = Some(event);
                None
            }
        }
    }

    /// Checks the range as a whole.
    pub(super) fn close(self, streams: &mut Streams, findings: &mut Findings) -> Closed {
        let present = || self.events.iter().flatten();
        for event in present() {
            streams.follow(event, findings);
        }
        let complete = self.events.iter().all(Option::is_some);
        let computed = complete.then(|| root_of(present().map(|event| event.computed)));
        let mut told = computed;
        if present().any(|event| event.computed != event.declared) {
            told = complete.then(|| root_of(present().map(|event| event.declared)));
            // If the events lead to the hash of the range, the stated leaf hashes were altered;
            // otherwise the events.
            let leaves_altered = computed.is_some() && computed == self.hash;
            for event in present().filter(|event| event.computed != event.declared) {
                findings.add(if leaves_altered {
                    Finding::AlteredLeaf { index: event.index }
                } else {
                    Finding::altered(event)
                });
            }
        }
        let fits = |hash: Option<TreeHash>| hash == self.hash;
        let differs = complete && !self.disputed && self.hash.is_some();
        let leaves: Vec<_> = if !complete {
            Vec::new()
        } else if fits(told) && !fits(computed) {
            present().map(|event| event.declared).collect()
        } else {
            present().map(|event| event.computed).collect()
        };
        Closed {
            computed: computed.filter(|_| !self.disputed),
            declared: self.hash,
            leaves,
            differs: differs && !fits(computed) && !fits(told),
        }
    }
}
