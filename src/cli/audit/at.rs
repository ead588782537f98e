//! `keyledger audit at`: prints the state of a key at a moment, computed from the journal.

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use keyledger_domain::KeyId;
use keyledger_domain::Moment;

use crate::cli::say;
use crate::config::{Group, Stores, args, both, hmac_secrets_from_matches};
use keyledger_audit::key_at;
use keyledger_domain::Clock;
use keyledger_http::KeyState;
use keyledger_journal as journal;
use keyledger_node::clock::SystemClock;

pub(super) fn command() -> Command {
    let value = |name: &'static str, help: &'static str, of: &'static str| {
        Arg::new(name).long(name).help(help).value_name(of).action(ArgAction::Set)
    };
    Command::new("at")
        .about("Tell what a key was at a moment, whether it would have verified, and why")
        .arg(value("key", "The key's id", "ID").required(true))
        .arg(value("at", "A time (RFC 3339) or a position; now, if it is left out", "MOMENT"))
        .args(args(&[Group::Stores, Group::Import, Group::Logging]))
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (stores, hmac_secrets) =
        both(Stores::from_matches(matches), hmac_secrets_from_matches(matches))?;
    let key = matches.get_one::<String>("key").cloned().unwrap_or_default();
    let key_id: KeyId = key.parse().with_context(|| format!("--key: {key:?} is no id of a key"))?;
    let moment = matches.get_one::<String>("at").map(|at| at.parse::<Moment>());
    let moment = moment.transpose().context("--at")?;
    let journal = journal::open_reader(&stores.journal_url).await?;
    let now = SystemClock.now();
    let Some(then) = key_at(&*journal, key_id, moment, now).await? else {
        bail!("there was never a key {key_id}");
    };
    let then = then.verified_with(&hmac_secrets);
    let state = KeyState::new(key_id, moment.unwrap_or(Moment::Time(now)), then);
    say(&serde_json::to_string(&state).context("the state of the key cannot be encoded as JSON")?)
}
