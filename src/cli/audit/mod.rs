//! `keyledger audit`: commands to examine and prove the history of keys.

mod at;
mod diff;
mod export;
mod keygen;
mod log_key;
mod notes;
mod rebuild;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, Command};
use keyledger_tlog::export::Finding;

use super::{block_on, say};
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
        .subcommand(rebuild::command())
        .subcommand(verify::command())
}

/// The exit code when the input cannot be read, so that no result can be given.
const UNREADABLE: u8 = 2;
/// The exit code when a file was changed on its way, so that nothing can be said of its content.
const MANGLED: u8 = 3;

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    match matches.subcommand() {
        Some(("at", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(at::run(matches))?;
        }
        Some(("diff", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            return Ok(told(block_on(diff::run(matches))));
        }
        Some(("export", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(export::run(matches))?;
        }
        Some(("keygen", matches)) => keygen::run(matches)?,
        Some(("rebuild", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            return Ok(told(block_on(rebuild::run(matches))));
        }
        Some(("verify", matches)) => return Ok(told(verify::run(matches))),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the error of a check and returns its exit code, by which scripts distinguish a failed
/// check (1) from unreadable input (2).
fn told(judged: anyhow::Result<ExitCode>) -> ExitCode {
    judged.unwrap_or_else(|error| {
        // If standard error cannot be written, the exit code must suffice.
        let _ = writeln!(std::io::stderr(), "keyledger: {error:#}");
        ExitCode::from(UNREADABLE)
    })
}

/// Prints why a check failed.
fn no(why: &str) -> anyhow::Result<ExitCode> {
    say(why)?;
    Ok(ExitCode::FAILURE)
}

/// Prints a finding about a file of checkpoints.
fn found(finding: &Finding) -> anyhow::Result<ExitCode> {
    say(&finding.to_string())?;
    let is_mangled = matches!(finding, Finding::MangledFile { .. });
    Ok(if is_mangled { ExitCode::from(MANGLED) } else { ExitCode::FAILURE })
}
