//! Keys, and a source that holds them in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::executor::block_on;
use keyledger_domain::key::{
    KeyCreated, KeyDeleted, KeyDetails, KeyEvent, KeyOwnerEmailChanged, KeyRevoked, KeyStatus,
};
use keyledger_domain::{
    DisplayPrefix, Email, HashFunction, KeyHash, KeyId, KeyName, Position, Reached, Revision,
    Timestamp, UserId, hash_presented,
};
use keyledger_verifier::{IndexWriter, KeyRecord, KeySource, LoadedKey, Owner, Use, UseSink};
use uuid::Uuid;

/// The text of the key with this number.
pub(crate) fn text(number: usize) -> String {
    format!("demo_{number:043}")
}

pub(crate) fn hash(number: usize) -> KeyHash {
    hash_presented(&text(number)).unwrap()
}

pub(crate) fn key_id(number: usize) -> KeyId {
    KeyId::from_uuid(Uuid::from_u128(u128::try_from(number).unwrap()))
}

pub(crate) fn at(second: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH.plus_seconds(second).unwrap()
}

/// What is known of a key, in owned form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) number: usize,
    /// The number of its secret, which is its own unless a test says otherwise.
    pub(crate) secret: usize,
    pub(crate) owner: String,
    pub(crate) email: Option<String>,
    pub(crate) name: String,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revision: Revision,
    pub(crate) status: KeyStatus,
}

impl Known {
    /// A key that was just created.
    pub(crate) fn new(number: usize, name: &str) -> Self {
        Self {
            number,
            secret: number,
            owner: "ann".to_owned(),
            email: None,
            name: name.to_owned(),
            expires_at: None,
            revision: Revision::FIRST,
            status: KeyStatus::Active,
        }
    }

    pub(crate) fn record(&self) -> KeyRecord<'_> {
        KeyRecord {
            key_id: key_id(self.number),
            hash: hash(self.secret),
            hash_function: HashFunction::Sha256,
            owner: Owner::of(&self.owner),
            owner_email: self.email.as_deref(),
            name: &self.name,
            created_at: at(1),
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn loaded(&self) -> LoadedKey<'_> {
        LoadedKey { record: self.record(), revision: self.revision, status: self.status }
    }

    /// Its creation.
    pub(crate) fn created(&self) -> KeyEvent {
        KeyEvent::Created(KeyCreated {
            key_id: key_id(self.number),
            details: KeyDetails {
                owner: UserId::from_stored(self.owner.clone()),
                owner_email: self.email.clone().map(Email::from_stored),
                name: KeyName::from_stored(self.name.clone()),
                prefix: DisplayPrefix::from_stored("demo_0000".to_owned()),
                hash: hash(self.secret),
                expires_at: self.expires_at,
                hash_function: HashFunction::Sha256,
                source_id: None,
            },
            occurred_at: at(1),
        })
    }

    /// The change of its owner's address to the one that it has.
    pub(crate) fn email_changed(&self) -> KeyEvent {
        KeyEvent::OwnerEmailChanged(KeyOwnerEmailChanged {
            key_id: key_id(self.number),
            user_id: UserId::from_stored(self.owner.clone()),
            user_email: Email::from_stored(self.email.clone().unwrap()),
            token_issued_at: at(2),
            occurred_at: at(2),
        })
    }

    /// Its revocation or deletion.
    pub(crate) fn ended(&self) -> KeyEvent {
        let (key_id, user_id) = (key_id(self.number), UserId::from_stored(self.owner.clone()));
        let (occurred_at, reason) = (at(2), None);
        if self.status == KeyStatus::Revoked {
            KeyEvent::Revoked(KeyRevoked { key_id, user_id, occurred_at, reason })
        } else {
            KeyEvent::Deleted(KeyDeleted { key_id, user_id, occurred_at, reason })
        }
    }
}

/// Keys in memory, as of a position.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) keys: BTreeMap<usize, Known>,
    pub(crate) position: u64,
}

impl Keys {
    /// As many keys, all of them active.
    pub(crate) fn many(count: usize) -> Self {
        Self {
            keys: (0..count).map(|number| (number, Known::new(number, "name"))).collect(),
            position: 1,
        }
    }

    pub(crate) fn load(&self) -> IndexWriter {
        let Ok(writer) = block_on(IndexWriter::load(self));
        writer
    }
}

#[async_trait]
impl KeySource for Keys {
    type Error = Infallible;

    async fn count(&self) -> Result<usize, Infallible> {
        Ok(self.keys.len())
    }

    async fn scan(
        &self,
        each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
    ) -> Result<Reached, Infallible> {
        for known in self.keys.values().filter(|known| known.status != KeyStatus::Deleted) {
            each(known.loaded());
        }
        Ok(Reached::at(Position::try_from(self.position).unwrap()))
    }
}

/// Last uses in memory.
#[derive(Default)]
pub(crate) struct Uses(pub(crate) Mutex<BTreeMap<KeyId, Timestamp>>);

#[async_trait]
impl UseSink for Uses {
    type Error = Infallible;

    async fn record(&self, uses: &[Use]) -> Result<(), Infallible> {
        self.0.lock().unwrap().extend(uses.iter().copied());
        Ok(())
    }
}
