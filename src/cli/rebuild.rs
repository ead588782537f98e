//! `keyledger rebuild`: builds the key table anew, while the service continues with the old one.

use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::Position;
use keyledger_projections::{ReadTables, Rebuild, rebuild};

use super::say;
use crate::config::Stores;
use keyledger_journal as journal;

pub(super) async fn run(stores: &Stores) -> anyhow::Result<()> {
    let journal = journal::open_reader(&stores.journal_url).await?;
    let tables = ReadTables::open(&stores.read_url).await?;
    let head = journal.head().await?;
    let bar = ProgressBar::new(head.as_u64()).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {human_pos} of {human_len}  {per_sec}  {eta}",
    )?);
    let build = Rebuild::begin(&tables).await?;
    let events = journal.subscribe_to_keys(Position::START);
    let reached = |position: Position| bar.set_position(position.as_u64());
    let rebuilt = build.run(events, journal.head(), reached).await?;
    bar.finish();
    rebuild::clear(&tables).await?;
    let closed = match rebuilt.closed {
        0 => String::new(),
        closed => format!(" {closed} keys are closed, and refused."),
    };
    say(&format!("The read tables are rebuilt from {} events.{closed}", rebuilt.events))
}
