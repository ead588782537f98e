//! Checks a subset: each event by its inclusion proof.

use keyledger_domain::Timestamp;

use memchr::memmem;

use super::event::{Beside, Event, Moment};
use super::finding::{Finding, Findings};
use super::header::Subset;
use super::streams::Streams;
use crate::Checkpoint;
use crate::merkle::verify_inclusion;

#[derive(Debug)]
pub(super) struct Proven {
    /// The JSON member with the owner, which the data of every event must contain.
    owner: Option<String>,
    stream: Option<[u8; 16]>,
    from: Option<Moment>,
    to: Option<Moment>,
    checkpoint: Checkpoint,
    streams: Streams,
    last: Option<u64>,
    earlier: Vec<Checkpoint>,
}

impl Proven {
    pub(super) fn new(subset: &Subset, checkpoint: Checkpoint, earlier: Vec<Checkpoint>) -> Self {
        let moment = |time: Timestamp| Moment::parse(time.to_string().as_bytes().try_into().ok()?);
        // Encoding a string as JSON cannot fail.
        let json = |id| serde_json::to_string(id).unwrap_or_default();
        Self {
            owner: subset.user_id.as_ref().map(|id| format!("\"user_id\":{}", json(id))),
            stream: subset.key_id.map(|key| key.as_uuid().into_bytes()),
            from: subset.from.and_then(moment),
            to: subset.to.and_then(moment),
            checkpoint,
            // A subset with a start time does not hold the earlier events of its streams.
            streams: Streams::new(subset.from.is_none()),
            last: None,
            earlier,
        }
    }

    pub(super) fn event(
        &mut self,
        event: &Event,
        beside: &Beside,
        line: u64,
        findings: &mut Findings,
    ) {
        if event.index >= self.checkpoint.size {
            findings.add(Finding::AddedEvent { index: event.index, line });
            return;
        }
        self.prove(event, beside, findings);
        if !self.is_of_subset(event, beside) {
            findings.add(Finding::not_in_subset(event));
        }
        let index = event.index;
        match self.last {
            Some(last) if index == last => findings.add(Finding::DuplicatedEvent { index, line }),
            Some(last) if index < last => findings.add(Finding::ReorderedEvent { index, line }),
            Some(_) | None => {
                self.last = Some(index);
                self.streams.follow(event, findings);
            }
        }
    }

    fn prove(&self, event: &Event, beside: &Beside, findings: &mut Findings) {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let proves = |leaf| verify_inclusion(leaf, event.index, size, &beside.proof, root).is_ok();
        let same = event.computed == event.declared;
        if proves(event.computed) {
            if !same {
                findings.add(Finding::AlteredLeaf { index: event.index });
            }
        } else if !same && proves(event.declared) {
            findings.add(Finding::altered(event));
        } else {
            findings.add(Finding::wrong_proof(event));
        }
    }

    fn is_of_subset(&self, event: &Event, beside: &Beside) -> bool {
        let has = |member: &String| memmem::find(&beside.data, member.as_bytes()).is_some();
        self.owner.as_ref().is_none_or(has)
            && self.stream.is_none_or(|stream| stream == event.stream.0)
            && self.from.is_none_or(|from| event.at >= from)
            && self.to.is_none_or(|to| event.at < to)
    }

    pub(super) fn finish(self, findings: &mut Findings) {
        let Checkpoint { size, root, .. } = self.checkpoint;
        for earlier in self.earlier {
            if earlier.size > size {
                findings.add(Finding::ShortenedHistory { size: earlier.size });
            } else if earlier.size < size {
                findings.add(Finding::UncomparedCheckpoint { size: earlier.size });
            } else if earlier.root != root {
                findings.add(Finding::RewrittenHistory { size });
            }
        }
    }
}
