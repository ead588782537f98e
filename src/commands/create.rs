//! Making a key: the one command with a secret, and with an idempotency key.

use keyledger_domain::key::{Command, CreateKey, Key, KeyDetails, decide, fold};
use keyledger_domain::{CommandId, Email, KeyId, KeyName, Position, Secret, Timestamp, UserId};
use uuid::Uuid;

use super::{CommandError, Commands, Origin, recorded_by};
use keyledger_journal::{Append, Expected};

/// A key that someone wants.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its owner.
    pub owner: UserId,
    /// The owner's address, where known.
    pub owner_email: Option<Email>,
    /// What the owner calls it.
    pub name: KeyName,
    /// From when on it shall no longer verify.
    pub expires: Option<Expiry>,
    /// Under which the owner may ask again without getting a second key.
    pub idempotency_key: Option<String>,
}

/// When a new key is to expire, as the owner put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this moment.
    At(Timestamp),
    /// This many seconds after its creation.
    InSeconds(u32),
}

/// A key that was made.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: Key,
    /// Its secret, to be shown once.
    pub secret: Secret,
    /// The position of its first event.
    pub position: Position,
}

/// What an idempotent request keeps across its attempts.
struct Identity {
    key_id: KeyId,
    /// UUIDv5 of the key's id and all that was asked for: it is stored as the event's cause, and
    /// tells the same request from another one under the same idempotency key.
    request: Uuid,
}

impl Identity {
    fn of(new: &NewKey, idempotency_key: &str) -> Self {
        let key_id = KeyId::for_idempotency_key(&new.owner, idempotency_key);
        // A name holds no control character, so that the separator cannot occur in it.
        let expires = match new.expires {
            None => String::new(),
            Some(Expiry::At(at)) => format!("at {at}"),
            Some(Expiry::InSeconds(seconds)) => format!("in {seconds}"),
        };
        let asked = format!("{}\0{expires}", new.name.as_str());
        Self { key_id, request: Uuid::new_v5(&key_id.as_uuid(), asked.as_bytes()) }
    }
}

impl Commands {
    /// Makes a key.
    ///
    /// # Errors
    /// Every variant of [`CommandError`] but [`CommandError::Contended`].
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn create(&self, new: NewKey, origin: &Origin) -> Result<Created, CommandError> {
        let now = self.clock.now();
        let identity = new.idempotency_key.as_deref().map(|key| Identity::of(&new, key));
        let (command_id, key_id, secret) = self.with_random(|random| {
            let key_id = identity.as_ref().map(|identity| identity.key_id);
            (
                CommandId::generate(random),
                key_id.unwrap_or_else(|| KeyId::generate(now, random)),
                Secret::generate(&self.key_prefix, random),
            )
        });
        let expires_at = match new.expires {
            None => None,
            Some(Expiry::At(at)) => Some(at),
            Some(Expiry::InSeconds(seconds)) => {
                Some(now.plus_seconds(seconds).unwrap_or(Timestamp::MAX))
            }
        };
        let command = Command::Create(CreateKey {
            key_id,
            details: KeyDetails {
                owner: new.owner,
                owner_email: new.owner_email,
                name: new.name,
                prefix: secret.display_prefix(),
                hash: secret.hash(),
                expires_at,
            },
        });
        let decided = decide(None, &command, now);
        if let (Err(_), Some(identity)) = (&decided, &identity) {
            // What is asked again may have been right then: an expiry that has since passed.
            self.refuse_replay(identity).await?;
        }
        let events = decided?;
        let key = fold(&events)?.ok_or(CommandError::Contended)?;
        let cause = identity.as_ref().map_or(command_id.as_uuid(), |identity| identity.request);
        let events = recorded_by(command_id, cause, events, origin);
        let append = Append { key_id, expected: Expected::NoStream, events };
        match self.append(append).await? {
            Some(appended) => Ok(Created { key, secret, position: appended.position }),
            None => {
                if let Some(identity) = &identity {
                    self.refuse_replay(identity).await?;
                }
                Err(CommandError::Contended)
            }
        }
    }

    /// Tells a request that was carried out before from another one with its idempotency key;
    /// fine when there was none.
    async fn refuse_replay(&self, identity: &Identity) -> Result<(), CommandError> {
        let events = self.journal.read(identity.key_id).await?;
        match events.first() {
            None => Ok(()),
            Some(first) if first.metadata.causation_id == identity.request => {
                Err(CommandError::Replayed { key_id: identity.key_id })
            }
            Some(_) => Err(CommandError::IdempotencyMismatch),
        }
    }
}
