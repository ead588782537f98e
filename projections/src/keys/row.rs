//! Rows of the key table, and their conversion into checked types.

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{
    DisplayPrefix, Email, HashFunction, KeyHash, KeyId, KeyName, Revision, Timestamp, UserId,
};
use uuid::Uuid;

use super::view::KeyView;
use keyledger_verifier::{KeyRecord, LoadedKey, Owner};

#[derive(sqlx::FromRow)]
pub(crate) struct KeyRow {
    key_id: Uuid,
    user_id: String,
    user_email: Option<String>,
    name: String,
    key_prefix: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    revision: i64,
    closure: Option<String>,
}

/// A row of a table holds a value that this program never writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row of key {key_id} in {table} has a {column} out of range")]
pub struct BadRow {
    /// The table of the row.
    pub table: &'static str,
    /// The column that holds the value.
    pub column: &'static str,
    /// The key whose row it is.
    pub key_id: KeyId,
}

impl TryFrom<KeyRow> for KeyView {
    type Error = BadRow;

    fn try_from(row: KeyRow) -> Result<Self, BadRow> {
        let key_id = KeyId::from_uuid(row.key_id);
        let bad = |column| BadRow { table: "keys", column, key_id };
        let time =
            |column, micros: i64| Timestamp::from_unix_micros(micros).map_err(|_| bad(column));
        let maybe =
            |column, micros: Option<i64>| micros.map(|micros| time(column, micros)).transpose();
        Ok(Self {
            key_id,
            owner: UserId::from_stored(row.user_id),
            owner_email: row.user_email.map(Email::from_stored),
            name: KeyName::from_stored(row.name),
            prefix: DisplayPrefix::from_stored(row.key_prefix),
            created_at: time("created_at", row.created_at)?,
            expires_at: maybe("expires_at", row.expires_at)?,
            revoked_at: maybe("revoked_at", row.revoked_at)?,
            last_used_at: maybe("last_used_at", row.last_used_at)
                .map_err(|bad| BadRow { table: "key_usage", ..bad })?,
            closed: row.closure,
            revision: Revision::try_from(row.revision).map_err(|_| bad("revision"))?,
        })
    }
}

/// A row of [`super::SCAN`], column by column.
pub(crate) type ScanRow =
    (Uuid, String, Option<String>, String, Vec<u8>, i64, Option<i64>, Option<i64>, i64, bool);

/// Converts a [`ScanRow`] into a key of the verification index.
///
/// # Errors
/// [`BadRow`] when the value of a column is out of range.
pub(crate) fn loaded_key(row: &ScanRow) -> Result<LoadedKey<'_>, BadRow> {
    let (key_id, user_id, user_email, name, hash, created, expires, revoked, revision, is_hmac) =
        row;
    let key_id = KeyId::from_uuid(*key_id);
    let bad = |column| BadRow { table: "keys", column, key_id };
    let time = |column, micros: i64| Timestamp::from_unix_micros(micros).map_err(|_| bad(column));
    let record = KeyRecord {
        key_id,
        hash: KeyHash::try_from(hash.as_slice()).map_err(|_| bad("key_hash"))?,
        hash_function: if *is_hmac { HashFunction::HmacSha256 } else { HashFunction::Sha256 },
        owner: Owner::of(user_id),
        owner_email: user_email.as_deref(),
        name,
        created_at: time("created_at", *created)?,
        expires_at: expires.map(|micros| time("expires_at", micros)).transpose()?,
    };
    let status = if revoked.is_some() { KeyStatus::Revoked } else { KeyStatus::Active };
    let revision = Revision::try_from(*revision).map_err(|_| bad("revision"))?;
    Ok(LoadedKey { record, revision, status })
}
