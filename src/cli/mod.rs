//! The command line.

mod audit;
mod check;
mod copy;
mod import;
mod rebuild;
mod relay;
mod tail;
mod token;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Arg, ArgAction, Command};
use keyledger_projections::ReadTables;

use crate::config::{Config, Group, Logging, Stores, args, both, dev_flag, exposed_secrets};
use crate::{service, telemetry};
use keyledger_journal as journal;
use keyledger_node::clock::SystemClock;
use keyledger_telemetry::Exporting;

/// Runs the command that the arguments ask for.
///
/// # Errors
/// The error of the command, with its causes, to be printed.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let matches = commands().get_matches_from(arguments);
    let done = match matches.subcommand() {
        Some(("audit", matches)) => return audit::run(matches),
        Some(("serve", matches)) => {
            let logging = Logging::from_matches(matches);
            let (logging, config) = both(logging, Config::from_matches(matches))?;
            block_on(serve(logging, config, exposed_secrets(matches)))
        }
        Some(("check", matches)) => {
            let logging = Logging::from_matches(matches);
            let (logging, config) = both(logging, Config::from_matches(matches))?;
            let (exposed, as_json) = (exposed_secrets(matches), matches.get_flag("json"));
            return block_on(check(logging, config, exposed, as_json));
        }
        Some(("migrate", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            let stores = Stores::from_matches(matches)?;
            block_on(async {
                journal::open(&stores.journal_url).await?.close().await?;
                ReadTables::open(&stores.read_url).await?;
                say("The journal and the read tables are up to date.")
            })
        }
        Some(("rebuild", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            let stores = Stores::from_matches(matches)?;
            block_on(rebuild::run(&stores))
        }
        Some(("copy-journal", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(copy::run(matches))
        }
        Some(("import", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(import::run(matches))
        }
        Some(("tail", matches)) => {
            telemetry::start(&Logging::from_matches(matches)?);
            block_on(tail::run(matches))
        }
        Some(("relay", matches)) => {
            if let Some((_, matches)) = matches.subcommand() {
                telemetry::start(&Logging::from_matches(matches)?);
            }
            block_on(relay::run(matches))
        }
        Some(("token", matches)) => say(&token::mint(matches)?),
        Some(("openapi", matches)) => {
            let document = if matches.get_flag("internal") {
                keyledger_http::internal_document()
            } else {
                keyledger_http::openapi_document()
            };
            say(&document.to_pretty_json().context("the document cannot be encoded as JSON")?)
        }
        _ => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Serves, and sends traces and metrics meanwhile if they are to be sent.
async fn serve(logging: Logging, mut config: Config, exposed: Vec<String>) -> anyhow::Result<()> {
    let start = |settings| Exporting::start(settings, Arc::new(SystemClock));
    let mut exporting = config.export.take().map(start).transpose()?;
    telemetry::start_with(&logging, exporting.as_ref().and_then(Exporting::layer));
    warn(&exposed);
    let served = service::serve(config, exporting.as_mut()).await;
    if let Some(exporting) = exporting {
        exporting.finish().await;
    }
    Ok(served?)
}

/// Checks all that the service needs. Traces and metrics are not sent.
async fn check(
    logging: Logging,
    config: Config,
    exposed: Vec<String>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    telemetry::start(&logging);
    warn(&exposed);
    service::warn_of_what_is_open(&config);
    check::run(config, as_json).await
}

fn warn(exposed: &[String]) {
    for exposed in exposed {
        tracing::warn!("{exposed}");
    }
}

fn commands() -> Command {
    Command::new("keyledger")
        .about("API keys for a product's public API, kept as a ledger of events")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("serve").about("Serve the API").arg(dev_flag()).args(args(&Group::ALL)),
        )
        .subcommand(check::command())
        .subcommand(
            Command::new("migrate")
                .about("Bring the journal and the read tables to this version's form")
                .args(args(&[Group::Stores, Group::Logging])),
        )
        .subcommand(
            Command::new("rebuild")
                .about("Build the read tables anew from the journal, while the service runs")
                .args(args(&[Group::Stores, Group::Logging])),
        )
        .subcommand(copy::command())
        .subcommand(import::command())
        .subcommand(audit::command())
        .subcommand(tail::command())
        .subcommand(relay::command())
        .subcommand(token::command())
        .subcommand(
            Command::new("openapi").about("Print the API's OpenAPI document").arg(
                Arg::new("internal")
                    .long("internal")
                    .action(ArgAction::SetTrue)
                    .help("Print that of the internal listener"),
            ),
        )
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?
        .block_on(work)
}

/// Writes a line to standard output.
fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output cannot be written")
}
