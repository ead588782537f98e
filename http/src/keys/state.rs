//! What the handlers need: commands, queries and histories each have a state of their own.

use std::sync::Arc;

use axum::extract::FromRef;
use keyledger_domain::Clock;
use keyledger_journal::JournalReader;
use keyledger_projections::{ReadTables, StatusFilter};

use super::owners::Owners;
use super::written::Followers;
use crate::budget::AnswerBudget;
use crate::extract::Authenticator;
use keyledger_commands::Commands;
use keyledger_node::Progress;

/// The state of the commands.
#[derive(Clone, Debug)]
pub struct CommandState {
    /// Checks who sends the command.
    pub authenticator: Arc<Authenticator>,
    /// Carries out the command.
    pub commands: Arc<Commands>,
    /// The reads of this node that shall include the command's events before it is answered.
    pub followers: Followers,
    /// Tells whose a key is that is closed, and whether an owner may have another key.
    pub owners: Owners,
    /// The most keys that an owner may have.
    pub max_keys_per_owner: u32,
}

/// The state of the queries.
#[derive(Clone, Debug)]
pub struct QueryState {
    /// Checks who sends the query.
    pub authenticator: Arc<Authenticator>,
    /// The tables that are queried.
    pub tables: ReadTables,
    /// The position up to which the tables include events.
    pub progress: Progress,
    /// The memory for lists.
    pub budget: AnswerBudget,
    /// Tells the current time, which decides whether a key has expired.
    pub clock: Arc<dyn Clock>,
    /// The keys that a list has when the caller does not say.
    pub list_default: StatusFilter,
}

/// The state of the histories, which are read from the journal.
#[derive(Clone, Debug)]
pub struct HistoryState {
    /// Checks who asks for the history.
    pub authenticator: Arc<Authenticator>,
    /// The journal.
    pub journal: Arc<dyn JournalReader>,
    /// Tells whose a key is that is closed.
    pub owners: Owners,
}

impl FromRef<CommandState> for Arc<Authenticator> {
    fn from_ref(state: &CommandState) -> Self {
        state.authenticator.clone()
    }
}

impl FromRef<QueryState> for Arc<Authenticator> {
    fn from_ref(state: &QueryState) -> Self {
        state.authenticator.clone()
    }
}

impl FromRef<HistoryState> for Arc<Authenticator> {
    fn from_ref(state: &HistoryState) -> Self {
        state.authenticator.clone()
    }
}
