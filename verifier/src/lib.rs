#![deny(missing_docs)]
//! Verification of API keys from memory.
//!
//! An [`IndexWriter`] loads an [`Index`] of all keys from a [`KeySource`], then applies the journal's
//! events to it. [`Verification::verify`] answers from the index, on any thread, without locks, I/O or
//! an async runtime. It returns [`Stale`] rather than an answer that may be out of date: when the index
//! was not proven recently to have caught up with the journal ([`Verification::prove`]), or does not include what
//! a client of this process was told already.
//!
//! The crate depends on no server, database or runtime, so that a gateway can verify keys in its own
//! process. It needs three things:
//!
//! 1. **A source of keys**, read once at the start: implement [`KeySource`] over a table, a snapshot or
//!    another service. An empty source is fine if all events are applied from the first one on.
//! 2. **A task that applies events**: read the journal after [`IndexWriter::reached`], in order, and
//!    hand the events to [`IndexWriter::apply`]. On [`OutOfStep`] stop answering: an event is missing,
//!    and it may be a revocation.
//! 3. **A task that proves freshness**: note [`Clocks::now`], then ask the journal for its head; once
//!    [`Index::reached`] is at least that position, call [`Verification::prove`] with the noted time. Do it
//!    several times within the bound.
//!
//! To keep when keys were last used, call [`Index::waiting_uses`] and [`Index::record_uses`] from time
//! to time, with a [`UseSink`]. Uses that are not recorded take no more memory as they wait.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use keyledger_domain::key::{KeyStatus, Verdict};
//! use keyledger_domain::{
//!     HashFunction, KeyId, Position, Reached, Revision, Timestamp, hash_presented,
//! };
//! use keyledger_verifier::{
//!     Clocks, IndexWriter, KeyRecord, KeySource, LoadedKey, Outcome, Owner, RecordBuffer, Stale,
//!     Verification,
//! };
//!
//! const TEXT: &str = "demo_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
//!
//! /// One key, as of position 7 of the journal.
//! struct OneKey;
//!
//! #[async_trait::async_trait]
//! impl KeySource for OneKey {
//!     type Error = Infallible;
//!
//!     async fn count(&self) -> Result<usize, Infallible> {
//!         Ok(1)
//!     }
//!
//!     async fn scan(
//!         &self,
//!         each: &mut (dyn for<'k> FnMut(LoadedKey<'k>) + Send),
//!     ) -> Result<Reached, Infallible> {
//!         let hash = hash_presented(TEXT).unwrap();
//!         let record = KeyRecord {
//!             key_id: KeyId::for_imported_hash(&hash),
//!             hash,
//!             hash_function: HashFunction::Sha256,
//!             owner: Owner::of("ann"),
//!             owner_email: Some("ann@example.com"),
//!             name: "staging",
//!             created_at: Timestamp::UNIX_EPOCH,
//!             expires_at: None,
//!         };
//!         each(LoadedKey { record, revision: Revision::FIRST, status: KeyStatus::Active });
//!         Ok(Reached::at(Position::try_from(7_u64).unwrap()))
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let mut writer = IndexWriter::load(&OneKey).await.unwrap();
//! let verification = Verification::new(Duration::from_secs(1));
//! verification.set_index(writer.index());
//!
//! // Before the first proof, no verification is answered.
//! let mut buffer = RecordBuffer::new();
//! assert_eq!(verification.verify(TEXT, Timestamp::UNIX_EPOCH, &mut buffer), Err(Stale));
//!
//! // The head is asked for after the time is noted. Events up to it are applied: here there are none.
//! let asked = Clocks::now(Timestamp::UNIX_EPOCH);
//! let head = Position::try_from(9_u64).unwrap();
//! writer.apply(&[], head, |_ended| {}).unwrap();
//! if writer.index().reached() >= head {
//!     verification.prove(asked);
//! }
//!
//! match verification.verify(TEXT, Timestamp::UNIX_EPOCH, &mut buffer).unwrap() {
//!     Outcome::Valid(key) => assert_eq!((key.name, key.owner), ("staging", Owner::Text("ann"))),
//!     Outcome::Refused(verdict) => panic!("{verdict:?}"),
//! }
//! let other = verification.verify("no key at all", Timestamp::UNIX_EPOCH, &mut buffer);
//! assert_eq!(other, Ok(Outcome::Refused(Verdict::NotFound)));
//! # });
//! ```

mod atomic;
mod cell;
mod freshness;
mod index;
#[cfg(test)]
mod models;
mod packed;
mod pages;
mod record;
mod records;
mod slots;
mod status;
mod used;
mod uses;
mod words;
mod writer;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use keyledger_domain::key::Verdict;
use keyledger_domain::{HmacSecret, KeyHash, Position, Timestamp};
use keyledger_domain::{hash_presented, may_be_imported};

pub use freshness::Clocks;
use freshness::Freshness;
pub use index::Index;
pub use record::{KeyRecord, LoadedKey, Owner};
pub use records::RecordBuffer;
use status::StatusWord;
pub use uses::{Use, UseSink, WaitingUses};
pub use writer::{IndexWriter, KeySource, OutOfStep};

/// Answers whether keys are valid.
#[derive(Debug)]
pub struct Verification {
    /// The index that answers are read from, and when it was there.
    index: OnceLock<(Index, Instant)>,
    /// Decides whether an answer may be given.
    freshness: Freshness,
    /// The secrets under which former services hashed imported keys.
    hmac_secrets: Arc<[HmacSecret]>,
}

