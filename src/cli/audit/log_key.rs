//! The option for the log's public keys.

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches};
use keyledger_tlog::NoteVerifyingKey;

use crate::config;

const FLAG: &str = "public-key";

pub(super) fn arg() -> Arg {
    Arg::new(FLAG)
        .long(FLAG)
        .value_name("VKEY")
        .help(
            "A public key of the log; may be given again, while one key replaces another; if it is \
             left out, those of KEYLEDGER_AUDIT_KEY",
        )
        .action(ArgAction::Append)
}

/// The given public keys, or else the public parts of the service's signing keys: at least one.
pub(super) fn from_matches(matches: &ArgMatches) -> anyhow::Result<Vec<NoteVerifyingKey>> {
    let given = matches.get_many::<String>(FLAG).unwrap_or_default();
    let given = given
        .map(|text| text.parse().with_context(|| format!("--{FLAG} {text:?} is no public key")));
    let mut keys = given.collect::<anyhow::Result<Vec<_>>>()?;
    if keys.is_empty() {
        keys = config::log_keys_from_matches(matches)?;
    }
    anyhow::ensure!(
        !keys.is_empty(),
        "give --{FLAG}, or set KEYLEDGER_AUDIT_KEY as the service has it"
    );
    Ok(keys)
}
