//! Keys that verify tokens, each with the signature algorithms that it accepts.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::SharedSecret;

/// A key that verifies the signatures of tokens.
#[derive(Debug)]
pub struct VerifyingKey {
    /// The key's name in a key set; `None` if it has none.
    kid: Option<String>,
    decoding: DecodingKey,
    algorithms: &'static [Algorithm],
}

/// The text is not a public key of a supported kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key in PEM form: RSA of 2048 bits or more, EC P-256 or Ed25519")]
pub struct BadKey;

impl VerifyingKey {
    /// Reads a public key in PEM form (`PUBLIC KEY`, or `RSA PUBLIC KEY`).
    ///
    /// # Errors
    /// [`BadKey`] for anything else, including a private key.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        if !pem.contains("PUBLIC KEY-----") {
            return Err(BadKey);
        }
        let pem = pem.as_bytes();
        let decoding = DecodingKey::from_ed_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_rsa_pem(pem))
            .map_err(|_| BadKey)?;
        let (algorithms, form): (_, &'static dyn VerificationAlgorithm) = match decoding.family() {
            AlgorithmFamily::Ed => (ED, &ED25519),
            AlgorithmFamily::Ec => (EC, &ECDSA_P256_SHA256_FIXED),
            AlgorithmFamily::Rsa => (RSA, &RSA_PKCS1_2048_8192_SHA256),
            AlgorithmFamily::Hmac => return Err(BadKey),
        };
        let bytes = decoding.try_get_as_bytes().map_err(|_| BadKey)?;
        ParsedPublicKey::new(form, bytes).map_err(|_| BadKey)?;
        Ok(Self { kid: None, decoding, algorithms })
    }

    /// Reads a key of a key set; `None` if the key does not verify signatures or is of an unsupported
    /// kind. Shared secrets are unsupported here, since anyone can read a key set.
    pub(super) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithms = if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
            RSA
        } else if let AlgorithmParameters::EllipticCurve(key) = &jwk.algorithm
            && key.curve == EllipticCurve::P256
        {
            EC
        } else if let AlgorithmParameters::OctetKeyPair(key) = &jwk.algorithm
            && key.curve == EllipticCurve::Ed25519
        {
            ED
        } else {
            return None;
        };
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let decoding = DecodingKey::from_jwk(jwk).ok().filter(|_| signs)?;
        Some(Self { kid: jwk.common.key_id.clone(), decoding, algorithms })
    }

    pub(super) fn hs256(secret: &SharedSecret) -> Self {
        let decoding = DecodingKey::from_secret(secret.as_bytes());
        Self { kid: None, decoding, algorithms: &[Algorithm::HS256] }
    }

    /// A key for EdDSA from the 32 bytes of its public half.
    pub(super) fn ed25519(public_key: &[u8]) -> Self {
        Self { kid: None, decoding: DecodingKey::from_ed_der(public_key), algorithms: ED }
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        self.algorithms
    }

    /// Whether this key may verify a token whose header has this `kid` and algorithm. A token without
    /// a `kid` may be verified by any key.
    pub(super) fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = kid.is_none() || self.kid.as_deref() == kid;
        named && self.algorithms.contains(&algorithm)
    }
}

const RSA: &[Algorithm] = &[Algorithm::RS256, Algorithm::PS256];
const EC: &[Algorithm] = &[Algorithm::ES256];
const ED: &[Algorithm] = &[Algorithm::EdDSA];
