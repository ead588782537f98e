//! Finds owners, makes new ones, and destroys what is known of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use keyledger_checks::Found;
use keyledger_domain::{
    Clock, Erasure, OwnerId, Position, Timestamp, UserId, chain, without_password,
};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::cache::OwnerCache;
use crate::data_key::hmac;
use crate::store::{
    self, Generation, Inserted, LookUp, NewOwner, OwnerRow, PostgresStore, SqliteStore, Store,
};
use crate::{
    DataKey, EmailAsOf, FieldPlace, KeyEncryption, KnownOwner, OpenVaultError, OwnerState, Person,
    VaultError, WrappedFor,
};

/// How often a change is tried that other processes interfere with.
const ATTEMPTS: usize = 5;

/// The vault; cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Box<dyn Store>,
    pub(crate) keys: Arc<dyn KeyEncryption>,
    clock: Arc<dyn Clock>,
    cache: OwnerCache,
    /// The generations that were read last, with their unwrapped keys.
    generations: Mutex<Arc<[LookUpKey]>>,
}

/// A generation with the key under which users are looked up in it.
#[derive(Clone)]
pub(crate) struct LookUpKey {
    generation: Generation,
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for LookUpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LookUpKey({}, ..)", self.generation.generation)
    }
}

impl LookUpKey {
    pub(crate) fn generation(&self) -> i64 {
        self.generation.generation
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.generation.key_id
    }

    pub(crate) fn look_up(&self, user: &UserId) -> LookUp {
        let mut mac = self.key.clone();
        mac.update(user.as_str().as_bytes());
        let hash = mac.finalize().into_bytes().to_vec();
        LookUp { generation: self.generation.generation, hash }
    }
}

impl Vault {
    /// Opens the vault at a URL such as `sqlite://data/vault.db` or `postgres://db/vault`. Creates its tables where
    /// they are missing, and applies the migrations of this version. `longest` is for how long what was read of an
    /// owner may be used while the vault cannot be reached.
    ///
    /// # Errors
    /// Every variant of [`OpenVaultError`]; [`OpenVaultError::Keys`] if the vault is wrapped with other keys.
    pub async fn open(
        url: &str,
        keys: Arc<dyn KeyEncryption>,
        clock: Arc<dyn Clock>,
        longest: Duration,
    ) -> Result<Self, OpenVaultError> {
        let store: Box<dyn Store> = match url.split_once("://") {
            Some(("sqlite", _)) => Box::new(SqliteStore::open(url).await?),
            Some(("postgres" | "postgresql", _)) => Box::new(PostgresStore::open(url).await?),
            _ => return Err(OpenVaultError::UnknownScheme),
        };
        let (cache, generations) = (OwnerCache::new(longest), Mutex::default());
        let vault = Self(Arc::new(Inner { store, keys, clock, cache, generations }));
        // Fails now, rather than at the first owner, if the keys are others.
        match vault.look_up_keys().await {
            Ok(_) => Ok(vault),
            Err(VaultError::Keys(error)) => Err(OpenVaultError::Keys(error)),
            Err(error) => Err(OpenVaultError::unavailable(&without_password(url), error)),
        }
    }

    /// Looks at the vault without opening it, and changes nothing.
    pub async fn examine(url: &str) -> Found {
        let found = match url.split_once("://") {
            Some(("sqlite", _)) => store::examine_sqlite(url).await,
            Some(("postgres" | "postgresql", _)) => store::examine_postgres(url).await,
            _ => Err(OpenVaultError::UnknownScheme),
        };
        let place = without_password(url);
        found.unwrap_or_else(|error| Found::at("vault", place).with_problem(chain(&error)))
    }

