//! Runs the service: opens the stores, starts the listeners and the background tasks, and stops them.

mod addresses;
mod background;
mod descriptors;
mod end;
mod node;
mod open;
mod sign_in;
mod warnings;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use keyledger_domain::{Clock, Timestamp};
use keyledger_projections::log::LogReader;
use keyledger_projections::{OpenTablesError, StatusFilter};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, Identity, Roles};
use crate::development;
use background::Background;
use keyledger_commands::Commands;
use keyledger_http::{self as http, Door, Exposure};
use keyledger_identity::{SigningError, TokenVerifier};
use keyledger_journal::OpenError;
use keyledger_node::clock::SystemClock;
use keyledger_node::readiness::{Part, State};
use keyledger_node::shutdown::StopSignals;
use keyledger_node::{WatchedAppends, WatchedJournal};
use keyledger_relay::nats::StreamDiffers;
use keyledger_telemetry::Exporting;
use node::{Node, Shared};
use open::Journals;
pub(crate) use warnings::warn_of_what_is_open;

/// Why the service ended, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The handlers of the stop signals cannot be installed.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// The journal cannot be opened, and another attempt cannot succeed.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The read tables cannot be opened, and another attempt cannot succeed.
    #[error(transparent)]
    Tables(#[from] OpenTablesError),
    /// A stream of NATS has a configuration that cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamDiffers),
    /// The signing key or the token of `--dev` cannot be made.
    #[error(transparent)]
    Development(#[from] SigningError),
    /// The OpenAPI document cannot be encoded.
    #[error("the OpenAPI document cannot be encoded")]
    Document(#[source] serde_json::Error),
    /// A listener cannot be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the listener.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The system's clock is out of range. What expires could not be told from what does not.
    #[error("this machine's clock is outside the years 1970 to 9999")]
    Clock,
    /// A task panicked. Its state is unknown, so the process ends.
    #[error("a part of the service failed")]
    Defect(#[source] tokio::task::JoinError),
}

/// Serves until a signal asks the process to stop. Metrics are sent to the collector, if there is one.
///
/// # Errors
/// Every variant of [`ServeError`].
pub async fn serve(config: Config, exporting: Option<&mut Exporting>) -> Result<(), ServeError> {
    let mut signals = StopSignals::listen().map_err(ServeError::Signals)?;
    if SystemClock.now() == Timestamp::MAX {
        return Err(ServeError::Clock);
    }
    warn_of_what_is_open(&config);
    let (rules, dev_token) = match config.identity {
        Identity::Provider(rules) => (rules, None),
        Identity::Development { roles } => {
            let (rules, token) = development::sign_in(roles, &SystemClock)?;
            (rules, Some(token))
        }
    };
    let most_connections = descriptors::most_connections();
    let (listener, address) = listen(config.listen).await?;
    let (internal, internal_address) = listen(config.internal_listen).await?;

    let shared = Shared::new(config.background.max_staleness, config.hmac_secrets);
    if let Some(exporting) = exporting {
        let metrics = shared.metrics();
        exporting.send_metrics(move || metrics.text().unwrap_or_default());
    }
    // Set before the listeners open: readiness ignores parts whose state was never set.
    for part in needed(config.roles) {
        shared.readiness.set(part, State::Starting);
    }
    let (stop, stopping) = watch::channel(());
    let stopped = |mut stopping: watch::Receiver<()>| async move {
        // No value is ever sent: the wait ends when the sender is dropped.
        let _ = stopping.changed().await;
    };
    let grace = config.shutdown_grace;
    let key_prefix = config.key_prefix;
    let verification = config.roles.verify.then(|| shared.verification_state(key_prefix.clone()));
    let callers = config.internal_callers;
    let watched = http::internal_service(shared.metrics(), verification, callers);
    let watched = watched.map_err(ServeError::Document)?;
    let watched = move || watched.clone();
    let clock = shared.clock.clone();
    let internal =
        Door { listener: internal, exposure: Exposure::Internal, most_connections, clock };
    let internal = http::serve(internal, watched, stopped(stopping.clone()), grace);
    let internal = tokio::spawn(internal);
    // Until the stores are open, requests are answered by a router that says the service is starting.
    let whole = Arc::new(OnceLock::new());
    let starting = http::starting_router(shared.readiness.clone());
    let so_far = whole.clone();
    let router = move || http::routed(so_far.get().unwrap_or(&starting).clone());
    let clock = shared.clock.clone();
    let public = Door { listener, exposure: Exposure::Public, most_connections, clock };
    let public = http::serve(public, router, stopped(stopping.clone()), grace);
    let public = tokio::spawn(public);
    tracing::info!(%address, %internal_address, version = env!("CARGO_PKG_VERSION"), "listening");
    let opened = tokio::select! {
        opened = open::journals(&config.journal_url, config.roles.api, &shared.readiness) => opened?,
        () = signals.next() => {
            tracing::info!("stopped");
            return Ok(());
        }
    };
    let Journals { reads: journal, appends } = opened;
    let to_close = appends.clone();
    let tables = tokio::select! {
        opened = open::tables(&config.read_url, &shared.readiness) => opened?,
        () = signals.next() => {
            tracing::info!("stopped");
            end::close(to_close).await;
            return Ok(());
        }
    };
    let history = shared.history.clone();
    let journal = Arc::new(WatchedJournal::new(journal, history.clone()));
    let node = Node { shared, journal, tables };
    let mut background = Background::start(&node, config.roles, config.background).await?;
    let router = match appends {
        None => http::health_router(node.shared.readiness.clone()),
        Some(appends) => {
            let clock = node.shared.clock.clone();
            let verifier = Arc::new(TokenVerifier::new(rules, clock));
            background.prepare_sign_in(verifier.clone(), &node);
            let (sign_ins, waiting) = http::SignIns::new();
            let authenticator =
                http::Authenticator::new(verifier, &config.allowed_origins, sign_ins.clone());
            let appends = background.report_appends(appends, &node);
            let appends = Arc::new(WatchedAppends::new(appends, history));
            let (clock, random) = (node.shared.clock.clone(), Box::new(UnwrapErr(SysRng)));
            let commands = Commands::new(appends, clock.clone(), random, key_prefix);
            let commands = Arc::new(commands);
            let owners = http::Owners::new(node.tables.clone());
            background.take_addresses(waiting, sign_ins, owners.clone(), commands.clone(), clock);
            let api = Api {
                commands,
                owners,
                authenticator: Arc::new(authenticator),
                max_keys_per_owner: config.max_keys_per_owner,
                list_default: config.list_default,
                verifies: config.roles.verify,
                stopping,
            };
            api.router(&node)?
        }
    };
    // Requests wait until the read tables are known to be of the journal's history.
    tokio::select! {
        () = node.shared.history.tables().known() => {}
        defect = background.first_defect() => return Err(ServeError::Defect(defect)),
        () = signals.next() => {
            tracing::info!("stopped");
            background.stop(&node).await;
            end::close(to_close).await;
            return Ok(());
        }
    }
    // Cannot fail: the router is set only here.
    let _ = whole.set(router);
    tracing::info!("serving");
    if let Some(token) = dev_token {
        // A closed standard output is no reason to stop serving.
        let _ = writeln!(
            std::io::stdout(),
            "{}",
            development::banner(address, internal_address, &token)
        );
    }
    let serving = async {
        public.await?;
        internal.await
    };
    let signalled = async {
        signals.next().await;
        tracing::info!("stopping: new connections are refused");
        drop(stop);
        signals.next().await;
        tracing::warn!("stopped at once after a second signal");
    };
    tokio::select! {
        served = serving => {
            served.map_err(ServeError::Defect)?;
            tracing::info!("stopped");
        }
        () = signalled => {}
        defect = background.first_defect() => return Err(ServeError::Defect(defect)),
    }
    background.stop(&node).await;
    end::close(to_close).await;
    Ok(())
}

/// What only the public API needs.
struct Api {
    commands: Arc<Commands>,
    owners: http::Owners,
    authenticator: Arc<http::Authenticator>,
    max_keys_per_owner: u32,
    list_default: StatusFilter,
    verifies: bool,
    stopping: watch::Receiver<()>,
}

impl Api {
    /// The router of the public API.
    fn router(self, node: &Node) -> Result<http::Router, ServeError> {
        let Self { commands, owners, authenticator, verifies, stopping, .. } = self;
        let Node { shared, journal, tables } = node;
        let Shared { readiness, history, counters, clock, .. } = shared.clone();
        let progress = history.tables().clone();
        let hmac_secrets = history.hmac_secrets();
        let followers = http::Followers { history, verifies };
        let (journal, tables) = (journal.clone(), tables.clone());
        let tree = LogReader::new(&tables);
        let budget = http::AnswerBudget::default();
        let router = http::router(
            http::CommandState {
                authenticator: authenticator.clone(),
                commands,
                followers,
                owners: owners.clone(),
                max_keys_per_owner: self.max_keys_per_owner,
            },
            http::QueryState {
                authenticator: authenticator.clone(),
                tables: tables.clone(),
                progress,
                budget: budget.clone(),
                clock: clock.clone(),
                list_default: self.list_default,
            },
            http::HistoryState {
                authenticator: authenticator.clone(),
                journal: journal.clone(),
                owners,
            },
            http::AuditState {
                authenticator: authenticator.clone(),
                journal,
                clock,
                stopping,
                hmac_secrets,
                budget,
            },
            http::LogRoutesState { authenticator, tree, counters },
            readiness,
        );
        router.map_err(ServeError::Document)
    }
}

/// The parts that must be ready before a process with these roles is ready.
fn needed(roles: Roles) -> impl Iterator<Item = Part> {
    [
        Some(Part::Journal),
        roles.api.then_some(Part::Appends),
        Some(Part::ReadTables),
        roles.verify.then_some(Part::Verification),
        roles.api.then_some(Part::SignIn),
    ]
    .into_iter()
    .flatten()
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
