//! `keyledger audit export`: events in one file that can be checked offline.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::key::KeyEvent;
use keyledger_domain::{Position, RecordedEvent, Timestamp};
use keyledger_projections::audit::export::{Header, Subset, Writer};
use keyledger_projections::audit::merkle::TreeHash;
use keyledger_projections::audit::{Checkpoint, Entry, VerifyingKey};
use keyledger_projections::tree::{EventTree, SignedCheckpoint};
use keyledger_projections::{Delivery, ReadTables};

use crate::cli::say;
use crate::config::{Group, Stores, args};
use crate::journal::{self, JournalReader, Subscription};

/// How many leaves share a range.
const RANGE: u64 = 256;

pub(super) fn command() -> Command {
    let value = |name: &'static str, help: &'static str, of: &'static str| {
        Arg::new(name).long(name).help(help).value_name(of).action(ArgAction::Set)
    };
    Command::new("export")
        .about("Write events into a file that can be checked offline, while the service runs")
        .arg(value("out", "The file, which must not exist", "FILE").required(true))
        .arg(value("public-key", "The public key of the log", "VKEY").required(true))
        .arg(value("user", "Only events of this owner's keys", "ID"))
        .arg(value("key", "Only events of this key", "ID"))
        .arg(value("from", "Only events from this time on (RFC 3339)", "TIME"))
        .arg(value("to", "Only events before this time (RFC 3339)", "TIME"))
        .args(args(&[Group::Stores, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let stores = Stores::from_matches(matches)?;
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let public: VerifyingKey = text("public-key").unwrap_or_default().parse()?;
    let subset = subset(matches)?;
    let journal = journal::open_reader(&stores.journal_url).await?;
    let tree = EventTree::new(&ReadTables::open(&stores.read_url).await?);
    let Some(signed) = tree.last_signed().await? else {
        bail!("no checkpoint was signed yet: run the service with KEYLEDGER_AUDIT_KEY first");
    };
    let checkpoint = Checkpoint::open(&signed.note, std::slice::from_ref(&public))?;
    let events = match &subset {
        None => signed.size,
        Some(subset) => count(&*journal, &signed, subset).await?,
    };
    let header =
        Header::new(checkpoint.origin, subset, public.to_string(), signed.note.clone(), events);
    let path = text("out").unwrap_or_default();
    let file = File::create_new(&path);
    let file = file.with_context(|| format!("the file {path:?} cannot be made"))?;
    let mut export = Export { tree, size: signed.size, header, file: BufWriter::new(file) };
    export.write(journal.subscribe(Position::START)).await?;
    say(&format!("Exported {events} events as of a checkpoint of {}.", signed.size))
}

fn subset(matches: &ArgMatches) -> anyhow::Result<Option<Subset>> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let time = |name: &str| {
        let time = text(name).map(|time| Timestamp::parse(&time));
        time.transpose()
            .with_context(|| format!("--{name} is no time, such as 2026-03-01T00:00:00Z"))
    };
    let key_id =
        text("key").map(|key| key.parse()).transpose().context("--key is no id of a key")?;
    let subset = Subset { user_id: text("user"), key_id, from: time("from")?, to: time("to")? };
    Ok((subset != Subset::default()).then_some(subset))
}

/// Whether an event is one of those that are wanted.
fn holds(subset: &Subset, event: &KeyEvent) -> bool {
    let owner = match event {
        KeyEvent::Created(created) => &created.user_id,
        KeyEvent::Revoked(revoked) => &revoked.user_id,
        KeyEvent::Deleted(deleted) => &deleted.user_id,
    };
    let at = event.occurred_at();
    subset.user_id.as_ref().is_none_or(|user| user == owner.as_str())
        && subset.key_id.is_none_or(|key| key == event.key_id())
        && subset.from.is_none_or(|from| at >= from)
        && subset.to.is_none_or(|to| at < to)
}

/// How many of the checkpoint's events are wanted.
async fn count(
    journal: &dyn JournalReader,
    signed: &SignedCheckpoint,
    subset: &Subset,
) -> anyhow::Result<u64> {
    let mut events = journal.subscribe(Position::START);
    let mut wanted = 0;
    for index in 0..signed.size {
        wanted += u64::from(holds(subset, &next(&mut events, index, signed.size).await?.event));
    }
    Ok(wanted)
}

/// The event at this index.
async fn next(events: &mut Subscription, index: u64, size: u64) -> anyhow::Result<RecordedEvent> {
    match events.next().await.transpose()? {
        Some(Delivery::Event(event)) => Ok(event),
        Some(Delivery::CaughtUp(_)) | None => {
            bail!("the journal holds {index} events, but a checkpoint of {size} was signed")
        }
    }
}

/// An export that is being written; it holds one range in memory.
struct Export {
    tree: EventTree,
    size: u64,
    header: Header,
    file: BufWriter<File>,
}

impl Export {
    async fn write(&mut self, mut events: Subscription) -> anyhow::Result<()> {
        let bar = ProgressBar::new(self.size).with_style(ProgressStyle::with_template(
            "{bar:40} {percent:>3} %  {human_pos} of {human_len}  {per_sec}  {eta}",
        )?);
        let mut out = Vec::new();
        let mut writer = Writer::begin(&self.header, &mut out)?;
        for range in 0..self.size.div_ceil(RANGE) {
            let leaves = self.tree.leaves(range, self.size).await?;
            let kept = self.range(range).await?;
            let last = leaves.len().saturating_sub(1);
            for (place, leaf) in leaves.into_iter().enumerate() {
                let index = range * RANGE + u64::try_from(place)?;
                let event = next(&mut events, index, self.size).await?;
                let entry = Entry::of(&event)?;
                match &self.header.subset {
                    None => {
                        let kept = kept.filter(|_| place == last);
                        writer.event(&entry, leaf, kept, &mut out)?;
                    }
                    Some(subset) if holds(subset, &event.event) => {
                        let proof = self.tree.inclusion(index, self.size).await?;
                        writer.proven_event(index, &entry, leaf, &proof, &mut out)?;
                    }
                    Some(_) => {}
                }
                bar.inc(1);
            }
            self.file.write_all(&out)?;
            out.clear();
        }
        writer.finish(&mut out)?;
        self.file.write_all(&out)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        bar.finish();
        Ok(())
    }

    /// The hash that the tree keeps over a range, if that is full.
    async fn range(&self, range: u64) -> anyhow::Result<Option<TreeHash>> {
        if (range + 1) * RANGE > self.size {
            return Ok(None);
        }
        let kept = self.tree.ranges(range / RANGE).await?;
        Ok(kept.get(usize::try_from(range % RANGE)?).copied())
    }
}
