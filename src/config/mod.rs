//! The configuration, from environment variables or flags. One table describes every setting.
//!
//! All mistakes are reported together, and no value is repeated: it may be a secret in the wrong place.
//! Durations are written with their unit (`10s`).

mod files;
mod given;
mod names;
mod otel;
mod parse;
mod secrets;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use keyledger_domain::{HmacSecret, KeyPrefix};
use keyledger_tlog::NoteVerifyingKey;

pub use files::read_private;
use keyledger_http::InternalCallers;
use keyledger_identity::{RoleRules, SharedSecret, TokenKeys, TokenRules};
use keyledger_node::tasks::LogSettings;
use keyledger_projections::StatusFilter;
use keyledger_relay::nats::NatsSettings;
use keyledger_telemetry::ExportSettings;
pub use otel::{OTEL_VARIABLES, OtelVariable};
pub use secrets::exposed_secrets;
pub use table::{Group, SETTINGS, Secrecy, Setting, args, args_of, dev_flag};

/// The configuration of `keyledger serve`.
#[derive(Debug)]
pub struct Config {
    /// The address of the public API.
    pub listen: SocketAddr,
    /// The address of the internal listener, for verifications and metrics.
    pub internal_listen: SocketAddr,
    /// The URL of the journal.
    pub journal_url: String,
    /// The URL of the read tables.
    pub read_url: String,
    /// The roles of this process.
    pub roles: Roles,
    /// Settings of the background tasks.
    pub background: BackgroundSettings,
    /// Who may ask on the internal listener.
    pub internal_callers: InternalCallers,
    /// The most keys that a user may have.
    pub max_keys_per_owner: u32,
    /// The keys that a list has when the caller names no status.
    pub list_default: StatusFilter,
    /// The prefix of new keys.
    pub key_prefix: KeyPrefix,
    /// The secrets under which former services hashed imported keys.
    pub hmac_secrets: Arc<[HmacSecret]>,
    /// How users sign in.
    pub identity: Identity,
    /// The origins whose pages may call the API from a browser, in their ASCII form.
    pub allowed_origins: Vec<String>,
    /// How long running requests may take to finish when the service stops.
    pub shutdown_grace: Duration,
    /// What is sent to OpenTelemetry collectors; `None` if nothing is.
    pub export: Option<ExportSettings>,
}

/// Settings of the background tasks.
#[derive(Debug)]
pub struct BackgroundSettings {
    /// How long a lease lasts without renewal, and so how long one may stay with a dead node.
    pub lease_period: Duration,
    /// How long a proof that the index has caught up with the journal allows keys to be verified.
    pub max_staleness: Duration,
    /// The time between two writes of last uses of keys.
    pub last_used_flush: Duration,
    /// How events are published; `None` if they are not.
    pub nats: Option<NatsSettings>,
    /// How the transparency log is signed; `None` if there is no log.
    pub log: Option<LogSettings>,
}

/// The issuer of sign-in tokens.
#[derive(Debug)]
pub enum Identity {
    /// An identity provider.
    Provider(TokenRules),
    /// This process itself (`--dev`), with a signing key that exists only in its memory.
    Development {
        /// What a user's roles allow.
        roles: RoleRules,
    },
}