    /// The owner that stands for a user, who is made if there is none, with the address that a token names. A newer
    /// token's address replaces an older one's. Of several processes that call this at the same time, all get the
    /// same owner.
    ///
    /// # Errors
    /// Every variant of [`VaultError`].
    pub async fn owner_of(
        &self,
        user: &UserId,
        email: &EmailAsOf,
    ) -> Result<KnownOwner, VaultError> {
        let remembered = self.remembered(user, |cache, id| cache.fresh(id));
        if let Some(owner) = remembered.filter(|owner| !owner.person.is_older_than(email)) {
            return Ok(owner);
        }
        match self.find_or_make(user, email).await {
            Err(VaultError::Unavailable(error)) => {
                let remembered = self.remembered(user, |cache, id| cache.usable(id));
                remembered.ok_or(VaultError::Unavailable(error))
            }
            outcome => outcome,
        }
    }

    /// The owner that stands for a user, if there is one.
    ///
    /// # Errors
    /// Every variant of [`VaultError`] but [`VaultError::Contended`].
    pub async fn find(&self, user: &UserId) -> Result<Option<KnownOwner>, VaultError> {
        if let Some(owner) = self.remembered(user, |cache, id| cache.fresh(id)) {
            return Ok(Some(owner));
        }
        let found = async {
            let keys = self.look_up_keys().await?;
            self.find_by(&keys, user).await
        };
        match found.await {
            Err(VaultError::Unavailable(error)) => {
                let remembered = self.remembered(user, |cache, id| cache.usable(id));
                remembered.map(Some).ok_or(VaultError::Unavailable(error))
            }
            outcome => outcome,
        }
    }

    /// What is known of these owners. One whom the vault has never had is missing.
    ///
    /// # Errors
    /// Every variant of [`VaultError`] but [`VaultError::Contended`].
    pub async fn known(
        &self,
        owners: impl IntoIterator<Item = OwnerId>,
    ) -> Result<HashMap<OwnerId, Arc<OwnerState>>, VaultError> {
        let mut known = HashMap::new();
        let mut asked = Vec::new();
        for id in owners {
            match self.0.cache.fresh(id) {
                Some(fresh) => drop(known.insert(id, fresh)),
                None => asked.push(id.as_uuid()),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Ok(known);
        }
        match self.0.store.owners(&asked).await {
            Ok(rows) => {
                for row in rows {
                    let id = OwnerId::from_uuid(row.owner_id);
                    let read = self.opened(row).await?;
                    known.insert(id, self.0.cache.add(id, read));
                }
            }
            Err(error) => {
                for id in asked.into_iter().map(OwnerId::from_uuid) {
                    match self.0.cache.usable(id) {
                        Some(usable) => drop(known.insert(id, usable)),
                        None => return Err(error.into()),
                    }
                }
            }
        }
        Ok(known)
    }

    /// Remembers that the owner's first event is in the journal.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn set_registered(&self, owner: OwnerId) -> Result<(), VaultError> {
        self.0.store.set_registered(owner.as_uuid()).await?;
        self.0.cache.forget(owner);
        Ok(())
    }

