//! Keys that verify tokens, each with the one signature algorithm that it is for.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::edwards::CompressedEdwardsY;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse, RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::SharedSecret;

/// How many bytes the modulus of an RSA key has: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The kinds of keys that are known, for people whose key is none of them. The library knows no others: not
/// P-521 (ES512), nor Ed448.
pub(super) const KINDS: &str = "RSA of 2048 to 8192 bits (RS256, PS256), EC P-256 (ES256) and P-384 (ES384), and Ed25519 (EdDSA)";

/// Reads a public key of one algorithm.
type Form = &'static dyn VerificationAlgorithm;
/// The curves of EC keys. Each is for one algorithm.
const CURVES: [(EllipticCurve, Algorithm, Form); 2] = [
    (EllipticCurve::P256, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
    (EllipticCurve::P384, Algorithm::ES384, &ECDSA_P384_SHA384_FIXED),
];

/// A key that verifies the signatures of tokens.
#[derive(Debug)]
pub struct VerifyingKey {
    /// The key's name in a key set; `None` if it has none.
    kid: Option<String>,
    decoding: DecodingKey,
    algorithm: Algorithm,
}

/// The algorithm of RSA keys that name none. A key is for one algorithm (RFC 8725 § 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RsaAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, which most identity providers use.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

impl From<RsaAlgorithm> for Algorithm {
    fn from(algorithm: RsaAlgorithm) -> Self {
        match algorithm {
            RsaAlgorithm::Rs256 => Self::RS256,
            RsaAlgorithm::Ps256 => Self::PS256,
        }
    }
}

/// The text is not a public key of a supported kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one public key in PEM form of a kind that is known: {KINDS}")]
pub struct BadKey;

/// Why a key of a key set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unused {
    /// It says that it is not for signatures.
    OtherUse,
    /// It is of no kind that is known, or of no good form, or for another algorithm than its kind.
    Unknown,
}

impl VerifyingKey {
    /// Reads a public key in PEM form (`PUBLIC KEY`, or `RSA PUBLIC KEY`). Line breaks may be written as
    /// `\n`, as in many files of settings. `rsa` is what the key is for if it is an RSA key.
    ///
    /// # Errors
    /// [`BadKey`] for anything else, including a private key, several keys, and a key that proves nothing.
    pub fn from_pem(pem: &str, rsa: RsaAlgorithm) -> Result<Self, BadKey> {
        let pem = pem.replace("\\n", "\n");
        if !pem.contains("PUBLIC KEY-----") || pem.matches("-----BEGIN").count() != 1 {
            return Err(BadKey);
        }
        let pem = pem.as_bytes();
        let decoding = DecodingKey::from_ed_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_rsa_pem(pem))
            .map_err(|_| BadKey)?;
        let bytes = decoding.try_get_as_bytes().map_err(|_| BadKey)?;
        let has = |form: Form| ParsedPublicKey::new(form, bytes).is_ok();
        let algorithm = match decoding.family() {
            AlgorithmFamily::Ed => {
                Some(Algorithm::EdDSA).filter(|_| has(&ED25519) && proves(bytes))
            }
            AlgorithmFamily::Ec => {
                let curve = CURVES.into_iter().find(|(_, _, form)| has(*form));
                curve.map(|(_, algorithm, _)| algorithm)
            }
            AlgorithmFamily::Rsa => Some(rsa.into()).filter(|_| has(&RSA_PKCS1_2048_8192_SHA256)),
            AlgorithmFamily::Hmac => None,
        };
        let algorithm = algorithm.ok_or(BadKey)?;
        Ok(Self { kid: None, decoding, algorithm })
    }

    /// Reads a key of a key set. Shared secrets are not used, since anyone can read a key set. What the key
    /// says of its use binds (`alg`, `use`, `key_ops`: RFC 7517 § 4); `rsa` is for RSA keys without `alg`.
    pub(super) fn from_jwk(mut jwk: Jwk, rsa: RsaAlgorithm) -> Result<Self, Unused> {
        let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let operations = jwk.common.key_operations.as_ref();
        let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !signs || !verifies {
            return Err(Unused::OtherUse);
        }
        let algorithms = algorithms(&mut jwk.algorithm, rsa).ok_or(Unused::Unknown)?;
        let named = jwk.common.key_algorithm;
        let is_named = |algorithm: &Algorithm| {
            named.is_none_or(|named| named.to_string() == format!("{algorithm:?}"))
        };
        let algorithm = algorithms.into_iter().find(is_named).ok_or(Unused::Unknown)?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(|_| Unused::Unknown)?;
        Ok(Self { kid: jwk.common.key_id, decoding, algorithm })
    }

    pub(super) fn hs256(secret: &SharedSecret) -> Self {
        let decoding = DecodingKey::from_secret(secret.as_bytes());
        Self { kid: None, decoding, algorithm: Algorithm::HS256 }
    }

    /// A key for EdDSA from the 32 bytes of its public half.
    pub(super) fn ed25519(public_key: &[u8]) -> Self {
        let decoding = DecodingKey::from_ed_der(public_key);
        Self { kid: None, decoding, algorithm: Algorithm::EdDSA }
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether this key may verify a token whose header has this `kid` and algorithm. A token without
    /// a `kid` may be verified by any key.
    pub(super) fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = kid.is_none() || self.kid.as_deref() == kid;
        named && self.algorithm == algorithm
    }
}

/// The algorithms that a key of a key set may be for, the first of them if it names none. `None` for a key that
/// is of no kind that is known, or of no good form.
fn algorithms(key: &mut AlgorithmParameters, rsa: RsaAlgorithm) -> Option<Vec<Algorithm>> {
    if let AlgorithmParameters::RSA(key) = key {
        without_leading_zeros(key)?;
        Some(vec![rsa.into(), Algorithm::RS256, Algorithm::PS256])
    } else if let AlgorithmParameters::EllipticCurve(key) = key {
        let (_, algorithm, form) = CURVES.into_iter().find(|(curve, _, _)| *curve == key.curve)?;
        let point = DecodingKey::from_ec_components(&key.x, &key.y).ok()?;
        ParsedPublicKey::new(form, point.try_get_as_bytes().ok()?).ok()?;
        Some(vec![algorithm])
    } else if let AlgorithmParameters::OctetKeyPair(key) = key
        && key.curve == EllipticCurve::Ed25519
        && URL_SAFE_NO_PAD.decode(&key.x).is_ok_and(|point| proves(&point))
    {
        Some(vec![Algorithm::EdDSA])
    } else {
        None
    }
}

/// Whether signatures under this Ed25519 key prove anything: with a point of small order, anyone can make
/// signatures that are good for many messages.
fn proves(public_key: &[u8]) -> bool {
    let point = CompressedEdwardsY::from_slice(public_key).ok();
    point.and_then(|point| point.decompress()).is_some_and(|point| !point.is_small_order())
}

/// Removes the zero bytes before the numbers, which RFC 7518 § 6.3.1.1 forbids and some providers write.
/// `None` if the key is too small or too large.
fn without_leading_zeros(key: &mut RSAKeyParameters) -> Option<()> {
    for number in [&mut key.n, &mut key.e] {
        let bytes = URL_SAFE_NO_PAD.decode(&*number).ok()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        *number = URL_SAFE_NO_PAD.encode(bytes.get(zeros..)?);
    }
    let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
    MODULUS.contains(&modulus.len()).then_some(())
}
