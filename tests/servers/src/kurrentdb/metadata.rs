//! The metadata of a stream, by which events are hidden.

use serde_json::{Map, Value};

/// Which events of a stream its metadata hide.
#[derive(Debug, Default)]
pub(super) struct Hiding {
    /// The events before this revision.
    before: usize,
    /// All but so many of the last ones.
    most: Option<usize>,
}

impl Hiding {
    /// What metadata with this text hide, in a stream of which the first `hidden` of `written` events are
    /// hidden already. Those of a deleted stream stay so, whatever the metadata say.
    pub(super) fn of(data: &[u8], hidden: usize, written: usize) -> Self {
        let metadata: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
        let number = |name: &str| metadata.get(name).and_then(Value::as_u64);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let before = count(number("$tb").unwrap_or(0)).min(written);
        let before = if hidden == written { written } else { before };
        Self { before, most: number("$maxCount").map(count) }
    }

    /// How many of the first events of a stream with so many are hidden.
    pub(super) fn hidden(&self, written: usize) -> usize {
        let beyond = self.most.map_or(0, |most| written.saturating_sub(most));
        self.before.max(beyond)
    }
}