    /// Destroys what is known of an owner: the data key, and who it is. It may be called again, and for an owner
    /// whom the vault does not have: no key is ever made for that handle then. Returns whether anything was destroyed.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn erase(&self, owner: OwnerId, erasure: Erasure) -> Result<bool, VaultError> {
        let erased = self.0.store.erase(owner, erasure).await?;
        self.forget(owner);
        if erased {
            self.0.cache.add(owner, OwnerState::Erased(erasure));
        }
        Ok(erased)
    }

    /// Forgets what was read of an owner, as when another process has erased it. A key that a query on its way has
    /// read before that is forgotten within a minute.
    pub fn forget(&self, owner: OwnerId) {
        self.0.cache.forget(owner);
    }

    /// When the present key-encryption key was used first; `None` if the vault has no owner yet. A backup of the
    /// vault from before is dead once the keys of that time are destroyed.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn wrapped_since(&self) -> Result<Option<Timestamp>, VaultError> {
        let generations = self.0.store.generations().await?;
        let made_at = generations.last().map(|newest| newest.made_at);
        Ok(made_at.map(Timestamp::saturating_from_unix_micros))
    }

    /// The owner of this user that is remembered.
    fn remembered(
        &self,
        user: &UserId,
        how: impl FnOnce(&OwnerCache, OwnerId) -> Option<Arc<OwnerState>>,
    ) -> Option<KnownOwner> {
        let id = self.0.cache.id_of(user)?;
        match &*how(&self.0.cache, id)? {
            OwnerState::Living(owner) if owner.person.user_id == *user => Some(owner.clone()),
            OwnerState::Living(_) | OwnerState::Erased(_) => None,
        }
    }

    async fn find_or_make(
        &self,
        user: &UserId,
        email: &EmailAsOf,
    ) -> Result<KnownOwner, VaultError> {
        for _ in 0..ATTEMPTS {
            let keys = self.look_up_keys().await?;
            let Some(newest) = keys.last() else {
                self.begin_generation(0).await?;
                continue;
            };
            if let Some(owner) = self.find_by(&keys, user).await? {
                if !owner.person.is_older_than(email) {
                    return Ok(owner);
                }
                if let Some(owner) = self.with_email(owner, email).await? {
                    return Ok(owner);
                }
                continue;
            }
            let owner = KnownOwner {
                id: OwnerId::generate(&mut UnwrapErr(SysRng)),
                data_key: DataKey::generate(&mut UnwrapErr(SysRng)),
                person: Person {
                    user_id: user.clone(),
                    email: email.email.clone(),
                    email_as_of: email.as_of,
                },
                is_registered: false,
            };
            let Generation { generation, key_id, .. } = &newest.generation;
            let secret = owner.data_key.as_bytes();
            let wrapped = self.0.keys.wrap(key_id, secret, WrappedFor::Owner(owner.id)).await?;
            let new = NewOwner {
                owner_id: owner.id.as_uuid(),
                generation: *generation,
                wrapped,
                person: sealed(&owner)?,
                commitment: owner.data_key.commitment().as_bytes().to_vec(),
                lookups: keys.iter().map(|key| key.look_up(user)).collect(),
            };
            if self.0.store.insert(&new).await? == Inserted::New {
                self.0.cache.add(owner.id, OwnerState::Living(owner.clone()));
                return Ok(owner);
            }
        }
        Err(VaultError::Contended)
    }

    async fn find_by(
        &self,
        keys: &[LookUpKey],
        user: &UserId,
    ) -> Result<Option<KnownOwner>, VaultError> {
        let lookups: Vec<_> = keys.iter().map(|key| key.look_up(user)).collect();
        let Some(row) = self.0.store.find(&lookups).await? else { return Ok(None) };
        let id = OwnerId::from_uuid(row.owner_id);
        let known = self.opened(row).await?;
        match &*self.0.cache.add(id, known) {
            OwnerState::Living(owner) if owner.person.user_id == *user => Ok(Some(owner.clone())),
            // A look-up leads to nobody else, unless the row was altered.
            OwnerState::Living(_) => Err(VaultError::BadRow(id)),
            // Since the query.
            OwnerState::Erased(_) => Ok(None),
        }
    }

    /// Notes another address of an owner; `None` if another process has changed what is known of the person.
    async fn with_email(
        &self,
        owner: KnownOwner,
        email: &EmailAsOf,
    ) -> Result<Option<KnownOwner>, VaultError> {
        let rows = self.0.store.owners(&[owner.id.as_uuid()]).await?;
        let before = rows.into_iter().find_map(|row| row.person);
        let Some(before) = before else { return Ok(None) };
        if unsealed(owner.id, &owner.data_key, &before)? != owner.person {
            return Ok(None);
        }
        let person = Person {
            user_id: owner.person.user_id.clone(),
            email: email.email.clone(),
            email_as_of: email.as_of,
        };
        let owner = KnownOwner { person, ..owner };
        let set = self.0.store.set_person(owner.id.as_uuid(), &before, &sealed(&owner)?).await?;
        if !set {
            return Ok(None);
        }
        self.0.cache.add(owner.id, OwnerState::Living(owner.clone()));
        Ok(Some(owner))
    }

    /// What a row says.
    pub(crate) async fn opened(&self, row: OwnerRow) -> Result<OwnerState, VaultError> {
        let id = OwnerId::from_uuid(row.owner_id);
        let bad = || VaultError::BadRow(id);
        if let (Some(at), Some(position)) = (row.erased_at, row.erased_position) {
            let position = Position::try_from(position).map_err(|_| bad())?;
            let at = Timestamp::from_unix_micros(at).map_err(|_| bad())?;
            return Ok(OwnerState::Erased(Erasure { position, at }));
        }
        let (Some(key_id), Some(wrapped), Some(person)) = (row.key_id, row.wrapped, row.person)
        else {
            return Err(bad());
        };
        let bytes = self.0.keys.unwrap(&key_id, &wrapped, WrappedFor::Owner(id)).await?;
        let data_key = DataKey::from_bytes(bytes);
        if row.commitment.as_deref() != Some(data_key.commitment().as_bytes()) {
            return Err(bad());
        }
        let person = unsealed(id, &data_key, &person)?;
        Ok(OwnerState::Living(KnownOwner {
            id,
            data_key,
            person,
            is_registered: row.is_registered,
        }))
    }

    /// The keys under which users are looked up, the newest last; none in a new vault.
    pub(crate) async fn look_up_keys(&self) -> Result<Arc<[LookUpKey]>, VaultError> {
        let generations = self.0.store.generations().await?;
        let known = self.0.generations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.iter().map(|key| &key.generation).eq(&generations) {
            return Ok(known);
        }
        let mut keys = Vec::with_capacity(generations.len());
        for generation in generations {
            let purpose = WrappedFor::LookUps(generation.generation);
            let Generation { key_id, wrapped, .. } = &generation;
            let secret = self.0.keys.unwrap(key_id, wrapped, purpose).await?;
            keys.push(LookUpKey { generation, key: hmac(&secret) });
        }
        let keys: Arc<[LookUpKey]> = keys.into();
        *self.0.generations.lock().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// Adds the generation after this one, wrapped with the present key. Returns whether another process has not
    /// done so.
    pub(crate) async fn begin_generation(&self, last: i64) -> Result<bool, VaultError> {
        let secret = DataKey::generate(&mut UnwrapErr(SysRng));
        let (generation, key_id) = (last + 1, self.0.keys.current().to_owned());
        let purpose = WrappedFor::LookUps(generation);
        let wrapped = self.0.keys.wrap(&key_id, secret.as_bytes(), purpose).await?;
        let made_at = self.0.clock.now().unix_micros();
        let new = Generation { generation, key_id, wrapped, made_at };
        Ok(self.0.store.add_generation(&new).await?)
    }
}

