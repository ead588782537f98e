//! Sign-in tokens (JWT, RFC 7519) of the identity provider: their verification, and the caller that
//! they describe.
//!
//! The accepted algorithms follow from the kind of key that is configured, never from the token
//! (RFC 8725 § 3.1): an RSA key accepts RS256 and PS256, a P-256 key ES256, an Ed25519 key EdDSA, a
//! shared secret HS256.

mod claims;
mod jwks;
mod key;
mod secret;
mod signing;

use jsonwebtoken::{Validation, decode, decode_header};
use keyledger_domain::{Email, Timestamp, UserId};

use claims::TokenClaims;
pub use jwks::{JwksUrl, JwksUrlError};
pub use key::{BadKey, VerifyingKey};
pub use secret::{SharedSecret, WeakSecret};
pub use signing::{Claims, SigningError, SigningKey, mint};

/// The longest token that is accepted, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// How far the identity provider's clock may differ from this machine's, in seconds.
const LEEWAY: u64 = 30;

/// A user who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: UserId,
    /// The user's email address, if the token has a valid one.
    pub email: Option<Email>,
    /// Whether the user may see the events of all users' keys.
    pub is_auditor: bool,
    /// From when on the token is refused.
    pub until: Timestamp,
}

/// The source of the keys that tokens are verified with.
#[derive(Debug)]
pub enum TokenKeys {
    /// One public key.
    PublicKey(VerifyingKey),
    /// A key set (RFC 7517) at a URL.
    Jwks(JwksUrl),
    /// A secret shared with the identity provider.
    Hs256(SharedSecret),
}

/// The conditions under which a token is accepted.
#[derive(Debug)]
pub struct TokenRules {
    /// The keys that verify signatures.
    pub source: TokenKeys,
    /// The token's `aud` must contain one of these. If the list is empty, `aud` is not checked.
    pub audiences: Vec<String>,
    /// The token's `iss` must equal this; `None` if `iss` is not checked.
    pub issuer: Option<String>,
    /// Users with this role or scope are auditors.
    pub audit_role: String,
}

/// Verifies tokens by [`TokenRules`].
#[derive(Debug)]
pub struct TokenVerifier {
    keys: Keys,
    validation: Validation,
    audit_role: String,
}

#[derive(Debug)]
enum Keys {
    One(VerifyingKey),
    Set(jwks::KeySet<jwks::HttpSource>),
}

/// Why a token could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is not acceptable.
    #[error("the token is refused")]
    Rejected(#[source] Rejection),
    /// The keys are not available now, so nothing is known about the token.
    #[error("the keys that verify tokens cannot be fetched")]
    KeysUnavailable(#[source] jwks::FetchError),
}

/// What is wrong with a token. The text quotes no part of the token, so it can be logged.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The token is longer than 8 KiB.
    #[error("the token has more than {MAX_TOKEN} bytes")]
    TooLong,
    /// The header requires an extension (RFC 7515 § 4.1.11). None is supported.
    #[error("the token's header has critical extensions")]
    Critical,
    /// The key set has no key with the token's `kid` and algorithm.
    #[error("no key of the key set has the token's key id and algorithm")]
    UnknownKey,
    /// The form, the signature, a time, the audience or the issuer is wrong.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    /// The token has neither `user_id` nor `sub`.
    #[error("the token names no user")]
    NoUser,
    /// The user id in the token is not valid.
    #[error("{0}")]
    BadUser(#[from] keyledger_domain::UserIdError),
}

impl From<Rejection> for TokenError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl TokenVerifier {
    /// A verifier that applies these rules.
    #[must_use]
    pub fn new(rules: TokenRules) -> Self {
        let keys = match rules.source {
            TokenKeys::PublicKey(key) => Keys::One(key),
            TokenKeys::Hs256(secret) => Keys::One(VerifyingKey::hs256(&secret)),
            TokenKeys::Jwks(url) => Keys::Set(jwks::KeySet::new(jwks::HttpSource::new(url))),
        };
        // `decode` sets the accepted algorithms, which depend on the key.
        let mut validation = Validation {
            leeway: LEEWAY,
            validate_nbf: true,
            required_spec_claims: ["exp".to_owned()].into(),
            ..Validation::default()
        };
        if rules.audiences.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(&rules.audiences);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if let Some(issuer) = rules.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Self { keys, validation, audit_role: rules.audit_role }
    }

    /// Fetches the key set, if there is one, so that the first caller need not wait for it.
    ///
    /// # Errors
    /// [`TokenError::KeysUnavailable`].
    pub async fn prepare(&self) -> Result<(), TokenError> {
        match &self.keys {
            Keys::One(_) => Ok(()),
            Keys::Set(set) => set.prepare().await.map_err(TokenError::KeysUnavailable),
        }
    }

    /// Verifies a token and returns the user whom it describes.
    ///
    /// # Errors
    /// Every variant of [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(Rejection::TooLong.into());
        }
        let header = decode_header(token).map_err(Rejection::from)?;
        if header.crit.is_some() {
            return Err(Rejection::Critical.into());
        }
        let claims = match &self.keys {
            Keys::One(key) => self.decode(token, key)?,
            Keys::Set(set) => {
                let keys = set.candidates(header.kid.as_deref(), header.alg).await?;
                let attempts = keys.iter().map(|key| self.decode(token, key));
                // The first success, or the last rejection.
                attempts
                    .reduce(|before, now| before.or(now))
                    .unwrap_or(Err(Rejection::UnknownKey))?
            }
        };
        Ok(claims.into_caller(&self.audit_role)?)
    }

    fn decode(&self, token: &str, key: &VerifyingKey) -> Result<TokenClaims, Rejection> {
        let algorithms = key.algorithms().to_vec();
        let validation = Validation { algorithms, ..self.validation.clone() };
        Ok(decode(token, key.decoding(), &validation)?.claims)
    }
}

#[cfg(test)]
mod tests;
