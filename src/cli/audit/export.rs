//! `keyledger audit export`: events in one file that can be checked offline.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::Timestamp;
use keyledger_domain::key::KeyEvent;
use keyledger_projections::ReadTables;
use keyledger_projections::audit::export::{Header, RANGE, Subset, Writer};
use keyledger_projections::audit::{Checkpoint, VerifyingKey};
use keyledger_projections::tree::EventTree;

use super::places::{Placed, Places};
use crate::cli::say;
use crate::config::{Group, Stores, args};
use crate::journal;

/// How many bytes are gathered before they are written.
const PIECE: usize = 256 * 1024;

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
    let size = signed.size;
    let events = match &subset {
        None => size,
        Some(subset) => count(Places::new(&*journal, &tree, size).await?, subset).await?,
    };
    let header =
        Header::new(checkpoint.origin, subset, public.to_string(), signed.note.clone(), events);
    let path = text("out").unwrap_or_default();
    let file = File::create_new(&path);
    let file = file.with_context(|| format!("the file {path:?} cannot be made"))?;
    let events = Places::new(&*journal, &tree, size).await?;
    let mut export = Export { tree, size, header, file: BufWriter::new(file) };
    let written = export.write(events).await?;
    say(&format!("Exported {written} events as of a checkpoint of {size}."))
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
async fn count(mut events: Places, subset: &Subset) -> anyhow::Result<u64> {
    let mut wanted = 0;
    while let Some(placed) = events.next().await? {
        wanted += u64::from(placed.leaf.is_some() && holds(subset, &placed.event.event));
    }
    Ok(wanted)
}

/// An export that is being written, a piece at a time.
struct Export {
    tree: EventTree,
    size: u64,
    header: Header,
    file: BufWriter<File>,
}

impl Export {
    /// Writes what there is; tells how many events that were.
    async fn write(&mut self, mut events: Places) -> anyhow::Result<u64> {
        let bar = ProgressBar::new(self.size).with_style(ProgressStyle::with_template(
            "{bar:40} {percent:>3} %  {human_pos} of {human_len}  {per_sec}  {eta}",
        )?);
        let mut out = Vec::new();
        let mut writer = Writer::begin(&self.header, &mut out)?;
        let (mut written, mut range) = (0, 0);
        while let Some(Placed { index, event, entry, leaf }) = events.next().await? {
            bar.set_position(index.saturating_add(1).min(self.size));
            match (&self.header.subset, leaf) {
                (None, leaf) => {
                    // One that the tree does not have stands where the journal has it.
                    let upto = if leaf.is_some() { index / RANGE } else { range };
                    self.ranges(&mut writer, &mut range, upto, &mut out).await?;
                    let leaf = leaf.unwrap_or_else(|| entry.hash());
                    writer.event(index, &entry, leaf, &mut out)?;
                    written += 1;
                }
                (Some(subset), Some(leaf)) if holds(subset, &event.event) => {
                    let proof = self.tree.inclusion(index, self.size).await?;
                    writer.proven_event(index, &entry, leaf, &proof, &mut out)?;
                    written += 1;
                }
                (Some(_), _) => {}
            }
            if out.len() >= PIECE {
                self.file.write_all(&out)?;
                out.clear();
            }
        }
        if self.header.subset.is_none() {
            self.ranges(&mut writer, &mut range, self.size.div_ceil(RANGE), &mut out).await?;
        }
        writer.finish(&mut out)?;
        self.file.write_all(&out)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        bar.finish();
        Ok(written)
    }

    /// Writes the lines of the ranges before this one.
    async fn ranges(
        &self,
        writer: &mut Writer,
        range: &mut u64,
        upto: u64,
        out: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        while *range < upto {
            writer.range(*range, self.tree.range(*range, self.size).await?, out);
            *range += 1;
        }
        Ok(())
    }
}
