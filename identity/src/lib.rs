//! Sign-in tokens (JWT, RFC 7519) of the identity provider: their verification, and the caller that
//! they describe.
//!
//! The accepted algorithm follows from the key that is configured, never from the token (RFC 8725 § 3.1): a
//! P-256 key is for ES256, a P-384 key for ES384, an Ed25519 key for EdDSA, a shared secret for HS256, and an RSA
//! key for RS256 or PS256, as it says itself or as is configured.

mod claims;
mod jwks;
mod key;
mod secret;
mod signing;

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use keyledger_domain::{Clock, Email, Timestamp, UserId};

use claims::caller;
pub use claims::{ClaimPath, ClaimPathError, RoleRules};
pub use jwks::{JwksUrl, JwksUrlError, PlainHttp};
pub use key::{BadKey, RsaAlgorithm, VerifyingKey};
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
    /// When the token was issued, by the identity provider's clock. `None` if the token does not say, or
    /// names a time in the future.
    pub issued_at: Option<Timestamp>,
    /// Whether the user may see the events of all users' keys.
    pub is_auditor: bool,
    /// Whether the user may create keys.
    pub may_create: bool,
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
    /// The algorithm of the RSA keys of a key set that name none.
    pub rsa_algorithm: RsaAlgorithm,
    /// What a user's roles allow.
    pub roles: RoleRules,
}

/// Verifies tokens by [`TokenRules`].
#[derive(Debug)]
pub struct TokenVerifier {
    keys: Keys,
    validation: Validation,
    roles: RoleRules,
    clock: Arc<dyn Clock>,
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

impl TokenError {
    /// Whether the token may be one of other parties. While the keys cannot be fetched, any token may be one
    /// whose key is not among those that are known.
    #[must_use]
    pub fn may_be_of_foreign_token(&self) -> bool {
        match self {
            Self::Rejected(reason) => reason.is_of_foreign_token(),
            Self::KeysUnavailable(_) => true,
        }
    }
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
    /// It is no token, or its algorithm is not that of the key.
    #[error("the token is malformed, or of another algorithm")]
    Malformed,
    /// The signature is not that of the key.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// The token is meant for another service.
    #[error("the token's audience is another one")]
    BadAudience,
    /// The token is of another identity provider, or `iss` is no text.
    #[error("the token's issuer is another one")]
    BadIssuer,
    /// The token has no `exp`.
    #[error("the token does not say when it expires")]
    NoExpiry,
    /// A time is no number.
    #[error("the token's {0} is not a time")]
    BadTime(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not good yet")]
    NotYet,
    /// The token has neither `user_id` nor `sub`, or it is neither a text nor a number.
    #[error("the token names no user")]
    NoUser,
    /// The user id in the token is not valid.
    #[error("{0}")]
    BadUser(#[from] keyledger_domain::UserIdError),
}

impl Rejection {
    /// Whether the token may be one of other parties: it is not signed with our keys, or not for this service.
    /// A token that is ours and has expired is not foreign.
    fn is_of_foreign_token(&self) -> bool {
        match self {
            Self::TooLong
            | Self::Critical
            | Self::UnknownKey
            | Self::Malformed
            | Self::BadSignature
            | Self::BadAudience
            | Self::BadIssuer => true,
            Self::NoExpiry
            | Self::BadTime(_)
            | Self::Expired
            | Self::NotYet
            | Self::NoUser
            | Self::BadUser(_) => false,
        }
    }
}

impl From<jsonwebtoken::errors::Error> for Rejection {
    /// The error's own text may quote the token.
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        let kind = error.kind();
        if matches!(kind, ErrorKind::InvalidSignature) {
            Self::BadSignature
        } else if matches!(kind, ErrorKind::InvalidAudience) || is_missing(kind, "aud") {
            Self::BadAudience
        } else if matches!(kind, ErrorKind::InvalidIssuer) || is_missing(kind, "iss") {
            Self::BadIssuer
        } else {
            Self::Malformed
        }
    }
}

fn is_missing(kind: &ErrorKind, claim: &str) -> bool {
    matches!(kind, ErrorKind::MissingRequiredClaim(missing) if missing == claim)
}

impl From<Rejection> for TokenError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl TokenVerifier {
    /// A verifier that applies these rules at the time that the clock tells.
    #[must_use]
    pub fn new(rules: TokenRules, clock: Arc<dyn Clock>) -> Self {
        let keys = match rules.source {
            TokenKeys::PublicKey(key) => Keys::One(key),
            TokenKeys::Hs256(secret) => Keys::One(VerifyingKey::hs256(&secret)),
            TokenKeys::Jwks(url) => {
                let source = jwks::HttpSource::new(url, rules.rsa_algorithm);
                Keys::Set(jwks::KeySet::new(source))
            }
        };
        // `decode` sets the accepted algorithm, which depends on the key. Times are compared with a clock
        // that is allowed to be wrong: the one of the library panics before 1970.
        let mut validation = Validation {
            validate_exp: false,
            validate_nbf: false,
            required_spec_claims: HashSet::new(),
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
        Self { keys, validation, roles: rules.roles, clock }
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
        Ok(caller(&claims, self.clock.now(), &self.roles)?)
    }

    fn decode(&self, token: &str, key: &VerifyingKey) -> Result<claims::Claims, Rejection> {
        let algorithms = vec![key.algorithm()];
        let validation = Validation { algorithms, ..self.validation.clone() };
        Ok(decode(token, key.decoding(), &validation)?.claims)
    }
}

#[cfg(test)]
mod tests;
