//! `keyledger audit export`: writes events to a file.

mod csv;
mod places;
mod proven;
mod selection;

use std::fs::File;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};

use super::log_key;
use crate::cli::say;
use crate::config::{Group, Stores, args};
use keyledger_journal as journal;

const CSV: &str = "csv";

pub(super) fn command() -> Command {
    let value = |name: &'static str, help: &'static str, of: &'static str| {
        Arg::new(name).long(name).help(help).value_name(of).action(ArgAction::Set)
    };
    Command::new("export")
        .about("Write events into a file that can be checked offline, while the service runs")
        .arg(value("out", "The file, which must not exist", "FILE").required(true))
        .arg(
            value(
                "format",
                "ndjson can be checked; csv is for spreadsheets and proves nothing",
                "FORMAT",
            )
            .value_parser(PossibleValuesParser::new(["ndjson", CSV]))
            .default_value("ndjson"),
        )
        .arg(log_key::arg())
        .arg(value("user", "Only events of this owner's keys", "ID"))
        .arg(value("key", "Only events of this key", "ID"))
        .arg(value("from", "Only events from this time on (RFC 3339)", "TIME"))
        .arg(value("to", "Only events before this time (RFC 3339)", "TIME"))
        .args(args(&[Group::Stores, Group::LogKey, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let stores = Stores::from_matches(matches)?;
    let wanted = selection::from_matches(matches)?;
    let path = matches.get_one::<String>("out").cloned().unwrap_or_default();
    if matches.get_one::<String>("format").is_some_and(|format| format == CSV) {
        let journal = journal::open_reader(&stores.journal_url).await?;
        let events = csv::write(journal, &wanted, &path).await?;
        return say(&format!("Exported {events} events, without proofs."));
    }
    let keys = log_key::from_matches(matches)?;
    let (events, size) = proven::write(&stores, &keys, wanted, &path).await?;
    say(&format!("Exported {events} events as of a checkpoint of {size}."))
}

/// Creates the output file. Fails if it exists.
fn create(path: &str) -> anyhow::Result<File> {
    File::create_new(path).with_context(|| format!("the file {path:?} cannot be made"))
}

fn progress(length: u64) -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {human_pos} of {human_len}  {per_sec}  {eta}",
    )?))
}
