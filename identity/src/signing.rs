//! Signs tokens, for `keyledger token`, `--dev` and tests.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header, encode};
use serde::Serialize;

use super::{SharedSecret, VerifyingKey};

/// A key that signs tokens. `Debug` does not print the key.
#[derive(Debug)]
pub struct SigningKey {
    encoding: EncodingKey,
    algorithm: Algorithm,
}

/// The claims of a minted token.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// The id of the user who presents the token.
    #[serde(rename = "sub")]
    pub user_id: String,
    /// The user's email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The service that the token is meant for.
    #[serde(rename = "aud", skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The identity provider that issued the token.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When the token was issued, in seconds since 1970.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// When the token expires, in seconds since 1970.
    #[serde(rename = "exp")]
    pub expires_at: i64,
}

/// Why a signing key cannot be read or made, or a token cannot be minted.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The text is not a private key of a supported kind.
    #[error("not a private key in PEM form (PKCS#8): RSA, EC P-256 or P-384, or Ed25519")]
    BadKey,
    /// The system's random generator failed while a key was generated.
    #[error("a signing key cannot be made")]
    Generation(#[source] aws_lc_rs::error::Unspecified),
    /// Signing failed.
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
            AlgorithmFamily::Ec => curve_of(encoding.as_bytes()).ok_or(SigningError::BadKey)?,
            AlgorithmFamily::Rsa => Algorithm::RS256,
            AlgorithmFamily::Hmac => return Err(SigningError::BadKey),
        };
        Ok(Self { encoding, algorithm })
    }

    /// A key that signs with HS256 and this shared secret.
    #[must_use]
    pub fn hs256(secret: &SharedSecret) -> Self {
        let encoding = EncodingKey::from_secret(secret.as_bytes());
        Self { encoding, algorithm: Algorithm::HS256 }
    }

    /// Generates a key pair for EdDSA: the signing key and the key that verifies its signatures.
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

/// The algorithm of the curve that a private key in PKCS#8 form is on.
fn curve_of(key: &[u8]) -> Option<Algorithm> {
    let curves: [(_, &'static EcdsaSigningAlgorithm); 2] = [
        (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING),
        (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING),
    ];
    let curve = curves.into_iter().find(|(_, it)| EcdsaKeyPair::from_pkcs8(it, key).is_ok());
    curve.map(|(algorithm, _)| algorithm)
}

/// Signs a token with these claims. `kid` is the key's name in a key set, for the token's header.
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
