//! Wraps everything anew with another key-encryption key, so that the old one can be destroyed, and with it every
//! backup of the vault from before.

use keyledger_domain::OwnerId;

use crate::store::{OwnerRow, Rewrapped};
use crate::vault::LookUpKey;
use crate::{OwnerState, Vault, VaultError, WrappedFor};

/// What a rotation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// Everything is wrapped with the present key, and the older ones are not needed any more.
    Done {
        /// How many owners were wrapped anew.
        owners: u64,
    },
    /// Everything was wrapped with the present key before.
    NotNeeded,
}

/// Why a rotation has not ended. What is wrapped anew stays so, and another rotation goes on.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The vault does not answer.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Another process has begun a rotation to another key.
    #[error("another process wraps the vault with the key {0}")]
    OtherKey(String),
}

impl From<sqlx::Error> for RotationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Vault(error.into())
    }
}

impl Vault {
    /// Wraps the data keys of all owners with the present key, and looks users up under a new one. The service may
    /// run, if all its processes have the new key and the old ones. `progress` is called with the number of owners
    /// that are done.
    ///
    /// # Errors
    /// Every variant of [`RotationError`].
    pub async fn rotate(&self, mut progress: impl FnMut(u64)) -> Result<Rotated, RotationError> {
        let present = self.0.keys.current();
        let generations = self.0.store.generations().await?;
        let newest = generations.last();
        let is_under_way = generations.len() > 1;
        match newest {
            None => return Ok(Rotated::NotNeeded),
            Some(newest) if newest.key_id == present && !is_under_way => {
                return Ok(Rotated::NotNeeded);
            }
            Some(newest) if newest.key_id == present => {}
            Some(newest) if is_under_way => {
                return Err(RotationError::OtherKey(newest.key_id.clone()));
            }
            // If another process begins one at the same time, what it has begun is looked at below.
            Some(newest) => drop(self.begin_generation(newest.generation).await?),
        }
        let keys = self.look_up_keys().await?;
        let Some(newest) = keys.last() else { return Err(VaultError::Contended.into()) };
        if newest.key_id() != present {
            return Err(RotationError::OtherKey(newest.key_id().to_owned()));
        }
        let mut owners = 0;
        loop {
            let rows = self.0.store.before(newest.generation()).await?;
            if rows.is_empty() {
                if self.0.store.retire_generations(newest.generation()).await? {
                    return Ok(Rotated::Done { owners });
                }
                continue;
            }
            let mut rewrapped = Vec::with_capacity(rows.len());
            for row in rows {
                rewrapped.extend(self.rewrapped(row, newest).await?);
            }
            self.0.store.rewrap(newest.generation(), &rewrapped).await?;
            owners += u64::try_from(rewrapped.len()).unwrap_or(u64::MAX);
            progress(owners);
        }
    }

    /// An owner's row for this generation; `None` if the owner is erased.
    async fn rewrapped(
        &self,
        row: OwnerRow,
        to: &LookUpKey,
    ) -> Result<Option<Rewrapped>, VaultError> {
        let (owner_id, from) = (row.owner_id, row.generation);
        let (OwnerState::Living(owner), Some(from)) = (self.opened(row).await?, from) else {
            return Ok(None);
        };
        let purpose = WrappedFor::Owner(OwnerId::from_uuid(owner_id));
        let secret = owner.data_key.as_bytes();
        let wrapped = self.0.keys.wrap(to.key_id(), secret, purpose).await?;
        let hash = to.look_up(&owner.person.user_id).hash;
        Ok(Some(Rewrapped { owner_id, from, wrapped, hash }))
    }
}
