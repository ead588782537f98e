//! Assigns leaf indexes to the events of a journal that may have been altered since its events
//! became leaves.

/// Assigns leaf indexes to events, in the order of the journal.
///
/// An event that is in the tree has the index of its leaf. An event that is not in the tree gets
/// the index of a missing event, if one is missing at this point of the order; otherwise it was
/// added, and gets an index beyond the tree's size.
#[derive(Debug)]
pub struct Placing {
    size: u64,
    next: u64,
    /// The number of events that are not in the tree, since the last one that is.
    unknown: u64,
    added: u64,
}

impl Placing {
    /// Starts at the first leaf of a tree of this size.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, next: 0, unknown: 0, added: 0 }
    }

    /// The index that the next event should have; `None` when all are assigned.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let next = self.next.saturating_add(self.unknown);
        (next < self.size).then_some(next)
    }

    /// Takes an event that is not in the tree. Its index is known only after a later event.
    pub fn take_unknown(&mut self) {
        self.unknown = self.unknown.saturating_add(1);
    }

    /// Takes an event whose leaf has this index; returns the indexes of the unknown events before
    /// it, if they are known now.
    pub fn take(&mut self, place: u64) -> Vec<u64> {
        if place < self.next {
            // The event comes after later ones, so it does not determine the indexes of the unknown
            // events.
            return Vec::new();
        }
        let places = self.places(place);
        self.next = place.saturating_add(1);
        places
    }

    /// Ends the journal; returns the indexes of the unknown events at its end.
    pub fn end(&mut self) -> Vec<u64> {
        let places = self.places(self.size);
        self.next = self.size;
        places
    }

    /// The indexes of the unknown events, given that the next known event has index `before`.
    fn places(&mut self, before: u64) -> Vec<u64> {
        let mut places = Vec::new();
        for number in 0..std::mem::take(&mut self.unknown) {
            let missing = self.next.saturating_add(number);
            if missing < before {
                places.push(missing);
            } else {
                places.push(self.size.saturating_add(self.added));
                self.added = self.added.saturating_add(1);
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of events: `None` is one that the tree does not know.
    fn places(size: u64, events: &[Option<u64>]) -> Vec<u64> {
        let mut placing = Placing::new(size);
        let mut places = Vec::new();
        for event in events {
            match event {
                None => placing.take_unknown(),
                Some(place) => {
                    places.extend(placing.take(*place));
                    places.push(*place);
                }
            }
        }
        places.extend(placing.end());
        places
    }

    #[test]
    fn events_that_the_tree_knows_have_their_places() {
        assert_eq!(places(3, &[Some(0), Some(1), Some(2)]), [0, 1, 2]);
        assert_eq!(places(3, &[Some(0), Some(2)]), [0, 2], "one is missing");
        assert_eq!(places(3, &[Some(0), Some(2), Some(1)]), [0, 2, 1], "one stands too late");
    }

    #[test]
    fn an_unknown_event_takes_the_place_of_a_missing_one() {
        assert_eq!(places(3, &[None, Some(1), Some(2)]), [0, 1, 2]);
        assert_eq!(places(3, &[Some(0), None, Some(2)]), [0, 1, 2]);
        assert_eq!(places(3, &[Some(0), Some(1), None]), [0, 1, 2]);
    }

    #[test]
    fn an_unknown_event_was_added_where_none_is_missing() {
        assert_eq!(places(2, &[Some(0), None, Some(1)]), [0, 2, 1]);
        assert_eq!(places(2, &[Some(0), Some(1), None, None]), [0, 1, 2, 3]);
        assert_eq!(places(3, &[Some(0), None, None, Some(2)]), [0, 1, 3, 2]);
    }

    #[test]
    fn the_next_place_counts_those_that_are_not_known() {
        let mut placing = Placing::new(2);
        assert_eq!(placing.next(), Some(0));
        placing.take_unknown();
        assert_eq!(placing.next(), Some(1));
        placing.take_unknown();
        assert_eq!(placing.next(), None);
        assert_eq!(placing.end(), [0, 1]);
    }
}
