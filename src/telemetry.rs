//! The log: for people on a terminal, one JSON object a line otherwise; always on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logging};

/// What libraries may tell, whatever else is asked for: below this, they tell what they send and
/// receive, which may be secret or about people. What the client of KurrentDB tells, its errors tell
/// too.
const LIBRARIES: &str = "eventstore=off,async_nats=warn,h2=warn,hyper=warn,hyper_util=warn,\
                         reqwest=warn,rustls=warn,sqlx=error,tonic=warn,tower=warn";

/// Starts the log.
pub fn start(logging: &Logging) {
    let human = match logging.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{},{LIBRARIES}", logging.filter)))
        .with_writer(std::io::stderr);
    // A second start in one process keeps the first, which tests of the library rely on.
    let _ = if human {
        log.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
}
