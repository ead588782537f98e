//! `keyledger relay`: what operators decide about a stream that does not agree with the journal.

use clap::{ArgMatches, Command};
use keyledger_journal as journal;
use keyledger_node::clock::SystemClock;
use keyledger_relay::nats::{adopt, retire};

use super::say;
use crate::config::{Group, Stores, args, nats_from_matches};

pub(super) fn command() -> Command {
    Command::new("relay")
        .about("Decide about a stream of events that does not agree with the journal")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("adopt")
                .about("Accept the stream as it is: publishing goes on after it")
                .args(args(&[Group::Nats, Group::Stores, Group::Logging])),
        )
        .subcommand(
            Command::new("retire")
                .about("Let the streams take no more messages, so that new ones can be created")
                .args(args(&[Group::Nats, Group::Logging])),
        )
}

pub(super) async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("adopt", matches)) => {
            let (nats, stores) = (nats_from_matches(matches)?, Stores::from_matches(matches)?);
            let journal = journal::open_reader(&stores.journal_url).await?;
            let adoption = adopt(&nats, &*journal, &SystemClock).await?;
            say(&format!(
                "The stream {} is accepted as it is; its message {} says so. The journal's events \
                 after position {} are published next. Restart the nodes whose relay has stopped.",
                nats.stream, adoption.sequence, adoption.after
            ))
        }
        Some(("retire", matches)) => {
            let nats = nats_from_matches(matches)?;
            for stream in retire(&nats).await? {
                say(&format!("The stream {stream} keeps its messages and takes no more."))?;
            }
            say(
                "Set KEYLEDGER_NATS_STREAM to another name and restart all nodes: the new streams get \
                 all events and checkpoints from the first.",
            )
        }
        _ => Ok(()),
    }
}
