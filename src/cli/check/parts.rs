//! The parts that are checked, each within a time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyledger_checks::Found;
use keyledger_checks::files::check_writable;
use keyledger_domain::{Clock, Timestamp, chain, without_password};
use keyledger_identity::{TokenKeys, TokenVerifier};
use keyledger_node::clock::SystemClock;
use keyledger_node::tasks::LogSettings;
use keyledger_projections::ReadTables;
use keyledger_relay::nats::{self, NatsSettings, Topic};
use tokio::net::TcpListener;

use crate::config::{Config, Identity};

/// How long the check of one part may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A part of the service, and what was found where it works.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) found: Found,
}

impl Part {
    /// Whether the service would work with it.
    pub(super) fn works(&self) -> bool {
        self.found.problems.is_empty()
    }
}

/// Checks all parts that a process with this configuration has, at the same time.
pub(super) async fn check(config: Config) -> Vec<Part> {
    let Config { listen, internal_listen, journal_url, read_url, roles, background, .. } = config;
    let log = background.log.filter(|_| roles.projector);
    let topics: Vec<_> = roles
        .relay
        .then_some(Topic::Events)
        .into_iter()
        .chain(log.as_ref().map(|_| Topic::Checkpoints))
        .collect();
    let nats = background.nats.filter(|_| !topics.is_empty());
    let (listeners, journal, tables, sign_in, nats) = tokio::join!(
        listeners([("public listener", listen), ("internal listener", internal_listen)]),
        within(
            Found::at("journal", without_password(&journal_url)),
            keyledger_journal::examine(&journal_url, roles.api),
        ),
        within(
            Found::at("read tables", without_password(&read_url)),
            ReadTables::examine(&read_url)
        ),
        async { if roles.api { Some(sign_in(config.identity).await) } else { None } },
        publishing(nats.as_ref(), &topics),
    );
    let part = |name, found| Some(Part { name, found });
    let mut parts: Vec<_> = listeners.into();
    let others = [
        part("journal", journal),
        part("read tables", tables),
        sign_in.and_then(|found| part("sign-in", found)),
        nats.and_then(|found| part("NATS", found)),
        log.and_then(|log| part("signed log", signed_log(&log))),
        clock().and_then(|found| part("clock", found)),
    ];
    parts.extend(others.into_iter().flatten());
    parts
}

/// What is found, or that there was no answer in time.
async fn within(unanswered: Found, finding: impl Future<Output = Found>) -> Found {
    let found = tokio::time::timeout(LIMIT, finding).await;
    let late = format!("there was no answer within {} s", LIMIT.as_secs());
    found.unwrap_or_else(|_| unanswered.with_problem(late))
}

/// Opens all listeners at the same time, and closes them at once.
async fn listeners<const N: usize>(all: [(&'static str, SocketAddr); N]) -> [Part; N] {
    let mut open = Vec::with_capacity(N);
    let mut founds = Vec::with_capacity(N);
    for (_, address) in all {
        let found = Found::at("TCP", address.to_string());
        founds.push(match TcpListener::bind(address).await {
            Ok(listener) => {
                open.push(listener);
                found
            }
            Err(error) => found.with_problem(format!("cannot listen there: {error}")),
        });
    }
    let mut founds = founds.into_iter();
    all.map(|(name, _)| Part { name, found: founds.next().unwrap_or_default() })
}

/// The keys that verify sign-in tokens.
async fn sign_in(identity: Identity) -> Found {
    let Identity::Provider(rules) = identity else {
        return Found::at("key of this process", "");
    };
    let url = match &rules.source {
        TokenKeys::PublicKey(_) => return Found::at("public key", ""),
        TokenKeys::Hs256(_) => return Found::at("shared secret", ""),
        TokenKeys::Jwks(url) => url.to_string(),
    };
    let mut found = Found::at("key set", url.as_str());
    found.is_encrypted = Some(url.starts_with("https://"));
    let unanswered = found.clone();
    let fetching = async {
        match TokenVerifier::new(rules, Arc::new(SystemClock)).prepare().await {
            Ok(()) => found,
            Err(error) => found.with_problem(unfetched(&error)),
        }
    };
    within(unanswered, fetching).await
}

fn unfetched(error: &dyn std::error::Error) -> String {
    let told = chain(error);
    if told.contains("UnknownIssuer") {
        return format!(
            "the certificate of the identity provider is not trusted: name a file with the certificate of its \
             authority in the variable SSL_CERT_FILE: {told}"
        );
    }
    told
}

async fn publishing(settings: Option<&NatsSettings>, topics: &[Topic]) -> Option<Found> {
    let settings = settings?;
    let unanswered = Found::at("NATS", settings.servers.to_string());
    Some(within(unanswered, nats::examine(settings, topics)).await)
}

/// The keys that sign checkpoints, which the configuration has read, and the file of checkpoints.
fn signed_log(settings: &LogSettings) -> Found {
    let path = &settings.checkpoints;
    let mut found = Found::at("file of checkpoints", path.display().to_string());
    let keys = settings.keys.all().count();
    found.notes.push(format!("{keys} signing keys of {}", settings.keys.origin()));
    match check_writable(path) {
        Ok(is_there) => {
            found.is_writable = Some(true);
            if is_there { found } else { found.with_note("the service makes the file") }
        }
        Err(why) => {
            found.is_writable = Some(false);
            found.with_problem(why)
        }
    }
}

/// A clock that cannot be used.
fn clock() -> Option<Found> {
    let is_wrong = SystemClock.now() == Timestamp::MAX;
    let clock = || Found::at("clock", "");
    is_wrong.then(|| clock().with_problem("its time is outside the years 1970 to 9999"))
}
