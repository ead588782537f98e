//! `keyledger import`: imports the keys of a former service by their hashes, so that users can keep
//! their keys.

mod cells;
mod known;
mod rehearsal;
mod report;
mod samples;
mod source;
mod times;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::key::{KeyDetails, Refusal};
use keyledger_domain::{HashFunction, HmacSecret, KeyHash, KeyId, KeyPrefix, Timestamp, UserId};
use keyledger_projections::ReadTables;
use keyledger_verifier::{Use, UseSink};
use rand::RngExt;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use crate::config::{Group, Stores, args, both, hmac_secrets_from_matches};
use cells::BadRow;
use keyledger_commands::{CommandError, Commands, Imported, Origin};
use keyledger_domain::Clock;
use keyledger_journal::{self as journal, Journal, OpenError};
use keyledger_node::clock::SystemClock;
use known::{KnownKeys, OtherKey};
use rehearsal::Rehearsal;
use report::Report;
use samples::Samples;
use source::{Numbered, Source};
use wanted::Wanted;

/// The maximum number of keys that are imported at once.
const TOGETHER: usize = 256;
/// The maximum number of last uses that are recorded in one transaction.
const USES_TOGETHER: usize = 5_000;

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).value_name("FILE").action(ArgAction::Set)
    };
    Command::new("import")
        .about(
            "Import keys of a former service by their hashes; the same file may be imported again",
        )
        .arg(
            file("from", "The file: NDJSON, or CSV with a header if its name ends in .csv")
                .required(true),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .help("Tell what the import would do, and write nothing")
                .action(ArgAction::SetTrue),
        )
        .arg(file(
            "sample",
            "File with some of the keys themselves, one per line: tell whether each will verify",
        ))
        .arg(file(
            "refused",
            "File to write the refused lines to: number, column and problem, as NDJSON",
        ))
        .args(args(&[Group::Stores, Group::Import, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (stores, hmac_secrets) =
        both(Stores::from_matches(matches), hmac_secrets_from_matches(matches))?;
    let path = |name: &str| matches.get_one::<String>(name);
    let from = path("from").cloned().unwrap_or_default();
    let source = Source::open(&from).with_context(|| format!("{from:?} cannot be read"))?;
    let samples = path("sample").map(|path| Samples::read(path)).transpose()?;
    let is_rehearsal = matches.get_flag("dry-run");
    let (journal, tables) = open(&stores, is_rehearsal).await?;
    let report = Report::to(path("refused"))?;
    let hmac_secrets: Arc<[HmacSecret]> = hmac_secrets.into();
    let mut import = Import {
        known: KnownKeys::read(&*journal).await?,
        hmac_secrets: hmac_secrets.clone(),
        tables,
        uses: BTreeMap::new(),
        report,
    };
    let mut whole = import.read(source, journal.clone()).await;
    if whole.is_ok()
        && let Some(samples) = samples
    {
        whole = samples.try_out(&*journal, hmac_secrets, SystemClock.now()).await;
    }
    let closed = journal.close().await.map_err(anyhow::Error::from);
    let told = import.report.finish(is_rehearsal);
    whole.and(closed).and(told)
}

/// Opens the stores. For a rehearsal, the journal is only read, and there are no tables to write.
async fn open(
    stores: &Stores,
    is_rehearsal: bool,
) -> anyhow::Result<(Arc<dyn Journal>, Option<ReadTables>)> {
    if !is_rehearsal {
        let journal = journal::open(&stores.journal_url).await?;
        return Ok((journal, Some(ReadTables::open(&stores.read_url).await?)));
    }
    let journal = journal::open_reader(&stores.journal_url).await.map_err(|error| {
        let is_missing = matches!(error, OpenError::Missing(_));
        let error = anyhow::Error::from(error);
        if is_missing { error.context("start the service once before a dry run") } else { error }
    })?;
    Ok((Arc::new(Rehearsal::over(journal).await?), None))
}

/// An import that is under way.
struct Import {
    known: KnownKeys,
    /// The secrets under which former services hashed keys.
    hmac_secrets: Arc<[HmacSecret]>,
    /// Where last uses are recorded.
    tables: Option<ReadTables>,
    /// Last uses that are not recorded yet.
    uses: BTreeMap<KeyId, Timestamp>,
    report: Report,
}

/// Why a row is not imported.
enum RowError {
    /// The row cannot be imported; the next one may be.
    Bad(BadRow),
    /// The import failed for a reason that would also stop the next row.
    Failed(CommandError),
}

impl Import {
    /// Imports the rows of the file.
    ///
    /// # Errors
    /// What ends the import before the end of the file. What was read before is imported first, as far as it
    /// is on its way.
    async fn read(&mut self, source: Source, journal: Arc<dyn Journal>) -> anyhow::Result<()> {
        let prefix = KeyPrefix::parse("import")?;
        let random = Box::new(UnwrapErr(SysRng));
        let commands = Commands::new(journal, Arc::new(SystemClock), random, prefix);
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
        let (known, secrets) = (&mut self.known, &self.hmac_secrets);
        let rows = stream::iter(source).map(|row| {
            // In the order of the file: of two rows of one key, the first decides.
            let row = row.map(|Numbered { line, ends_at, wanted }| {
                let wanted = wanted.and_then(|wanted| checked(wanted, known, secrets));
                (line, ends_at, wanted)
            });
            let (commands, origin) = (&commands, &origin);
            async move {
                let (line, ends_at, wanted) = row?;
                let imported = match wanted {
                    Ok(wanted) => import(commands, wanted, origin).await,
                    Err(bad) => Err(RowError::Bad(bad)),
                };
                std::io::Result::Ok((line, ends_at, imported))
            }
        });
        let mut rows = std::pin::pin!(rows.buffer_unordered(TOGETHER));
        let mut unreadable = None;
        while let Some(row) = rows.next().await {
            let (line, ends_at, imported) = match row {
                Ok(row) => row,
                Err(error) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            bar.set_position(bar.position().max(ends_at));
            match imported {
                Ok((imported, used)) => {
                    self.report.count(imported);
                    self.uses.extend(used);
                }
                Err(RowError::Bad(bad)) => bar
                    .suspend(|| self.report.refuse(line, &bad))
                    .context("the file of refused lines cannot be written")?,
                Err(RowError::Failed(error)) => {
                    bar.abandon();
                    return Err(error).with_context(|| {
                        format!("stopped near line {line}; run the import again to continue")
                    });
                }
            }
            if self.uses.len() >= USES_TOGETHER {
                record(self.tables.as_ref(), &mut self.uses).await?;
            }
        }
        record(self.tables.as_ref(), &mut self.uses).await?;
        bar.finish();
        match unreadable {
            Some(error) => {
                Err(error).context("the rest of the file cannot be read and is not imported")
            }
            None => Ok(()),
        }
    }
}

/// The row's key, unless it could never verify, would be told to others, or is known to be another one than it
/// seems.
fn checked(
    mut wanted: Wanted,
    known: &mut KnownKeys,
    secrets: &[HmacSecret],
) -> Result<Wanted, BadRow> {
    let bad = |column, problem: &str| BadRow { column: Some(column), problem: problem.to_owned() };
    if is_whole_key(&wanted.import.details, secrets) {
        return Err(bad(
            "key_prefix",
            "it is the key itself, of which others may only see the beginning",
        ));
    }
    let known_as = known
        .find(&wanted.import)
        .map_err(|OtherKey| bad("key_id", "another key with this key_id was imported before"))?;
    let is_hmac = !wanted.import.details.hash_function.is_sha256();
    if is_hmac && secrets.is_empty() && known_as.is_none() {
        let problem = "it is an HMAC, which nothing can verify: set KEYLEDGER_IMPORT_HMAC_SECRETS";
        return Err(bad("key_hash", problem));
    }
    known.add(&wanted.import);
    wanted.import.known_as = known_as;
    Ok(wanted)
}

/// Whether what is to be shown of the key is all of it. Some services show whole keys.
fn is_whole_key(details: &KeyDetails, secrets: &[HmacSecret]) -> bool {
    let shown = details.prefix.as_str();
    match details.hash_function {
        HashFunction::Sha256 => KeyHash::of(shown) == details.hash,
        HashFunction::HmacSha256 => secrets.iter().any(|secret| secret.hash(shown) == details.hash),
    }
}

async fn import(
    commands: &Commands,
    wanted: Wanted,
    origin: &Origin,
) -> Result<(Imported, Option<Use>), RowError> {
    let used = wanted.last_used_at.map(|at| (wanted.import.key_id(), at));
    let bad = |column, problem: &str| RowError::Bad(BadRow { column, problem: problem.to_owned() });
    match commands.import(wanted.import, origin).await {
        Ok(imported) => Ok((imported, used)),
        Err(CommandError::Refused(Refusal::CreatedInFuture)) => {
            Err(bad(Some("created_at"), "it lies in the future"))
        }
        Err(CommandError::Refused(_)) => {
            Err(bad(Some("key_hash"), "another key with this hash was imported before"))
        }
        Err(CommandError::Closed(_)) => Err(bad(
            None,
            "the key was imported before, and its events were taken out of the journal since",
        )),
        Err(error) => Err(RowError::Failed(error)),
    }
}

/// Records the collected last uses, and empties the collection.
async fn record(
    tables: Option<&ReadTables>,
    uses: &mut BTreeMap<KeyId, Timestamp>,
) -> anyhow::Result<()> {
    let uses: Vec<Use> = std::mem::take(uses).into_iter().collect();
    let Some(tables) = tables else { return Ok(()) };
    tables.record(&uses).await.context("last uses cannot be recorded")
}
