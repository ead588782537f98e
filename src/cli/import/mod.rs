//! `keyledger import`: imports the keys of a former service by their hashes, so that users can keep
//! their keys.

mod line;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::key::Refusal;
use keyledger_domain::{KeyId, KeyPrefix, Timestamp, UserId};
use keyledger_projections::ReadTables;
use keyledger_verifier::{Use, UseSink};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::say;
use crate::config::{Group, Stores, args};
use keyledger_commands::{CommandError, Commands, Imported, Origin};
use keyledger_journal as journal;
use keyledger_node::clock::SystemClock;
use line::{BadLine, Wanted};
use source::Source;

/// The maximum number of keys that are imported at once.
const TOGETHER: usize = 256;
/// The maximum number of last uses that are recorded in one transaction.
const USES_TOGETHER: usize = 5_000;

pub(super) fn command() -> Command {
    Command::new("import")
        .about(
            "Import keys of a former service by their hashes; the same file may be imported again",
        )
        .arg(
            Arg::new("from")
                .long("from")
                .help("The file: NDJSON, or CSV with a header if its name ends in .csv")
                .value_name("FILE")
                .action(ArgAction::Set)
                .required(true),
        )
        .args(args(&[Group::Stores, Group::Logging]))
}

/// The results of the lines so far.
#[derive(Default)]
struct Report {
    new: u64,
    known: u64,
    revoked: u64,
    refused: u64,
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let file = matches.get_one::<String>("from").cloned().unwrap_or_default();
    let source = Source::open(&file).with_context(|| format!("{file:?} cannot be read"))?;
    let stores = Stores::from_matches(matches)?;
    let journal = journal::open(&stores.journal_url).await?;
    let tables = ReadTables::open(&stores.read_url).await?;
    let prefix = KeyPrefix::parse("import")?;
    let random = Box::new(UnwrapErr(SysRng));
    let commands = Commands::new(journal.clone(), Arc::new(SystemClock), random, prefix);
    let run = uuid::Builder::from_random_bytes(UnwrapErr(SysRng).random()).into_uuid();
    let origin = Origin {
        actor: UserId::parse("keyledger import")?,
        correlation_id: run.to_string(),
        traceparent: None,
        client: None,
    };
    let bar = ProgressBar::new(source.length()).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {eta}",
    )?);
    let imports = stream::iter(source)
        .map(|line| {
            let (commands, origin) = (&commands, &origin);
            async move {
                let line = match line {
                    Ok(line) => line,
                    Err(error) => return (0, 0, Err(LineError::Unreadable(error))),
                };
                let outcome = match line.wanted {
                    Ok(wanted) => import(commands, wanted, origin).await,
                    Err(bad) => Err(LineError::Bad(bad)),
                };
                (line.number, line.ends_at, outcome)
            }
        })
        .buffer_unordered(TOGETHER);
    let mut imports = std::pin::pin!(imports);
    let (mut report, mut uses) = (Report::default(), BTreeMap::new());
    let mut unreadable = None;
    while let Some((number, ends_at, outcome)) = imports.next().await {
        bar.set_position(bar.position().max(ends_at));
        match outcome {
            Ok((imported, used)) => {
                report.count(imported);
                uses.extend(used);
            }
            Err(LineError::Failed(error)) => {
                bar.abandon();
                return Err(error).with_context(|| {
                    format!("stopped near line {number}; run the import again to continue")
                });
            }
            Err(LineError::Unreadable(error)) => {
                // What was read before is imported first, as far as it is on its way.
                unreadable = Some(error);
            }
            Err(LineError::Bad(why)) => {
                report.refused += 1;
                bar.suspend(|| eprint_line(number, &why));
            }
        }
        if uses.len() >= USES_TOGETHER {
            record(&tables, &mut uses).await?;
        }
    }
    record(&tables, &mut uses).await?;
    bar.finish();
    journal.close().await?;
    let told = report.tell();
    match unreadable {
        Some(error) => {
            Err(error).context("the rest of the file cannot be read and is not imported")
        }
        None => told,
    }
}

enum LineError {
    /// Neither the line nor what follows can be read.
    Unreadable(std::io::Error),
    /// The line cannot be imported; the next one may be.
    Bad(BadLine),
    /// The import failed for a reason that would also stop the next line.
    Failed(CommandError),
}

async fn import(
    commands: &Commands,
    wanted: Wanted,
    origin: &Origin,
) -> Result<(Imported, Option<Use>), LineError> {
    let used = wanted.last_used_at.map(|at| (wanted.key_id(), at));
    match commands.import(wanted.import, origin).await {
        Ok(imported) => Ok((imported, used)),
        Err(CommandError::Refused(Refusal::CreatedInFuture)) => {
            Err(LineError::Bad(BadLine::Future))
        }
        Err(CommandError::Refused(_)) => Err(LineError::Bad(BadLine::OtherKey)),
        Err(CommandError::Closed(_)) => Err(LineError::Bad(BadLine::Closed)),
        Err(error) => Err(LineError::Failed(error)),
    }
}

/// Records the collected last uses, and empties the collection.
async fn record(tables: &ReadTables, uses: &mut BTreeMap<KeyId, Timestamp>) -> anyhow::Result<()> {
    let uses: Vec<Use> = std::mem::take(uses).into_iter().collect();
    tables.record(&uses).await.context("last uses cannot be recorded")
}

fn eprint_line(number: u64, why: &BadLine) {
    use std::io::Write;
    // An error is ignored: standard error may be closed.
    let _ = writeln!(std::io::stderr(), "line {number}: {why}");
}

impl Report {
    fn count(&mut self, imported: Imported) {
        match imported {
            Imported::New => self.new += 1,
            Imported::Known => self.known += 1,
            Imported::Revoked => self.revoked += 1,
        }
    }

    fn tell(&self) -> anyhow::Result<()> {
        let Self { new, known, revoked, refused } = self;
        say(&format!(
            "Keys: {new} imported, {known} known before, {revoked} known before and revoked now. \
             Lines refused: {refused}."
        ))?;
        if *refused > 0 {
            bail!("not all lines were imported: correct the lines named above, and import again");
        }
        Ok(())
    }
}
