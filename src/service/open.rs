//! Opens the journal and the read tables, and tries again until they can be reached.

use std::sync::Arc;

use keyledger_projections::{OpenTablesError, ReadTables};

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

/// Opens the journal, for appending if `appends` is set. Tries again until it can be reached. Fails
/// only if another attempt cannot succeed.
pub(super) async fn journals(
    url: &str,
    appends: bool,
    readiness: &Readiness,
) -> Result<Journals, OpenError> {
    // A journal on SQLite is locked by the process that appends; others open it for reading.
    if appends {
        let open = async || keyledger_journal::open(url).await;
        let journal = until_open(Part::Journal, readiness, open, OpenError::is_passing).await?;
        return Ok(Journals { reads: journal.clone(), appends: Some(journal) });
    }
    let open = async || keyledger_journal::open_reader(url).await;
    let reads = until_open(Part::Journal, readiness, open, OpenError::is_passing).await?;
    Ok(Journals { reads, appends: None })
}

/// Opens the read tables. Tries again until they can be reached. Fails only if another attempt cannot
/// succeed.
pub(super) async fn tables(
    url: &str,
    readiness: &Readiness,
) -> Result<ReadTables, OpenTablesError> {
    let open = async || ReadTables::open(url).await;
    until_open(Part::ReadTables, readiness, open, OpenTablesError::is_passing).await
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
