//! The key that wraps is replaced by another.

use std::sync::atomic::{AtomicBool, Ordering};

use keyledger_domain::chain;
use keyledger_test_servers::wait::until;
use keyledger_vault::{OpenVaultError, OwnerState, Rotated, RotationError};

use super::{Place, email, erasure, user, vault_key};

#[keyledger_bounded::test]
async fn after_a_rotation_the_old_key_is_not_needed() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        assert_eq!(vault.rotate(|_| {}).await.unwrap(), Rotated::NotNeeded, "it is empty");
        let mut ids = Vec::new();
        for number in 0..1_100 {
            let owner = vault.owner_of(&user(&number.to_string()), &email(None, 0)).await.unwrap();
            ids.push((owner.id, owner.data_key.commitment()));
        }
        vault.erase(ids[3].0, erasure(7)).await.unwrap();
        assert_eq!(vault.rotate(|_| {}).await.unwrap(), Rotated::NotNeeded, "it is the same key");
        let both = place.open(&[2, 1]).await;
        let mut steps = Vec::new();
        let rotated = both.rotate(|done| steps.push(done)).await.unwrap();
        assert_eq!(rotated, Rotated::Done { owners: 1_099 });
        assert_eq!(steps, [500, 1_000, 1_099]);
        assert_eq!(both.rotate(|_| {}).await.unwrap(), Rotated::NotNeeded);
        let new = place.open(&[2]).await;
        let known = new.known(ids.iter().map(|(id, _)| *id)).await.unwrap();
        for (number, (id, commitment)) in ids.iter().enumerate() {
            match &*known[id] {
                OwnerState::Living(owner) => assert_eq!(owner.data_key.commitment(), *commitment),
                OwnerState::Erased(_) => assert_eq!(number, 3),
            }
        }
        assert_eq!(new.find(&user("5")).await.unwrap().unwrap().id, ids[5].0);
        assert!(new.find(&user("3")).await.unwrap().is_none());
    }
}

#[keyledger_bounded::test]
async fn a_backup_from_before_is_dead_without_the_old_key() {
    let place = Place::file();
    let vault = place.open(&[1]).await;
    vault.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
    drop(vault);
    let backup = Place::file();
    for name in ["vault.db", "vault.db-wal"] {
        let file = |place: &Place| place.folder.as_ref().unwrap().path().join(name);
        // There is no write-ahead log if the connections are closed by now.
        let is_copied = std::fs::copy(file(&place), file(&backup)).is_ok();
        assert!(is_copied || name == "vault.db-wal");
    }
    place.open(&[2, 1]).await.rotate(|_| {}).await.unwrap();
    let error = backup.try_open(&[2]).await.unwrap_err();
    assert!(matches!(error, OpenVaultError::Keys(_)), "{error:?}");
    let told = chain(&error);
    assert!(
        told.contains(&format!("the vault's key {} is not among", vault_key(1).id())),
        "{told}"
    );
    assert!(!error.is_passing());
}

#[keyledger_bounded::test]
async fn owners_are_made_and_found_all_through_a_rotation() {
    for place in Place::each().await {
        let nodes = [place.open(&[1, 2]).await, place.open(&[2, 1]).await];
        let mut ids = Vec::new();
        for number in 0..600 {
            ids.push(
                nodes[0].owner_of(&user(&number.to_string()), &email(None, 0)).await.unwrap().id,
            );
        }
        let has_ended = AtomicBool::new(false);
        let creating = async {
            let mut made = Vec::new();
            while !has_ended.load(Ordering::Relaxed) || made.len() < 20 {
                let name = format!("new {}", made.len());
                let [one, other] = [&nodes[0], &nodes[1]].map(|node| {
                    let name = user(&name);
                    async move { node.owner_of(&name, &email(None, 0)).await.unwrap().id }
                });
                let (one, other) = tokio::join!(one, other);
                assert_eq!(one, other, "{name}");
                made.push(one);
            }
            made
        };
        let rotating = async {
            until("a rotation", async || nodes[1].rotate(|_| {}).await).await;
            has_ended.store(true, Ordering::Relaxed);
        };
        let (made, ()) = tokio::join!(creating, rotating);
        let new = place.open(&[2]).await;
        for (number, id) in made.iter().enumerate() {
            let found = new.find(&user(&format!("new {number}"))).await.unwrap().unwrap();
            assert_eq!(found.id, *id);
        }
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(new.find(&user(&number.to_string())).await.unwrap().unwrap().id, *id);
        }
    }
}

#[keyledger_bounded::test]
async fn a_rotation_that_was_interrupted_goes_on() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        for number in 0..600 {
            vault.owner_of(&user(&number.to_string()), &email(None, 0)).await.unwrap();
        }
        let both = place.open(&[2, 1]).await;
        let stopped = tokio::spawn(async move {
            both.rotate(|done| {
                if done == 500 {
                    std::panic::resume_unwind(Box::new("the process is killed"));
                }
            })
            .await
        });
        assert!(stopped.await.is_err());
        let other = place.open(&[3, 2, 1]).await.rotate(|_| {}).await.unwrap_err();
        assert!(matches!(other, RotationError::OtherKey(ref id) if id == vault_key(2).id()));
        let rotated = place.open(&[2, 1]).await.rotate(|_| {}).await.unwrap();
        assert_eq!(rotated, Rotated::Done { owners: 100 });
        assert!(place.open(&[2]).await.find(&user("599")).await.unwrap().is_some());
    }
}
