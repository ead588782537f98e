//! A key set (RFC 7517) of the identity provider. It is kept in memory, and fetched again when it is
//! older than 5 minutes or a token names a key that it does not have.
//!
//! Anyone can send tokens that name unknown keys, so only one fetch runs at a time and the next one
//! starts at least 10 s after a success and 1 s after a failure. While the provider cannot be
//! reached, the last set is used for up to a day.

mod url;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use keyledger_domain::chain;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::key::{KINDS, Unused};
use super::{Rejection, RsaAlgorithm, TokenError, VerifyingKey};
pub use url::{JwksUrl, JwksUrlError, PlainHttp};

/// The age after which a set is fetched again when it is next needed.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// The age up to which a set is used when no newer one can be fetched.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);
/// The least time between two fetches, after a success and after a failure.
const PAUSE_AFTER_SUCCESS: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The limits of a fetch: its time, and the size of the answer.
const FETCH_TIME: Duration = Duration::from_secs(5);
const MAX_SET_BYTES: usize = 256 * 1024;

/// Why a key set cannot be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The request failed, took longer than 5 s, or was answered with an error status.
    #[error("the key set cannot be fetched from the identity provider")]
    Http(#[source] Arc<reqwest::Error>),
    /// The answer is a redirect, which is not followed.
    #[error("the identity provider answers with a redirect, which is not followed")]
    Redirected,
    /// The answer is larger than 256 KiB.
    #[error("the key set has more than {MAX_SET_BYTES} bytes")]
    TooLarge,
    /// The answer is not a key set.
    #[error("the answer is not a key set")]
    NotASet(#[source] Arc<serde_json::Error>),
    /// The set has no key of a supported kind.
    #[error("the key set has no signing key of a kind that is known: {KINDS}")]
    NoUsableKey,
    /// The last fetch failed less than 1 s ago, so no new one was started.
    #[error("the key set could not be fetched a moment ago")]
    Lately(#[source] Box<FetchError>),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The URL may hold a token.
        Self::Http(Arc::new(error.without_url()))
    }
}

/// A source that key sets are fetched from.
pub(super) trait Source {
    async fn fetch(&self) -> Result<Usable, FetchError>;

    /// The current time, from which the age of a set is computed.
    fn now(&self) -> Instant;
}

/// Fetches a key set over HTTP.
#[derive(Debug)]
pub(super) struct HttpSource {
    url: JwksUrl,
    client: Client,
    rsa: RsaAlgorithm,
}

impl HttpSource {
    pub(super) fn new(url: JwksUrl, rsa: RsaAlgorithm) -> Self {
        Self { client: url.client(), url, rsa }
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Source for HttpSource {
    async fn fetch(&self) -> Result<Usable, FetchError> {
        let request = self.client.get(self.url.get().clone()).timeout(FETCH_TIME);
        let mut response = request.send().await?.error_for_status()?;
        if !response.status().is_success() {
            return Err(FetchError::Redirected);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_SET_BYTES {
                return Err(FetchError::TooLarge);
            }
        }
        usable_keys(&bytes, self.rsa)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// What of a set can be used.
#[derive(Debug)]
pub(super) struct Usable {
    keys: Vec<VerifyingKey>,
    /// How many keys of the set are of no kind that is known.
    unknown: usize,
}

fn usable_keys(set: &[u8], rsa: RsaAlgorithm) -> Result<Usable, FetchError> {
    let set: Set =
        serde_json::from_slice(set).map_err(|error| FetchError::NotASet(Arc::new(error)))?;
    let mut usable = Usable { keys: Vec::new(), unknown: 0 };
    for key in set.keys {
        let jwk = serde_json::from_value::<Jwk>(key).map_err(|_| Unused::Unknown);
        match jwk.and_then(|jwk| VerifyingKey::from_jwk(jwk, rsa)) {
            Ok(key) => usable.keys.push(key),
            Err(Unused::OtherUse) => {}
            Err(Unused::Unknown) => usable.unknown += 1,
        }
    }
    if usable.keys.is_empty() { Err(FetchError::NoUsableKey) } else { Ok(usable) }
}

/// The key set, as last fetched.
#[derive(Debug)]
pub(super) struct KeySet<S> {
    source: S,
    known: RwLock<Option<Known>>,
    /// When the last fetch ended, and how. The lock is held while a fetch runs.
    last: Mutex<Option<(Instant, Result<(), FetchError>)>>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<[Arc<VerifyingKey>]>,
    unknown: usize,
    fetched: Instant,
}

impl<S: Source> KeySet<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, known: RwLock::default(), last: Mutex::default() }
    }

    /// Fetches the set, unless a usable one is in memory.
    pub(super) async fn prepare(&self) -> Result<(), FetchError> {
        match self.known() {
            Some(_) => Ok(()),
            None => self.refresh().await,
        }
    }

    /// The keys that may verify a token with this header.
    pub(super) async fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<Arc<VerifyingKey>>, TokenError> {
        let known = self.known();
        let fitting = known.as_ref().map(|known| known.fitting(kid, algorithm));
        match (known, fitting) {
            (Some(known), Some(keys)) if !keys.is_empty() => {
                // If another task is fetching already, this one uses the old set.
                if self.age(known.fetched) >= FRESH && self.last.try_lock().is_ok() {
                    // If it fails, the old set is used.
                    let _ = self.refresh().await;
                    return Ok(self.fitting(kid, algorithm));
                }
                Ok(keys)
            }
            _ => {
                self.refresh().await.map_err(TokenError::KeysUnavailable)?;
                match self.fitting(kid, algorithm) {
                    keys if keys.is_empty() => Err(Rejection::UnknownKey.into()),
                    keys => Ok(keys),
                }
            }
        }
    }

    fn keep(&self, Usable { keys, unknown }: Usable) {
        let keys = keys.into_iter().map(Arc::new).collect();
        let known = Known { keys, unknown, fetched: self.source.now() };
        let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = place.replace(known).map_or(0, |before| before.unknown);
        // Once, and not with each fetch.
        if unknown > before {
            tracing::warn!(
                keys = unknown,
                "the key set has keys that are not used: the kinds that are known are {KINDS}"
            );
        }
    }

    fn known(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| self.age(known.fetched) < USABLE)
    }

    fn age(&self, since: Instant) -> Duration {
        self.source.now().saturating_duration_since(since)
    }

    fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<Arc<VerifyingKey>> {
        self.known().map(|known| known.fitting(kid, algorithm)).unwrap_or_default()
    }

    /// Fetches the set, unless the last fetch was less than 10 s (after a success) or 1 s (after a
    /// failure) ago. One fetch runs at a time.
    async fn refresh(&self) -> Result<(), FetchError> {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, Ok(()))) if self.age(*at) < PAUSE_AFTER_SUCCESS => return Ok(()),
            Some((at, Err(error))) if self.age(*at) < PAUSE_AFTER_FAILURE => {
                return Err(FetchError::Lately(Box::new(error.clone())));
            }
            _ => {}
        }
        let fetched = self.source.fetch().await;
        let outcome = fetched.map(|usable| self.keep(usable));
        let failed_before = matches!(&*last, Some((_, Err(_))));
        // Once for each outage: anyone can send tokens that make this fetch.
        match &outcome {
            Err(error) if !failed_before => {
                tracing::warn!(cause = %chain(error), "the key set cannot be fetched");
            }
            Ok(()) if failed_before => tracing::info!("the key set is fetched again"),
            Ok(()) | Err(_) => {}
        }
        *last = Some((self.source.now(), outcome.clone()));
        outcome
    }
}

impl Known {
    fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<Arc<VerifyingKey>> {
        self.keys.iter().filter(|key| key.fits(kid, algorithm)).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
