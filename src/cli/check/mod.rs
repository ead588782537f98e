//! `keyledger check`: whether the service would work with its configuration, and with what that names.

mod parts;
mod report;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use super::say;
use crate::config::{Config, Group, args, dev_flag};

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Check the configuration and all that the service needs, without a change")
        .arg(
            Arg::new("json")
                .long("json")
                .help("Print one JSON object, for programs")
                .action(ArgAction::SetTrue),
        )
        .arg(dev_flag())
        .args(args(&Group::ALL))
}

/// Checks all parts, and prints what was found. The exit code is 0 if the service would work.
pub(super) async fn run(config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let parts = parts::check(config).await;
    let works = parts.iter().all(parts::Part::works);
    say(&if as_json { report::json(&parts) } else { report::lines(&parts) })?;
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