impl Person {
    /// Whether this address is newer, and another one.
    fn is_older_than(&self, email: &EmailAsOf) -> bool {
        self.email_as_of < email.as_of && self.email != email.email && email.email.is_some()
    }
}

/// Where a person is sealed: in the vault, and in no event.
fn place(stream: &str) -> FieldPlace<'_> {
    let (revision, event_id) = (0, Uuid::nil());
    FieldPlace { stream, revision, event_id, event_type: "vault", field: "person" }
}

/// The person of an owner, encrypted with the owner's data key: nonce and ciphertext.
fn sealed(owner: &KnownOwner) -> Result<Vec<u8>, VaultError> {
    let bad = |_| VaultError::BadRow(owner.id);
    let text = serde_json::to_string(&owner.person).map(Zeroizing::new).map_err(bad)?;
    let stream = owner.id.stream();
    let sealed = owner.data_key.seal(owner.id, &place(&stream), &text, &mut UnwrapErr(SysRng));
    Ok([sealed.nonce.as_slice(), &sealed.ciphertext].concat())
}

fn unsealed(owner: OwnerId, data_key: &DataKey, person: &[u8]) -> Result<Person, VaultError> {
    let bad = || VaultError::BadRow(owner);
    let (nonce, ciphertext) = person.split_first_chunk().ok_or_else(bad)?;
    let (nonce, ciphertext) = (*nonce, ciphertext.to_vec());
    let sealed = keyledger_domain::SealedText { owner, nonce, ciphertext };
    let stream = owner.stream();
    let text = data_key.open(&sealed, &place(&stream)).map_err(|_| bad())?;
    serde_json::from_str(&text).map_err(|_| bad())
}
