//! Logging to standard error: text on a terminal, otherwise one JSON object per line.
//!
//! A line never waits for whoever reads it: a thread of its own writes the lines, and those that it cannot
//! take are dropped and counted.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Logging};

/// The most lines that wait to be written.
const WAITING: usize = 4_096;
/// What the targets of this program begin with.
const OURS: &str = "keyledger";
/// Libraries that may log nothing. The client of KurrentDB logs nothing that its errors do not say too, and
/// SQLx logs slow statements with their parameters.
const SILENT: [&str; 2] = ["eventstore", "sqlx"];

/// Writes the lines that wait when it is dropped.
static WORKER: Mutex<Option<WorkerGuard>> = Mutex::new(None);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Starts logging with this filter and format.
pub fn start(logging: &Logging) {
    let is_terminal = std::io::stderr().is_terminal();
    let human = match logging.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    let (writer, worker) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let filter = EnvFilter::new(&logging.filter);
    let is_allowed = filter_fn(|metadata| is_allowed(metadata.target(), *metadata.level()));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if human {
        let lines = lines.with_ansi(is_terminal).fmt_fields(debug_fn(write_field));
        registry.with(lines.with_filter(is_allowed)).try_init()
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(lines.with_filter(is_allowed)).try_init()
    };
    // A second call in one process changes nothing and is no error, which tests rely on.
    if started.is_ok() {
        let _ = DROPPED.set(dropped);
        *WORKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "the program has a defect")));
    }
}

/// Writes the lines that wait, for a second at most.
pub fn finish() {
    drop(WORKER.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// How many lines were dropped.
#[must_use]
pub fn dropped_lines() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// The most that libraries may log, with any filter. At lower levels they log what they send and receive,
/// which may hold secrets or personal data.
fn is_allowed(target: &str, level: tracing::Level) -> bool {
    let is_silent = SILENT.iter().any(|library| target.starts_with(library));
    target.starts_with(OURS) || level <= LevelFilter::WARN && !is_silent
}

/// Writes a field for people. Control characters are escaped, since a text from outside could otherwise
/// begin a new line, or tell the terminal what to do.
fn write_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn std::fmt::Debug,
) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    for c in format!("{value:?}").chars() {
        if c.is_control() {
            write!(writer, "{}", c.escape_default())?;
        } else {
            writer.write_char(c)?;
        }
    }
    Ok(())
}
