//! Finds missing, misplaced and surplus events in a sequence of indexes.

use super::LIMIT;
use super::event::Event;
use super::finding::{Finding, Findings};
use crate::TreeHash;

/// An event that is out of order.
#[derive(Clone, Copy, Debug)]
struct Stray {
    index: u64,
    line: u64,
    leaf: TreeHash,
    /// Whether a different event with this index was seen.
    differs: bool,
}

/// The state of a sequence of events.
///
/// A line with too large an index may be misplaced, or the first after a gap. The next line
/// decides: if its index is smaller, the first line was misplaced.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: u64,
    held: Option<(Event, u64)>,
    gaps: Vec<(u64, u64)>,
    strays: Vec<Stray>,
}

/// How an event fits into the sequence.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placed {
    /// The next event, possibly after a gap.
    Next(Event),
    /// An event that is out of order, or not the only one with its index.
    Stray(Event),
}

impl Sequence {
    /// Takes the event of a line; returns the events whose place is now known.
    pub(super) fn take(
        &mut self,
        event: Event,
        line: u64,
        findings: &mut Findings,
    ) -> [Option<Placed>; 2] {
        let first = self.held.take().map(|(held, held_line)| {
            if event.index < held.index {
                self.stray(&held, held_line, findings)
            } else {
                self.place(held, findings)
            }
        });
        let second = if event.index > self.next {
            self.held = Some((event, line));
            None
        } else if event.index == self.next {
            Some(self.place(event, findings))
        } else {
            Some(self.stray(&event, line, findings))
        };
        [first, second]
    }

    /// Returns the event that is held back, as the first after a gap.
    pub(super) fn settle(&mut self, findings: &mut Findings) -> Option<Placed> {
        let (held, _) = self.held.take()?;
        Some(self.place(held, findings))
    }

    fn place(&mut self, event: Event, findings: &mut Findings) -> Placed {
        if let Some(last) = event.index.checked_sub(1).filter(|last| *last >= self.next) {
            self.gap(self.next, last, findings);
        }
        self.next = event.index.saturating_add(1);
        self.compare(event.index, event.computed);
        Placed::Next(event)
    }

    /// Compares misplaced events with the event that has this index.
    pub(super) fn compare(&mut self, index: u64, leaf: TreeHash) {
        for stray in self.strays.iter_mut().filter(|stray| stray.index == index) {
            stray.differs |= stray.leaf != leaf;
        }
    }

    fn stray(&mut self, event: &Event, line: u64, findings: &mut Findings) -> Placed {
        let index = event.index;
        if self.strays.len() < LIMIT {
            self.strays.push(Stray { index, line, leaf: event.computed, differs: false });
        } else {
            findings.add(Finding::DuplicatedEvent { index, line });
        }
        Placed::Stray(*event)
    }

    fn gap(&mut self, from: u64, to: u64, findings: &mut Findings) {
        if self.gaps.len() < LIMIT {
            self.gaps.push((from, to));
        } else {
            findings.add(Finding::MissingEvents { from, to });
        }
    }

    /// Ends the sequence at this size, and adds its findings.
    pub(super) fn end(mut self, size: u64, findings: &mut Findings) {
        if let Some(last) = size.checked_sub(1).filter(|last| *last >= self.next) {
            self.gap(self.next, last, findings);
        }
        for at in 0..self.strays.len() {
            let Some(Stray { index, line, leaf, differs }) = self.strays.get(at).copied() else {
                continue;
            };
            if fill(&mut self.gaps, index) {
                findings.add(Finding::ReorderedEvent { index, line });
                // Any other event with this index is a second one.
                self.compare(index, leaf);
            } else if differs {
                findings.add(Finding::AddedEvent { index, line });
            } else {
                findings.add(Finding::DuplicatedEvent { index, line });
            }
        }
        for (from, to) in self.gaps {
            findings.add(Finding::MissingEvents { from, to });
        }
    }
}

/// Removes an index from the gaps; returns whether it was in one.
fn fill(gaps: &mut Vec<(u64, u64)>, index: u64) -> bool {
    let Some(at) = gaps.iter().position(|(from, to)| (*from..=*to).contains(&index)) else {
        return false;
    };
    let (from, to) = gaps.remove(at);
    let before = index.checked_sub(1).map(|last| (from, last));
    let after = index.checked_add(1).map(|first| (first, to));
    for (from, to) in [after, before].into_iter().flatten().filter(|(from, to)| from <= to) {
        gaps.insert(at, (from, to));
    }
    true
}
