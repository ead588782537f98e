//! The option for the log's public key.

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches};
use keyledger_tlog::NoteVerifyingKey;

use crate::config;

const FLAG: &str = "public-key";

pub(super) fn arg() -> Arg {
    Arg::new(FLAG)
        .long(FLAG)
        .value_name("VKEY")
        .help("The public key of the log; if it is left out, that of KEYLEDGER_AUDIT_KEY")
        .action(ArgAction::Set)
}

/// The given public key, or else the public part of the service's signing key.
pub(super) fn from_matches(matches: &ArgMatches) -> anyhow::Result<NoteVerifyingKey> {
    if let Some(text) = matches.get_one::<String>(FLAG) {
        return text.parse().with_context(|| format!("--{FLAG} {text:?} is no public key"));
    }
    let own = config::log_key_from_matches(matches)?;
    own.context("give --public-key, or set KEYLEDGER_AUDIT_KEY as the service has it")
}
