//! The contract that every adapter has to fulfil, as a suite of tests, and events to append in tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub mod contract;
mod events;
mod subscriptions;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Journal, JournalReader};
pub use events::{
    after, create, created, deleted, first, is_same, new_key, random, recurring, revoked, settle,
};
pub use subscriptions::{closes_one_key, next_delivery, next_event, until_caught_up};

/// A journal to test, empty at first, that can be opened several times.
#[async_trait]
pub trait JournalUnderTest: Send + Sync {
    /// Opens it for appending.
    async fn open(&self) -> Arc<dyn Journal>;

    /// Opens it for reading, as another process does beside the one that appends.
    async fn open_reader(&self) -> Arc<dyn JournalReader>;
}

/// Makes the tests of the contract for one adapter. The argument is an expression that makes a new
/// [`JournalUnderTest`]; each test evaluates it once. The calling crate needs `keyledger-bounded` and
/// `keyledger-test-servers`, which give each test a time limit.
#[macro_export]
macro_rules! contract_suite {
    ($journal:expr) => {
        $crate::contract_suite!(@ $journal =>
            events_are_read_as_they_were_appended,
            a_key_that_never_was_has_no_events,
            several_events_are_appended_together,
            an_append_to_a_stream_that_is_not_as_expected_is_a_conflict,
            a_conflict_writes_nothing,
            an_append_that_is_sent_again_is_written_once,
            an_append_that_is_sent_again_is_known_after_others,
            part_of_an_append_is_another_append,
            an_append_without_events_is_refused,
            of_many_that_expect_the_same_one_wins,
            positions_grow_in_the_order_of_the_journal,
            a_subscription_delivers_what_is_there_then_a_mark_then_what_comes,
            a_subscription_begins_after_its_position,
            a_subscription_from_the_head_is_level_at_once,
            no_subscription_misses_or_reorders_events_while_many_append,
            the_head_is_not_before_what_was_appended,
            a_reader_that_has_reached_the_head_has_seen_what_was_there,
            a_reader_in_another_process_sees_what_comes,
            what_was_appended_is_there_when_it_is_opened_again,
            an_event_is_known_by_its_position_and_its_id,
            the_first_secret_of_an_installation_is_kept,
            a_probe_is_no_event,
            what_waits_when_a_journal_is_closed_is_appended,
        );
    };
    (@ $journal:expr => $($name:ident,)*) => {
        $(
            #[keyledger_bounded::test]
            async fn $name() {
                $crate::testing::contract::$name(&$journal).await;
            }
        )*
    };
}
