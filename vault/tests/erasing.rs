//! What is destroyed is gone, and stays gone.

use keyledger_domain::OwnerId;
use keyledger_vault::{FieldPlace, OwnerState};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::{Place, email, erasure, user};

#[keyledger_bounded::test]
async fn an_owner_who_is_erased_is_known_as_such_and_the_user_comes_back_as_another() {
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        let ann = vault.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
        let field = FieldPlace {
            stream: "apikey-1",
            revision: 0,
            event_id: Uuid::nil(),
            event_type: "KeyCreated",
            field: "name",
        };
        let random = &mut StdRng::seed_from_u64(1);
        let sealed = ann.data_key.seal(ann.id, &field, "ci bot", random);
        assert!(vault.erase(ann.id, erasure(7)).await.unwrap());
        assert!(!vault.erase(ann.id, erasure(8)).await.unwrap(), "the first one counts");
        for vault in [&vault, &place.open(&[1]).await] {
            let known = vault.known([ann.id]).await.unwrap();
            let OwnerState::Erased(when) = *known[&ann.id] else { panic!("she is not erased") };
            assert_eq!(when, erasure(7));
            assert!(vault.find(&user("ann")).await.unwrap().is_none_or(|other| other.id != ann.id));
            let other = vault.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
            assert_ne!(other.id, ann.id);
            assert!(other.data_key.open(&sealed, &field).is_err());
        }
    }
}

#[keyledger_bounded::test]
async fn no_key_is_ever_made_for_a_handle_that_was_erased_before_it_was_known() {
    // As after a backup of the vault was restored from before the owner was made.
    for place in Place::each().await {
        let vault = place.open(&[1]).await;
        let id = OwnerId::from_uuid(Uuid::from_u128(7));
        assert!(!vault.erase(id, erasure(7)).await.unwrap());
        let known = place.open(&[1]).await.known([id]).await.unwrap();
        assert!(matches!(*known[&id], OwnerState::Erased(when) if when == erasure(7)));
    }
}

#[keyledger_bounded::test]
async fn another_process_forgets_an_erased_owner_when_it_is_told() {
    for place in Place::each().await {
        let [one, other] = [place.open(&[1]).await, place.open(&[1]).await];
        let ann = one.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
        other.known([ann.id]).await.unwrap();
        one.erase(ann.id, erasure(7)).await.unwrap();
        other.forget(ann.id);
        let known = other.known([ann.id]).await.unwrap();
        assert!(matches!(*known[&ann.id], OwnerState::Erased(_)));
        let again = other.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
        assert_ne!(again.id, ann.id);
    }
}
