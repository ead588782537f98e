//! Feeds the read side from the journal, and keeps it fed.

use std::convert::Infallible;
use std::sync::Arc;

use keyledger_domain::Position;
use keyledger_projections::{Progress, ProjectionError, Projector, ReadTables, WriteError};

use super::Pause;
use crate::journal::{JournalReader, ReadError};
use crate::readiness::{Part, Readiness, State};
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
}

/// What to do about it.
enum Remedy {
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
            Self::Projection(ProjectionError::Write(WriteError::Superseded)) => Remedy::BeginAgain,
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

/// Keeps the read tables level with the journal for as long as the process lives. An event that
/// cannot be applied ends it, with an alarm: to pass over a revocation would leave a live key.
pub async fn keep_level(
    journal: Arc<dyn JournalReader>,
    tables: ReadTables,
    progress: Progress,
    readiness: Readiness,
) {
    readiness.set(Part::ReadTables, State::Starting);
    let mut pause = Pause::new();
    loop {
        let level = async {
            progress.level().await;
            readiness.set(Part::ReadTables, State::Ready);
            std::future::pending().await
        };
        let interruption = tokio::select! {
            interruption = project(&*journal, &tables, &progress) => interruption,
            never = level => never,
        };
        match interruption.remedy() {
            Remedy::BeginAgain => {
                tracing::info!("read tables were taken over; beginning again where they stand");
                pause = Pause::new();
            }
            Remedy::Wait => {
                tracing::warn!(cause = %chain(&interruption), "read tables interrupted");
                readiness.set(Part::ReadTables, State::Failing);
                pause.wait().await;
            }
            Remedy::Stop => {
                tracing::error!(
                    cause = %chain(&interruption),
                    "read tables stopped: the journal and they do not fit; look into the cause, \
                     then run `keyledger rebuild` and start again"
                );
                readiness.set(Part::ReadTables, State::Stopped);
                return;
            }
        }
    }
}

/// Follows the journal until something interrupts it.
async fn project(
    journal: &dyn JournalReader,
    tables: &ReadTables,
    progress: &Progress,
) -> Interruption {
    let followed: Result<Infallible, Interruption> = async {
        let projector = Projector::load(tables, progress).await.map_err(ProjectionError::Write)?;
        let head = journal.barrier().await.map_err(Interruption::Head)?;
        if projector.position() > head {
            return Err(Interruption::OtherJournal { tables: projector.position(), head });
        }
        let events = journal.subscribe(projector.position());
        projector.run(events).await?;
        Err(ProjectionError::SourceEnded.into())
    }
    .await;
    let Err(interruption) = followed;
    interruption
}
