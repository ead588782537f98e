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
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt, dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Logging};
use keyledger_telemetry::is_for_traces;

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

/// A layer of its own beside the log, such as the one for traces.
pub type OtherLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging with this filter and format.
pub fn start(logging: &Logging) {
    start_with(logging, None);
}

/// The same with another layer. The log has no spans that are for traces.
pub fn start_with(logging: &Logging, other: Option<OtherLayer>) {
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
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false);
    let is_allowed = filter_fn(|metadata| {
        is_allowed(metadata.target(), *metadata.level()) && !is_for_traces(metadata)
    });
    // Without a hint of both, no level would be turned off as a whole.
    let is_allowed = is_allowed.with_max_level_hint(LevelFilter::TRACE);
    // Each line is asked about anew. Otherwise, a line that is always allowed would be lost after a library has
    // asked whether a line of its own would be: a filter of a layer remembers the last answer of its thread.
    let asked_anew = dynamic_filter_fn(|_, _| true).with_max_level_hint(LevelFilter::TRACE);
    let filter = EnvFilter::new(&logging.filter).and(is_allowed).and(asked_anew);
    let lines: OtherLayer = if human {
        let lines = lines.with_writer(writer).with_ansi(is_terminal);
        lines.fmt_fields(debug_fn(write_field)).with_filter(filter).boxed()
    } else {
        let lines = lines
            .with_writer(Escaping(writer))
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        lines.with_filter(filter).boxed()
    };
    // In one list, since a layer that is not there would have every span looked at that is disabled.
    let layers: Vec<_> = std::iter::once(lines).chain(other).collect();
    let started = tracing_subscriber::registry().with(layers).try_init();
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

/// Escapes the control characters that JSON allows within its strings, such as those of U+0080 to U+009F,
/// with which a text could tell a terminal what to do. Each call writes one line.
#[derive(Clone)]
struct Escaping<W>(W);

impl<W: std::io::Write> std::io::Write for Escaping<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if !text.chars().any(must_be_escaped) {
            return self.0.write(line);
        }
        let mut escaped = String::with_capacity(line.len() + 16);
        for c in text.chars() {
            if must_be_escaped(c) {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                escaped.push(c);
            }
        }
        self.0.write_all(escaped.as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl<W: std::io::Write + Clone> MakeWriter<'_> for Escaping<W> {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn must_be_escaped(c: char) -> bool {
    c.is_control() && c != '\n'
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing::Level;

    use super::*;

    #[test]
    fn no_control_character_reaches_the_log() {
        let mut line = Vec::new();
        Escaping(&mut line).write_all("{\"cause\":\"\u{9b}2J\u{7f}é\"}\n".as_bytes()).unwrap();
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, "{\"cause\":\"\\u009b2J\\u007fé\"}\n");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["cause"], "\u{9b}2J\u{7f}é", "what was escaped can be read");
    }

    #[test]
    fn a_field_for_people_begins_no_line_and_commands_no_terminal() {
        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let to = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || to.clone());
        let layer = layer.with_ansi(false).fmt_fields(debug_fn(write_field));
        let text = "a\nWARN forged\u{1b}[2J\u{9b}";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(cause = %text, "{text}");
        });
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches("forged").count(), 2, "{written}");
        assert!(!written.trim_end_matches('\n').contains(char::is_control), "{written:?}");
    }

    #[test]
    fn libraries_say_no_more_than_warnings_and_some_of_them_nothing() {
        for (target, level, is_said) in [
            ("keyledger_http::observe", Level::TRACE, true),
            ("hyper::proto", Level::DEBUG, false),
            ("a_new_library", Level::INFO, false),
            ("async_nats", Level::WARN, true),
            ("sqlx", Level::ERROR, false),
            ("eventstore", Level::ERROR, false),
        ] {
            assert_eq!(is_allowed(target, level), is_said, "{target} {level}");
        }
    }
}
