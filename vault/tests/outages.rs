//! A vault that is away.

use std::sync::Arc;
use std::time::Duration;

use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::wait::until;
use keyledger_vault::{Vault, VaultError, VaultKeys};

use super::{Place, Still, email, user, vault_key};

#[keyledger_bounded::test]
async fn owners_that_were_read_are_known_for_a_time_while_the_vault_is_away() {
    let server = Postgres::start();
    let place = Place { url: server.database().await, folder: None };
    let open = |longest| {
        let keys = Arc::new(VaultKeys::new(vec![vault_key(1)]).unwrap());
        let url = place.url.clone();
        async move { Vault::open(&url, keys, Arc::new(Still), longest).await.unwrap() }
    };
    let vault = open(Duration::from_secs(600)).await;
    let ann = vault.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
    let forgetful = open(Duration::ZERO).await;
    forgetful.owner_of(&user("ann"), &email(None, 0)).await.unwrap();
    server.stop();
    assert_eq!(vault.owner_of(&user("ann"), &email(None, 0)).await.unwrap().id, ann.id);
    assert_eq!(vault.known([ann.id]).await.unwrap().len(), 1);
    let unknown = vault.owner_of(&user("bob"), &email(None, 0)).await.unwrap_err();
    assert!(matches!(unknown, VaultError::Unavailable(_)), "{unknown:?}");
    // A newer address is not noted then.
    let with_address = email(Some("ann@example.com"), 9);
    assert_eq!(vault.owner_of(&user("ann"), &with_address).await.unwrap().id, ann.id);
    let gone = forgetful.owner_of(&user("ann"), &with_address).await.unwrap_err();
    assert!(matches!(gone, VaultError::Unavailable(_)), "{gone:?}");
    server.start_again();
    until("the address to be noted", async || {
        let back = vault.owner_of(&user("ann"), &with_address).await.unwrap();
        if back.person.email == with_address.email { Ok(()) } else { Err("it is not") }
    })
    .await;
}
