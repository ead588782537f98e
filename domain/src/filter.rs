//! A filter of events.

use crate::{KeyId, RecordedEvent, Timestamp, UserId};

/// Selects the events that meet all of its conditions. The default selects every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The event is about this key.
    pub key_id: Option<KeyId>,
    /// The event is about a key of this user.
    pub owner: Option<UserId>,
    /// The event has one of these types, by name in the stored form. An empty list selects all
    /// types.
    pub types: Vec<&'static str>,
    /// The event occurred at this time or later.
    pub from: Option<Timestamp>,
    /// The event occurred before this time.
    pub to: Option<Timestamp>,
}

impl EventFilter {
    /// Whether an event meets all conditions.
    #[must_use]
    pub fn fits(&self, recorded: &RecordedEvent) -> bool {
        let event = &recorded.event;
        let occurred_at = event.occurred_at();
        self.key_id.is_none_or(|key_id| key_id == event.key_id())
            && self.owner.as_ref().is_none_or(|owner| owner == event.owner())
            && (self.types.is_empty() || self.types.contains(&event.event_type()))
            && self.from.is_none_or(|from| from <= occurred_at)
            && self.to.is_none_or(|to| occurred_at < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::{created, deleted, revoked};
    use crate::testing::{at, other_key, stream};

    fn fitting(filter: &EventFilter) -> Vec<&'static str> {
        let history = stream([(1, created()), (2, revoked()), (3, deleted())]);
        let fitting = history.iter().filter(|recorded| filter.fits(recorded));
        fitting.map(|recorded| recorded.event.event_type()).collect()
    }

    #[test]
    fn without_conditions_every_event_is_wanted() {
        let all = ["KeyCreated", "KeyRevoked", "KeyDeleted"];
        assert_eq!(fitting(&EventFilter::default()), all);
    }

    #[test]
    fn each_condition_narrows_what_is_wanted() {
        let types = vec!["KeyCreated", "KeyDeleted"];
        let of_types = EventFilter { types, ..EventFilter::default() };
        assert_eq!(fitting(&of_types), ["KeyCreated", "KeyDeleted"]);
        let later = EventFilter { from: Some(at(1)), ..of_types };
        assert_eq!(fitting(&later), ["KeyDeleted"]);
        let others = UserId::parse("bob").ok();
        assert!(fitting(&EventFilter { owner: others, ..later }).is_empty());
        let other = Some(other_key());
        assert!(fitting(&EventFilter { key_id: other, ..EventFilter::default() }).is_empty());
    }

    #[test]
    fn a_span_includes_its_beginning_and_not_its_end() {
        let span = EventFilter { from: Some(at(0)), to: Some(at(1)), ..EventFilter::default() };
        assert_eq!(fitting(&span), ["KeyCreated"]);
        let span = EventFilter { from: Some(at(1)), to: Some(at(2)), ..EventFilter::default() };
        assert_eq!(fitting(&span), ["KeyRevoked"]);
    }
}
