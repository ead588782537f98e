//! `keyledger copy-journal`: copies a journal to another database.

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use keyledger_domain::{Position, hex};
use keyledger_journal::{self as journal, JournalReader, OpenKeys, copy};

use super::say;
use crate::config::{Group, args};

pub(super) fn command() -> Command {
    let url = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).value_name("URL").action(ArgAction::Set).required(true)
    };
    Command::new("copy-journal")
        .about("Copy all events of one journal into another, or continue an interrupted copy")
        .arg(url("from", "The journal to copy; its service must be stopped"))
        .arg(url("to", "The journal to copy to: empty, or an interrupted copy of the same journal"))
        .args(args(&[Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let url = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let (from, to) = (url("from"), url("to"));
    if from == to {
        bail!("--from and --to are the same journal");
    }
    let source = journal::open_reader(&from).await.context("the source cannot be opened")?;
    let target = journal::open(&to).await.context("the target cannot be opened")?;
    say("Counting the events.")?;
    let source = OpenKeys::of(source).await?;
    for (key_id, closure) in source.closed() {
        say(&format!("Key {key_id} is closed and is not copied: {closure}."))?;
    }
    let wanted = copy::contents(source.subscribe(Position::START)).await?;
    let bar = ProgressBar::new(wanted.events).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {human_pos} of {human_len}  {per_sec}  {eta}",
    )?);
    let copied = match copy::copy(&source, &*target, |number| bar.set_position(number)).await {
        Err(error) if error.is_passing() => {
            return Err(error)
                .context("the copy is not complete; run the command again to continue");
        }
        copied => copied?,
    };
    let secret = source.installation_secret().await?;
    let other = match secret {
        Some(secret) => target.keep_installation_secret(secret.clone()).await? != secret,
        None => false,
    };
    target.close().await?;
    bar.finish();
    if other {
        say(
            "The target has a secret of its own: requests with an idempotency key of before the copy are \
             not recognised as repeated.",
        )?;
    }
    if copied != wanted {
        bail!(
            "the journals differ: {} events with SHA-256 {} in the source, {} events with {} in the \
             target; was one of them written to during the copy?",
            wanted.events,
            hex(&wanted.hash),
            copied.events,
            hex(&copied.hash)
        );
    }
    say(&format!("Copied {} events; both have the SHA-256 {}.", copied.events, hex(&copied.hash)))
}
