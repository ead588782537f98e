//! Who asks: sign-in tokens (JWT, RFC 7519) of the identity provider, and what they say.
//!
//! The algorithms that are accepted follow from the kind of key that is configured, never from the
//! token (RFC 8725 § 3.1): an RSA key verifies RS256 and PS256, a P-256 key ES256, an Ed25519 key
//! EdDSA, a shared secret HS256.

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

/// The most bytes that a token may have.
const MAX_TOKEN: usize = 8 * 1024;
/// How far the provider's clock may be from ours, in seconds.
const LEEWAY: u64 = 30;

/// Someone who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub user_id: UserId,
    /// Their address, where the provider tells it.
    pub email: Option<Email>,
    /// Whether they may see every key's history.
    pub is_auditor: bool,
    /// From when on their token is refused.
    pub until: Timestamp,
}

/// Where the keys come from that tokens are verified with.
#[derive(Debug)]
pub enum TokenKeys {
    /// One public key.
    PublicKey(VerifyingKey),
    /// A key set (RFC 7517) at a URL.
    Jwks(JwksUrl),
    /// A secret that the provider knows too.
    Hs256(SharedSecret),
}

/// What makes a token good.
#[derive(Debug)]
pub struct TokenRules {
    /// The keys.
    pub source: TokenKeys,
    /// Of which the token must name one, where there are any.
    pub audiences: Vec<String>,
    /// Which the token must name, if set.
    pub issuer: Option<String>,
    /// The role or scope that makes an auditor.
    pub audit_role: String,
}

/// Verifies tokens.
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

/// Why a token does not tell who asks.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is not good.
    #[error("the token is refused")]
    Rejected(#[source] Rejection),
    /// The keys to verify it with cannot be had now.
    #[error("the keys that verify tokens cannot be fetched")]
    KeysUnavailable(#[source] jwks::FetchError),
}

/// What is wrong with a token. It names no part of the token, so that it can be logged.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is longer than any token.
    #[error("it has more than {MAX_TOKEN} bytes")]
    TooLong,
    /// It asks for an extension that we do not know (RFC 7515 § 4.1.11).
    #[error("its header has critical extensions")]
    Critical,
    /// The key set has no key that it could have been signed with.
    #[error("no key of the key set fits it")]
    UnknownKey,
    /// Its form, its signature, or one of its times, its audience or issuer.
    #[error("{0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    /// It does not say whose it is.
    #[error("it names no user")]
    NoUser,
    /// It names a user as nobody can be named.
    #[error("{0}")]
    BadUser(#[from] keyledger_domain::UserIdError),
}

impl From<Rejection> for TokenError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl TokenVerifier {
    /// A verifier by these rules.
    #[must_use]
    pub fn new(rules: TokenRules) -> Self {
        let keys = match rules.source {
            TokenKeys::PublicKey(key) => Keys::One(key),
            TokenKeys::Hs256(secret) => Keys::One(VerifyingKey::hs256(&secret)),
            TokenKeys::Jwks(url) => Keys::Set(jwks::KeySet::new(jwks::HttpSource::new(url))),
        };
        // Which algorithms are accepted is set for each key.
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

    /// Fetches the keys, where they are to be fetched, so that the first caller need not wait.
    ///
    /// # Errors
    /// [`TokenError::KeysUnavailable`].
    pub async fn prepare(&self) -> Result<(), TokenError> {
        match &self.keys {
            Keys::One(_) => Ok(()),
            Keys::Set(set) => set.prepare().await.map_err(TokenError::KeysUnavailable),
        }
    }

    /// Tells who a token's bearer is.
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
                // The last attempt's rejection, if none succeeds.
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
