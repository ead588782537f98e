//! Owners are found and made.

use std::collections::HashSet;

use futures::future::join_all;
use keyledger_domain::OwnerId;
use keyledger_domain::testing::at;
use keyledger_vault::{OwnerState, VaultError};
use uuid::Uuid;

use super::{Place, email, user};

#[keyledger_bounded::test]
async fn a_user_has_one_owner_whoever_asks_at_the_same_time() {
    for place in Place::each().await {
        let nodes = [place.open(&[1]).await, place.open(&[1]).await];
        let asked = (0..32).map(|number| {
            let node = &nodes[number % 2];
            async move { node.owner_of(&user("ann"), &email(None, 0)).await.unwrap() }
        });
        let owners = join_all(asked).await;
        let ids: HashSet<_> = owners.iter().map(|owner| owner.id).collect();
        assert_eq!(ids.len(), 1);
        let commitments: HashSet<_> =
            owners.iter().map(|owner| owner.data_key.commitment().to_string()).collect();
        assert_eq!(commitments.len(), 1);
        let bob = nodes[0].owner_of(&user("bob"), &email(None, 0)).await.unwrap();
        assert!(!ids.contains(&bob.id));
    }
}

#[keyledger_bounded::test]
async fn an_owner_is_the_same_after_a_restart() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        assert!(vault.find(&user("ann")).await.unwrap().is_none());
        assert!(vault.wrapped_since().await.unwrap().is_none());
        let ann = vault.owner_of(&user("ann"), &email(Some("ann@example.com"), 0)).await.unwrap();
        assert!(!ann.is_registered);
        vault.set_registered(ann.id).await.unwrap();
        drop(vault);
        let vault = place.open(&[1]).await;
        let again = vault.find(&user("ann")).await.unwrap().unwrap();
        assert_eq!((again.id, &again.person), (ann.id, &ann.person));
        assert_eq!(again.data_key.commitment(), ann.data_key.commitment());
        assert!(again.is_registered);
        assert_eq!(vault.wrapped_since().await.unwrap(), Some(at(0)));
    }
}

#[keyledger_bounded::test]
async fn many_owners_are_known_at_once_and_strangers_are_missing() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        let mut ids = Vec::new();
        for number in 0..20 {
            let owner = vault.owner_of(&user(&format!("user {number}")), &email(None, 0)).await;
            ids.push(owner.unwrap().id);
        }
        let stranger = OwnerId::from_uuid(Uuid::from_u128(1));
        let other = place.open(&[1]).await;
        let known = other.known(ids.iter().copied().chain([stranger, ids[0]])).await.unwrap();
        assert_eq!(known.len(), 20);
        for (number, id) in ids.iter().enumerate() {
            let OwnerState::Living(owner) = &*known[id] else { panic!("{number} is erased") };
            assert_eq!(owner.person.user_id, user(&format!("user {number}")));
        }
    }
}

#[keyledger_bounded::test]
async fn the_newest_token_tells_the_address() {
    for place in Place::each().await {
        let nodes = [place.open(&[1]).await, place.open(&[1]).await];
        for (address, second, expected) in [
            (Some("ann@example.com"), 5, Some("ann@example.com")),
            (Some("ann@example.net"), 7, Some("ann@example.net")),
            (Some("ann@example.org"), 6, Some("ann@example.net")),
            (Some("ann@example.org"), 7, Some("ann@example.net")),
            (None, 9, Some("ann@example.net")),
            (Some("ann@example.com"), 8, Some("ann@example.com")),
        ] {
            for node in &nodes {
                let owner = node.owner_of(&user("ann"), &email(address, second)).await.unwrap();
                if address.is_some() && address == expected {
                    let told = owner.person.email.as_ref().map(|email| email.as_str());
                    assert_eq!(told, expected, "{second}");
                }
            }
            let fresh = place.open(&[1]).await.find(&user("ann")).await.unwrap().unwrap();
            let told = fresh.person.email.as_ref().map(|email| email.as_str());
            assert_eq!(told, expected, "{address:?} as of {second}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_row_that_was_exchanged_or_altered_is_not_used() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        let mut ids = Vec::new();
        for name in ["ann", "bob"] {
            ids.push(vault.owner_of(&user(name), &email(None, 0)).await.unwrap().id);
        }
        ids.sort_unstable();
        place.tamper("CREATE TABLE kept AS SELECT * FROM vault_owners").await;
        let set = |column: &str, is_it: &str| {
            format!(
                "UPDATE vault_owners
                 SET {column} = (SELECT {column} FROM kept
                                 WHERE {is_it} (kept.owner_id = vault_owners.owner_id))
                 WHERE owner_id = (SELECT owner_id FROM kept ORDER BY owner_id LIMIT 1)"
            )
        };
        // With another data key, one could open texts differently.
        for column in ["wrapped", "commitment", "person"] {
            place.tamper(&set(column, "NOT")).await;
            let fresh = place.open(&[1]).await;
            let error = fresh.known([ids[0]]).await.unwrap_err();
            assert!(
                matches!(error, VaultError::BadRow(_) | VaultError::Keys(_)),
                "{column}: {error:?}"
            );
            fresh.known([ids[1]]).await.unwrap();
            place.tamper(&set(column, "")).await;
        }
        place.open(&[1]).await.known(ids).await.unwrap();
    }
}
