//! What lists have: pages, and keys by their status at a moment.

use keyledger_domain::testing::{
    Attempt, at, created, created_until, deleted, history, key_id, owner, recorded, revoked,
};
use keyledger_domain::{Revision, Timestamp};
use keyledger_projections::{KeyView, ListPage, ReadTables, StatusFilter};
use proptest::prelude::*;

use crate::given::{Kind, WHOLE, attempts, block_on, kinds, on_both_databases, project, tables};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[keyledger_bounded::test]
    fn pages_are_the_list_in_parts(kind in kinds(), attempts in attempts(60), limit in 1_u32..8) {
        block_on(async {
            let (_database, tables) = tables(kind).await;
            project(&tables, &history(&attempts)).await;
            let owner = owner(0);
            // Some of the keys expire at the last moment there is.
            let moments = [at(60), Timestamp::MAX];
            for (now, filter) in moments.iter().flat_map(|now| StatusFilter::ALL.map(|it| (*now, it))) {
                let whole = tables.list(&owner, filter, now, WHOLE).await.unwrap();
                let mut parts = Vec::new();
                let mut page = Some(ListPage { limit, after: None });
                while let Some(wanted) = page {
                    let part = tables.list(&owner, filter, now, wanted).await.unwrap();
                    assert!(part.keys.len() <= limit as usize);
                    parts.extend(part.keys);
                    page = part.next.map(|after| ListPage { limit, after: Some(after) });
                }
                assert_eq!(parts, whole.keys);
                assert_eq!(whole.next, None);
            }
        });
    }
}

/// The keys of one owner, newest first.
const KEYS: [u64; 5] = [12, 9, 6, 3, 0];

/// Which of them a list has.
async fn listed(tables: &ReadTables, filter: StatusFilter, now: Timestamp) -> Vec<u64> {
    let keys = tables.list(&owner(0), filter, now, WHOLE).await.unwrap().keys;
    let number = |key: &KeyView| KEYS.into_iter().find(|it| key_id(*it) == key.key_id).unwrap();
    keys.iter().map(number).collect()
}

async fn a_key_is_active_until_the_moment_of_its_expiry(kind: Kind) {
    let created = [
        created(0),
        created_until(3, at(5)),
        created_until(6, at(7)),
        created_until(9, at(5)),
        created_until(12, at(5)),
    ];
    let ended = [revoked(9), deleted(12)];
    let created = created.map(|event| (Revision::FIRST, event)).into_iter();
    let ended = ended.map(|event| (Revision::new(1), event));
    let events = (1..).zip(created.chain(ended));
    let events: Vec<_> =
        events.map(|(position, (revision, event))| recorded(position, revision, event)).collect();
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    for (now, active, expired) in
        [(4, &[6, 3, 0][..], &[][..]), (5, &[6, 0], &[3]), (6, &[6, 0], &[3]), (7, &[0], &[6, 3])]
    {
        assert_eq!(listed(&tables, StatusFilter::Active, at(now)).await, active, "at {now}");
        assert_eq!(listed(&tables, StatusFilter::Expired, at(now)).await, expired, "at {now}");
        assert_eq!(listed(&tables, StatusFilter::Revoked, at(now)).await, [9], "at {now}");
        assert_eq!(listed(&tables, StatusFilter::All, at(now)).await, [9, 6, 3, 0], "at {now}");
    }
}

async fn the_keys_of_an_owner_are_counted_without_those_of_others_and_deleted_ones(kind: Kind) {
    let attempts = (0..9).map(Attempt::Create).chain([Attempt::Delete(0), Attempt::Revoke(3)]);
    let (_database, tables) = tables(kind).await;
    assert!(!tables.has_keys(&owner(0), 1).await.unwrap());
    project(&tables, &history(&attempts.collect::<Vec<_>>())).await;
    for (number, count) in [(0, 2), (1, 3), (2, 3)] {
        let owner = owner(number);
        assert!(tables.has_keys(&owner, count).await.unwrap(), "{owner:?}");
        assert!(!tables.has_keys(&owner, count + 1).await.unwrap(), "{owner:?}");
    }
}

on_both_databases!(
    a_key_is_active_until_the_moment_of_its_expiry,
    the_keys_of_an_owner_are_counted_without_those_of_others_and_deleted_ones,
);
