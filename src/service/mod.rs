//! Puts the parts together and runs them: the journal, the read side, the public API.

mod end;
mod open;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use keyledger_projections::tree::EventTree;
use keyledger_projections::{Duty, Lease, OpenTablesError, Progress};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::{Clock, SystemClock};
use crate::commands::Commands;
use crate::config::{Config, Identity};
use crate::http::Exposure;
use crate::identity::{SigningError, TokenVerifier};
use crate::journal::OpenError;
use crate::metrics::{Counters, Metrics};
use crate::readiness::{Part, Readiness, State};
use crate::relay::{self, Checkpoints, Relay, StreamDiffers, Topic};
use crate::shutdown::StopSignals;
use crate::upkeep::{IndexUpkeep, ReadSide, TreeUpkeep};
use crate::{development, http, upkeep};
use open::{Journals, Places};

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
    let audit = config.audit.filter(|_| config.roles.projector);
    if let Some(nats) = &config.nats {
        let events = config.roles.relay.then_some(Topic::Events);
        let checkpoints = audit.as_ref().map(|_| Topic::Checkpoints);
        let topics: Vec<_> = events.into_iter().chain(checkpoints).collect();
        relay::check(nats, &topics).await?;
    }
    let mut relaying = None;
    if let Some(nats) = config.nats.clone().filter(|_| config.roles.relay) {
        let lease = lease(Duty::Relay);
        relaying = Some(lease.clone());
        let (journal, tables, readiness) = (journal.clone(), tables.clone(), readiness.clone());
        let relayed = relayed_by_us;
        tasks.spawn(Relay { journal, tables, lease, nats, readiness, relayed }.run());
    }
    let mut treeing = None;
    if let Some(audit) = audit {
        let published = config.nats.map(|nats| Checkpoints {
            nats,
            tree: EventTree::new(&tables),
            origin: audit.keys.origin().to_owned(),
            keys: audit.keys.public(),
            readiness: readiness.clone(),
            signed: Notify::new(),
        });
        let upkeep = Arc::new(TreeUpkeep {
            journal: journal.clone(),
            tables: tables.clone(),
            lease: lease(Duty::Tree),
            audit,
            published,
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
            end::sign_last(tree).await;
        }
    };
    tokio::join!(end::record_last_uses(&verification, &tables), signing);
    let tree = treeing.map(|tree| tree.lease.clone());
    end::give_back(projecting.into_iter().chain(relaying).chain(tree)).await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
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
