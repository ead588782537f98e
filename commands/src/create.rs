//! Creating a key: the only command that generates a secret and accepts an idempotency key.

use keyledger_domain::key::{Command, CreateKey, Key, KeyDetails, decide, fold};
use keyledger_domain::{
    CommandId, Email, HashFunction, InstallationSecret, KeyId, KeyName, Position, Secret,
    Timestamp, UserId,
};
use tracing::Span;
use tracing::field::{Empty, display};
use uuid::Uuid;

use crate::{CommandError, Commands, Origin, recorded_by};
use keyledger_journal::{Append, Expected};

/// A request for a new key.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The user who will own the key.
    pub owner: UserId,
    /// The owner's address, if the identity provider gave one.
    pub owner_email: Option<Email>,
    /// The name that the owner chose.
    pub name: KeyName,
    /// When the key is to expire; `None` if never.
    pub expires: Option<Expiry>,
    /// A repeated request with the same idempotency key does not create a second key.
    pub idempotency_key: Option<String>,
}

/// When a new key is to expire, as the request says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this time.
    At(Timestamp),
    /// This many seconds after its creation.
    InSeconds(u32),
}

/// A key that was created.
#[derive(Debug)]
pub struct Created {
    /// The key's state.
    pub key: Key,
    /// The key's secret, which is shown once.
    pub secret: Secret,
    /// The position of the key's first event.
    pub position: Position,
}

/// The ids that are the same in all attempts at an idempotent request.
struct Identity {
    key_id: KeyId,
    /// UUIDv5 of the key's id and all parameters of the request. It is stored as the event's
    /// `causation_id`, so that another request with the same idempotency key is noticed.
    request: Uuid,
}

impl Identity {
    fn of(new: &NewKey, idempotency_key: &str, secret: &InstallationSecret) -> Self {
        let key_id = KeyId::for_idempotency_key(secret, &new.owner, idempotency_key);
        // A name has no control characters, so the separator cannot occur in it.
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
    /// Creates a key.
    ///
    /// # Errors
    /// Every variant of [`CommandError`] but [`CommandError::Contended`].
    #[tracing::instrument(
        name = "command",
        skip_all,
        fields(otel.kind = "internal", otel.name = "create key", key.id = Empty)
    )]
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn create(&self, new: NewKey, origin: &Origin) -> Result<Created, CommandError> {
        let now = self.now()?;
        let identity = self.identity(&new).await?;
        let (command_id, key_id, secret) = self.with_random(|random| {
            let key_id = identity.as_ref().map(|identity| identity.key_id);
            (
                CommandId::generate(random),
                key_id.unwrap_or_else(|| KeyId::generate(now, random)),
                Secret::generate(&self.key_prefix, random),
            )
        });
        Span::current().record("key.id", display(key_id));
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
                hash_function: HashFunction::Sha256,
                source_id: None,
            },
        });
        let decided = decide(None, &command, now);
        if let (Err(_), Some(identity)) = (&decided, &identity) {
            // An earlier attempt may have succeeded: its expiry was still in the future then.
            self.refuse_replay_of(identity).await?;
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
                    self.refuse_replay_of(identity).await?;
                }
                Err(CommandError::Contended)
            }
        }
    }

    /// Fails if a request with the same idempotency key was carried out before.
    ///
    /// # Errors
    /// [`CommandError::Replayed`] if it was the same request, [`CommandError::IdempotencyMismatch`] if it
    /// was another one, and those of the journal.
    pub async fn refuse_replay(&self, new: &NewKey) -> Result<(), CommandError> {
        match self.identity(new).await? {
            Some(identity) => self.refuse_replay_of(&identity).await,
            None => Ok(()),
        }
    }

    async fn identity(&self, new: &NewKey) -> Result<Option<Identity>, CommandError> {
        let Some(idempotency_key) = &new.idempotency_key else { return Ok(None) };
        Ok(Some(Identity::of(new, idempotency_key, self.installation_secret().await?)))
    }

    /// The secret of the installation, which is made when it is needed for the first time.
    async fn installation_secret(&self) -> Result<&InstallationSecret, CommandError> {
        let secret = self.secret.get_or_try_init(async || {
            if let Some(secret) = self.journal.installation_secret().await? {
                return Ok(secret);
            }
            let new = self.with_random(InstallationSecret::generate);
            let kept = self.journal.keep_installation_secret(new).await;
            kept.map_err(|error| CommandError::Unavailable(error.into()))
        });
        secret.await
    }

    async fn refuse_replay_of(&self, identity: &Identity) -> Result<(), CommandError> {
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
