//! `keyledger audit`: for those who look into what happened.

mod at;
mod diff;
mod export;
mod keygen;
mod notes;
mod places;
mod verify;

use std::process::ExitCode;

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
        .subcommand(diff::command())
        .subcommand(export::command())
        .subcommand(keygen::command())
        .subcommand(verify::command())
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    match matches.subcommand() {
        Some(("at", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(at::run(matches))?;
        }
        Some(("diff", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            return block_on(diff::run(matches));
        }
        Some(("export", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(export::run(matches))?;
        }
        Some(("keygen", matches)) => keygen::run(matches)?,
        Some(("verify", matches)) => return verify::run(matches),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}
