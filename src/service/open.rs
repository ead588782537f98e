//! Opens the journal and the read tables, however long it takes until they can be reached.

use std::sync::Arc;

use keyledger_projections::{OpenTablesError, ReadTables};

use super::ServeError;
use crate::node::backoff::Backoff;
use crate::node::readiness::{Part, Readiness, State};
use keyledger_domain::chain;
use keyledger_journal::{Journal, JournalReader, OpenError};

/// The journal as this process uses it.
pub(super) struct Journals {
    pub(super) reads: Arc<dyn JournalReader>,
    /// The same journal, for a process that appends.
    pub(super) appends: Option<Arc<dyn Journal>>,
}

/// Opens both, the journal for appending if this process does that. What another try cannot mend is an
/// error.
pub(super) async fn stores(
    journal_url: &str,
    read_url: &str,
    appends: bool,
    readiness: &Readiness,
) -> Result<(Journals, ReadTables), ServeError> {
    // Whoever appends holds the journal for itself; all others read beside it.
    let (reads, appends): (Arc<dyn JournalReader>, _) = if appends {
        let open = async || keyledger_journal::open(journal_url).await;
        let journal = until_open(Part::Journal, readiness, open, OpenError::is_passing).await?;
        (journal.clone(), Some(journal))
    } else {
        let open = async || keyledger_journal::open_reader(journal_url).await;
        (until_open(Part::Journal, readiness, open, OpenError::is_passing).await?, None)
    };
    let open = async || ReadTables::open(read_url).await;
    let tables = until_open(Part::ReadTables, readiness, open, OpenTablesError::is_passing).await?;
    Ok((Journals { reads, appends }, tables))
}

async fn until_open<T, E: std::error::Error + 'static>(
    part: Part,
    readiness: &Readiness,
    open: impl AsyncFn() -> Result<T, E>,
    is_passing: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut pause = Backoff::new();
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
