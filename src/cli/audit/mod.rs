//! `keyledger audit`: for those who look into what happened.

mod at;

use clap::{ArgMatches, Command};

use super::block_on;
use crate::config::Logging;
use crate::telemetry;

pub(super) fn command() -> Command {
    Command::new("audit")
        .about("Look into what happened to keys")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(at::command())
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("at", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(at::run(matches))
        }
        _ => Ok(()),
    }
}
