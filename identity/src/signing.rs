//! Minting tokens: for `keyledger token`, for `--dev`, for tests.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header, encode};
use serde::Serialize;

use super::{SharedSecret, VerifyingKey};

/// A key that signs tokens. Its `Debug` hides it.
#[derive(Debug)]
pub struct SigningKey {
    encoding: EncodingKey,
    algorithm: Algorithm,
}

/// What a minted token says.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// Who its bearer is.
    #[serde(rename = "sub")]
    pub user_id: String,
    /// Their e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Their roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Whom it is for.
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Who made it.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When it was made, in seconds since 1970.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// Until when it is good, in seconds since 1970.
    #[serde(rename = "exp")]
    pub expires_at: i64,
}

/// Why no token can be minted.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The text is no private key.
    #[error("not a private key in PEM form (PKCS#8): RSA, EC P-256 or Ed25519")]
    BadKey,
    /// The system has no randomness for a new key.
    #[error("a signing key cannot be made")]
    Generation(#[source] aws_lc_rs::error::Unspecified),
    /// The key does not sign.
    #[error("the token cannot be signed with this key")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// Reads a private key in PEM form.
    ///
    /// # Errors
    /// [`SigningError::BadKey`].
    pub fn from_pem(pem: &str) -> Result<Self, SigningError> {
        if !pem.contains("PRIVATE KEY-----") {
            return Err(SigningError::BadKey);
        }
        let pem = pem.as_bytes();
        let encoding = EncodingKey::from_ed_pem(pem)
            .or_else(|_| EncodingKey::from_ec_pem(pem))
            .or_else(|_| EncodingKey::from_rsa_pem(pem))
            .map_err(|_| SigningError::BadKey)?;
        let algorithm = match encoding.family() {
            AlgorithmFamily::Ed => Algorithm::EdDSA,
            AlgorithmFamily::Ec => Algorithm::ES256,
            AlgorithmFamily::Rsa => Algorithm::RS256,
            AlgorithmFamily::Hmac => return Err(SigningError::BadKey),
        };
        Ok(Self { encoding, algorithm })
    }

    /// A shared secret as a key.
    #[must_use]
    pub fn hs256(secret: &SharedSecret) -> Self {
        let encoding = EncodingKey::from_secret(secret.as_bytes());
        Self { encoding, algorithm: Algorithm::HS256 }
    }

    /// Makes a new key for EdDSA, and the one that verifies what it signs.
    ///
    /// # Errors
    /// [`SigningError::Generation`].
    pub fn generate() -> Result<(Self, VerifyingKey), SigningError> {
        let pair = Ed25519KeyPair::generate().map_err(SigningError::Generation)?;
        let private = pair.to_pkcs8().map_err(SigningError::Generation)?;
        let encoding = EncodingKey::from_ed_der(private.as_ref());
        let verifying = VerifyingKey::ed25519(pair.public_key().as_ref());
        Ok((Self { encoding, algorithm: Algorithm::EdDSA }, verifying))
    }
}

/// Mints a token; `kid` names the key in a key set.
///
/// # Errors
/// [`SigningError::Signing`].
pub fn mint(
    key: &SigningKey,
    claims: &Claims,
    kid: Option<String>,
) -> Result<String, SigningError> {
    let header = Header { kid, ..Header::new(key.algorithm) };
    encode(&header, claims, &key.encoding).map_err(SigningError::Signing)
}
