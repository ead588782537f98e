//! A line of a file of keys: a JSON object, or a record of CSV (RFC 4180) under a header.

use keyledger_domain::key::{ImportKey, KeyDetails};
use keyledger_domain::{
    DisplayPrefix, Email, KeyHash, KeyId, KeyName, KeyNameError, Timestamp, UserId,
};
use serde::Deserialize;

/// The fields of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    key_hash: String,
    key_prefix: String,
    name: String,
    user_id: String,
    user_email: Option<String>,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    revoked: Option<bool>,
}

/// A key to import, and the time of its last use if known.
pub(super) struct Wanted {
    pub(super) import: ImportKey,
    pub(super) last_used_at: Option<Timestamp>,
}

impl Wanted {
    pub(super) fn key_id(&self) -> KeyId {
        self.import.key_id()
    }
}

/// Why a line cannot be imported. The text never includes content of the line.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    #[error("it is no JSON object with the fields of a key: {0}")]
    Json(&'static str),
    #[error("it is no record with the columns of a key: {0}")]
    Csv(&'static str),
    #[error("key_hash is not 64 hexadecimal digits")]
    Hash,
    #[error("key_prefix is not 1 to 32 visible ASCII characters")]
    Prefix,
    #[error("name cannot be used: {0}")]
    Name(#[from] KeyNameError),
    #[error("user_id cannot be used: {0}")]
    User(#[from] keyledger_domain::UserIdError),
    #[error("user_email is not 1 to 320 characters without control characters")]
    Email,
    #[error("{0} is no date and time of RFC 3339, such as 2025-01-31T12:00:00Z")]
    Time(&'static str),
    #[error("created_at lies in the future")]
    Future,
    #[error("another key with this hash was imported before")]
    OtherKey,
    #[error("the key was imported before, and its events were taken out of the journal since")]
    Closed,
}

impl BadLine {
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::Json(match error.classify() {
            serde_json::error::Category::Data => "a field is missing, unknown or of a wrong type",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => "it is no JSON",
        })
    }

    pub(super) fn csv(error: &csv::Error) -> Self {
        let kind = error.kind();
        Self::Csv(if matches!(kind, csv::ErrorKind::UnequalLengths { .. }) {
            "it has more or fewer columns than the header"
        } else if matches!(kind, csv::ErrorKind::Deserialize { .. }) {
            "a column is missing, unknown or of a wrong type"
        } else {
            "it cannot be read, or is no UTF-8"
        })
    }
}

impl TryFrom<Line> for Wanted {
    type Error = BadLine;

    fn try_from(line: Line) -> Result<Self, BadLine> {
        let time = |name, text: &str| Timestamp::parse(text).map_err(|_| BadLine::Time(name));
        let maybe =
            |name, text: Option<String>| text.as_deref().map(|text| time(name, text)).transpose();
        let email = line.user_email.filter(|email| !email.is_empty());
        let email = email.map(|email| Email::parse(&email).ok_or(BadLine::Email)).transpose()?;
        let hash = KeyHash::from_hex(&line.key_hash.to_ascii_lowercase());
        let details = KeyDetails {
            owner: UserId::parse(&line.user_id)?,
            owner_email: email,
            name: KeyName::parse(&line.name)?,
            prefix: DisplayPrefix::parse(&line.key_prefix).map_err(|_| BadLine::Prefix)?,
            hash: hash.map_err(|_| BadLine::Hash)?,
            expires_at: maybe("expires_at", line.expires_at)?,
        };
        let import = ImportKey {
            details,
            created_at: time("created_at", &line.created_at)?,
            revoked: line.revoked.unwrap_or(false),
        };
        Ok(Self { import, last_used_at: maybe("last_used_at", line.last_used_at)? })
    }
}
