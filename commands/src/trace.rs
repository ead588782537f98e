//! Spans of commands and appends, for traces.

use keyledger_domain::key::Command;
use keyledger_journal::{Append, Appended};
use tracing::Span;
use tracing::field::Empty;

use crate::CommandError;

/// What the span of a command is called.
pub(crate) fn name(command: &Command) -> &'static str {
    match command {
        Command::Create(_) => "create key",
        Command::Revoke(_) => "revoke key",
        Command::Delete(_) => "delete key",
        Command::Import(_) => "import key",
        Command::ChangeOwnerEmail(_) => "change owner email",
    }
}

/// The span of an append, with all its attempts.
pub(crate) fn append(append: &Append) -> Span {
    tracing::info_span!(
        "append",
        otel.kind = "internal",
        otel.status_code = Empty,
        key.id = %append.key_id,
        keyledger.events = i64::try_from(append.events.len()).unwrap_or(i64::MAX),
        keyledger.outcome = Empty,
        keyledger.position = Empty,
    )
}

/// Notes the outcome of an append.
pub(crate) fn appended(span: &Span, outcome: &Result<Option<Appended>, CommandError>) {
    let told = match outcome {
        Ok(Some(appended)) => {
            span.record("keyledger.position", appended.position.as_i64());
            "appended"
        }
        Ok(None) => "conflict",
        Err(CommandError::OutcomeUnknown(_)) => "unknown",
        Err(_) => "refused",
    };
    span.record("keyledger.outcome", told);
    if outcome.is_err() {
        span.record("otel.status_code", "error");
    }
}
