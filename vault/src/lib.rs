//! Who the owners of keys are, and the keys that open what is stored of them: the part of keyledger that forgets.
//!
//! An owner is a random handle ([`OwnerId`](keyledger_domain::OwnerId)) everywhere else. Texts about a person are
//! stored encrypted with that person's [`DataKey`]. The vault has what leads from a handle to a person, and the data
//! keys, wrapped with a key that is not in the vault ([`KeyEncryption`]). To erase a person is to destroy the row:
//! then nobody can open what was stored of them, however many copies of it there are.

#![deny(missing_docs)]

mod cache;
mod data_key;
mod error;
mod key_encryption;
mod owner;
mod place;
mod rotation;
mod store;
mod vault;
mod vault_key;

pub use data_key::{DataKey, DoesNotOpen};
pub use error::{OpenVaultError, VaultError};
pub use key_encryption::{KeyEncryption, KeyEncryptionError, WrappedFor};
pub use owner::{EmailAsOf, KnownOwner, OwnerState, Person};
pub use place::FieldPlace;
pub use rotation::{Rotated, RotationError};
pub use vault::Vault;
pub use vault_key::{VaultKey, VaultKeyError, VaultKeys};