/// The answer about a key that a client presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The key is valid, and this is what is known of it.
    Valid(KeyRecord<'a>),
    /// The key is not valid, for this reason. Never [`Verdict::Valid`].
    Refused(Verdict),
}

/// It is not known at the moment whether any key is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is not proven to have caught up with the journal")]
pub struct Stale;

impl Verification {
    /// Verification without an index: it answers nothing yet. Once it has one, it answers for less than
    /// `bound` after the moment of each proof.
    #[must_use]
    pub fn new(bound: Duration) -> Self {
        Self {
            index: OnceLock::new(),
            freshness: Freshness::new(bound),
            hmac_secrets: Arc::default(),
        }
    }

    /// Verifies also keys that were imported with an HMAC under one of these secrets. Each is tried, so
    /// there should be few.
    #[must_use]
    pub fn with_hmac_secrets(self, hmac_secrets: Arc<[HmacSecret]>) -> Self {
        Self { hmac_secrets, ..self }
    }

    /// Sets the index that answers are read from. Only the first index is kept.
    pub fn set_index(&self, index: Index) {
        self.index.get_or_init(|| (index, Instant::now()));
    }

    /// The index that answers are read from.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        self.index.get().map(|(index, _)| index)
    }

    /// How many keys of the index can never be valid, because they were imported with an HMAC and no secret is
    /// known.
    #[must_use]
    pub fn unverifiable(&self) -> u32 {
        let is_without = self.hmac_secrets.is_empty();
        self.index().filter(|_| is_without).map_or(0, Index::hashed_with_hmac)
    }

    /// Notes that the index includes every event that was committed before this moment. A moment before
    /// the index was set proves nothing: a client may have been told of a later event by then, when
    /// nothing could be owed to the index.
    pub fn prove(&self, asked: Clocks) {
        if self.index.get().is_some_and(|(_, since)| asked.monotonic >= *since) {
            self.freshness.prove(asked);
        }
    }

    /// How long ago the moment of the last proof was; `None` before the first one.
    #[must_use]
    pub fn staleness(&self, now: Clocks) -> Option<Duration> {
        self.freshness.staleness(now)
    }

    /// Requires answers to include this position from now on, also those of an index that is set later:
    /// call it before a client is told that the event there has happened. [`Position::MAX`] ends all
    /// answers.
    pub fn owe(&self, position: Position) {
        self.freshness.owe(position);
    }

    /// Whether the presented text is a valid key. If it is, its record is copied into `buffer`, from
    /// which the answer borrows, and its use is noted.
    ///
    /// A text that does not have the form of a key, or whose checksum is wrong, is refused without a
    /// look into the index. While the index has imported keys, every text is looked up that one of them may be
    /// (see [`may_be_imported`]): their forms are not known.
    ///
    /// # Errors
    /// [`Stale`], for every text, while [`Verification::knows`] is false.
    pub fn verify<'b>(
        &self,
        presented: &str,
        now: Timestamp,
        buffer: &'b mut RecordBuffer,
    ) -> Result<Outcome<'b>, Stale> {
        // Checked before the look into the index: a proof covers only what is read after the check.
        let index = self.proven_index(now).ok_or(Stale)?;
        let Some((number, status)) = self.look_up(index, presented, buffer) else {
            return Ok(Outcome::Refused(Verdict::NotFound));
        };
        let Some(key) = buffer.key(status) else {
            return Ok(Outcome::Refused(Verdict::NotFound));
        };
        match key.status.verdict(key.record.expires_at, now) {
            Verdict::Valid => {
                // The last time there is stands for a clock that is out of range.
                if now < Timestamp::MAX {
                    index.records().note_use(number, now);
                }
                Ok(Outcome::Valid(key.record))
            }
            refused @ (Verdict::Revoked | Verdict::Expired | Verdict::NotFound) => {
                Ok(Outcome::Refused(refused))
            }
        }
    }

    fn look_up(
        &self,
        index: &Index,
        presented: &str,
        buffer: &mut RecordBuffer,
    ) -> Option<(u32, StatusWord)> {
        let hash = hash_presented(presented).ok();
        if let Some(found) = hash.and_then(|hash| index.copy(&hash, buffer)) {
            return Some(found);
        }
        if index.imported() == 0 || !may_be_imported(presented) {
            return None;
        }
        // Not looked up above, because it has another form than keys of this service.
        let other = hash.is_none().then(|| KeyHash::of(presented));
        if let Some(found) = other.and_then(|hash| index.copy(&hash, buffer)) {
            return Some(found);
        }
        if index.hashed_with_hmac() == 0 {
            return None;
        }
        self.hmac_secrets.iter().find_map(|secret| index.copy(&secret.hash(presented), buffer))
    }

    /// Whether answers can be given now.
    #[must_use]
    pub fn knows(&self, now: Timestamp) -> bool {
        self.proven_index(now).is_some()
    }

    /// The index, if it is proven and includes what is owed.
    fn proven_index(&self, now: Timestamp) -> Option<&Index> {
        let index = self.index()?;
        let is_proven = self.freshness.holds(Clocks::now(now));
        (is_proven && index.reached() >= self.freshness.owed()).then_some(index)
    }
}
