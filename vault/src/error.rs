//! Errors of opening and of using a vault.

use keyledger_domain::{Cause, OwnerId};

use crate::KeyEncryptionError;

/// Why a vault cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenVaultError {
    /// The URL's scheme is neither `sqlite` nor `postgres`.
    #[error("a URL of the vault begins with sqlite:// or postgres://")]
    UnknownScheme,
    /// The URL cannot be parsed.
    #[error("the URL of the vault {url:?} cannot be used")]
    BadUrl {
        /// The URL with its password removed.
        url: String,
        /// The underlying error.
        #[source]
        source: sqlx::Error,
    },
    /// The server cannot be reached; opening again later may succeed.
    #[error("the vault {place} cannot be reached")]
    Unavailable {
        /// The address of the server.
        place: String,
        /// The underlying error.
        #[source]
        source: Cause,
    },
    /// The file or database cannot be used as it is.
    #[error("the vault {place} cannot be used")]
    Refused {
        /// The path of the file, or the address of the server.
        place: String,
        /// What must be changed.
        #[source]
        source: Cause,
    },
    /// The keys that wrap are not those of this vault.
    #[error("the vault's keys cannot be used")]
    Keys(#[source] KeyEncryptionError),
}

impl OpenVaultError {
    /// Whether opening again later may succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Keys(KeyEncryptionError::Unavailable(_)) => true,
            Self::UnknownScheme | Self::BadUrl { .. } | Self::Refused { .. } | Self::Keys(_) => {
                false
            }
        }
    }

    pub(crate) fn unavailable(place: &str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { place: place.to_owned(), source: source.into() }
    }

    pub(crate) fn refused(place: &str, source: impl Into<Cause>) -> Self {
        Self::Refused { place: place.to_owned(), source: source.into() }
    }
}

/// Why the vault does not answer.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database cannot be reached, or reports an error; nothing was changed, or it is unknown whether it was.
    #[error("the vault is unavailable")]
    Unavailable(#[from] sqlx::Error),
    /// What is wrapped cannot be unwrapped.
    #[error("the vault's keys cannot be used")]
    Keys(#[from] KeyEncryptionError),
    /// A row holds what this program never writes, or what was altered.
    #[error("the vault's row of owner {0} cannot be used")]
    BadRow(OwnerId),
    /// Other processes changed the same rows during each attempt.
    #[error("other processes changed the vault during each attempt")]
    Contended,
}
