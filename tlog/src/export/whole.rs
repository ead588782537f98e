//! Checks a whole export by building the tree again.

use super::LIMIT;
use super::RANGE;
use super::event::Event;
use super::finding::{Finding, Findings};
use super::range::{Closed, Range};
use super::sequence::{Placed, Sequence};
use super::streams::Streams;
use crate::merkle::{Frontier, root_of};
use crate::{Checkpoint, TreeHash};

/// A tree over the hashes of ranges; `None` once the hash of a range is unknown.
#[derive(Clone, Debug)]
struct Ranges(Option<Frontier>);

impl Ranges {
    fn push(&mut self, hash: Option<TreeHash>) {
        let grown = self.0.take().zip(hash).and_then(|(mut tree, hash)| {
            tree.append(hash).ok()?;
            Some(tree)
        });
        self.0 = grown;
    }

    fn leads_to(&self, root: TreeHash) -> bool {
        self.0.as_ref().is_some_and(|tree| tree.root() == root)
    }
}

#[derive(Debug)]
pub(super) struct Whole {
    size: u64,
    sequence: Sequence,
    streams: Streams,
    range: Range,
    /// The tree over the hashes in the lines of the ranges.
    declared: Ranges,
    /// The tree over the hashes computed from the events.
    computed: Ranges,
    /// Ranges, as first and last number, whose events and leaf hashes do not lead to the hash in
    /// their line.
    differing: Vec<(u64, u64)>,
    earlier: Vec<Checkpoint>,
}

impl Whole {
    /// `earlier` are checkpoints that this tree must continue.
    pub(super) fn new(size: u64, earlier: Vec<Checkpoint>) -> Self {
        Self {
            size,
            sequence: Sequence::default(),
            streams: Streams::new(true),
            range: Range::new(0, size),
            declared: Ranges(Some(Frontier::default())),
            computed: Ranges(Some(Frontier::default())),
            differing: Vec::new(),
            earlier,
        }
    }

    pub(super) fn event(&mut self, event: Event, line: u64, findings: &mut Findings) {
        if event.index >= self.size {
            findings.add(Finding::AddedEvent { index: event.index, line });
            return;
        }
        for placed in self.sequence.take(event, line, findings).into_iter().flatten() {
            self.place(placed, findings);
        }
    }

    fn place(&mut self, placed: Placed, findings: &mut Findings) {
        match placed {
            Placed::Next(event) => {
                if !self.range.holds(event.index) {
                    self.open(event.index / RANGE, findings);
                }
                if let Some(there) = self.range.put(event) {
                    self.sequence.compare(there.index, event.computed);
                }
            }
            Placed::Stray(event) if self.range.holds(event.index) => {
                if let Some(there) = self.range.put(event) {
                    self.sequence.compare(there.index, there.computed);
                }
            }
            // Its range is complete or not yet reached: only the event itself can be checked.
            Placed::Stray(event) if event.computed != event.declared => {
                findings.add(Finding::altered(&event));
            }
            Placed::Stray(_) => {}
        }
    }

    pub(super) fn range_line(&mut self, number: u64, hash: TreeHash, findings: &mut Findings) {
        if let Some(placed) = self.sequence.settle(findings) {
            self.place(placed, findings);
        }
        let next = self.range.number.saturating_add(1);
        // All events of a range may be missing while its line is there.
        if number == next && number.saturating_mul(RANGE) < self.size {
            self.open(number, findings);
        }
        if number == self.range.number && self.range.hash.is_none() {
            self.range.hash = Some(hash);
        } else {
            findings.add(Finding::AlteredRangeLine { range: number });
        }
    }

    /// Closes the current range and begins a later one.
    fn open(&mut self, number: u64, findings: &mut Findings) {
        let range = std::mem::replace(&mut self.range, Range::new(number, self.size));
        let skipped = range.number.saturating_add(1);
        self.close(range, findings);
        if skipped < number {
            self.skip(skipped, number - 1, findings);
        }
    }

    fn skip(&mut self, from: u64, to: u64, findings: &mut Findings) {
        findings.add(Finding::MissingRangeLines { from, to });
        self.declared.push(None);
        self.computed.push(None);
    }

    fn close(&mut self, range: Range, findings: &mut Findings) {
        let number = range.number;
        let first = number.saturating_mul(RANGE);
        let Closed { computed, declared, leaves, differs } =
            range.close(&mut self.streams, findings);
        if declared.is_none() {
            findings.add(Finding::MissingRangeLines { from: number, to: number });
        }
        self.compare_earlier(first, &leaves, findings);
        if differs {
            self.differ(number);
        }
        self.declared.push(declared.or(computed));
        self.computed.push(computed.or(declared));
    }

    fn differ(&mut self, number: u64) {
        let room = self.differing.len() < LIMIT;
        match self.differing.last_mut() {
            Some((_, to)) if to.saturating_add(1) == number => *to = number,
            Some(_) | None if room => self.differing.push((number, number)),
            // A range that is not recorded still leads to another root, which is a finding.
            Some(_) | None => {}
        }
    }

    /// Compares the tree with the earlier checkpoints whose sizes lie within these leaves.
    fn compare_earlier(&mut self, first: u64, leaves: &[TreeHash], findings: &mut Findings) {
        let declared = self.declared.clone();
        self.earlier.retain(|checkpoint| {
            let within = checkpoint.size.checked_sub(first).filter(|within| *within > 0);
            let within = within.and_then(|within| usize::try_from(within).ok());
            let Some(leaves) = within.and_then(|within| leaves.get(..within)) else {
                return true;
            };
            let mut tree = declared.clone();
            tree.push(Some(root_of(leaves.iter().copied())));
            if tree.0.is_none() {
                return true;
            }
            if !tree.leads_to(checkpoint.root) {
                findings.add(Finding::RewrittenHistory { size: checkpoint.size });
            }
            false
        });
    }

    /// Adds the findings that need the whole export.
    pub(super) fn finish(mut self, root: TreeHash, findings: &mut Findings) {
        if let Some(placed) = self.sequence.settle(findings) {
            self.place(placed, findings);
        }
        let ranges = self.size.div_ceil(RANGE);
        if ranges > 0 {
            let range = std::mem::replace(&mut self.range, Range::new(ranges, self.size));
            let skipped = range.number.saturating_add(1);
            self.close(range, findings);
            if skipped < ranges {
                self.skip(skipped, ranges - 1, findings);
            }
        }
        self.sequence.end(self.size, findings);
        let lines_hold = self.declared.leads_to(root);
        let events_hold = self.computed.leads_to(root);
        if !lines_hold && !events_hold {
            findings.add(Finding::RootDiffers);
        }
        for (from, to) in self.differing {
            if events_hold && !lines_hold {
                (from..=to).for_each(|range| findings.add(Finding::AlteredRangeLine { range }));
            } else {
                let last = to.saturating_mul(RANGE).saturating_add(RANGE - 1).min(self.size - 1);
                findings.add(Finding::AlteredRange { from: from.saturating_mul(RANGE), to: last });
            }
        }
        for Checkpoint { size, root, .. } in self.earlier {
            match size {
                0 if root == TreeHash::empty() => {}
                0 => findings.add(Finding::RewrittenHistory { size }),
                _ if size > self.size => findings.add(Finding::ShortenedHistory { size }),
                _ => findings.add(Finding::UncomparedCheckpoint { size }),
            }
        }
    }
}
