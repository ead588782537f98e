//! The table of settings. A test compares the table in docs/reference.md with it.

use clap::{Arg, ArgAction};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The environment variable: `KEYLEDGER_` and the flag in capitals.
    pub env: &'static str,
    /// The default value; empty if there is none.
    pub default: &'static str,
    /// The help text.
    pub help: &'static str,
    /// The subcommands that take the setting.
    pub group: Group,
    /// Whether others may know the value.
    pub secrecy: Secrecy,
}

/// Whether others may know the value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// They may.
    Open,
    /// It is a secret, or a URL that may have one. The value can be in a file instead.
    Secret {
        /// The flag that names the file: that of the setting and `-file`.
        file_flag: &'static str,
        /// The environment variable that names the file: that of the setting and `_FILE`.
        file_env: &'static str,
    },
    /// It names files with secrets, separated by commas.
    Files,
}

impl Setting {
    /// The flag and the environment variable that name the file with the value, if the value is a secret.
    #[must_use]
    pub fn file(&self) -> Option<(&'static str, &'static str)> {
        match self.secrecy {
            Secrecy::Secret { file_flag, file_env } => Some((file_flag, file_env)),
            Secrecy::Open | Secrecy::Files => None,
        }
    }

    fn args(&self) -> impl Iterator<Item = Arg> + use<> {
        let value = arg(self.flag, self.env, self.help.to_owned());
        let value = if self.default.is_empty() { value } else { value.default_value(self.default) };
        let file = self.file().map(|(flag, env)| {
            arg(flag, env, format!("File with the value of --{}", self.flag)).value_name("FILE")
        });
        std::iter::once(value).chain(file)
    }
}

fn arg(flag: &'static str, env: &'static str, help: String) -> Arg {
    let arg = Arg::new(flag).long(flag).env(env).help(help).action(ArgAction::Set);
    // Help texts must not show secrets from the environment.
    arg.value_name("VALUE").hide_env_values(true)
}

/// Which subcommands take a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Only `serve`.
    Serve,
    /// All that open the journal or the read tables.
    Stores,
    /// All that use NATS.
    Nats,
    /// All that need the log's key.
    LogKey,
    /// All that import keys, or judge imported ones.
    Import,
    /// All subcommands.
    Logging,
}

impl Group {
    /// All groups. `serve` takes the settings of every group.
    pub const ALL: [Self; 6] =
        [Self::Serve, Self::Stores, Self::Nats, Self::LogKey, Self::Import, Self::Logging];
}

/// A row of the table. A setting whose value others must not know is marked, after its group: `Secret` or
/// `Files`, as in [`Secrecy`].
macro_rules! setting {
    ($group:ident, $($row:literal),*) => { setting!(Secrecy::Open, $group, $($row),*) };
    ($group:ident Files, $($row:literal),*) => { setting!(Secrecy::Files, $group, $($row),*) };
    ($group:ident Secret, $flag:literal, $env:literal, $($row:literal),*) => {
        setting!(
            Secrecy::Secret {
                file_flag: concat!($flag, "-file"),
                file_env: concat!($env, "_FILE"),
            },
            $group, $flag, $env, $($row),*
        )
    };
    ($secrecy:expr, $group:ident, $flag:literal, $env:literal, $default:literal, $help:literal) => {
        Setting {
            flag: $flag,
            env: $env,
            default: $default,
            help: $help,
            group: Group::$group,
            secrecy: $secrecy,
        }
    };
}

