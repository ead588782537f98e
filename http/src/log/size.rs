//! Sizes of the tree and indexes in it, as parameters.

/// What such a parameter must be.
pub(super) const SIZE: &str = "a whole number from 0";

/// Parses a size or an index; `None` unless it is in `0..=i64::MAX`.
pub(super) fn size(text: &str) -> Option<u64> {
    text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok())
}
