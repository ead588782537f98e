//! Opens the journal and the read tables, and tries again until both can be reached.

use std::sync::Arc;

use keyledger_projections::{OpenTablesError, ReadTables};

use super::ServeError;
use keyledger_domain::chain;
use keyledger_journal::{Journal, JournalReader, OpenError};
use keyledger_node::backoff::Backoff;
use keyledger_node::readiness::{Part, Readiness, State};

/// The journal, opened as the process's roles need it.
pub(super) struct Journals {
    pub(super) reads: Arc<dyn JournalReader>,
    /// The same journal for appending; `None` if this process does not append.
    pub(super) appends: Option<Arc<dyn Journal>>,
}

/// Opens the journal, for appending if `appends` is set, and the read tables. Tries again until both
/// can be reached. Fails only if another attempt cannot succeed.
pub(super) async fn stores(
    journal_url: &str,
    read_url: &str,
    appends: bool,
    readiness: &Readiness,
) -> Result<(Journals, ReadTables), ServeError> {
    // A journal on SQLite is locked by the process that appends; others open it for reading.
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
                tracing::warn!(part = part.name(), cause = %chain(&error), "cannot be opened yet, trying again");
                readiness.set(part, State::Failing);
                pause.wait().await;
            }
            outcome => return outcome,
        }
    }
}
