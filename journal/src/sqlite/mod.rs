//! The journal in a SQLite file (WAL, `synchronous=FULL`), for one writing process.
//!
//! One task commits all appends that wait in one statement, so that many callers share one sync of
//! the disk. It passes what it has committed to the subscriptions of its process, which therefore
//! need not poll. The process holds a lock on the file `<file>.lock` beside the journal, which keeps
//! a second process from appending. Nothing is read or acknowledged while the file at the journal's
//! path is another one than the connections have open.

mod file;
mod insert;
mod location;
mod reader;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use keyledger_checks::Found;
use keyledger_checks::sqlite::{FileUsage, examine as examine_file};

use crate::OpenError;
use crate::sql::{Committer, SqlJournal, notices};
use file::OpenedFile;
use location::FileLocation;
pub(super) use reader::SqliteReader;
use table::SqliteTable;

/// Opens the journal for reading and appending.
pub(super) async fn open(url: &str) -> Result<SqlJournal<SqliteReader>, OpenError> {
    let location = FileLocation::parse(url)?;
    let lock = location.lock()?;
    let notices = notices();
    let connection = table::connect(&location).await.map_err(|e| location.refused(e))?;
    let file = OpenedFile::at(location.path()).map_err(|e| location.refused(e))?;
    let file = Arc::new(file);
    let reader = SqliteReader::with(&location, file.clone()).await?.with_notices(&notices);
    let table = SqliteTable::new(&location, file, connection);
    let table = table.await.map_err(|e| location.refused(e))?;
    Ok(SqlJournal::new(reader, Committer::start(table, notices), Some(lock)))
}

/// Looks at the file without opening it for a change.
pub(super) async fn examine(url: &str, appends: bool) -> Result<Found, OpenError> {
    let location = FileLocation::parse(url)?;
    let used = if appends { FileUsage::Alone } else { FileUsage::Read };
    Ok(examine_file(location.read_only(), &table::MIGRATIONS, used).await)
}
