//! Opens the journal and the read tables, however long it takes until they can be reached.

use std::sync::Arc;

use keyledger_projections::{OpenTablesError, ReadTables};

use super::ServeError;
use crate::journal::{self, Journal, JournalReader, OpenError};
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// Where the service's stores are.
pub(super) struct Places {
    pub(super) journal_url: String,
    pub(super) read_url: String,
    /// Whether this process appends to the journal.
    pub(super) appends: bool,
}

/// The journal as this process uses it.
pub(super) struct Journals {
    pub(super) reads: Arc<dyn JournalReader>,
    /// The same journal, for a process that appends.
    pub(super) appends: Option<Arc<dyn Journal>>,
}

/// Opens both. What another try cannot mend is an error.
pub(super) async fn stores(
    places: &Places,
    readiness: &Readiness,
) -> Result<(Journals, ReadTables), ServeError> {
    let url = &places.journal_url;
    // Whoever appends holds the journal for itself; all others read beside it.
    let (reads, appends): (Arc<dyn JournalReader>, _) = if places.appends {
        let open = async || journal::open(url).await;
        let journal = until_open(Part::Journal, readiness, open, OpenError::is_passing).await?;
        (journal.clone(), Some(journal))
    } else {
        let open = async || journal::open_reader(url).await;
        (until_open(Part::Journal, readiness, open, OpenError::is_passing).await?, None)
    };
    let open = async || ReadTables::open(&places.read_url).await;
    let tables = until_open(Part::ReadTables, readiness, open, OpenTablesError::is_passing).await?;
    Ok((Journals { reads, appends }, tables))
}

async fn until_open<T, E: std::error::Error + 'static>(
    part: Part,
    readiness: &Readiness,
    open: impl AsyncFn() -> Result<T, E>,
    is_passing: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut pause = Pause::new();
    loop {
        match open().await {
            Err(error) if is_passing(&error) => {
                tracing::warn!(part = part.name(), cause = %chain(&error), "not there yet");
                readiness.set(part, State::Failing);
                pause.wait().await;
            }
            outcome => return outcome,
        }
    }
}