/// All settings, in the order in which docs/reference.md shows them.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting!(Serve, "listen", "KEYLEDGER_LISTEN", "127.0.0.1:8080",
        "Address and port of the public API"),
    setting!(Serve, "internal-listen", "KEYLEDGER_INTERNAL_LISTEN", "127.0.0.1:8081",
        "Address and port of what the public must not reach: verification, metrics"),
    setting!(Stores Secret, "journal-url", "KEYLEDGER_JOURNAL_URL", "sqlite://data/journal.db",
        "Where the events are"),
    setting!(Stores Secret, "read-url", "KEYLEDGER_READ_URL", "sqlite://data/read.db",
        "Where the read tables are"),
    setting!(Serve, "roles", "KEYLEDGER_ROLES", "api,verify,projector,relay",
        "What this process does: api, verify, projector, relay"),
    setting!(Serve, "lease-period", "KEYLEDGER_LEASE_PERIOD", "5s",
        "How long a node that died may still hold what only one node does at a time"),
    setting!(Serve, "max-staleness", "KEYLEDGER_MAX_STALENESS", "10s",
        "How long keys are verified after the last proof that the index includes every event: 100ms to 10m"),
    setting!(Serve, "last-used-flush", "KEYLEDGER_LAST_USED_FLUSH", "5s",
        "How often it is recorded when keys were last used: 10ms to 10m"),
    setting!(Nats Secret, "nats-url", "KEYLEDGER_NATS_URL", "",
        "NATS servers that events and checkpoints are published to, separated by commas; none: they are not"),
    setting!(Nats Files, "nats-credentials", "KEYLEDGER_NATS_CREDENTIALS", "",
        "File of NATS credentials (JWT and key)"),
    setting!(Nats, "nats-stream", "KEYLEDGER_NATS_STREAM", "KEYS",
        "JetStream stream of the events; with _CHECKPOINTS, that of the checkpoints; created if missing"),
    setting!(Nats, "nats-replicas", "KEYLEDGER_NATS_REPLICAS", "1",
        "How many NATS servers keep each message: 1 to 5"),
    setting!(Nats, "event-source", "KEYLEDGER_EVENT_SOURCE", "urn:keyledger",
        "URI that published events name as their source"),
    setting!(Serve, "max-keys-per-owner", "KEYLEDGER_MAX_KEYS_PER_OWNER", "1000",
        "How many keys a user may have, about: 1 to 100000"),
    setting!(Serve, "list-default", "KEYLEDGER_LIST_DEFAULT", "all",
        "Keys in a list for which the caller names no status: all or active"),
    setting!(Serve Files, "internal-tokens", "KEYLEDGER_INTERNAL_TOKENS", "",
        "File with the SHA-256 of each token that the internal listener requires, in hex, one per line; none: it requires none"),
    setting!(Serve, "key-prefix", "KEYLEDGER_KEY_PREFIX", "orag",
        "What new keys begin with: 2 to 16 of a-z0-9"),
    setting!(Import Files, "import-hmac-secrets", "KEYLEDGER_IMPORT_HMAC_SECRETS", "",
        "Files of the secrets under which former services hashed imported keys with HMAC-SHA-256, separated by commas: at most 8"),
    setting!(Serve, "jwt-public-key", "KEYLEDGER_JWT_PUBLIC_KEY", "",
        "Public key that tokens are checked with: PEM text or a file (RSA, EC P-256 and P-384, Ed25519)"),
    setting!(Serve Secret, "jwt-jwks-url", "KEYLEDGER_JWT_JWKS_URL", "",
        "Address of the identity provider's key set (RFC 7517)"),
    setting!(Serve, "jwt-jwks-http", "KEYLEDGER_JWT_JWKS_HTTP", "loopback",
        "Where a key set may be fetched from over http://: loopback, or private (also private networks)"),
    setting!(Serve Secret, "jwt-hs256-secret", "KEYLEDGER_JWT_HS256_SECRET", "",
        "Secret shared with the identity provider, 32 bytes or more"),
    setting!(Serve, "jwt-audience", "KEYLEDGER_JWT_AUDIENCE", "",
        "Audiences of which a token must name one, separated by commas"),
    setting!(Serve, "jwt-issuer", "KEYLEDGER_JWT_ISSUER", "",
        "Issuer that a token must name"),
    setting!(Serve, "jwt-rsa-algorithm", "KEYLEDGER_JWT_RSA_ALGORITHM", "RS256",
        "Algorithm of RSA keys that name none: RS256 or PS256"),
    setting!(Serve, "jwt-role-claims", "KEYLEDGER_JWT_ROLE_CLAIMS", "roles,scope",
        "Claims that list a user's roles or scopes, separated by commas; realm_access.roles is in an object"),
    setting!(Serve, "audit-role", "KEYLEDGER_AUDIT_ROLE", "keyledger:audit",
        "Role or scope that makes an auditor"),
    setting!(Serve, "create-role", "KEYLEDGER_CREATE_ROLE", "",
        "Role or scope that creating keys needs; none: everyone who is signed in may create them"),
    setting!(LogKey Files, "audit-key", "KEYLEDGER_AUDIT_KEY", "",
        "Files of the private keys that checkpoints are signed with, separated by commas; none: there is no tree"),
    setting!(Serve, "audit-interval", "KEYLEDGER_AUDIT_INTERVAL", "60s",
        "How often a checkpoint is signed when there is something new: 1s to 10m"),
    setting!(Serve, "audit-checkpoints", "KEYLEDGER_AUDIT_CHECKPOINTS", "data/checkpoints",
        "File that signed checkpoints are appended to"),
    setting!(Serve, "allowed-origins", "KEYLEDGER_ALLOWED_ORIGINS", "",
        "Origins whose pages may use the API, separated by commas"),
    setting!(Serve, "shutdown-grace", "KEYLEDGER_SHUTDOWN_GRACE", "8s",
        "How long running requests may take when the service stops"),
    setting!(Logging, "log", "KEYLEDGER_LOG", "info",
        "What is logged: error, warn, info, debug, or a filter such as keyledger=debug"),
    setting!(Logging, "log-format", "KEYLEDGER_LOG_FORMAT", "auto",
        "Form of the log: human, json, or auto (human on a terminal)"),
];

/// The arguments of a subcommand that takes these groups of settings.
pub fn args(groups: &[Group]) -> impl Iterator<Item = Arg> + use<'_> {
    let wanted = |setting: &&Setting| groups.contains(&setting.group);
    SETTINGS.iter().filter(wanted).flat_map(Setting::args)
}

/// The arguments of a subcommand that takes this setting.
pub fn args_of(flag: &str) -> impl Iterator<Item = Arg> + use<'_> {
    SETTINGS.iter().filter(move |setting| setting.flag == flag).flat_map(Setting::args)
}

/// The flag that starts the service for development.
#[must_use]
pub fn dev_flag() -> Arg {
    Arg::new("dev")
        .long("dev")
        .env("KEYLEDGER_DEV")
        .action(ArgAction::SetTrue)
        .help("Make a signing key that lasts as long as the process, and a token to try with")
}
