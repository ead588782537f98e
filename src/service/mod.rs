//! Puts the parts together and runs them: the journal, the read side, the public API.

mod open;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keyledger_projections::tree::EventTree;
use keyledger_projections::verification::Verification;
use keyledger_projections::{Duty, Lease, OpenTablesError, Progress, ReadTables};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::commands::Commands;
use crate::config::{Config, Identity};
use crate::http::Exposure;
use crate::identity::{SigningError, TokenVerifier};
use crate::journal::OpenError;
use crate::metrics::{Counters, Metrics};
use crate::readiness::{Part, Readiness, State};
use crate::relay::{Relay, StreamDiffers};
use crate::shutdown::StopSignals;
use crate::telemetry::chain;
use crate::upkeep::{IndexUpkeep, ReadSide, TreeUpkeep};
use crate::{development, http, upkeep};
use open::{Journals, Places};

/// How long it may take to give a lease back, and to record last uses.
const GIVE_BACK: Duration = Duration::from_secs(1);
const LAST_FLUSH: Duration = Duration::from_millis(1_500);
/// How long the last checkpoint may take.
const LAST_CHECKPOINT: Duration = Duration::from_millis(1_500);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system does not deliver signals.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The read tables.
    #[error(transparent)]
    Tables(#[from] OpenTablesError),
    /// The stream that events are published to.
    #[error(transparent)]
    Stream(#[from] StreamDiffers),
    /// The signing key of development.
    #[error(transparent)]
    Development(#[from] SigningError),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of the service panicked: its state is unknown, and only a new process is sound.
    #[error("a part of the service failed")]
    Defect(#[source] tokio::task::JoinError),
}

/// Serves until a signal asks to stop.
///
/// # Errors
/// Every variant of [`ServeError`].
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut signals = StopSignals::listen().map_err(ServeError::Signals)?;
    let (rules, dev_token) = match config.identity {
        Identity::Provider(rules) => (rules, None),
        Identity::Development { audit_role } => {
            let (rules, token) = development::sign_in(audit_role, &SystemClock)?;
            (rules, Some(token))
        }
    };
    let (listener, address) = listen(config.listen).await?;
    let (internal, internal_address) = listen(config.internal_listen).await?;

    let readiness = Readiness::default();
    let progress = Progress::default();
    let mut tasks = JoinSet::new();
    let (head, heads) = tokio::sync::watch::channel(None);
    let (relayed_by_us, relayed) = tokio::sync::watch::channel(None);
    let (verification, counters) = (Arc::new(OnceLock::new()), Counters::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics {
        readiness: readiness.clone(),
        progress: progress.clone(),
        head: heads.clone(),
        relayed,
        verification: verification.clone(),
        counters: counters.clone(),
    };
    let verifier = config.roles.verify.then(|| http::Verifier {
        verification: verification.clone(),
        clock: clock.clone(),
        counters: counters.clone(),
    });
    let watched = http::internal_router(metrics, verifier);
    let (stop, stopping) = tokio::sync::watch::channel(());
    let stopped = |mut stopping: tokio::sync::watch::Receiver<()>| async move {
        // Nothing is sent: it is dropped.
        let _ = stopping.changed().await;
    };
    let grace = config.shutdown_grace;
    let watched = move || watched.clone();
    let internal =
        http::serve(internal, watched, Exposure::Internal, stopped(stopping.clone()), grace);
    let internal = tokio::spawn(internal);
    // Until the stores are open, callers are told that they are not there yet.
    let whole = Arc::new(OnceLock::new());
    let starting = http::starting_router(readiness.clone());
    let so_far = whole.clone();
    let router = move || so_far.get().unwrap_or(&starting).clone();
    let public = http::serve(listener, router, Exposure::Public, stopped(stopping.clone()), grace);
    let public = tokio::spawn(public);
    readiness.set(Part::Journal, State::Starting);
    readiness.set(Part::ReadTables, State::Starting);
    tracing::info!(%address, %internal_address, version = env!("CARGO_PKG_VERSION"), "listening");
    let places = Places {
        journal_url: config.journal_url,
        read_url: config.read_url,
        appends: config.roles.api,
    };
    let opened = tokio::select! {
        opened = open::stores(&places, &readiness) => opened?,
        () = signals.next() => {
            tracing::info!("stopped");
            return Ok(());
        }
    };
    let (Journals { reads: journal, appends }, tables) = opened;
    let bound = config.max_staleness;
    tasks.spawn(upkeep::watch_journal(journal.clone(), bound, head, readiness.clone()));
    let holder = uuid::Builder::from_random_bytes(UnwrapErr(SysRng).random()).into_uuid();
    let lease = |duty| Lease::new(&tables, duty, holder, config.lease_period);
    let projecting = config.roles.projector.then(|| lease(Duty::Project));
    let read_side = ReadSide {
        journal: journal.clone(),
        tables: tables.clone(),
        lease: projecting.clone(),
        progress: progress.clone(),
        readiness: readiness.clone(),
        head: heads.clone(),
    };
    tasks.spawn(read_side.keep_level());
    if config.roles.verify {
        let index = IndexUpkeep {
            journal: journal.clone(),
            tables: tables.clone(),
            verification: verification.clone(),
            max_staleness: bound,
            head: heads,
            readiness: readiness.clone(),
            counters,
            clock: clock.clone(),
        };
        tasks.spawn(index.keep_level());
        let (verification, tables) = (verification.clone(), tables.clone());
        tasks.spawn(upkeep::record_uses(verification, tables, config.last_used_flush));
    }
    let mut relaying = None;
    if let Some(nats) = config.nats.filter(|_| config.roles.relay) {
        Relay::check(&nats).await?;
        let lease = lease(Duty::Relay);
        relaying = Some(lease.clone());
        let (journal, tables, readiness) = (journal.clone(), tables.clone(), readiness.clone());
        let relayed = relayed_by_us;
        tasks.spawn(Relay { journal, tables, lease, nats, readiness, relayed }.run());
    }
    let mut treeing = None;
    if let Some(audit) = config.audit.filter(|_| config.roles.projector) {
        let upkeep = Arc::new(TreeUpkeep {
            journal: journal.clone(),
            tables: tables.clone(),
            lease: lease(Duty::Tree),
            audit,
            clock: clock.clone(),
            readiness: readiness.clone(),
        });
        treeing = Some(upkeep.clone());
        tasks.spawn(async move { upkeep.keep().await });
    }
    let router = match appends {
        None => http::health_router(readiness),
        Some(appends) => {
            let random = Box::new(UnwrapErr(SysRng));
            let commands =
                Arc::new(Commands::new(appends, clock.clone(), random, config.key_prefix));
            let verifier = Arc::new(TokenVerifier::new(rules));
            tasks.spawn(upkeep::prepare_sign_in(verifier.clone(), readiness.clone()));
            let gate = Arc::new(http::Gate::new(verifier, &config.allowed_origins));
            let followers =
                http::Followers { tables: progress.clone(), verification: verification.clone() };
            http::router(
                http::CommandState { gate: gate.clone(), commands, followers },
                http::QueryState { gate: gate.clone(), tables: tables.clone(), progress },
                http::HistoryState { gate: gate.clone(), journal: journal.clone() },
                http::AuditState { gate: gate.clone(), journal, clock, stopping },
                http::TreeState { gate, tree: EventTree::new(&tables) },
                readiness,
            )
        }
    };

    // It is set here and nowhere else.
    let _ = whole.set(router);
    tracing::info!("serving");
    if let Some(token) = dev_token {
        // Whoever has closed standard output does not want it.
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
        tracing::info!("stopping: no more connections are taken");
        drop(stop);
        signals.next().await;
        tracing::warn!("stopped at once: a second signal came");
    };
    tokio::select! {
        served = serving => {
            served.map_err(ServeError::Defect)?;
            tracing::info!("stopped");
        }
        () = signalled => {}
        defect = first_defect(&mut tasks) => return Err(ServeError::Defect(defect)),
    }
    tasks.shutdown().await;
    let signing = async {
        if let Some(tree) = &treeing {
            sign_last(tree).await;
        }
    };
    tokio::join!(record_last_uses(&verification, &tables), signing);
    let tree = treeing.map(|tree| tree.lease.clone());
    give_back(projecting.into_iter().chain(relaying).chain(tree)).await;
    Ok(())
}

/// Records the uses that are not recorded yet.
async fn record_last_uses(verification: &OnceLock<Verification>, tables: &ReadTables) {
    match tokio::time::timeout(LAST_FLUSH, upkeep::record_now(verification, tables)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(cause = %chain(&error), "last uses are not recorded"),
        Err(_) => tracing::warn!("last uses are not recorded: that took too long"),
    }
}

/// Signs what has happened since the last checkpoint.
async fn sign_last(tree: &TreeUpkeep) {
    if tokio::time::timeout(LAST_CHECKPOINT, tree.sign_last()).await.is_err() {
        tracing::warn!("no last checkpoint is signed: that took too long");
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Gives leases back, so that other nodes need not wait for their end.
async fn give_back(leases: impl IntoIterator<Item = Lease>) {
    for lease in leases {
        match tokio::time::timeout(GIVE_BACK, lease.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a lease could not be given back"),
            Err(_) => tracing::debug!("a lease could not be given back in time"),
        }
    }
}

/// Waits for a task to panic; tasks may end otherwise.
async fn first_defect(tasks: &mut JoinSet<()>) -> tokio::task::JoinError {
    loop {
        match tasks.join_next().await {
            Some(Ok(())) => {}
            Some(Err(panicked)) => return panicked,
            None => std::future::pending().await,
        }
    }
}
