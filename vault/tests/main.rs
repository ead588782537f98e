//! The vault, in a SQLite file and in a PostgreSQL database.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;
mod erasing;
mod outages;
mod owners;
mod rotating;

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::testing::at;
use keyledger_domain::{Clock, Email, Erasure, Position, Timestamp, UserId};
use keyledger_test_servers::postgres::Postgres;
use keyledger_vault::{EmailAsOf, OpenVaultError, Vault, VaultKey, VaultKeys};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(0)
    }
}

/// A database for a vault.
struct Place {
    url: String,
    /// The folder of a file.
    folder: Option<TempDir>,
}

impl Place {
    /// One of each kind.
    async fn each() -> [Self; 2] {
        let postgres = Self { url: Postgres::shared().database().await, folder: None };
        [Self::file(), postgres]
    }

    fn file() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("vault.db").display());
        Self { url, folder: Some(folder) }
    }

    /// Opens the vault with the keys of these numbers.
    async fn try_open(&self, keys: &[u64]) -> Result<Vault, OpenVaultError> {
        let keys = VaultKeys::new(keys.iter().copied().map(vault_key).collect()).unwrap();
        Vault::open(&self.url, Arc::new(keys), Arc::new(Still), Duration::from_secs(600)).await
    }

    async fn open(&self, keys: &[u64]) -> Vault {
        self.try_open(keys).await.unwrap()
    }
}

fn vault_key(number: u64) -> VaultKey {
    VaultKey::generate(&mut StdRng::seed_from_u64(number))
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// The address that a token of this second names.
fn email(address: Option<&str>, second: i64) -> EmailAsOf {
    EmailAsOf { email: address.and_then(Email::parse), as_of: at(second) }
}

fn erasure(position: u64) -> Erasure {
    Erasure { position: Position::try_from(position).unwrap(), at: at(9) }
}
