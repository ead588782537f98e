//! `keyledger audit diff`: whether one checkpoint continues another.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use keyledger_projections::ReadTables;
use keyledger_projections::audit::merkle::verify_consistency;
use keyledger_projections::audit::{Checkpoint, VerifyingKey};
use keyledger_projections::tree::EventTree;

use super::notes;
use crate::cli::say;
use crate::config::{Group, Stores, args};

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).value_name("FILE").help(help).required(true)
    };
    let key = Arg::new("public-key").long("public-key").value_name("VKEY");
    Command::new("diff")
        .about("Tell whether one checkpoint continues another, by the stored tree: 0 yes, 1 no")
        .arg(file("one", "A checkpoint; of a file of several, the last"))
        .arg(file("other", "Another"))
        .arg(key.help("The public key of the log").action(ArgAction::Set).required(true))
        .args(args(&[Group::Stores, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let public: VerifyingKey = text("public-key").parse()?;
    let last = |name: &str| {
        let checkpoints = notes::read(&text(name), std::slice::from_ref(&public))?;
        checkpoints.into_iter().next_back().context("there is no checkpoint")
    };
    let (one, other) = (last("one")?, last("other")?);
    let (earlier, later) = if one.size <= other.size { (one, other) } else { (other, one) };
    let stores = Stores::from_matches(matches)?;
    let tree = EventTree::new(&ReadTables::open(&stores.read_url).await?);
    let held = tree.state().await?.size;
    if later.size > held {
        say(&format!("The tree holds {held} events, fewer than the {} signed.", later.size))?;
        return Ok(ExitCode::FAILURE);
    }
    let proof = tree.consistency(earlier.size, later.size).await?;
    let of = |checkpoint: &Checkpoint| (checkpoint.size, checkpoint.root);
    if verify_consistency(of(&earlier), of(&later), &proof).is_err() {
        let (from, to) = (earlier.size, later.size);
        say(&format!("rewritten-history: by this tree, {to} events do not continue {from}."))?;
        return Ok(ExitCode::FAILURE);
    }
    let between = later.size.saturating_sub(earlier.size);
    say(&format!("{} events continue {}: {between} were added.", later.size, earlier.size))?;
    Ok(ExitCode::SUCCESS)
}
