//! `keyledger audit rebuild`: builds the stored tree anew from the journal, if the journal continues
//! what was signed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::{Batch, Delivery, Position};
use keyledger_journal::JournalReader;
use keyledger_projections::log::{LOG_BATCH, LogReader, LogWriter};
use keyledger_projections::{Lease, LeaseName, ReadTables};
use keyledger_tlog::export::Finding;
use keyledger_tlog::merkle::Frontier;
use keyledger_tlog::{Checkpoint, Entry, TreeHash};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::{found, log_key, no, notes};
use crate::cli::say;
use crate::config::{Group, Stores, args};
use keyledger_journal as journal;

/// How long the lease of a command that was killed keeps the service from signing. Each batch of
/// events renews the lease.
const LEASE_PERIOD: Duration = Duration::from_secs(30);

pub(super) fn command() -> Command {
    Command::new("rebuild")
        .about(
            "Build the stored tree anew from the journal, if that continues all that was signed: \
             0 it is built, 1 nothing was changed since it does not, 2 it cannot be told, 3 a file \
             was changed on its way",
        )
        .arg(
            Arg::new("checkpoint")
                .long("checkpoint")
                .help(
                    "File of checkpoints that the journal must continue too, such as the service's \
                     own; may be given again",
                )
                .value_name("FILE")
                .action(ArgAction::Append),
        )
        .arg(log_key::arg())
        .args(args(&[Group::Stores, Group::LogKey, Group::Logging]))
}

/// A size and root that were signed, and where that is stored.
struct Signed {
    size: u64,
    root: TreeHash,
    place: String,
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut signed = match from_files(matches)? {
        Ok(signed) => signed,
        Err(finding) => return found(&finding),
    };
    let stores = Stores::from_matches(matches)?;
    let journal = journal::open_reader(&stores.journal_url).await?;
    let tables = ReadTables::open(&stores.read_url).await?;
    signed.extend(from_tables(&LogReader::new(&tables)).await?);
    signed.sort_by_key(|signed| signed.size);
    let head = journal.head().await?;
    // The events are read twice: to be compared, and to be appended.
    let bar = ProgressBar::new(head.as_u64().saturating_mul(2)).with_style(
        ProgressStyle::with_template("{bar:40} {percent:>3} %  {human_pos} of {human_len}  {eta}")?,
    );
    let compared = match compare(&*journal, &signed, &bar).await? {
        Ok(compared) => compared,
        Err(why) => {
            bar.abandon();
            return no(&why);
        }
    };
    let lease = Lease::new(
        &tables,
        LeaseName::Tree,
        uuid::Builder::from_random_bytes(UnwrapErr(SysRng).random()).into_uuid(),
        LEASE_PERIOD,
    );
    let built = build(&*journal, &tables, &lease, &bar).await;
    lease.release().await.context("the lease on the log cannot be released")?;
    let writer = built?;
    writer.check_root(compared.size(), compared.root()).await.context(
        "the journal was changed meanwhile: the tree is not that of the events that were compared",
    )?;
    bar.finish();
    say(&format!(
        "The tree is built anew from {} events; it continues the {} checkpoints that were signed.",
        writer.state().size,
        signed.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The checkpoints in the given files. A note that no trusted key has signed is a finding.
fn from_files(matches: &ArgMatches) -> anyhow::Result<Result<Vec<Signed>, Finding>> {
    let paths: Vec<_> = matches.get_many::<String>("checkpoint").unwrap_or_default().collect();
    let mut all = Vec::new();
    if paths.is_empty() {
        return Ok(Ok(all));
    }
    let keys = log_key::from_matches(matches)?;
    for path in paths {
        let notes = match notes::read(path)? {
            Ok(notes) => notes,
            Err(finding) => return Ok(Err(finding)),
        };
        for kept in notes {
            match Checkpoint::open(&kept.text, &keys) {
                Ok(Checkpoint { size, root, .. }) => {
                    all.push(Signed { size, root, place: kept.place });
                }
                Err(error) => return Ok(Err(Finding::unbelieved(kept.place, error))),
            }
        }
    }
    Ok(Ok(all))
}

/// The checkpoints in the read database, also those that were about to be signed.
async fn from_tables(tree: &LogReader) -> anyhow::Result<Vec<Signed>> {
    let mut all: Vec<Signed> = Vec::new();
    loop {
        let last = all.last().map_or(0, |last| last.size);
        let page = tree.stored_after(last).await?;
        if page.is_empty() {
            return Ok(all);
        }
        let place = || "the read database".to_owned();
        all.extend(page.into_iter().map(|(size, root)| Signed { size, root, place: place() }));
    }
}

/// Builds the tree in memory, and compares it with what was signed. Returns the tree, or why it does
/// not continue what was signed.
async fn compare(
    journal: &dyn JournalReader,
    signed: &[Signed],
    bar: &ProgressBar,
) -> anyhow::Result<Result<Frontier, String>> {
    let mut tree = Frontier::default();
    let mut signed = signed.iter().peekable();
    let mut events = journal.subscribe(Position::START);
    loop {
        while let Some(Signed { size, root, place }) =
            signed.next_if(|signed| signed.size <= tree.size())
        {
            if *root != tree.root() {
                return Ok(Err(format!(
                    "rewritten-history: the first {size} events of the journal are not those of the \
                     checkpoint in {place}. Nothing was changed."
                )));
            }
        }
        match events.next().await.context("the subscription to the journal has ended")?? {
            Delivery::Event(event) => {
                tree.append(Entry::of(&event)?.hash())?;
                bar.set_position(event.position.as_u64());
            }
            Delivery::CaughtUp(_) => break,
        }
    }
    match signed.last() {
        None => Ok(Ok(tree)),
        Some(Signed { size, place, .. }) => Ok(Err(format!(
            "shortened-history: the journal has {} events, but the checkpoint in {place} has {size}. \
             Nothing was changed.",
            tree.size()
        ))),
    }
}

/// Empties the tree, and appends all events of the journal to it.
async fn build(
    journal: &dyn JournalReader,
    tables: &ReadTables,
    lease: &Lease,
    bar: &ProgressBar,
) -> anyhow::Result<LogWriter> {
    let Some(epoch) = lease.claim().await? else {
        bail!("a service that runs signs this log; stop the services that sign, and try again");
    };
    let meanwhile = "another process has written to the tree; stop the services that sign, and try \
                     again (a service builds the rest of the tree by itself when it starts)";
    let mut writer = LogWriter::restart(tables, epoch).await?;
    let mut batches = std::pin::pin!(journal.subscribe(Position::START).ready_chunks(LOG_BATCH));
    loop {
        let deliveries =
            batches.next().await.context("the subscription to the journal has ended")?;
        let batch = Batch::gather(deliveries);
        let position = writer.state().position;
        let to = batch.reaches(position);
        if to > position {
            anyhow::ensure!(lease.claim().await? == Some(epoch), meanwhile);
            writer.append(&batch.events, to).await.context(meanwhile)?;
            bar.set_position(bar.length().unwrap_or(0) / 2 + to.as_u64());
        }
        if let Some(error) = batch.failure {
            return Err(error.into());
        }
        if batch.caught_up.is_some() {
            return Ok(writer);
        }
    }
}
