//! `keyledger audit diff`: checks that one checkpoint continues another, by the stored tree.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command};
use keyledger_projections::ReadTables;
use keyledger_projections::log::LogReader;
use keyledger_tlog::Checkpoint;
use keyledger_tlog::export::Finding;
use keyledger_tlog::merkle::verify_consistency;

use super::{found, log_key, no, notes};
use crate::cli::say;
use crate::config::{Group, Stores, args};

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).value_name("FILE").help(help).required(true)
    };
    Command::new("diff")
        .about(
            "Tell whether one checkpoint continues another, by the stored tree: \
             0 yes, 1 no, 2 it cannot be told, 3 a file was changed on its way",
        )
        .arg(file("one", "A checkpoint; of a file of several, the last"))
        .arg(file("other", "Another"))
        .arg(log_key::arg())
        .args(args(&[Group::Stores, Group::LogKey, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let keys = log_key::from_matches(matches)?;
    let last = |name: &str| -> anyhow::Result<Result<Checkpoint, Finding>> {
        let path = matches.get_one::<String>(name).cloned().unwrap_or_default();
        let kept = match notes::read(&path)? {
            Ok(mut kept) => kept.pop().context("there is no checkpoint")?,
            Err(finding) => return Ok(Err(finding)),
        };
        let opened = Checkpoint::open(&kept.text, &keys);
        Ok(opened.map_err(|error| Finding::unbelieved(kept.place, error)))
    };
    let (one, other) = match (last("one")?, last("other")?) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(finding), _) | (_, Err(finding)) => return found(&finding),
    };
    let (earlier, later) = if one.size <= other.size { (one, other) } else { (other, one) };
    let stores = Stores::from_matches(matches)?;
    let tree = LogReader::new(&ReadTables::open(&stores.read_url).await?);
    let held = tree.state().await?.size;
    if later.size > held {
        return no(&format!("The tree holds {held} events, fewer than the {} signed.", later.size));
    }
    let proof = tree.prove_consistency(earlier.size, later.size).await?;
    let of = |checkpoint: &Checkpoint| (checkpoint.size, checkpoint.root);
    if verify_consistency(of(&earlier), of(&later), &proof.path).is_err() {
        let (from, to) = (earlier.size, later.size);
        return no(&format!(
            "rewritten-history: by this tree, {to} events do not continue {from}."
        ));
    }
    let between = later.size.saturating_sub(earlier.size);
    say(&format!("{} events continue {}: {between} were added.", later.size, earlier.size))?;
    Ok(ExitCode::SUCCESS)
}
