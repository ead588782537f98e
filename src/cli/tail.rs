//! `keyledger tail`: prints published events as they arrive.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Group, args, nats_from_matches};
use keyledger_relay::nats::{TailFrom, tail};

pub(super) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    Command::new("tail")
        .about("Print the published events, one CloudEvent a line, and those that come")
        .arg(switch("new", "Print only those that come from now on"))
        .arg(switch("no-follow", "Print those that are there, and end"))
        .args(args(&[Group::Nats, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let nats = nats_from_matches(matches)?;
    let from = if matches.get_flag("new") { TailFrom::New } else { TailFrom::First };
    Ok(tail(&nats, from, !matches.get_flag("no-follow"), std::io::stdout()).await?)
}