/// The roles of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Serves the public API.
    pub api: bool,
    /// Verifies keys on the internal listener.
    pub verify: bool,
    /// Writes the read tables and the transparency log while it holds their leases.
    pub projector: bool,
    /// Publishes events while it holds the relay's lease.
    pub relay: bool,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` if standard error is a terminal, else `Json`.
    Auto,
    /// Text for people.
    Human,
    /// One JSON object per line, for programs.
    Json,
}

/// All mistakes of a configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.join("\n"))]
pub struct Mistakes(Vec<String>);

/// Both, or the mistakes of both.
///
/// # Errors
/// All [`Mistakes`] together.
pub fn both<A, B>(
    one: Result<A, Mistakes>,
    other: Result<B, Mistakes>,
) -> Result<(A, B), Mistakes> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(mistakes), Ok(_)) | (Ok(_), Err(mistakes)) => Err(mistakes),
        (Err(one), Err(other)) => Err(Mistakes([one.0, other.0].concat())),
    }
}

impl Config {
    /// Reads the configuration of `keyledger serve`.
    ///
    /// # Errors
    /// All [`Mistakes`] together.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, Mistakes> {
        let mut read = parse::Reader::new(matches);
        let development = read.flag("dev");
        let listen = read.value("listen", parse::address);
        let internal_listen = read.value("internal-listen", parse::address);
        let journal_url = read.value("journal-url", parse::journal_url);
        let read_url = read.value("read-url", parse::read_url);
        let roles = read.value("roles", parse::roles);
        let lease_period = read.value("lease-period", parse::duration_from(100));
        let max_staleness = read.value("max-staleness", parse::duration_from(100));
        let last_used_flush = read.value("last-used-flush", parse::duration_from(10));
        let nats = nats(&mut read);
        let log = log(&mut read);
        let key_prefix = read.value("key-prefix", parse::key_prefix);
        let hmac_secrets = read.value("import-hmac-secrets", parse::hmac_secrets);
        let max_keys_per_owner = read.value("max-keys-per-owner", parse::max_keys);
        let list_default = read.value("list-default", parse::list_default);
        let internal_tokens = read.value("internal-tokens", parse::internal_tokens);
        let rsa = read.value("jwt-rsa-algorithm", parse::rsa_algorithm).unwrap_or_default();
        let role_claims = read.value("jwt-role-claims", parse::claim_paths);
        let public_key = read.value("jwt-public-key", |pem| parse::public_key(pem, rsa));
        let http = read.value("jwt-jwks-http", parse::plain_http).unwrap_or_default();
        let jwks_url = read.value("jwt-jwks-url", |url| parse::jwks_url(url, http));
        let secret = read.value("jwt-hs256-secret", parse::shared_secret).map(TokenKeys::Hs256);
        let audiences = read.value("jwt-audience", parse::list).unwrap_or_default();
        let issuer = read.value("jwt-issuer", parse::text);
        let audit_role = read.value("audit-role", parse::text);
        let create_role = read.value("create-role", parse::text);
        let origins = read.value("allowed-origins", parse::origins).unwrap_or_default();
        let shutdown_grace = read.value("shutdown-grace", parse::duration);
        let export = otel::export(&otel::Variables::of_environment(), &mut read);

        let mut sources: Vec<TokenKeys> =
            [public_key, jwks_url, secret].into_iter().flatten().collect();
        let source = sources.pop();
        if !sources.is_empty() {
            read.mistake("give one of KEYLEDGER_JWT_PUBLIC_KEY, _JWKS_URL and _HS256_SECRET");
        }
        if development && source.is_some() {
            read.mistake("--dev makes a signing key of its own: give no KEYLEDGER_JWT_ key");
        }
        if development && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
            read.mistake("--dev hands out tokens: KEYLEDGER_LISTEN must be a loopback address");
        }
        let is_without_source = source.is_none() && !development;
        let rules = role_claims.zip(audit_role);
        let rules = rules.map(|(claims, audit)| RoleRules { claims, audit, create: create_role });
        let identity = match (source, rules) {
            (Some(source), Some(roles)) => Some(Identity::Provider(TokenRules {
                source,
                audiences,
                issuer,
                rsa_algorithm: rsa,
                roles,
            })),
            (None, Some(roles)) if development => Some(Identity::Development { roles }),
            _ => None,
        };
        // An invalid key has been reported already.
        if is_without_source && read.is_clean() {
            read.mistake(
                "no key verifies sign-in tokens: set KEYLEDGER_JWT_PUBLIC_KEY, \
                 KEYLEDGER_JWT_JWKS_URL or KEYLEDGER_JWT_HS256_SECRET, or start with --dev",
            );
        }
        read.finish()?;
        let whole = || {
            Some(Self {
                listen: listen?,
                internal_listen: internal_listen?,
                journal_url: journal_url?,
                read_url: read_url?,
                roles: roles?,
                background: BackgroundSettings {
                    lease_period: lease_period?,
                    max_staleness: max_staleness?,
                    last_used_flush: last_used_flush?,
                    nats,
                    log,
                },
                internal_callers: internal_tokens.unwrap_or_default(),
                max_keys_per_owner: max_keys_per_owner?,
                list_default: list_default?,
                key_prefix: key_prefix?,
                hmac_secrets: hmac_secrets.unwrap_or_default().into(),
                identity: identity?,
                allowed_origins: origins,
                shutdown_grace: shutdown_grace?,
                export,
            })
        };
        whole().ok_or_else(|| Mistakes(vec!["a value is missing".to_owned()]))
    }
}

/// How events are published; `None` if they are not.
fn nats(read: &mut parse::Reader<'_>) -> Option<NatsSettings> {
    let servers = read.value("nats-url", parse::nats_servers);
    let credentials = read.value("nats-credentials", parse::private_file);
    let stream = read.value("nats-stream", parse::stream_name);
    let replicas = read.value("nats-replicas", parse::replicas);
    let source = read.value("event-source", parse::event_source);
    Some(NatsSettings {
        servers: servers?,
        credentials,
        stream: stream?,
        replicas: replicas?,
        source: source?,
    })
}

/// How the transparency log is signed; `None` if there is no log.
fn log(read: &mut parse::Reader<'_>) -> Option<LogSettings> {
    let keys = read.value("audit-key", parse::audit_keys);
    let interval = read.value("audit-interval", parse::duration_from(1_000));
    let checkpoints = read.value("audit-checkpoints", parse::text);
    Some(LogSettings { keys: keys?, interval: interval?, checkpoints: PathBuf::from(checkpoints?) })
}

/// The public halves of the log's private keys that are set, for commands that need nothing else.
///
/// # Errors
/// All [`Mistakes`] together.
pub fn log_keys_from_matches(matches: &ArgMatches) -> Result<Vec<NoteVerifyingKey>, Mistakes> {
    let mut read = parse::Reader::new(matches);
    let keys = read.value("audit-key", parse::audit_keys);
    read.finish()?;
    Ok(keys.map(|keys| keys.public()).unwrap_or_default())
}

/// The secrets under which former services hashed imported keys, for commands that need nothing else.
///
/// # Errors
/// All [`Mistakes`] together.
pub fn hmac_secrets_from_matches(matches: &ArgMatches) -> Result<Vec<HmacSecret>, Mistakes> {
    let mut read = parse::Reader::new(matches);
    let secrets = read.value("import-hmac-secrets", parse::hmac_secrets);
    read.finish()?;
    Ok(secrets.unwrap_or_default())
}

/// The secret that is shared with the identity provider, for commands that need nothing else.
///
/// # Errors
/// All [`Mistakes`] together.
pub fn shared_secret_from_matches(matches: &ArgMatches) -> Result<Option<SharedSecret>, Mistakes> {
    let mut read = parse::Reader::new(matches);
    let secret = read.value("jwt-hs256-secret", parse::shared_secret);
    read.finish()?;
    Ok(secret)
}

/// Reads how events are published, for commands that need nothing else.
///
/// # Errors
/// All [`Mistakes`] together.
pub fn nats_from_matches(matches: &ArgMatches) -> Result<NatsSettings, Mistakes> {
    let mut read = parse::Reader::new(matches);
    let nats = nats(&mut read);
    if nats.is_none() && read.is_clean() {
        read.mistake("KEYLEDGER_NATS_URL: must not be empty");
    }
    read.finish()?;
    nats.ok_or_else(|| Mistakes(vec!["a value is missing".to_owned()]))
}

/// The URLs of the journal and of the read tables, for commands that need nothing else.
#[derive(Debug)]
pub struct Stores {
    /// The URL of the journal.
    pub journal_url: String,
    /// The URL of the read tables.
    pub read_url: String,
}

impl Stores {
    /// Reads the two URLs.
    ///
    /// # Errors
    /// All [`Mistakes`] together.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, Mistakes> {
        let mut read = parse::Reader::new(matches);
        let journal_url = read.value("journal-url", parse::journal_url);
        let read_url = read.value("read-url", parse::read_url);
        read.finish()?;
        Ok(Self {
            journal_url: journal_url.unwrap_or_default(),
            read_url: read_url.unwrap_or_default(),
        })
    }
}

/// Which lines are logged, and in which format.
#[derive(Debug)]
pub struct Logging {
    /// A filter of `tracing-subscriber`, such as `info` or `keyledger=debug`.
    pub filter: String,
    /// The format of log lines.
    pub format: LogFormat,
}

impl Logging {
    /// Reads the two settings. Since every command has them, this is where names in the environment are
    /// checked too: those that begin with `KEYLEDGER_` are settings.
    ///
    /// # Errors
    /// All [`Mistakes`] together.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, Mistakes> {
        let mut read = parse::Reader::new(matches);
        for mistake in names::unknown(names::of_environment()) {
            read.mistake(&mistake);
        }
        let filter = read.value("log", parse::log_filter);
        let format = read.value("log-format", parse::log_format);
        read.finish()?;
        Ok(Self { filter: filter.unwrap_or_default(), format: format.unwrap_or(LogFormat::Auto) })
    }
}

#[cfg(test)]
mod tests;
