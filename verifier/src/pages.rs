//! Items by number, in pages that never move.

use std::fmt;
use std::sync::OnceLock;

/// How many groups of pages there can be.
const GROUPS: usize = 1 << 10;
/// How many pages a group has.
const PAGES: usize = 1 << 10;

type Page<T> = Box<[T]>;
type Group<T> = Box<[OnceLock<Page<T>>]>;

/// Items by number, from 0, with `PAGE` of them in one allocation. One writer makes the pages, in order;
/// readers reach the items without locks. No page is freed before the whole structure is.
pub(super) struct Pages<T, const PAGE: usize>(Box<[OnceLock<Group<T>>]>);

fn empty<T>(count: usize) -> Box<[OnceLock<T>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

impl<T: Default, const PAGE: usize> Pages<T, PAGE> {
    pub(super) fn new() -> Self {
        Self(empty(GROUPS))
    }

    /// The item of this number; `None` where no page was made yet.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let number = usize::try_from(number).ok()?;
        let group = self.0.get(number / PAGE / PAGES)?.get()?;
        group.get(number / PAGE % PAGES)?.get()?.get(number % PAGE)
    }

    /// The item of this number, on a new page if its page does not exist yet; `None` if the number is
    /// too large. Only the writer calls this.
    pub(super) fn get_or_make(&self, number: u32) -> Option<&T> {
        let number = usize::try_from(number).ok()?;
        let group = self.0.get(number / PAGE / PAGES)?.get_or_init(|| empty(PAGES));
        let page = || (0..PAGE).map(|_| T::default()).collect();
        group.get(number / PAGE % PAGES)?.get_or_init(page).get(number % PAGE)
    }

    /// All items of all pages, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let groups = self.0.iter().map_while(OnceLock::get);
        groups.flat_map(|group| group.iter().map_while(OnceLock::get)).flatten()
    }
}

impl<T, const PAGE: usize> fmt::Debug for Pages<T, PAGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_their_numbers() {
        const PAGE: usize = 7_253;
        let pages: Pages<OnceLock<u32>, PAGE> = Pages::new();
        let page = u32::try_from(PAGE).unwrap();
        let numbers = [0, 1, page - 1, page, page * 1_024 - 1, page * 1_024, u32::MAX];
        for number in numbers {
            assert_eq!(pages.get(number).and_then(OnceLock::get), None);
            pages.get_or_make(number).unwrap().set(number).unwrap();
        }
        for number in numbers {
            assert_eq!(pages.get(number).and_then(OnceLock::get), Some(&number));
        }
    }
}
