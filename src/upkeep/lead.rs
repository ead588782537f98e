//! Projects: feeds the read tables from the journal while this node holds the lease.

use std::convert::Infallible;

use keyledger_domain::Position;
use keyledger_projections::{Lease, ProjectionError, Projector, Term, WriteError};

use super::read_side::{LATE, ReadSide};
use crate::journal::ReadError;
use crate::lease::hold;
use crate::readiness::State;
use crate::telemetry::chain;

/// Why the read tables no longer follow the journal.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Projection(#[from] ProjectionError<ReadError>),
    #[error("the journal's head cannot be read")]
    Head(#[source] ReadError),
    #[error("the read tables include position {tables}, but the journal ends at {head}")]
    OtherJournal { tables: Position, head: Position },
    #[error("the read tables included position {shown}, and only {tables} now")]
    WentBack { tables: Position, shown: Position },
}

/// What to do about it.
pub(super) enum Remedy {
    /// Begin again at once.
    BeginAgain,
    /// Begin again later.
    Wait,
    /// Nothing that a program could do.
    Stop,
}

impl Interruption {
    fn remedy(&self) -> Remedy {
        match self {
            Self::Projection(ProjectionError::Write(WriteError::Superseded))
            | Self::WentBack { .. } => Remedy::BeginAgain,
            Self::Projection(
                ProjectionError::Source(ReadError::Unavailable(_))
                | ProjectionError::SourceEnded
                | ProjectionError::Write(WriteError::Database(_)),
            )
            | Self::Head(_) => Remedy::Wait,
            Self::Projection(
                ProjectionError::Source(ReadError::Corrupt { .. })
                | ProjectionError::Write(
                    WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep,
                ),
            )
            | Self::OtherJournal { .. } => Remedy::Stop,
        }
    }
}

/// Projects for as long as the term lasts, or until something interrupts it; tells what to do then.
pub(super) async fn lead(side: &ReadSide, lease: &Lease, term: Term) -> Remedy {
    tracing::info!("this node keeps the read tables");
    let interruption = tokio::select! {
        interruption = project(side, term) => interruption,
        never = tell_level(side) => never,
        () = hold(lease, term) => {
            tracing::info!("another node keeps the read tables now");
            return Remedy::BeginAgain;
        }
    };
    let remedy = interruption.remedy();
    match remedy {
        Remedy::BeginAgain => {
            tracing::info!(cause = %chain(&interruption), "beginning again where the tables stand");
        }
        Remedy::Wait => {
            tracing::warn!(cause = %chain(&interruption), "read tables interrupted");
        }
        Remedy::Stop => {
            tracing::error!(
                cause = %chain(&interruption),
                "read tables stopped: the journal and they do not fit; look into the cause, \
                 then run `keyledger rebuild` and start again"
            );
        }
    }
    remedy
}

/// Follows the journal until something interrupts it.
async fn project(side: &ReadSide, term: Term) -> Interruption {
    let followed: Result<Infallible, Interruption> = async {
        let loading = Projector::load(&side.tables, &side.progress, term);
        let projector = loading.await.map_err(ProjectionError::Write)?;
        let head = side.journal.barrier().await.map_err(Interruption::Head)?;
        if projector.position() > head {
            return Err(Interruption::OtherJournal { tables: projector.position(), head });
        }
        let events = side.journal.subscribe(projector.position());
        projector.run(events).await?;
        Err(ProjectionError::SourceEnded.into())
    }
    .await;
    let Err(interruption) = followed;
    interruption
}

/// Tells whether the projector keeps up with the journal's head, and whether the tables have kept what
/// it has written: a database that crashed may have lost its last commits, which did not wait for the
/// disk.
async fn tell_level(side: &ReadSide) -> Interruption {
    side.progress.level().await;
    side.tell(State::Ready);
    let mut heads = side.head.clone();
    loop {
        // The other end is only dropped when the process ends.
        if heads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let Some(head) = *heads.borrow_and_update() else { continue };
        let shown = side.progress.current();
        if let Ok(tables) = side.tables.position().await
            && tables < shown
        {
            return Interruption::WentBack { tables, shown };
        }
        let is_level = side.progress.wait_for(head.position, LATE).await.is_ok();
        side.tell(if is_level { State::Ready } else { State::Failing });
    }
}
