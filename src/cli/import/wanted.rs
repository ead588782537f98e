//! The key that a row describes.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keyledger_domain::key::{ImportKey, KeyDetails};
use keyledger_domain::{
    DisplayPrefix, Email, HashFunction, KeyHash, KeyName, SourceId, Timestamp, UserId,
};
use serde_json::Value;

use super::cells::{BadRow, Cells};
use super::times;

/// Base64 with the alphabet for URLs (RFC 4648, section 5), padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key to import, and the time of its last use if known.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) import: ImportKey,
    pub(super) last_used_at: Option<Timestamp>,
}

impl TryFrom<&Cells> for Wanted {
    type Error = BadRow;

    fn try_from(row: &Cells) -> Result<Self, BadRow> {
        let (hash_function, hash) = row.required(
            "key_hash",
            "a SHA-256 in hexadecimal or base64, or hmac-sha256: and 64 hexadecimal digits",
            |value| hash(value.as_str()?),
        )?;
        let name = row.required("name", "a text", |value| value.as_str().map(KeyName::parse))?;
        let created_at =
            row.required("created_at", times::EXPECTED, |value| times::parse(value.as_str()?))?;
        let details = KeyDetails {
            owner: row.required(
                "user_id",
                "a text of 1 to 255 characters without control characters",
                |value| UserId::parse(&text_or_number(value)?).ok(),
            )?,
            owner_email: row.optional(
                "user_email",
                "a text of 1 to 320 characters without control characters",
                |value| Email::parse(value.as_str()?),
            )?,
            name: name.map_err(|why| BadRow { column: Some("name"), problem: why.to_string() })?,
            prefix: row.required("key_prefix", "1 to 32 visible ASCII characters", |value| {
                DisplayPrefix::parse(value.as_str()?).ok()
            })?,
            hash,
            expires_at: row.time("expires_at")?,
            hash_function,
            source_id: row.optional(
                "key_id",
                "a text of 1 to 255 characters without control characters, or a number",
                |value| SourceId::parse(&text_or_number(value)?).ok(),
            )?,
        };
        let import =
            ImportKey { details, created_at, revoked: row.yes("revoked")?, known_as: None };
        Ok(Self { import, last_used_at: row.time("last_used_at")? })
    }
}

/// A text, or the digits of a whole number: databases number their rows.
fn text_or_number(value: &Value) -> Option<String> {
    let number = value.as_i64().map(|number| number.to_string());
    number.or_else(|| value.as_str().map(ToOwned::to_owned))
}

/// The hash in one of the forms in which services store it.
fn hash(text: &str) -> Option<(HashFunction, KeyHash)> {
    let hex = |digits: &str| KeyHash::from_hex(&digits.to_ascii_lowercase()).ok();
    if let Some(digits) = text.strip_prefix("hmac-sha256:") {
        return Some((HashFunction::HmacSha256, hex(digits)?));
    }
    let base64 = |text: &str| {
        let bytes = BASE64.decode(text.replace('+', "-").replace('/', "_")).ok()?;
        KeyHash::try_from(bytes.as_slice()).ok()
    };
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    Some((HashFunction::Sha256, hex(digits).or_else(|| base64(text))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_of_several_forms() {
        let of = KeyHash::of("abc");
        let hex = of.to_hex();
        for text in [
            &hex,
            &hex.to_uppercase(),
            &format!("sha256:{hex}"),
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        ] {
            assert_eq!(hash(text), Some((HashFunction::Sha256, of)), "{text}");
        }
        let hmac = format!("hmac-sha256:{hex}");
        assert_eq!(hash(&hmac), Some((HashFunction::HmacSha256, of)));
        for text in ["", &hex[1..], &format!("sha1:{hex}"), "hmac-sha256:", &format!("{hex}00")] {
            assert_eq!(hash(text), None, "{text}");
        }
    }
}
