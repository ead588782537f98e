//! Logging to standard error: text on a terminal, otherwise one JSON object per line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logging};

/// The most that libraries may log, with any filter. At lower levels they log what they send
/// and receive, which may hold secrets or personal data. The client of KurrentDB logs nothing that its
/// errors do not say too.
const LIBRARIES: &str = "eventstore=off,async_nats=warn,h2=warn,hyper=warn,hyper_util=warn,\
                         reqwest=warn,rustls=warn,sqlx=error,tonic=warn,tower=warn";

/// Starts logging with this filter and format.
pub fn start(logging: &Logging) {
    let human = match logging.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{},{LIBRARIES}", logging.filter)))
        .with_writer(std::io::stderr);
    // A second call in one process changes nothing and is no error, which tests rely on.
    let _ = if human {
        log.with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
}
